/* The upper bound of the tree peak.
 *
 * No look can tell how high a process went between two looks; its mark can, as soon as it is read: until then it has
 * never been higher. So time is cut into epochs, each ending when the marks of all that live have been read; whatever
 * the tree held at one instant of an epoch is no more than the sum of those marks, and of the marks of what ended in it
 * (which are not known: they are counted, and the reader bounds each). See struct hw_tree_upper. */
#include "monitor.h"

#define ROWS 96 /* 0 to 63 unknown images exactly, then powers of two */

/* What ended in an epoch counts in the next one too: a mark that is read early in an epoch misses what its process
 * does later in it, which the next epoch's reading shows, beside those that were alive then. */
struct ended {
	uint32_t unknown, images;
	int64_t sum;
	/* What came and went unseen lived between two looks: those of different intervals never lived at once. */
	uint32_t unseen_at_once;
};
static struct hw_tree_upper rows[ROWS];
static struct ended ended_now, ended_before;
static uint32_t unseen_since_look, unseen_in_epoch;
static bool found_dead, stranger, stranger_before;

/* What the kernel's batched counters can hide in one image. Since Linux 6.2 (commit f1a7941243c1) each of the three
 * RSS counters may hold back batch - 1 pages on each CPU, batch = max(32, 2 x CPUs) (lib/percpu_counter.c). */
static int64_t per_cpu_error(void)
{
	int64_t batch = 2 * g.cpus > 32 ? 2 * g.cpus : 32;

	return 3 * g.cpus * (batch - 1) * g.page_size;
}

/* How far a mark of one image can fall between two readings. Before Linux 6.2 the counters are never too high, but for
 * what moves from one to the other between their readings: a page for each fault that copies one of a file. */
int64_t mark_fall_bytes(int64_t threads)
{
	if (g.batched_per_cpu)
		return 2 * per_cpu_error();
	return 2 * HW_FAULTS_HELD_BACK * (threads > 0 ? threads : 1) * g.page_size;
}

/* The larger of two epochs with the same number of unknown images. The reader adds an error for each image; where that
 * depends on the threads of the images it is not known here, and the row covers both. */
static struct hw_tree_upper larger(struct hw_tree_upper a, struct hw_tree_upper b)
{
	if (g.batched_per_cpu)
		return a.sum_bytes + per_cpu_error() * a.images > b.sum_bytes + per_cpu_error() * b.images ? a : b;
	if (b.images > a.images)
		a.images = b.images;
	if (b.sum_bytes > a.sum_bytes)
		a.sum_bytes = b.sum_bytes;
	return a;
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
	/* Whoever came after the numbers were read, and was waited for before the faults were, is noticed as gone only
	 * now: so what changed last time counts as well. */
	static bool changed_before;
	bool changed = false;

	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];
		struct stat_line stat;

		if (!p->in_use || p->image_over)
			continue;
		if (!read_stat(p->pid, &stat)) {
			changed = true;
			continue;
		}
		changed |= stat.child_minor_faults != p->child_minor_faults;
		p->child_minor_faults = stat.child_minor_faults;
	}
	bool ours = changed || changed_before || (g.attached && found_dead) || g.stats.uncounted || ended_now.unknown + ended_before.unknown > 0;

	changed_before = changed;
	return ours;
}

void epoch_close(void)
{
	uint32_t rounded;

	bool ours = unseen_in_epoch > 0 && unseen_can_be_ours();

	if (ours)
		g.stats.unseen += unseen_in_epoch;
	else
		ended_now.unseen_at_once = 0;
	if ((stranger || stranger_before) && (ours || ended_now.unknown + ended_before.unknown > 0))
		attach_lost_orphan();
	stranger_before = stranger;
	stranger = found_dead = false;
	struct ended all = {ended_now.unknown + ended_before.unknown, ended_now.images + ended_before.images,
			    ended_now.sum + ended_before.sum, 0};

	all.unknown += ended_now.unseen_at_once > ended_before.unseen_at_once ? ended_now.unseen_at_once
									       : ended_before.unseen_at_once;

	for (uint32_t i = 0; i < procs_slots; i++) {
		if (!tree_counts(&procs[i]))
			continue;
		all.sum += procs[i].image.hwm;
		all.images++;
	}
	struct hw_tree_upper *row = &rows[row_of(all.unknown, &rounded)];

	*row = larger((struct hw_tree_upper){rounded, all.images, all.sum}, *row);
	row->unknown = rounded;
	g.epoch++;
	ended_before = ended_now;
	ended_now = (struct ended){0};
	unseen_in_epoch = 0;
}

/* Something has ended, or came and went, since the last epoch: the sooner this one ends, the fewer are in doubt. */
bool epoch_urgent(void)
{
	return ended_now.unknown > 0 || unseen_in_epoch > 0;
}

/* At the end of a look. */
bool epoch_complete(void)
{
	if (unseen_since_look > ended_now.unseen_at_once)
		ended_now.unseen_at_once = unseen_since_look;
	unseen_since_look = 0;
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].in_use && !procs[i].image_over && procs[i].status_epoch != g.epoch &&
		    !(procs[i].image.flags & HW_IMAGE_SAME_MAP))
			return false;
	return true;
}

void tree_unseen(uint32_t count)
{
	unseen_since_look += count;
	unseen_in_epoch += count;
}

void tree_image_ended(const struct image *im, bool mark_known)
{
	if (im->flags & HW_IMAGE_SAME_MAP)
		return;
	int64_t mark = im->exact.max > im->hwm ? im->exact.max : im->hwm;

	if (mark_known && mark >= 0) {
		ended_now.sum += mark;
		ended_now.images++;
	} else {
		ended_now.unknown++;
	}
}

void epochs_write(void)
{
	struct hw_tree_upper out[ROWS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < ROWS; i++)
		if (rows[i].images > 0 || rows[i].unknown > 0)
			out[n++] = rows[i];
	if (n > 0)
		stream_event(HW_TREE_UPPER, 0, out, n * sizeof(*out));
}

void epoch_found_dead(void)
{
	found_dead = true;
}

void epoch_stranger(void)
{
	stranger = true;
}
