/* Counts the pages of a process one by one, where the kernel's own counters lag behind.
 *
 * What statm and status show is a sum that leaves out what each thread (before Linux 6.2) or each CPU (6.2 to 6.15) has
 * not handed in yet: up to some MiB, which for a small program, or one of many threads, is most of the truth. The Rss
 * of smaps_rollup comes from the page tables themselves. The walk takes 18 ms a GiB, and keeps the program from mapping
 * meanwhile: so it is done only where the lag matters, on a plateau, and within a budget.
 *
 * A page that arrives while the walk goes on may be counted beside one that has left since. Pages arrive by faults: if
 * there was none, all that was counted was there together, when the walk began. */
#include <stdio.h>

#include "monitor.h"

#define SHARE (0.004 * HW_SLOWNESS) /* of one core */
#define BURST (10 * HW_SLOWNESS * NS_PER_MS)
#define MATTERS 0.003 /* of the RSS */
#define GROWN 1.005   /* times the RSS that was counted at */
#define AGAIN_TICKS 12 /* what the counters hold back does not show in them: count again after so many looks */

static int64_t budget = BURST, budget_at;
static double ns_per_mib = 20000;

/* What the counters hold back where they hold back as much as they can of anonymous memory. */
static int64_t usual_lag(const struct image *im)
{
	int64_t batch = 2 * g.cpus > 32 ? 2 * g.cpus : 32;

	if (g.batched_per_cpu)
		return g.cpus * (batch - 1) * g.page_size;
	return HW_FAULTS_HELD_BACK * (im->threads > 0 ? im->threads : 1) * g.page_size;
}

static bool affordable(int64_t now, int64_t bytes)
{
	double cost = (double)bytes / 1048576 * ns_per_mib + 30000;

	budget += (int64_t)((double)(now - budget_at) * SHARE);
	budget_at = now;
	if (budget > BURST)
		budget = BURST;
	return (double)budget >= cost || budget == BURST;
}

/* `held`: the process stands still, and this may be the last chance. */
static bool is_due(struct image *im, bool held)
{
	int64_t rss = im->last.rss_bytes, lag = usual_lag(im), before = im->rss_at_look;

	im->rss_at_look = rss;
	if (im->flags & HW_IMAGE_SAME_MAP || im->samples == 0 || rss <= 0)
		return false;
	if ((double)lag < MATTERS * (double)rss || rss + lag <= im->counted)
		return false;
	if (held)
		return true;
	if (rss != before)
		return false; /* on its way */
	return im->counted < 0 || (double)rss > GROWN * (double)im->counted_at || g.tick - im->counted_tick >= AGAIN_TICKS;
}

static int64_t faults(int32_t pid)
{
	struct stat_line stat;

	return read_stat(pid, &stat) && stat.major_faults >= 0 ? stat.minor_faults + stat.major_faults : -1;
}

void count_pages(struct proc *p, int32_t tid, int64_t now, bool held)
{
	struct image *im = &p->image;
	struct rollup sum;
	int64_t cost, before;

	if (g.statm_exact || !is_due(im, held) || !affordable(now, im->last.rss_bytes))
		return;
	im->counted_at = im->last.rss_bytes;
	im->counted_tick = g.tick;
	before = faults(p->pid);
	bool known = before >= 0 && look_rollup(p, tid, now, &sum, &cost);

	if (known && faults(p->pid) == before && sum.rss > im->counted)
		im->counted = sum.rss;
	if (!known)
		return;
	if (!sum.whole)
		im->counted_tick = g.tick - AGAIN_TICKS; /* once more, as soon as it can be afforded */
	budget -= cost;
	g.snapshot_ns += cost;
	if (sum.whole && sum.rss > 1048576)
		ns_per_mib = (double)cost / ((double)sum.rss / 1048576);
}
