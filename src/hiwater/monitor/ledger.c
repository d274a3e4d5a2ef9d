/* When to read what a process's memory consists of (smaps), and the latest reading of each image until it is written.
 *
 * Reading smaps takes about 18 ms a GiB and some us a mapping, and holds the process's memory map meanwhile: it waits if
 * it maps or unmaps something. So there is a budget of CPU time, what a reading will cost is estimated from earlier ones,
 * and little of the budget is spent on the way up: a plateau near the maximum, or the exit, is the moment to read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"

#define SHARE 0.010		    /* of one core */
#define BURST (20 * NS_PER_MS)	    /* saved up */
#define COST_MAX (500 * NS_PER_MS)  /* one that would take longer is not begun */
#define COST_MIN (5 * NS_PER_MS)    /* one is given up at double the estimate, but not before */
#define FIXED_NS 100000.0	    /* of an estimate */
#define DEAREST_MIB 200000.0	    /* ns: above that, it is not the memory that costs */
#define WORTH 1.02		    /* times what there was at the last one */
#define LEAP 1.5		    /* the same, on a steep way up */
#define STEP (1 << 20)		    /* the least that it must have grown by on the way up */
#define STEP_PAGES 64		    /* likewise */
#define STEADY 0.01		    /* of the RSS: less than that is no movement */
#define MUCH 0.2		    /* of the RSS: such a change is worth a reading soon */
#define CHEAP (2 * NS_PER_MS)	    /* a reading that is taken at the wrong moment does no harm */
#define LONG_STEADY 10		    /* times what a reading takes */
#define YOUNG (4 * NS_PER_MS)	    /* most programs are small and end soon */
#define SMALL_BYTES (16 << 20)
#define MATTERS 10		    /* times: smaller than the largest, and nobody asks what it consists of */
#define NEARLY_LARGEST 0.9
#define LARGE_BYTES (64 << 20)	    /* what smaller ones spend must leave something for such a one */
#define REFUSED_AGAIN NS_PER_S	    /* a process may change its user */
#define GONE_AGAIN (10 * NS_PER_MS)
#define TORN 0.9		    /* of the RSS: if the rows come to less, the reading broke off */
#define BYTES_BURST (2 << 20)	    /* of the recording, for those that are not the largest so far */
#define BYTES_PER_S 4096

struct kept {
	struct kept *next;
	struct hw_ledger head;
	uint16_t flags;
	size_t size;
	unsigned char rows[];
};
static struct kept *unwritten;
static int64_t budget = BURST, budget_at, bytes_left = BYTES_BURST, largest;
static double ns_per_mib = 18000; /* 4 KiB pages; a fraction of it where they are huge */

static double mib(int64_t bytes)
{
	return (double)bytes / 1048576;
}

static int64_t estimate(const struct image *im, int64_t rss)
{
	const struct ledger_state *l = &im->ledger;

	if (l->cost_ns == 0)
		return (int64_t)(FIXED_NS + ns_per_mib * mib(rss));
	return l->cost_ns + (rss > l->cost_rss ? (int64_t)(ns_per_mib * mib(rss - l->cost_rss)) : 0);
}

/* What a MiB costs shows in large processes; in small ones it is the number of mappings that costs. */
static void learn(int64_t cost_ns, int64_t rss)
{
	double seen = (double)cost_ns / mib(rss);

	if (rss >= LARGE_BYTES && seen < DEAREST_MIB)
		ns_per_mib += (seen - ns_per_mib) / 4;
}

static void refill(int64_t now)
{
	int64_t passed = now - budget_at;

	budget_at = now;
	budget += (int64_t)((double)passed * SHARE);
	if (budget > BURST)
		budget = BURST;
	bytes_left += passed / 1000 * BYTES_PER_S / 1000000;
	if (bytes_left > BYTES_BURST)
		bytes_left = BYTES_BURST;
}

/* ---- what was read ---- */

static void keep(const struct reading *reading)
{
	struct kept **at = &unwritten, *k = malloc(sizeof(*k) + reading->size);

	if (!k)
		return;
	while (*at && (*at)->head.image != reading->head.image)
		at = &(*at)->next;
	*k = (struct kept){.next = *at ? (*at)->next : NULL, .head = reading->head, .flags = reading->flags,
			   .size = reading->size};
	memcpy(k->rows, reading->rows, reading->size);
	free(*at);
	*at = k;
}

void ledger_write(void)
{
	while (unwritten) {
		struct kept *k = unwritten;

		stream_record(HW_LEDGER, k->flags, &k->head, sizeof(k->head), k->rows, k->size, 0, NULL);
		unwritten = k->next;
		free(k);
	}
}

/* Says once why there is none. */
static void say_why_not(const char *fact, const struct proc *p, const char *why, bool *said)
{
	char text[192];

	if (*said)
		return;
	*said = true;
	snprintf(text, sizeof(text), "%.*s (pid %d): %s", (int)p->comm_len, p->comm, (int)p->pid, why);
	stream_fact(fact, text);
	stream_facts_done();
}

static int64_t sum_of_rows(const struct reading *reading)
{
	const unsigned char *at = reading->rows;
	int64_t sum = 0;

	for (uint32_t i = 0; i < reading->head.rows; i++) {
		struct hw_ledger_row row;

		memcpy(&row, at, sizeof(row));
		at += sizeof(row) + ((row.name_len + 7u) & ~7u);
		sum += row.rss_bytes > 0 ? row.rss_bytes : 0;
	}
	return sum;
}

/* Did the process end, or call execve, while it was read? The kernel then ends the text wherever it is. */
static bool is_torn(const struct reading *reading)
{
	int64_t before = reading->head.rss_before_bytes, after = reading->head.rss_after_bytes;
	int64_t least = after > 0 && after < before ? after : before;

	return (double)sum_of_rows(reading) < TORN * (double)least;
}

static void take(struct proc *p, int64_t now, int64_t cost, bool held)
{
	static bool said_refused;
	struct ledger_state *l = &p->image.ledger;
	struct reading reading;
	int64_t limit = 2 * cost > COST_MIN ? 2 * cost : COST_MIN, rss = p->image.last.rss_bytes;
	enum detail how = read_detail(p, limit, &reading);

	budget -= reading.cost_ns;
	l->spent_ns += reading.cost_ns;
	if (how == DETAIL_READ && is_torn(&reading))
		how = DETAIL_GONE;
	switch (how) {
	case DETAIL_READ:
		reading.flags |= held ? HW_LEDGER_HELD : 0;
		l->rss = reading.head.rss_before_bytes;
		l->t_ns = now;
		l->cost_ns = reading.cost_ns;
		l->cost_rss = rss;
		learn(reading.cost_ns, rss);
		bytes_left -= (int64_t)reading.size;
		keep(&reading);
		break;
	case DETAIL_TOO_COSTLY: /* many mappings: at least so much the next time */
		l->cost_ns = 2 * reading.cost_ns;
		l->cost_rss = rss;
		break;
	case DETAIL_REFUSED:
		l->retry_ns = now + REFUSED_AGAIN;
		say_why_not("ledger_refused", p, strerror(reading.error), &said_refused);
		break;
	default:
		l->retry_ns = now + GONE_AGAIN;
		break;
	}
}

/* ---- when ---- */

/* What may be spent on this image. The last half of the burst is for large ones that are nearly the largest so far, lest
 * a storm of small processes leave nothing for the one that follows it. */
static int64_t usable(int64_t rss)
{
	if (rss < SMALL_BYTES)
		return budget - BURST * 3 / 4;
	if (rss < LARGE_BYTES || (double)rss < NEARLY_LARGEST * (double)largest)
		return budget - BURST / 2;
	return budget;
}

static bool matters(const struct proc *p, int64_t now, int64_t rss)
{
	if (rss <= 0 || rss < largest / MATTERS || now < p->image.ledger.retry_ns || !tree_counts(p))
		return false;
	return bytes_left > 0 || rss >= largest;
}

static bool too_large(const struct proc *p, int64_t cost)
{
	static bool said;

	if (cost <= COST_MAX)
		return false;
	say_why_not("ledger_too_costly", p, "reading it would hold its memory for too long", &said);
	return true;
}

/* At a plateau, or at the exit: now or never. Goes into debt that is paid off later; at the exit of a large process, where
 * nobody is slowed any more, into a deeper one. */
static bool can_afford_now(const struct image *im, int64_t now, int64_t rss, int64_t cost, bool at_exit)
{
	double lifetime = (double)(now - im->t_ns);
	bool large = rss >= LARGE_BYTES;
	int64_t mine = usable(rss) + (large && at_exit ? BURST : 0), debt = large ? BURST : mine;

	if (mine <= 0)
		return false;
	return cost <= mine + debt || (double)(im->ledger.spent_ns + cost) <= SHARE * lifetime;
}

/* On the way up: when it is slow, at every small step; when it is steep, now and then. */
static bool can_afford_on_the_way(const struct image *im, int64_t now, int64_t rss, int64_t cost)
{
	int64_t since = im->ledger.rss ? im->ledger.t_ns : im->t_ns;

	if (now - im->t_ns < YOUNG && rss < SMALL_BYTES)
		return false;
	if ((double)cost <= SHARE * (double)(now - since) && usable(rss) >= BURST / 5)
		return true;
	return (double)rss >= LEAP * (double)im->ledger.rss && cost <= usable(rss) / 6;
}

/* How long it must hold a level until that counts as a plateau: what has lasted goes on for a while. The less there is to
 * be learnt, the longer. */
static int64_t steady_enough(const struct image *im, int64_t rss, int64_t cost)
{
	double grown = (double)(rss - im->ledger.rss), wait = (double)cost;

	if (grown < MUCH * (double)rss)
		wait *= MUCH * (double)rss / grown;
	return wait > 2 * (double)g.period_ns ? (int64_t)wait : 2 * g.period_ns;
}

/* On a busy machine a process that does not grow may only be waiting for a processor. One that sleeps is on a plateau; one
 * that wants to run is, if it has held its level for much longer. */
static bool may_be_waiting(const struct proc *p, int64_t now, int64_t cost)
{
	struct stat_line stat;

	if (cost < CHEAP || now - p->image.ledger.level_ns >= LONG_STEADY * cost)
		return false;
	return read_stat(p->pid, &stat) && stat.state == 'R';
}

/* Is it larger than at its last reading by so much? */
static bool has_grown(const struct image *im, int64_t rss, int64_t step)
{
	return (double)rss >= WORTH * (double)im->ledger.rss && rss >= im->ledger.rss + step;
}

/* After each look at a process. */
void ledger_look(struct proc *p, int64_t now)
{
	struct image *im = &p->image;
	struct ledger_state *l = &im->ledger;
	int64_t rss = im->last.rss_bytes, moved = rss - l->level;
	int64_t step = STEP > STEP_PAGES * g.page_size ? STEP : STEP_PAGES * g.page_size;

	if (rss > largest && !(im->flags & HW_IMAGE_SAME_MAP))
		largest = rss;
	if ((double)(moved < 0 ? -moved : moved) > STEADY * (double)rss) {
		l->level = rss;
		l->level_ns = now;
	}
	if (!has_grown(im, rss, STEP_PAGES / 4 * g.page_size) || im->samples < 2 || !matters(p, now, rss))
		return;

	int64_t cost = estimate(im, rss);
	bool steady = now - l->level_ns >= steady_enough(im, rss, cost);

	if (too_large(p, cost))
		return;
	refill(now);

	int64_t before = budget;

	if (steady ? can_afford_now(im, now, rss, cost, false) && !may_be_waiting(p, now, cost)
		   : has_grown(im, rss, step) && can_afford_on_the_way(im, now, rss, cost))
		take(p, now, cost, false);
	g.snapshot_ns += before - budget;
}

/* At the exit of a process that is held there. `threads`: that it still has. */
void ledger_exit(struct proc *p, int64_t now, int64_t threads)
{
	struct image *im = &p->image;
	int64_t rss = im->last.rss_bytes;

	if (rss > largest && !(im->flags & HW_IMAGE_SAME_MAP))
		largest = rss;
	if (threads > 1 ? !has_grown(im, rss, STEP_PAGES / 4 * g.page_size) : rss <= im->ledger.rss)
		return;
	if (!matters(p, now, rss))
		return;

	int64_t cost = estimate(im, rss);

	refill(now);
	if (cost <= COST_MAX && can_afford_now(im, now, rss, cost, true))
		take(p, now, cost, threads <= 1);
}
