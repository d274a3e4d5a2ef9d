/* The memory of the whole tree: its maximum as well as it can be known, and what bounds it.
 *
 * Estimate. Anonymous pages are private except where fork left copies: a forked image's pages count as duplicates
 * until it calls execve. File pages of one file are one page in memory however many map it. smaps_rollup tells how
 * much is shared, but costs 18 ms a GiB; so it is read near new maxima only, within a budget, and what it told is
 * used until it is read again.
 * Lower bound. Anonymous memory of the images born by execve (it is nobody else's), the smaller of two consecutive
 * readings, plus the largest file-backed part; or the proportional shares, less what shrank while they were read.
 * Upper bound. Time is cut into epochs, see struct hw_tree_upper. */
#include <string.h>

#include "monitor.h"

#define ROWS 96 /* 0 to 63 unknown images exactly, then powers of two */
#define SNAPSHOT_SHARE 0.008 /* of one core */
#define SNAPSHOT_BURST (10 * NS_PER_MS)
#define WORTH_A_SNAPSHOT 1.01 /* times what there was at the last one: once the tree has stopped growing */
#define WORTH_IT_AT_ONCE 1.3  /* ... or while it grows */
#define UNCERTAIN 0.005	      /* of the estimate: less than that is not worth counting */
#define STEADY_LOOKS 3
#define UNKNOWN_FILE_SHARE 0.5 /* of an image's file pages, where nobody counted: half are shared with others */

static struct hw_tree_peak best;
static bool best_pending, best_counted;
static double last_snapshot;
static int64_t lower;
static int64_t snapshot_budget = SNAPSHOT_BURST, budget_at;
static double snapshot_ns_per_mib = 20000;

/* What ended in an epoch counts in the next one too: a mark that is read early in an epoch misses what its process
 * does later in it, which the next epoch's reading shows, beside those that were alive then. */
struct ended {
	uint32_t unknown, images;
	int64_t sum;
};
static struct hw_tree_upper rows[ROWS];
static struct ended ended_now, ended_before;
static uint32_t epoch_unseen;

/* What the kernel's batched counters can hide in one image. Since Linux 6.2 (commit f1a7941243c1) each of the three
 * RSS counters may hold back batch - 1 pages on each CPU, batch = max(32, 2 x CPUs) (lib/percpu_counter.c); before,
 * each thread up to 64 pages (mm/memory.c, TASK_RSS_EVENTS_THRESH). */
int64_t counter_error_bytes(int64_t threads)
{
	int64_t batch = 2 * g.cpus > 32 ? 2 * g.cpus : 32;

	if (g.batched_per_cpu)
		return 3 * g.cpus * (batch - 1) * g.page_size;
	return 64 * (threads > 0 ? threads : 1) * g.page_size;
}

static bool counts(const struct proc *p)
{
	return p->in_use && !p->image_over && p->image.samples > 0 && !(p->image.flags & HW_IMAGE_SAME_MAP);
}

static int64_t at_least_0(int64_t value)
{
	return value > 0 ? value : 0;
}

static int64_t anon_of(const struct image *im)
{
	return im->last.anon_bytes >= 0 ? im->last.anon_bytes : im->last.rss_bytes;
}

static int64_t file_of(const struct image *im)
{
	return at_least_0(im->last.rss_bytes - anon_of(im) - at_least_0(im->last.shmem_bytes));
}

static double file_share(const struct image *im)
{
	if (im->file_share >= 0)
		return im->file_share;
	return im->flags & HW_IMAGE_FORKED ? 0 : UNKNOWN_FILE_SHARE;
}

/* Adds the tree up as it was at this look. `uncertain`: how much of it is counted once by a guess only. */
static struct hw_tree_peak add_up(int64_t now, double *uncertain, int64_t *certain)
{
	struct hw_tree_peak t = {.t_ns = now};
	int64_t duplicates = 0, file_max = 0, shmem_max = 0, shmem_shares = 0, largest = 0;
	double file_shares = 0, unknown_files = 0;

	*certain = 0;
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];
		struct image *im = &p->image;

		if (!counts(p))
			continue;
		int64_t anon = anon_of(im), file = file_of(im), shmem = at_least_0(im->last.shmem_bytes);

		t.processes++;
		t.sum_bytes += im->last.rss_bytes;
		t.swap_bytes += at_least_0(im->swap);
		t.anon_bytes += anon;
		duplicates += im->duplicate < anon ? im->duplicate : anon;
		file_shares += (double)file * file_share(im);
		if (im->file_share < 0)
			unknown_files += (double)file;
		shmem_shares += at_least_0(im->pss_shmem);
		if (file > file_max)
			file_max = file;
		if (shmem > shmem_max)
			shmem_max = shmem;
		if (im->last.rss_bytes > largest)
			largest = im->last.rss_bytes;
		if (!(im->flags & HW_IMAGE_FORKED))
			*certain += anon < p->previous_anon ? anon : p->previous_anon;
		p->previous_anon = anon;
	}
	*certain += file_max;
	t.anon_bytes -= duplicates;
	t.file_bytes = file_shares > (double)file_max ? (int64_t)file_shares : file_max;
	t.shmem_bytes = shmem_shares > shmem_max ? shmem_shares : shmem_max;
	t.estimate_bytes = t.anon_bytes + t.file_bytes + t.shmem_bytes;
	if (t.estimate_bytes > t.sum_bytes)
		t.estimate_bytes = t.sum_bytes;
	if (t.estimate_bytes < largest)
		t.estimate_bytes = largest;
	*uncertain = (double)duplicates + unknown_files;
	return t;
}

/* Spreads the anonymous memory that is counted more than once over the forked images. */
static void spread_duplicates(double excess, double weights)
{
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];

		if (!counts(p) || !(p->image.flags & HW_IMAGE_FORKED))
			continue;
		p->image.duplicate = weights > 0 ? (int64_t)(excess * (double)p->image.duplicate / weights) : 0;
		if (p->image.duplicate > anon_of(&p->image))
			p->image.duplicate = anon_of(&p->image);
	}
}

/* Reads smaps_rollup of every process of the tree. */
static bool snapshot(int64_t now)
{
	int64_t shares = 0, spent = 0, shrunk = 0;
	double excess = 0, weights = 0, mib = 0;

	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];
		struct rollup r;
		struct image *im = &p->image;
		int64_t cost;

		if (!counts(p))
			continue;
		if (!look_rollup(p, now, &r, &cost)) {
			spent += cost;
			continue; /* gone, or not ours to read */
		}
		spent += cost;
		mib += (double)r.rss / 1048576;
		shares += r.pss;
		p->previous_anon = anon_of(im);
		if (r.pss_file >= 0 && file_of(im) > 0) {
			im->file_share = (double)r.pss_file / (double)file_of(im);
			if (im->file_share > 1)
				im->file_share = 1;
		}
		im->pss_shmem = r.pss_shmem;
		if (r.pss_anon >= 0) {
			double more = (double)(anon_of(im) - r.pss_anon);

			excess += more > 0 ? more : 0;
			im->duplicate = more > 0 ? (int64_t)more : 0;
			if (im->flags & HW_IMAGE_FORKED)
				weights += (double)im->duplicate;
			else
				im->duplicate = 0;
		}
	}
	spread_duplicates(excess, weights);
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct statm again;

		if (counts(&procs[i]) && look_statm(&procs[i], now, &again) == LOOK_OK)
			shrunk += at_least_0(procs[i].image.last.rss_bytes - again.rss * g.page_size);
	}
	if (shares - shrunk > lower)
		lower = shares - shrunk;
	snapshot_budget -= spent;
	g.snapshot_ns += spent;
	if (mib > 0)
		snapshot_ns_per_mib = (double)spent / mib;
	return mib > 0;
}

static bool can_afford(int64_t now, int64_t sum_bytes, uint32_t count)
{
	snapshot_budget += (int64_t)((double)(now - budget_at) * SNAPSHOT_SHARE);
	budget_at = now;
	if (snapshot_budget > SNAPSHOT_BURST)
		snapshot_budget = SNAPSHOT_BURST;
	double cost = (double)sum_bytes / 1048576 * snapshot_ns_per_mib + 20000.0 * count;

	/* A tree so large that it costs more than the whole burst waits until the budget is full, then goes into debt. */
	return (double)snapshot_budget >= cost || snapshot_budget == SNAPSHOT_BURST;
}

static void remember(const struct hw_tree_peak *t, bool counted)
{
	best = *t;
	best_counted = counted;
	best_pending = true;
}

static uint32_t row_of(uint32_t unknown, uint32_t *rounded)
{
	uint32_t row = 64, top = 128;

	*rounded = unknown;
	if (unknown < 64)
		return unknown;
	while (top < unknown && row < ROWS - 1) {
		top *= 2;
		row++;
	}
	*rounded = top;
	return row;
}

/* Could a pid that came and went be a child of ours? Then somebody of the tree has waited for it, which shows in
 * the faults of his waited-for children (field 11 of /proc/PID/stat) - unless he ignores SIGCHLD, or is gone too. */
static bool unseen_can_be_ours(void)
{
	bool ours = g.stats.uncounted || ended_now.unknown > 0;

	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];
		struct stat_line stat;

		if (!p->in_use || p->image_over)
			continue;
		if (!read_stat(p->pid, &stat)) {
			ours = true;
			continue;
		}
		if (stat.child_minor_faults != p->child_minor_faults)
			ours = true;
		p->child_minor_faults = stat.child_minor_faults;
	}
	return ours;
}

static void close_epoch(void)
{
	uint32_t rounded;

	if (epoch_unseen > 0 && unseen_can_be_ours()) {
		g.stats.unseen += epoch_unseen;
		ended_now.unknown += epoch_unseen;
	}
	struct ended all = {ended_now.unknown + ended_before.unknown, ended_now.images + ended_before.images,
			    ended_now.sum + ended_before.sum};

	for (uint32_t i = 0; i < procs_slots; i++) {
		if (!counts(&procs[i]))
			continue;
		all.sum += procs[i].image.hwm;
		all.images++;
	}
	struct hw_tree_upper *row = &rows[row_of(all.unknown, &rounded)];
	int64_t error = counter_error_bytes(1);

	if (row->images == 0 || all.sum + error * all.images > row->sum_bytes + error * row->images)
		*row = (struct hw_tree_upper){rounded, all.images, all.sum};
	g.epoch++;
	ended_before = ended_now;
	ended_now = (struct ended){0};
	epoch_unseen = 0;
}

static bool epoch_complete(void)
{
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].in_use && !procs[i].image_over && procs[i].status_epoch != g.epoch &&
		    !(procs[i].image.flags & HW_IMAGE_SAME_MAP))
			return false;
	return true;
}

void tree_unseen(uint32_t count)
{
	epoch_unseen += count;
}

void tree_image_ended(const struct image *im, bool mark_known)
{
	if (im->flags & HW_IMAGE_SAME_MAP)
		return;
	if (mark_known && im->hwm >= 0) {
		ended_now.sum += im->hwm;
		ended_now.images++;
	} else {
		ended_now.unknown++;
	}
}

void tree_forked(struct proc *child)
{
	struct proc *parent = proc_find(child->ppid);

	child->owner = child->parent;
	child->image.duplicate = anon_of(&child->image);
	if (parent && parent->image.samples > 0 && anon_of(&parent->image) < child->image.duplicate)
		child->image.duplicate = anon_of(&parent->image);
}

/* A process left, or replaced its image: of those that shared its pages one now owns them, the others copy that one. */
void tree_proc_left(struct proc *left)
{
	struct proc *heir = NULL;

	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];

		if (p != left && counts(p) && p->image.duplicate > 0 && p->owner == left->id &&
		    (!heir || p->image.duplicate > heir->image.duplicate))
			heir = p;
	}
	if (!heir)
		return;
	for (uint32_t i = 0; i < procs_slots; i++)
		if (counts(&procs[i]) && procs[i].owner == left->id)
			procs[i].owner = heir->id;
	heir->image.duplicate = 0;
}

/* Is this a moment to read smaps_rollup? When sharing is in doubt, at a maximum, and rather on a plateau than on the
 * way up to it. What copy-on-write copies is seen in no RSS, so with forked images a plateau is read again and again,
 * as often as the budget allows. */
static bool wants_snapshot(const struct hw_tree_peak *t, double uncertain)
{
	static int64_t before;
	static int steady;
	double now = (double)t->estimate_bytes;
	bool grows = now > (double)before * WORTH_A_SNAPSHOT || now < (double)before / WORTH_A_SNAPSHOT;

	before = t->estimate_bytes;
	steady = grows ? 0 : steady + 1;
	if (t->processes < 2 || uncertain < now * UNCERTAIN || now + uncertain < (double)best.estimate_bytes)
		return false;
	if (now > last_snapshot * WORTH_IT_AT_ONCE)
		return true;
	return steady >= STEADY_LOOKS && now + uncertain > last_snapshot * WORTH_A_SNAPSHOT;
}

void tree_look(int64_t now)
{
	double uncertain;
	int64_t certain;
	struct hw_tree_peak t = add_up(now, &uncertain, &certain);
	bool counted = t.processes < 2;

	if (certain > lower)
		lower = certain;
	if (t.swap_bytes > g.stats.swap_peak_bytes)
		g.stats.swap_peak_bytes = t.swap_bytes;
	if (wants_snapshot(&t, uncertain) && can_afford(now, t.sum_bytes, t.processes) && snapshot(now)) {
		double guess = (double)t.estimate_bytes;

		t = add_up(now, &uncertain, &certain);
		counted = true;
		last_snapshot = (double)t.estimate_bytes;
		/* What was guessed before is off by about as much as this guess was. */
		if (!best_counted && guess > 0)
			best.estimate_bytes = (int64_t)((double)best.estimate_bytes * (double)t.estimate_bytes / guess);
	}
	if (t.estimate_bytes > best.estimate_bytes)
		remember(&t, counted);
	if (epoch_complete())
		close_epoch();
}

/* The last epoch ends with the recording. */
void tree_finish(void)
{
	close_epoch();
}

void tree_flush(void)
{
	if (best.lower_bytes != lower)
		best_pending = true;
	if (best_pending) {
		best.lower_bytes = lower;
		stream_event(HW_TREE_PEAK, best_counted ? HW_TREE_SNAPSHOT : 0, &best, sizeof(best));
		best_pending = false;
	}
	struct hw_tree_upper out[ROWS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < ROWS; i++)
		if (rows[i].images > 0 || rows[i].unknown > 0)
			out[n++] = rows[i];
	if (n > 0)
		stream_event(HW_TREE_UPPER, 0, out, n * sizeof(*out));
}

