/* The memory of the whole tree: its maximum as well as it can be known, and what it was at least.
 *
 * Estimate. Anonymous pages are private except where fork left copies (sharing.c). Pages of one file are the same in
 * memory however many processes map them.
 * Lower bound. Anonymous memory of the images born by execve (it is nobody else's; how those that ran before we attached
 * were born is not known, so only the first of them counts), the smaller of two consecutive readings, plus the largest
 * file-backed part; or the proportional shares, less what moved while they were read.
 * The upper bound is in epochs.c. */
#include <string.h>

#include "monitor.h"

#define UNKNOWN_FILE_SHARE 0.5 /* of an image's file pages, where nobody counted: half are shared with others */
#define AS_HIGH 0.995
#define DOUBT 0.01     /* of the estimate that is guessed */
#define DOUBT_LOOKS 64 /* after so many it may never be counted: nobody is held up any longer */

static struct hw_tree_peak best;
static bool best_pending, best_counted;
static int64_t lower;
static uint32_t doubt_looks;
static uint32_t written[TREE_PAGES]; /* the row that was written last */
static uint32_t written_processes;

bool tree_counts(const struct proc *p)
{
	return p->in_use && !p->image_over && p->image.samples > 0 && !(p->image.flags & HW_IMAGE_SAME_MAP);
}

int64_t at_least_0(int64_t value)
{
	return value > 0 ? value : 0;
}

int64_t image_anon(const struct image *im)
{
	return im->last.anon_bytes >= 0 ? im->last.anon_bytes : im->last.rss_bytes;
}

int64_t image_file(const struct image *im)
{
	return at_least_0(im->last.rss_bytes - image_anon(im) - at_least_0(im->last.shmem_bytes));
}

static double file_share(const struct image *im)
{
	if (im->file_share >= 0)
		return im->file_share;
	return im->flags & HW_IMAGE_FORKED ? 0 : UNKNOWN_FILE_SHARE;
}

/* What the tree needs beside its resident set. */
struct beside {
	int64_t pte, hugetlb;
};

/* Is its anonymous memory certainly counted in no other process of the tree? */
static bool is_its_own(const struct proc *p)
{
	if (p->image.flags & HW_IMAGE_ATTACHED)
		return p->id == 0;
	return !(p->image.flags & HW_IMAGE_FORKED);
}

/* Adds the tree up as it was at this look. `uncertain`: how much of it is counted once by a guess only. */
static struct hw_tree_peak add_up(int64_t now, double *uncertain, int64_t *certain, struct beside *beside)
{
	struct hw_tree_peak t = {.t_ns = now};
	int64_t duplicates = 0, file_max = 0, shmem_max = 0, shmem_shares = 0, largest = 0;
	double file_shares = 0, unknown_files = 0;

	*certain = 0;
	*beside = (struct beside){0, 0};
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];
		struct image *im = &p->image;

		if (!tree_counts(p))
			continue;
		int64_t anon = image_anon(im), file = image_file(im), shmem = at_least_0(im->last.shmem_bytes);

		t.processes++;
		t.sum_bytes += im->last.rss_bytes;
		t.swap_bytes += at_least_0(im->swap);
		beside->pte += at_least_0(im->pte);
		beside->hugetlb += at_least_0(im->hugetlb);
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
		if (is_its_own(p))
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

static void keep_largest(int64_t *largest, int64_t value)
{
	if (value > *largest)
		*largest = value;
}

static void note(const struct hw_tree_peak *t, const struct beside *b)
{
	keep_largest(&g.stats.swap_peak_bytes, t->swap_bytes);
	keep_largest(&g.stats.pte_peak_bytes, b->pte);
	keep_largest(&g.stats.hugetlb_peak_bytes, b->hugetlb);
	keep_largest(&g.stats.demand_peak_bytes, t->estimate_bytes + t->swap_bytes + b->pte + b->hugetlb);

	const uint32_t row[TREE_PAGES] = {in_pages(t->estimate_bytes), in_pages(t->anon_bytes), in_pages(t->shmem_bytes),
					  in_pages(t->swap_bytes), in_pages(b->pte), in_pages(b->hugetlb)};
	bool changed = t->processes != written_processes || sample_worth(row, written, TREE_PAGES);

	/* Of a tree of one process its own rows tell; one row says that this begins. */
	if (!changed || (t->processes < 2 && written_processes < 2))
		return;
	sample_tree(t->t_ns, t->processes, row);
	memcpy(written, row, sizeof(row));
	written_processes = t->processes;
}

/* What was guessed at the maximum is off by about as much as the guess for `t` was, which was counted by now. A guess
 * that was too low says so only of a tree that still is what it was at the maximum: of another one, that what the
 * processes shared then has since been copied. */
static void correct_best(const struct hw_tree_peak *t, double factor)
{
	bool same = t->processes == best.processes && (double)t->sum_bytes > (double)best.sum_bytes * AS_HIGH;

	if (factor > 1 && !same)
		return;
	best.estimate_bytes = (int64_t)((double)best.estimate_bytes * factor);
	if (best.estimate_bytes > best.sum_bytes)
		best.estimate_bytes = best.sum_bytes;
	best.anon_bytes = at_least_0(best.estimate_bytes - best.file_bytes - best.shmem_bytes);
}

void tree_look(int64_t now)
{
	double uncertain;
	int64_t certain;
	struct beside beside;
	struct hw_tree_peak t = add_up(now, &uncertain, &certain, &beside);
	bool counted = t.processes < 2;

	if (sharing_count(now, &t, uncertain, &best, best_counted, &certain)) {
		double guess = (double)t.estimate_bytes;
		int64_t ignored;

		t = add_up(now, &uncertain, &ignored, &beside);
		counted = true;
		if (!best_counted && guess > 0)
			correct_best(&t, (double)t.estimate_bytes / guess);
	}
	note(&t, &beside);
	doubt_looks = t.processes > 1 && !best_counted && uncertain > DOUBT * (double)t.estimate_bytes ? doubt_looks + 1 : 0;
	if (certain > lower)
		lower = certain;
	/* A count beats a guess that is hardly higher. */
	if (t.estimate_bytes > best.estimate_bytes ||
	    (counted && !best_counted && (double)t.estimate_bytes > (double)best.estimate_bytes * AS_HIGH)) {
		best = t;
		best_counted = counted;
		best_pending = true;
	}
	if (epoch_complete())
		epoch_close();
}

bool tree_in_doubt(void)
{
	return doubt_looks > 0 && doubt_looks < DOUBT_LOOKS;
}

void tree_write(void)
{
	if (best.lower_bytes != lower)
		best_pending = true;
	if (best_pending) {
		best.lower_bytes = lower;
		stream_event(HW_TREE_PEAK, best_counted ? HW_TREE_SNAPSHOT : 0, &best, sizeof(best));
		best_pending = false;
	}
	epochs_write();
}
