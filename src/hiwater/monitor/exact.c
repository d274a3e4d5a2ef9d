/* --exact: every change of memory, every birth, execve and exit is an event (rings.c); this file follows them.
 *
 * Which map is whose. fork copies the parent's map before the child is there, and execve fills the new map before it
 * replaces the old one: both show as events of the forking or execing thread about a map that is not its own (curr = 0)
 * and that nobody owns yet. PERF_RECORD_FORK gives such a map to the child; if there is none, the child runs in its
 * parent's map (vfork, CLONE_VM). PERF_RECORD_COMM with the exec bit gives it to the new image. The map of a process
 * is also named by each event about its own memory (curr = 1), so that whatever was lost is made good soon.
 *
 * Since Linux 6.16 (kernel/exit.c do_exit(): perf_event_exit_task() before exit_mm()) a map's end brings no events;
 * before, they come before the exit. Either way a map is forgotten when its owner has left.
 *
 * What is not seen: changes by tasks outside of the tree (kswapd takes pages, khugepaged makes huge ones). Looking goes
 * on, and what a look finds changed while no event came is believed (reconcile()); how much others can have changed at
 * all is counted for the whole machine (strangers_count()). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor.h"

#define SETTLED_NS 100000      /* an event stamped so long ago is in its ring */
#define STILL_ALIVE_NS (50 * NS_PER_MS) /* with memory so long after its exit: it was no exit */
#define UNTOLD_LOOKS 3	       /* how often a process is found gone until its end is believed without an event */
#define NEAR_NS (10 * NS_PER_MS)

static bool counting;	/* the command has called execve: before, the map is a copy of ours */
static int64_t strangers_took, strangers_gave;

/* ---- what others can have changed ---- */

static void read_strangers(int64_t *took, int64_t *gave)
{
	static char text[32768];
	ssize_t n = read_file("/proc/vmstat", text, sizeof(text));
	size_t len = n > 0 ? (size_t)n : 0;
	/* mm/vmscan.c counts what it takes, from maps and elsewhere; since Linux 5.8 by kind. khugepaged and
	 * MADV_COLLAPSE fill a huge page each time, and take the small ones of a file from who has them mapped. */
	int64_t anon = find_number(text, len, "pgsteal_anon "), file = find_number(text, len, "pgsteal_file ");
	int64_t huge = find_number(text, len, "thp_collapse_alloc "); /* no such line: no huge pages */
	int64_t huge_bytes = (huge > 0 ? huge : 0) * (g.page_size / 8) * g.page_size;

	*took = anon < 0 || file < 0 ? -1 : (anon + file) * g.page_size + huge_bytes;
	*gave = anon < 0 ? -1 : huge_bytes;
}

static void strangers_count(void)
{
	int64_t took, gave;

	read_strangers(&took, &gave);
	g.stats.strangers_took_bytes = took < 0 || strangers_took < 0 ? -1 : took - strangers_took;
	g.stats.strangers_gave_bytes = gave < 0 || strangers_gave < 0 ? -1 : gave - strangers_gave;
}

const char *exact_attach(pid_t pid)
{
	const char *why = rings_open(pid, NULL);

	g.exact = why == NULL;
	if (g.exact) {
		g.stats.events = g.stats.lost_events = g.stats.sum_peak_bytes = 0;
		read_strangers(&strangers_took, &strangers_gave);
	}
	return why;
}

/* ---- the figures of an image ---- */

static void row_write(struct image *im, const struct exact_row *row)
{
	int64_t mark = im->hwm > im->exact.max ? im->hwm : im->exact.max;
	const uint32_t pages[IMAGE_PAGES] = {
		in_pages(row->rss.rss_bytes), in_pages(row->rss.anon_bytes), in_pages(row->rss.shmem_bytes),
		in_pages(row->swap), in_pages(mark), in_pages(im->pte), in_pages(im->hugetlb)};

	if (!sample_worth(pages, im->written, IMAGE_PAGES))
		return;
	memcpy(im->written, pages, sizeof(pages));
	sample_image(row->t_ns, im->id, pages);
}

/* The period is over: the lowest and the highest of it, and where it stood at its end if it stays there. */
static void window_close(struct image *im, bool stays)
{
	struct exact_window *w = &im->exact.window;

	if (!w->open)
		return;
	w->open = false;
	bool low_first = w->low.t_ns <= w->high.t_ns;

	row_write(im, low_first ? &w->low : &w->high);
	if (w->high.t_ns != w->low.t_ns)
		row_write(im, low_first ? &w->high : &w->low);
	if (stays && w->last.t_ns != w->low.t_ns && w->last.t_ns != w->high.t_ns)
		row_write(im, &w->last);
}

static void window_take(struct image *im, const struct exact_row *row)
{
	struct exact_window *w = &im->exact.window;

	if (w->open && row->t_ns - w->begin_ns >= g.period_ns)
		window_close(im, row->t_ns - w->begin_ns >= 2 * g.period_ns);
	if (!w->open) {
		*w = (struct exact_window){true, row->t_ns, *row, *row, *row};
		return;
	}
	if (row->rss.rss_bytes < w->low.rss.rss_bytes)
		w->low = *row;
	if (row->rss.rss_bytes > w->high.rss.rss_bytes)
		w->high = *row;
	w->last = *row;
}

static struct hw_rss split(const struct map *m)
{
	return (struct hw_rss){m->now[RSS_FILE] + m->now[RSS_ANON] + m->now[RSS_SHMEM], m->now[RSS_ANON], m->now[RSS_FILE],
			       m->now[RSS_SHMEM]};
}

/* The map of this image has changed, or has become its map. */
static void note(struct image *im, const struct map *m, int64_t t_ns)
{
	struct exact *x = &im->exact;
	struct exact_row row = {t_ns, split(m), m->now[RSS_SWAP]};

	if (map_high(m) > x->max) {
		x->max = map_high(m);
		x->at_ns = t_ns;
		x->at_max = row.rss;
	}
	if (map_low(m) > x->least)
		x->least = map_low(m);
	if (row.swap > im->max_swap)
		im->max_swap = row.swap;
	window_take(im, &row);
}

static void note_sum(int64_t t_ns)
{
	if (!counting || maps_sum() <= g.stats.sum_peak_bytes)
		return;
	g.stats.sum_peak_bytes = maps_sum();
	g.stats.sum_peak_ns = t_ns;
}

/* ---- maps and their owners ---- */

static bool may_count(const struct proc *p)
{
	return p->pid != g.command || counting;
}

/* `p` has this map from now on. */
static void own(struct proc *p, struct map *m, int64_t t_ns)
{
	p->map_id = m->id;
	p->map_known = true;
	m->owner = p->id;
	if (p->image.exact.max < 0)
		p->image.start = split(m);
	if (may_count(p))
		note(&p->image, m, t_ns);
}

/* `p` leaves its map, which lives on only if somebody else runs in it. */
static void leave(struct proc *p, int64_t t_ns)
{
	struct map *m = p->map_known ? map_find(p->map_id) : NULL;

	p->map_known = false;
	if (!m || m->owner != p->id)
		return;
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *other = &procs[i];

		if (!other->in_use || other == p || other->image_over || !other->map_known || other->map_id != m->id)
			continue;
		other->image.flags &= (uint16_t)~HW_IMAGE_SAME_MAP;
		own(other, m, t_ns);
		return;
	}
	map_remove(m, t_ns);
}

static struct proc *born(int32_t pid, int32_t ppid, int64_t t_ns)
{
	struct proc *parent = proc_find(ppid), *p;
	char comm[64];
	size_t comm_len = parent ? parent->comm_len : 0;

	if (parent)
		memcpy(comm, parent->comm, comm_len);
	p = proc_add(pid, ppid, t_ns);
	if (!p)
		return NULL;
	memcpy(p->comm, comm, comm_len);
	p->comm_len = comm_len;
	p->threads = 1;
	image_begin(p, t_ns, HW_IMAGE_FORKED);
	return p;
}

/* ---- the events ---- */

static void on_fork(const struct event *e, int64_t t_ns)
{
	struct proc *p = proc_find(e->pid), *parent;
	struct map *m;

	if (e->pid == e->ppid) { /* a thread */
		if (p && ++p->threads > p->image.threads_at_most)
			p->image.threads_at_most = p->threads;
		return;
	}
	if (p && p->untold && t_ns - p->t_ns < NEAR_NS)
		return; /* it was seen before its birth was told: CPUs write their records independently */
	if (p)
		proc_end(p, t_ns, 0, -1, NULL); /* its end was lost */
	p = born(e->pid, e->ppid, t_ns);
	if (!p)
		return;
	proc_announce(p, HW_SEEN_EVENT);
	m = map_pending(e->ppid, e->ptid);
	parent = proc_find(e->ppid);
	if (m) {
		own(p, m, t_ns);
	} else if (parent && parent->map_known) {
		p->map_id = parent->map_id;
		p->map_known = true;
		p->image.flags |= HW_IMAGE_SAME_MAP;
	}
}

static void set_name(struct proc *p, const struct event *e)
{
	memcpy(p->comm, e->name, e->name_len);
	p->comm_len = e->name_len;
}

/* The process runs another image from now on, in map `m` if that is known. */
static void replaced(struct proc *p, struct map *m, int64_t t_ns, uint16_t flags)
{
	bool is_command = p->image.flags & HW_IMAGE_GUESSED;

	p->exit_told = false;
	leave(p, t_ns);
	if (is_command) {
		p->image.flags = flags; /* what stood there was our own copy */
		p->image.t_ns = t_ns;
		p->image.exact.lost_before = g.lost_before;
		counting = true;
		command_has_execed();
	} else {
		if (!p->image_over) {
			window_close(&p->image, true);
			image_end(p, t_ns, HW_ENDED_EXEC, -1);
			tree_proc_left(p);
			tree_image_ended(&p->image, exact_whole(&p->image));
		}
		p->image_over = false;
		image_begin(p, t_ns, flags);
	}
	p->text = 0;
	p->gone_looks = 0;
	if (p->tid != p->pid) {
		p->tid = p->pid;
		forget_files(p);
	}
	if (m)
		own(p, m, t_ns);
}

static void on_exec(const struct event *e, int64_t t_ns)
{
	struct proc *p = proc_find(e->pid);
	struct map *m = map_pending(e->pid, e->tid);

	if (!p)
		return;
	if (!m)
		m = map_pending(e->pid, 0); /* a thread called execve, and is the leader now */
	replaced(p, m, t_ns, HW_IMAGE_EVENT);
	p->threads = 1;
	set_name(p, e);
}

static void on_exit(const struct event *e, int64_t t_ns)
{
	struct proc *p = proc_find(e->pid);

	if (!p || --p->threads > 0)
		return;
	if (p->pid == g.command && !counting)
		return; /* it could not be started */
	p->exit_told = true;
	p->exit_told_ns = t_ns;
	window_close(&p->image, true);
	if (!p->image_over)
		image_over(p, t_ns);
	leave(p, t_ns);
}

/* A process that nobody told of: its birth was lost, or is still to come. */
static struct proc *untold(int32_t pid, int64_t t_ns)
{
	struct stat_line stat;
	struct proc *p = born(pid, read_stat(pid, &stat) ? (int32_t)stat.ppid : 0, t_ns);

	if (p)
		p->untold = true;
	return p;
}

static void on_rss(const struct event *e, int64_t t_ns)
{
	struct proc *p = NULL, *owner;
	struct map *m = map_find(e->mm_id);

	if (!m) {
		m = map_add(e->mm_id);
		if (!m)
			return;
		m->maker_pid = e->pid;
		m->maker_tid = e->tid;
	}
	bool raced = map_event(m, e);

	if (e->curr) {
		p = proc_find(e->pid);
		if (!p)
			p = untold(e->pid, t_ns);
		if (!p)
			return;
		if (p->image_over && p->exit_told && t_ns <= p->exit_told_ns) {
			if (m->owner == HW_NONE)
				map_remove(m, t_ns);
			return;
		}
		if (p->image_over) { /* the births of threads were lost: it was not the last of them that ended */
			p->image_over = p->exit_told = false;
			image_begin(p, t_ns, 0);
		}
		if (!p->map_known && m->owner == HW_NONE) {
			own(p, m, t_ns);
		} else if (!p->map_known || p->map_id != m->id) {
			if (m->owner != HW_NONE && m->owner != p->id) { /* it runs in somebody else's */
				leave(p, t_ns);
				p->map_id = m->id;
				p->map_known = true;
				p->image.flags |= HW_IMAGE_SAME_MAP;
			} else if (p->image.flags & HW_IMAGE_SAME_MAP) { /* not so: its copy was not told of */
				p->image.flags &= (uint16_t)~HW_IMAGE_SAME_MAP;
				own(p, m, t_ns);
			} else {
				replaced(p, m, t_ns, 0); /* its execve was lost */
			}
		}
	} else if (m->owner == HW_NONE && map_high(m) + m->high[RSS_SWAP] == 0) {
		map_remove(m, t_ns); /* a fork or an execve that failed, or an old map that is gone */
		return;
	}
	if (m->owner == HW_NONE)
		return;
	owner = p && p->id == m->owner ? p : proc_by_id(m->owner);
	if (!owner || owner->image_over || !may_count(owner))
		return;
	owner->image.exact.raced |= raced;
	note(&owner->image, m, t_ns);
}

static void lose(int64_t count)
{
	if (count == 0)
		return;
	g.stats.lost_events += count;
	maps_in_doubt();
}

static void take(const struct event *e, int64_t t_ns)
{
	struct proc *p;

	g.stats.events++;
	switch (e->kind) {
	case EVENT_RSS:
		on_rss(e, t_ns);
		note_sum(t_ns);
		break;
	case EVENT_FORK:
		on_fork(e, t_ns);
		break;
	case EVENT_EXEC:
		on_exec(e, t_ns);
		break;
	case EVENT_EXIT:
		on_exit(e, t_ns);
		break;
	case EVENT_NAME:
		p = proc_find(e->pid);
		if (p && e->pid == e->tid)
			set_name(p, e);
		break;
	case EVENT_LOST:
		lose(e->lost);
		break;
	case EVENT_FAULT:
	case EVENT_MAP:
	case EVENT_OTHER:
		break;
	}
}

/* ---- looking as well ---- */

/* A look found another size, and no event came from before it until now: somebody else's hand. */
static void reconcile(void)
{
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];
		struct exact *x = &p->image.exact;

		if (!p->in_use || p->image_over || !p->map_known)
			continue;
		if (x->window.open && now_ns() - x->window.begin_ns > g.period_ns + SETTLED_NS)
			window_close(&p->image, true);
		if (!x->looked)
			continue;
		struct map *m = map_find(p->map_id);

		x->looked = false;
		if (!m || m->owner != p->id || m->last_ns > x->looked_ns - SETTLED_NS)
			continue;
		const struct hw_rss *seen = &x->seen;
		int64_t bytes[RSS_MEMBERS] = {seen->file_bytes, seen->anon_bytes, x->seen_swap, seen->shmem_bytes};

		if (seen->anon_bytes < 0 || seen->file_bytes < 0 || seen->shmem_bytes < 0 ||
		    (seen->anon_bytes == m->now[RSS_ANON] && seen->file_bytes == m->now[RSS_FILE] &&
		     seen->shmem_bytes == m->now[RSS_SHMEM]))
			continue;
		map_correct(m, bytes, x->looked_ns);
		note(&p->image, m, x->looked_ns);
		note_sum(x->looked_ns);
	}
}

/* The sampler has read the process's status. */
void exact_looked(struct image *im, int64_t now, const struct hw_rss *rss, int64_t swap)
{
	if (!g.statm_exact)
		return;
	im->exact.looked = true;
	im->exact.looked_ns = now;
	im->exact.seen = *rss;
	im->exact.seen_swap = swap;
}

/* Do rows of the timeline come from events? */
bool exact_rows(const struct image *im)
{
	return g.exact && im->exact.max >= 0;
}

bool exact_whole(const struct image *im)
{
	return g.exact && im->exact.max >= 0 && im->exact.lost_before == g.stats.lost_events;
}

/* The process shows no memory. True: its end is on its way to us as an event. */
bool exact_end_is_coming(struct proc *p)
{
	return g.exact && p->gone_looks++ < UNTOLD_LOOKS;
}

/* A process whose exit was told has memory. Right after, that is nothing: it is just about to let it go. Later, it was
 * no exit: the kernel ends the events of a process that executes a set-user-ID program (begin_new_exec() calls
 * perf_event_exit_task() if the process may not be read). */
bool exact_lives_on(const struct proc *p, int64_t now)
{
	return !p->exit_told || now - p->exit_told_ns > STILL_ALIVE_NS;
}

/* Takes all events that are stamped earlier than this call. */
void exact_drain(void)
{
	struct event e;
	int64_t begin, horizon;

	if (!g.exact)
		return;
	begin = cpu_ns();
	horizon = monotonic_ns();
	g.lost_before = g.stats.lost_events;
	lose(rings_begin()); /* while these events came */
	for (uint32_t n = 1; rings_next(horizon, &e); n++) {
		e.t_ns = since_start(e.t_ns);
		take(&e, e.t_ns);
		if (n % 4096 == 0)
			rings_end();
	}
	rings_end();
	g.lost_before = g.stats.lost_events;
	reconcile();
	g.exact_ns += cpu_ns() - begin;
}

void exact_finish(void)
{
	if (!g.exact)
		return;
	lose(rings_lost_silently());
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].in_use && !procs[i].image_over)
			window_close(&procs[i].image, true);
	strangers_count();
}
