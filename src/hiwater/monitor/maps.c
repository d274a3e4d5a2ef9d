/* Memory maps as the events of kmem:rss_stat tell of them: what each holds now, at least and at most.
 *
 * An event carries the whole of one counter after a change, so a lost one is made good by the next. The kernel adds the
 * counter up while other threads go on, and stamps the event a moment later: events of different threads that lie
 * within RACE_NS may be in the wrong order. Then the counter is somewhere between the values of them all, until time
 * has passed. A thread's own events are in order, whatever CPU it is on: one thread alone leaves nothing in doubt.
 *
 * Maps are known by the kernel's number for them (mm_id: a hash of the address of struct mm_struct), which is used
 * again after a map is gone. */
#include <stdlib.h>
#include <string.h>

#include "monitor.h"

#define RACE_NS 50000
#define BUCKETS 1024

static struct map *bucket[BUCKETS];
static struct map *unused;
static struct map *last_found;

/* The sum over all maps. CPUs stamp their events independently, so one process's loss may be stamped before another's
 * gain that came first: what the sum lost counts for RACE_NS more. */
#define FALLS 256
static int64_t sum_high, fallen;
static struct {
	int64_t t_ns, bytes;
} falls[FALLS];
static uint32_t falls_begin, falls_end;

static void sum_changed(int64_t by, int64_t t_ns)
{
	sum_high += by;
	while (falls_begin != falls_end && t_ns - falls[falls_begin % FALLS].t_ns > RACE_NS)
		fallen -= falls[falls_begin++ % FALLS].bytes;
	if (by >= 0)
		return;
	if (falls_end - falls_begin == FALLS) /* no room: the one before lasts longer */
		falls_end--;
	else
		falls[falls_end % FALLS].bytes = 0;
	falls[falls_end % FALLS].t_ns = t_ns;
	falls[falls_end++ % FALLS].bytes -= by;
	fallen -= by;
}

int64_t maps_sum(void)
{
	return sum_high + fallen;
}

static int64_t resident(const int64_t of[RSS_MEMBERS])
{
	return of[RSS_FILE] + of[RSS_ANON] + of[RSS_SHMEM];
}

int64_t map_high(const struct map *m)
{
	return resident(m->high);
}

int64_t map_low(const struct map *m)
{
	return resident(m->low);
}

struct map *map_find(uint32_t id)
{
	struct map *m = last_found;

	if (m && m->id == id)
		return m;
	for (m = bucket[id % BUCKETS]; m && m->id != id; m = m->next)
		;
	if (m)
		last_found = m;
	return m;
}

struct map *map_add(uint32_t id)
{
	struct map *m = unused;

	if (m)
		unused = m->next;
	else
		m = malloc(sizeof(*m));
	if (!m)
		return NULL;
	*m = (struct map){.id = id, .owner = HW_NONE, .next = bucket[id % BUCKETS]};
	bucket[id % BUCKETS] = m;
	return m;
}

void map_remove(struct map *m, int64_t t_ns)
{
	struct map **at = &bucket[m->id % BUCKETS];

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	sum_changed(-map_high(m), t_ns);
	if (last_found == m)
		last_found = NULL;
	m->next = unused;
	unused = m;
}

/* The map that this process (or, with `tid`, this thread of it) made last and that is nobody's yet. */
struct map *map_pending(int32_t pid, int32_t tid)
{
	struct map *found = NULL;

	for (int i = 0; i < BUCKETS; i++)
		for (struct map *m = bucket[i]; m; m = m->next)
			if (m->owner == HW_NONE && m->maker_pid == pid && (!tid || m->maker_tid == tid) &&
			    (!found || m->last_ns > found->last_ns))
				found = m;
	return found;
}

/* Takes one event. True if another thread's event was so near that their order is in doubt. */
bool map_event(struct map *m, const struct event *e)
{
	struct counter *c = &m->counters[e->member];
	int64_t low = e->bytes, high = e->bytes;
	bool raced = false;

	for (int i = 0; i < RECENT; i++) {
		const struct recent *r = &c->recent[i];

		if (r->tid == 0 || r->tid == e->tid || e->t_ns - r->t_ns > RACE_NS)
			continue;
		raced = true;
		low = r->bytes < low ? r->bytes : low;
		high = r->bytes > high ? r->bytes : high;
	}
	c->recent[c->at++ % RECENT] = (struct recent){e->t_ns, e->bytes, e->tid};
	int64_t before = map_high(m);

	m->now[e->member] = e->bytes;
	m->low[e->member] = low;
	m->high[e->member] = high;
	sum_changed(map_high(m) - before, e->t_ns);
	if (e->t_ns > m->last_ns)
		m->last_ns = e->t_ns;
	return raced;
}

/* What somebody saw of the map when no event was near: the changes in between were made by somebody else's hand. */
void map_correct(struct map *m, const int64_t bytes[RSS_MEMBERS], int64_t t_ns)
{
	int64_t before = map_high(m);

	for (int i = 0; i < RSS_MEMBERS; i++)
		if (bytes[i] >= 0)
			m->now[i] = m->low[i] = m->high[i] = bytes[i];
	sum_changed(map_high(m) - before, t_ns);
}

/* Events are missing: each counter is at least 0, until it is heard of again. */
void maps_in_doubt(void)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct map *m = bucket[i]; m; m = m->next)
			memset(m->low, 0, sizeof(m->low));
}
