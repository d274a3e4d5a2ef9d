/* hiwater-monitor: starts a command from a small process, watches it and all its descendants, and writes what it
 * sees as the event stream of protocol.h.
 *
 * Theory of operation
 *
 * ru_maxrss of a process starts from what its launcher leaked into it: at execve the kernel folds the mark of the old
 * memory map into the process's (fs/exec.c exec_mmap()). So the command is forked from this process, which has a few
 * hundred KiB; nothing of Python's size, or the launcher's, is inherited. We are the child subreaper: an orphan of the
 * tree becomes our child, and we wait for it and learn its rusage.
 *
 * Everything happens in one thread and one loop (watch.c), which sleeps in sigtimedwait() until a child changes, a signal asks
 * for something, or it is time to look. A look (sampler.c) finds new processes (discover.c), reads those that are due
 * (look.c) and adds up the tree (tree.c). With --mode trace, ptrace events tell of births, execs and exits (trace.c).
 * Whatever is learnt is written at once (stream.c); what is kept in memory is bounded by the processes alive at once.
 *
 * With --attach there is no command: a process that runs already is looked at in the same way (attach.c).
 *
 * Terminal and job control belong to the command. Signals that the terminal sends reach it directly, as it is in our
 * process group; we ignore them. Signals that another process sends to us are passed on. If the terminal stops the
 * command, we stop ourselves, so that whoever waits for us sees what he would have seen of the command.
 *
 * Exit status: the command's own; 128+N when signal N ended it; 127 not found, 126 not executable, 125 we failed or
 * were misused, 124 the time-out ran out. Nothing that fails on our side, a full disk included, ends the command. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

struct globals g = {.stats = {.events = -1, .lost_events = -1, .sum_peak_bytes = -1, .sum_peak_ns = -1,
			     .strangers_took_bytes = -1, .strangers_gave_bytes = -1, .events_cpu_ns = -1},
		    .period_ns = NS_PER_MS, .linger_ns = NS_PER_S, .kill_after_ns = 2 * NS_PER_S, .epoch = 1};

static int64_t start_ns;
static struct launch launch = {.error_fd = -1, .release_fd = -1};
static sigset_t command_mask, handled;
static bool runs;
static int64_t kills_before;

static int64_t monotonic(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t monotonic_ns(void)
{
	return monotonic(CLOCK_MONOTONIC);
}

int64_t since_start(int64_t at)
{
	return at - start_ns;
}

void clock_start(void)
{
	start_ns = monotonic(CLOCK_MONOTONIC);
}

int64_t now_ns(void)
{
	return since_start(monotonic_ns());
}

bool births_are_told(void)
{
	return g.trace || g.exact;
}

int64_t cpu_ns(void)
{
	return monotonic(CLOCK_PROCESS_CPUTIME_ID);
}

bool command_runs(void)
{
	int error;

	if (!runs && !births_are_told() && target_execed(&launch, &error) == EXEC_DONE)
		runs = true;
	return runs;
}

void command_has_execed(void)
{
	runs = true;
}

static void write_command(char **argv)
{
	static char text[HW_CMDLINE_MAX * 4];
	size_t len = 0, count = 0;

	for (char **arg = argv; *arg; arg++) {
		size_t n = strlen(*arg) + 1;

		if (len + n > sizeof(text))
			break;
		memcpy(text + len, *arg, n);
		len += n;
		count++;
	}
	stream_record(HW_COMMAND, (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX), text, len, NULL, 0, 0, NULL);
}

static enum hw_ended_by ended_by(const struct ending *e)
{
	int64_t kills;

	if (e->exec_errno)
		return HW_BY_NOT_STARTED;
	if (e->timed_out)
		return HW_BY_TIMEOUT;
	if (!WIFSIGNALED(e->status))
		return HW_BY_EXIT;
	if (WTERMSIG(e->status) != SIGKILL)
		return HW_BY_SIGNAL;
	kills = limit_oom_kills(); /* of the command's own group: no other process can be meant */
	if (kills >= 0)
		return kills > 0 ? HW_BY_OOM : HW_BY_SIGNAL;
	kills = oom_kills();
	return kills > kills_before && kills_before >= 0 ? HW_BY_OOM : HW_BY_SIGNAL;
}

static int exit_status(const struct ending *e, enum hw_ended_by how)
{
	if (how == HW_BY_NOT_STARTED && e->exec_errno < 0)
		return 125;
	if (how == HW_BY_NOT_STARTED)
		return e->exec_errno == ENOENT ? 127 : 126;
	if (how == HW_BY_TIMEOUT)
		return 124;
	return WIFSIGNALED(e->status) ? 128 + WTERMSIG(e->status) : WEXITSTATUS(e->status);
}

static int finish(const struct ending *e)
{
	int64_t now = now_ns();
	enum hw_ended_by how = ended_by(e);
	struct hw_end end = {.command_ns = e->at_ns, .status = e->status, .ended_by = (int32_t)how,
			     .exec_errno = e->exec_errno, .user_ns = e->user_ns, .system_ns = e->system_ns,
			     .tree_maxrss_bytes = e->largest_maxrss};

	end.left_alive = sampler_finish(now);
	if (end.left_alive > 0)
		stream_warning("left-alive", "descendants of the command still ran when the recording ended; "
					     "--linger waits for them longer");
	limit_finish(now_ns());
	end.t_ns = now_ns();
	stream_event(HW_END, 0, &end, sizeof(end));
	stream_flush();
	return exit_status(e, how);
}

static void open_output(const struct options *o)
{
	int fd = o->output_fd;
	struct timespec wall;

	if (o->output) {
		fd = open(o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (fd < 0)
			die(o->output, strerror(errno));
	} else if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
		die("--output-fd is not open", NULL);
	}
	clock_gettime(CLOCK_REALTIME, &wall);
	stream_open(fd, wall.tv_sec * NS_PER_S + wall.tv_nsec);
}

/* While the command is held before its execve: --exact, or else --trace, if they were asked for and may be. Returns why
 * there are no events. */
static const char *attach(const char **refused, const char **why)
{
	const char *no_events = g.exact_wanted ? exact_attach(launch.pid) : NULL;

	if (g.exact) {
		g.trace = false; /* events tell all that the trace would */
		*refused = NULL;
	}
	if (no_events)
		stream_fact("exact_refused", no_events);
	if (g.trace && !trace_seize(launch.pid)) {
		g.trace = false;
		*refused = "trace-refused";
		*why = "this system does not let one process trace another (Yama, seccomp, or a tracer around us)";
	}
	return no_events;
}

/* Without faults there is nothing that the command would be executed for. */
_Noreturn static void give_up(const struct options *o, const char *why)
{
	struct hw_end end = {.status = -1, .ended_by = HW_BY_NOT_STARTED, .exec_errno = EPERM, .tree_maxrss_bytes = -1,
			     .user_ns = -1, .system_ns = -1};

	kill(launch.pid, SIGKILL);
	waitpid(launch.pid, NULL, 0);
	facts_write(o->launcher);
	write_command(o->argv);
	stream_warning("faults-refused", why);
	stream_event(HW_END, 0, &end, sizeof(end));
	stream_flush();
	exit(125);
}

static void start(const struct options *o)
{
	const char *why = NULL, *refused = g.trace ? target_refuses_trace(o->argv[0], &why) : NULL;
	char own[256];
	struct statm st;
	ssize_t n;

	stream_fact("mode_wanted", g.trace ? "trace" : "quiet");
	if (refused)
		g.trace = false;
	n = read_file("/proc/self/statm", own, sizeof(own));
	g.stats.floor_bytes = n > 0 && parse_statm(own, (size_t)n, &st) ? st.rss * g.page_size : -1;
	clock_start();
	if (!target_fork(o->argv, &command_mask, g.trace || g.exact_wanted || g.faults_bytes, &launch))
		die("cannot fork", strerror(errno));
	g.command = launch.pid;
	signals_survive();
	target_let_go(&launch, stream_fd());
	const char *no_events = attach(&refused, &why);
	const char *no_faults = g.faults_bytes ? faults_attach(launch.pid) : NULL;

	if (no_faults)
		give_up(o, no_faults);
	if (g.exact || g.faults)
		start_ns = monotonic(CLOCK_MONOTONIC); /* opening the events takes some 10 ms, in which nothing runs */
	target_release(&launch);
	struct proc *p = proc_add(launch.pid, g.self, 0);

	if (!p)
		die("no memory", NULL);
	p->threads = 1;
	image_begin(p, 0, HW_IMAGE_GUESSED);
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* not inherited by what was forked before */
	if (!births_are_told())
		discover_init(launch.pid);
	files_budget();
	facts_write(o->launcher);
	write_command(o->argv);
	limit_begin();
	proc_announce(p, HW_SEEN_EVENT);
	if (no_events)
		stream_warning("exact-refused", no_events);
	if (refused)
		stream_warning(refused, why);
	kills_before = oom_kills();
	stream_flush(); /* if we are killed now, at least this is known */
}

int main(int argc, char **argv)
{
	sigset_t initial;

	g.page_size = sysconf(_SC_PAGESIZE);
	g.cpus = sysconf(_SC_NPROCESSORS_ONLN);
	g.self = getpid();
	struct options o = parse_options(argc, argv);

	open_output(&o);
	signals_block(&initial, &handled);
	if (o.attach)
		return follow_attached(&o, &handled);
	command_mask = o.mask_given ? o.mask : initial;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL) != 0)
		stream_warning("no-subreaper", "orphans of the tree can not be waited for on this kernel");
	start(&o);
	return finish(watch(&launch, &handled));
}
