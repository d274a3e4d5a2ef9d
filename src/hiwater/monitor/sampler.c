/* The pace of looking: often enough to see a spike, never more than a small share of one core. */
#include <unistd.h>

#include "monitor.h"

#define SHARE (0.010 * HW_SLOWNESS) /* of one core; smaps_rollup has a budget of its own, see tree.c */
#define BURST (6 * HW_SLOWNESS * NS_PER_MS) /* saved up for a storm of new processes, and for the first moments */
#define IDLE_TICKS 64 /* looks without a change until the pace slackens */
#define IDLE_FACTOR_MAX 10
#define FLUSH_NS (250 * NS_PER_MS)
#define ZOMBIE_TICKS 16
#define MANY 16 /* from so many processes on, those that do not change are looked at less often */
#define SKIP_MAX 32
#define URGENT_AT_MOST 64 /* processes: more are not read all at once */
#define STATUS_TICKS 8

static int64_t next_ns, last_ns, flushed_ns, last_cpu_ns, last_apart_ns;
static int64_t budget = BURST;
static double cost_ns = 30000; /* of a usual look, with falling asleep and waking up */
static uint32_t idle_ticks;

int64_t sampler_next(void)
{
	return next_ns;
}

/* A changed text size means another program: statm costs a seventh of status, so it is asked first. */
static void notice_exec(struct proc *p, int64_t now, const struct statm *st)
{
	if (p->text != 0 && st->text != p->text && !births_are_told() && p->image.samples > 0)
		image_replaced(p, now);
	p->text = st->text;
}

static bool urgent; /* this look is to read every mark */

/* After how many looks a mark is read that seems not to have changed. Who vanishes can have grown since his mark was
 * read: attached, nothing else bounds that. */
static uint32_t patience(void)
{
	return g.attached && procs_alive <= MANY ? 1 : STATUS_TICKS + procs_alive / 4;
}

/* Reads one process. True if something changed. */
static bool look(struct proc *p, int64_t now)
{
	struct statm st;
	struct image *im = &p->image;
	enum look how = look_statm(p, &st);

	if (how != LOOK_OK) {
		if (g.trace)
			return false; /* the trace tells ends; this may be a leader whose thread is in execve */
		if (exact_end_is_coming(p))
			return false;
		if (p->pid == g.command || how == LOOK_ZOMBIE) {
			image_over(p, now); /* wait tells the rest */
			p->quiet_looks = 0;
		} else {
			proc_end(p, now, 0, -1, NULL);
		}
		return true;
	}
	p->gone_looks = 0;
	notice_exec(p, now, &st);
	int64_t rss_before = im->last.rss_bytes;
	bool known = im->samples > 0;
	bool changed = im->samples == 0 || st.rss * g.page_size != im->last.rss_bytes ||
		       (im->last.anon_bytes >= 0 && (st.rss - st.shared) * g.page_size != im->last.anon_bytes);
	/* A spike between two looks leaves its mark in VmHWM, which can be read as well a few looks later. */
	if (changed || (urgent && p->status_epoch != g.epoch) ||
	    g.tick - p->status_tick >= patience()) {
		/* If it fails, the process is gone, or the thread that it was read through has become the leader by execve: the
		 * next look at statm tells which. */
		(void)look_status(p, now);
		if (im->samples >= 2)
			image_announce(p, true);
	}
	count_pages(p, p->tid, now, false);
	if (known)
		sharing_follow(p, im->last.rss_bytes - rss_before);
	p->looked_tick = g.tick;
	return changed;
}

/* Whether what looked like a zombie has memory: it was a leader while one of its threads called execve. */
static bool lives_again(struct proc *p, int64_t now)
{
	struct statm st;
	enum look how = look_statm(p, &st);

	if (how == LOOK_OK && !exact_lives_on(p, now))
		return false;
	if (how == LOOK_OK) {
		p->image_over = false;
		p->exit_told = false;
		image_begin(p, now, 0);
		return true;
	}
	if (how == LOOK_GONE && p->pid != g.command) {
		proc_end(p, now, 0, -1, NULL);
		return false;
	}
	/* Soon again at first: who is to live again does so at once. */
	p->quiet_looks++;
	p->due_tick = g.tick + (p->quiet_looks < ZOMBIE_TICKS ? 1 : ZOMBIE_TICKS);
	return false;
}

static void pace(struct proc *p, bool changed)
{
	if (changed) {
		p->quiet_looks = 0;
		p->due_tick = g.tick + 1;
		return;
	}
	p->quiet_looks++;
	uint32_t skip = procs_alive >= MANY ? p->quiet_looks / 8 : 0;

	p->due_tick = g.tick + 1 + (skip < SKIP_MAX ? skip : SKIP_MAX);
}

/* When to look again. While less was spent than is allowed, at the period that was asked for; else so much later that
 * the debt is paid off. Unusual costs (hundreds of new processes) are a debt, but do not slow the usual pace. */
static void plan(int64_t now, int64_t spent, bool usual)
{
	double factor = idle_ticks > IDLE_TICKS ? (double)idle_ticks / IDLE_TICKS : 1, period;

	budget += (int64_t)((double)(now - last_ns) * SHARE) - spent;
	if (budget > BURST)
		budget = BURST;
	if (usual)
		cost_ns += ((double)spent - cost_ns) / 8;
	if (factor > IDLE_FACTOR_MAX)
		factor = IDLE_FACTOR_MAX;
	period = (double)g.period_ns * factor;
	if (budget < 0 && 1.5 * cost_ns / SHARE > period)
		period = 1.5 * cost_ns / SHARE;
	next_ns = now + (int64_t)period;
}

/* Reads what images consist of behind all else: it takes as long as many looks, and what the tree is made of must have
 * been read at one moment. */
static void ledgers(int64_t now)
{
	if (tree_in_doubt())
		return;
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].in_use && !procs[i].image_over && procs[i].looked_tick == g.tick)
			ledger_look(&procs[i], now);
}

void sampler_tick(int64_t now)
{
	int64_t cpu = cpu_ns(), before = g.stats.processes;
	bool any = false;

	exact_drain();
	faults_drain();

	if (g.stats.ticks > 0 && now - last_ns > g.stats.longest_gap_ns)
		g.stats.longest_gap_ns = now - last_ns;
	g.tick++;
	g.stats.ticks++;
	if (!births_are_told())
		discover(now);
	urgent = epoch_urgent() && procs_alive <= URGENT_AT_MOST;
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];

		if (!p->in_use || (p->due_tick > g.tick && !urgent))
			continue;
		if (p->image_over && !lives_again(p, now))
			continue;
		if (p->pid == g.command && !command_runs())
			continue; /* still our own copy */
		bool changed = look(p, now);

		any |= changed;
		pace(p, changed);
	}
	tree_look(now);
	any |= limit_look(now);
	ledgers(now);

	idle_ticks = any ? 0 : idle_ticks + 1;
	/* From look to look: waking up costs as much as reading. Under trace, events cost too: only the look counts. */
	if (g.trace)
		last_cpu_ns = cpu;
	else if (g.stats.ticks == 1)
		last_cpu_ns = cpu;
	int64_t cpu_after = cpu_ns();

	int64_t apart = g.snapshot_ns + g.exact_ns; /* not for looking */

	plan(now, cpu_after - last_cpu_ns - (apart - last_apart_ns), g.stats.processes == before);
	last_apart_ns = apart;
	last_cpu_ns = cpu_after;
	last_ns = now;
	if (now - flushed_ns >= FLUSH_NS) {
		sampler_flush(now);
		flushed_ns = now;
	}
}

void sampler_flush(int64_t now)
{
	samples_make_room(now);
	tree_write();
	limit_write();
	ledger_write();
	faults_flush(now);
	g.stats.t_ns = now;
	g.stats.cpu_ns = cpu_ns();
	g.stats.events_cpu_ns = g.exact ? g.exact_ns : -1;
	g.stats.period_ns = g.period_ns;
	stream_event(HW_STATS, 0, &g.stats, sizeof(g.stats));
	stream_flush();
}

/* The last look. Returns how many processes still live. */
int32_t sampler_finish(int64_t now)
{
	int32_t left_alive = 0;

	exact_drain();
	faults_drain();
	faults_finish();
	if (!births_are_told()) { /* twice: a pid that is not there yet gets a second look */
		discover(now);
		discover(now);
	}
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];

		if (!p->in_use)
			continue;
		struct statm st;

		if (p->image_over)
			continue;
		p->status_tick = g.tick - patience(); /* the last chance to read its mark */
		if (births_are_told() && look_statm(p, &st) != LOOK_OK)
			image_over(p, now); /* its end was on its way to us */
		else
			(void)look(p, now);
	}
	tree_look(now);
	exact_finish();
	for (uint32_t i = 0; i < procs_slots; i++) {
		struct proc *p = &procs[i];

		if (!p->in_use)
			continue;
		if (p->image_over) {
			proc_write_end(p, now, 0, -1, NULL);
		} else {
			image_end(p, now, HW_ENDED_ALIVE, -1);
			left_alive++;
		}
	}
	epoch_close();
	sampler_flush(now);
	return left_alive;
}
