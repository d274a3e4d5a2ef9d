/* How much of the tree's memory is counted in more than one process.
 *
 * fork leaves every anonymous page of the child a copy of its parent's in name only; the child's pages count as
 * duplicates until it calls execve or writes to them. A write makes a real copy, which no RSS shows, but one minor
 * fault does: so faults without growth are taken for copies. That is a guess (memory that is freed and taken again
 * faults too); smaps_rollup knows, but costs 18 ms a GiB and keeps the target from mapping meanwhile. It is read when
 * much is in doubt, on a plateau and not on the way up to it, and within a budget. */
#include "monitor.h"

#define SNAPSHOT_SHARE (0.007 * HW_SLOWNESS) /* of one core */
#define SNAPSHOT_BURST (10 * HW_SLOWNESS * NS_PER_MS)
#define WORTH_A_SNAPSHOT 1.01 /* times what there was at the last one */
#define UNCERTAIN 0.005	      /* of the estimate: less than that is not worth counting */
#define MOVED 0.01	      /* of the sum: a tree that changed more while it was read was not counted */
#define STEADY_LOOKS 3
#define STEADY_NS (8 * NS_PER_MS) /* or two looks so far apart */

static double last_snapshot;
static int64_t snapshot_budget = SNAPSHOT_BURST, budget_at;
static double snapshot_ns_per_mib = 20000;
static int64_t copied_since; /* the last snapshot, by the guess */

/* Spreads the anonymous memory that is counted more than once over the forked images. */
static void spread_duplicates(double excess, double weights)
{
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];

		if (!tree_counts(p) || !(p->image.flags & HW_IMAGE_FORKED))
			continue;
		p->image.duplicate = weights > 0 ? (int64_t)(excess * (double)p->image.duplicate / weights) : 0;
		if (p->image.duplicate > image_anon(&p->image))
			p->image.duplicate = image_anon(&p->image);
	}
}

/* `bytes` of what `owner` shares with its children have been copied: they are duplicates no more. */
static void take_from_children(uint32_t owner, int64_t bytes)
{
	struct proc *most = NULL;

	for (uint32_t i = 0; i < procs_slots; i++)
		if (tree_counts(&procs[i]) && procs[i].owner == owner && procs[i].image.duplicate > 0 &&
		    (!most || procs[i].image.duplicate > most->image.duplicate))
			most = &procs[i];
	if (most)
		most->image.duplicate = at_least_0(most->image.duplicate - bytes);
}

static bool owns_duplicates(const struct proc *owner)
{
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].owner == owner->id && &procs[i] != owner && tree_counts(&procs[i]) &&
		    procs[i].image.duplicate > 0)
			return true;
	return false;
}

/* Follows the faults of one process that shares pages. `grown`: what its RSS grew by since the look before. */
void sharing_follow(struct proc *p, int64_t grown)
{
	struct stat_line stat;
	bool forked = p->image.duplicate > 0;

	if (procs_alive < 2 || (!forked && !owns_duplicates(p)) || !read_stat(p->pid, &stat))
		return;
	int64_t faults = stat.minor_faults - p->minor_faults, copied;

	if (p->faults_known) {
		copied = at_least_0(faults * g.page_size - at_least_0(grown));
		copied_since += copied;
		if (copied > 0 && forked)
			p->image.duplicate = at_least_0(p->image.duplicate - copied);
		else if (copied > 0)
			take_from_children(p->id, copied);
	}
	p->minor_faults = stat.minor_faults;
	p->faults_known = true;
}

/* Reads smaps_rollup of every process, then statm again: what moved meanwhile was not counted at one instant (a page
 * may be a whole one in the first process, and a half in the second that mapped it since). */
static bool read_all(int64_t now, int64_t *shares, int64_t *moved, int64_t *sum, bool *complete)
{
	int64_t spent = 0;
	double mib = 0;

	*complete = true;
	*shares = *moved = *sum = 0;
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct image *im = &procs[i].image;
		int64_t cost;

		if (!tree_counts(&procs[i]))
			continue;
		im->shot_known = look_rollup(&procs[i], procs[i].tid, now, &im->shot, &cost);
		spent += cost;
		if (!im->shot_known) {
			*complete = false; /* gone, or not ours to read */
			continue;
		}
		*complete &= im->shot.whole;
		mib += (double)im->shot.rss / 1048576;
		*shares += im->shot.pss;
	}
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct image *im = &procs[i].image;
		struct statm again;

		if (!tree_counts(&procs[i]) || !im->shot_known || look_statm(&procs[i], &again) != LOOK_OK)
			continue;
		int64_t rss = again.rss * g.page_size - im->last.rss_bytes;
		int64_t shared = again.shared * g.page_size - (im->last.rss_bytes - image_anon(im));

		*moved += (rss < 0 ? -rss : rss) + (shared < 0 ? -shared : shared);
		*sum += im->last.rss_bytes;
	}
	snapshot_budget -= spent;
	g.snapshot_ns += spent;
	if (mib > 0)
		snapshot_ns_per_mib = (double)spent / mib;
	return mib > 0;
}

/* Takes over what smaps_rollup told. */
static void apply(void)
{
	double excess = 0, weights = 0;

	for (uint32_t i = 0; i < procs_slots; i++) {
		struct image *im = &procs[i].image;

		if (!tree_counts(&procs[i]) || !im->shot_known)
			continue;
		if (im->shot.pss_file >= 0 && image_file(im) > 0) {
			im->file_share = (double)im->shot.pss_file / (double)image_file(im);
			if (im->file_share > 1)
				im->file_share = 1;
		}
		im->pss_shmem = im->shot.pss_shmem;
		if (im->shot.pss_anon < 0)
			continue; /* before Linux 5.4 */
		im->duplicate = at_least_0(image_anon(im) - im->shot.pss_anon);
		excess += (double)im->duplicate;
		if (im->flags & HW_IMAGE_FORKED)
			weights += (double)im->duplicate;
		else
			im->duplicate = 0;
	}
	spread_duplicates(excess, weights);
	copied_since = 0;
}

/* Counts the shared pages, if that is possible now. `certain` becomes what the tree holds at least. */
static bool snapshot(int64_t now, int64_t *certain)
{
	int64_t shares, moved, sum;
	bool complete;

	if (!read_all(now, &shares, &moved, &sum, &complete))
		return false;
	if (shares - moved > *certain)
		*certain = shares - moved;
	/* Who shares with those that were not read is not known. */
	if (!complete || (double)moved > MOVED * (double)sum)
		return false;
	apply();
	return true;
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

/* Is this a moment to count? When sharing is in doubt, at a maximum, and when nothing has moved for some looks. */
static bool worth_it(const struct hw_tree_peak *t, double uncertain, const struct hw_tree_peak *best, bool best_counted)
{
	static int64_t before, copied_before, moved_ns;
	static int steady;
	double now = (double)t->estimate_bytes, growth = now - (double)before;
	bool moves = growth > now * (WORTH_A_SNAPSHOT - 1) || growth < -now * (WORTH_A_SNAPSHOT - 1) ||
		     (double)(copied_since - copied_before) > now * UNCERTAIN;

	before = t->estimate_bytes;
	copied_before = copied_since;
	steady = moves ? 0 : steady + 1;
	if (moves)
		moved_ns = t->t_ns;
	if (t->processes < 2 || (steady < STEADY_LOOKS && (steady < 1 || t->t_ns - moved_ns < STEADY_NS)))
		return false;
	if (!best_counted && (double)t->sum_bytes > (double)best->sum_bytes / WORTH_A_SNAPSHOT)
		return true; /* the maximum is a guess, and the tree is still as it was then */
	if (now + uncertain < (double)best->estimate_bytes)
		return false;
	if (uncertain < now * UNCERTAIN && (double)copied_since < now * UNCERTAIN)
		return false;
	return now + uncertain > last_snapshot * WORTH_A_SNAPSHOT || (double)copied_since > now * UNCERTAIN;
}

bool sharing_count(int64_t now, const struct hw_tree_peak *t, double uncertain, const struct hw_tree_peak *best,
		   bool best_counted, int64_t *certain)
{
	if (!worth_it(t, uncertain, best, best_counted) || !can_afford(now, t->sum_bytes, t->processes) || !snapshot(now, certain))
		return false;
	last_snapshot = (double)t->estimate_bytes;
	return true;
}

void tree_forked(struct proc *child)
{
	struct proc *parent = proc_find(child->ppid);

	child->owner = child->parent;
	child->image.duplicate = image_anon(&child->image);
	if (parent && parent->image.samples > 0 && image_anon(&parent->image) < child->image.duplicate)
		child->image.duplicate = image_anon(&parent->image);
	/* A task starts without faults (kernel/fork.c copy_mm()): all it has by now are its own. */
	child->minor_faults = 0;
	child->faults_known = true;
	sharing_follow(child, child->image.last.rss_bytes - child->image.duplicate);
}

/* A process left, or replaced its image: of those that shared its pages one now owns them, the others copy that one. */
void tree_proc_left(struct proc *left)
{
	struct proc *heir = NULL;

	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];

		if (p != left && tree_counts(p) && p->image.duplicate > 0 && p->owner == left->id &&
		    (!heir || p->image.duplicate > heir->image.duplicate))
			heir = p;
	}
	if (!heir)
		return;
	for (uint32_t i = 0; i < procs_slots; i++)
		if (tree_counts(&procs[i]) && procs[i].owner == left->id)
			procs[i].owner = heir->id;
	heir->image.duplicate = 0;
}

