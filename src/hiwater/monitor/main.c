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
 * Everything happens in one thread and one loop, which sleeps in sigtimedwait() until a child changes, a signal asks
 * for something, or it is time to look. A look (sampler.c) finds new processes (discover.c), reads those that are due
 * (look.c) and adds up the tree (tree.c). With --mode trace, ptrace events tell of births, execs and exits (trace.c).
 * Whatever is learnt is written at once (stream.c); what is kept in memory is bounded by the processes alive at once.
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

struct globals g = {.period_ns = NS_PER_MS, .linger_ns = NS_PER_S, .kill_after_ns = 2 * NS_PER_S, .epoch = 1};

static int64_t start_ns;
static struct launch launch = {.error_fd = -1, .release_fd = -1};
static sigset_t command_mask, handled;
static bool command_ended, timed_out, command_timed_out, interrupted, nothing_left, runs;
static int command_status;
static int64_t command_ended_ns, terminate_ns, user_ns, system_ns;
static int exec_errno;
static int64_t kills_before;

static int64_t monotonic(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t now_ns(void)
{
	return monotonic(CLOCK_MONOTONIC) - start_ns;
}

int64_t cpu_ns(void)
{
	return monotonic(CLOCK_PROCESS_CPUTIME_ID);
}

bool command_runs(void)
{
	int error;

	if (!runs && !g.trace && target_execed(&launch, &error) == EXEC_DONE)
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

/* ---- the end of processes ---- */

static void note_rusage(const struct rusage *ru)
{
	int64_t maxrss = (int64_t)ru->ru_maxrss * 1024;

	if (maxrss > g.largest_maxrss)
		g.largest_maxrss = maxrss;
}

static void command_is_over(int status, int64_t now)
{
	command_ended = true;
	command_status = status;
	command_ended_ns = now;
	if (target_execed(&launch, &exec_errno) != EXEC_FAILED)
		exec_errno = 0;
}

/* The terminal stopped the command: stop likewise, and go on when we are continued. A SIGSTOP is somebody's who may
 * continue the command alone; then there must be somebody awake here. */
static void command_stopped(int sig)
{
	if (sig == SIGSTOP)
		return;
	raise(SIGSTOP); /* the SIGCONT that ends it is passed on like any other signal */
}

static void add_times(const struct rusage *ru)
{
	user_ns += ru->ru_utime.tv_sec * NS_PER_S + ru->ru_utime.tv_usec * 1000;
	system_ns += ru->ru_stime.tv_sec * NS_PER_S + ru->ru_stime.tv_usec * 1000;
}

/* Is `pid` our own child, or did ptrace alone tell of its end? */
static bool is_own_child(pid_t pid)
{
	struct proc *p = proc_find(pid);

	if (pid == g.command || !g.trace)
		return true;
	return p && kill(pid, 0) != 0; /* a thread's end is told too, with the figures of its whole process */
}

static void gone(pid_t pid, int status, const struct rusage *ru, int64_t now)
{
	struct proc *p;

	note_rusage(ru);
	if (is_own_child(pid))
		add_times(ru);
	if (pid == g.command)
		command_is_over(status, now);
	if (g.trace) {
		trace_gone(pid, status, ru, now);
		return;
	}
	p = proc_find(pid);
	if (p)
		proc_end(p, now, HW_PROC_REAPED, status, ru);
}

/* Takes one change of a child. False: there was none, or waiting was interrupted. */
static bool reap_one(int options)
{
	struct rusage ru;
	int status;
	pid_t pid = wait4(-1, &status, options | WUNTRACED | __WALL, &ru);

	if (pid <= 0) {
		nothing_left = pid < 0 && errno == ECHILD;
		return false;
	}
	if (!WIFSTOPPED(status)) {
		gone(pid, status, &ru, now_ns());
		return true;
	}
	if (g.trace)
		trace_stop(pid, status, &ru, now_ns());
	if (pid == g.command && (!g.trace || trace_is_group_stop(status)))
		command_stopped(WSTOPSIG(status));
	return true;
}

static void reap(void)
{
	while (reap_one(WNOHANG))
		;
}

/* ---- ending the tree ---- */

static void signal_tree(int sig)
{
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].in_use)
			kill(procs[i].pid, sig);
}

/* Returns when the time-out wants to be asked again. */
static int64_t check_timeout(int64_t now)
{
	if (g.timeout_ns == 0)
		return INT64_MAX;
	if (now < g.timeout_ns)
		return g.timeout_ns;
	if (!timed_out) {
		timed_out = true;
		command_timed_out = !command_ended;
		terminate_ns = now;
		signal_tree(SIGTERM);
		signal_tree(SIGCONT); /* a stopped process can not end */
		return now + g.kill_after_ns;
	}
	if (now - terminate_ns < g.kill_after_ns)
		return terminate_ns + g.kill_after_ns;
	if (!g.trace)
		discover_all(now);
	signal_tree(SIGKILL);
	return now + 10 * NS_PER_MS; /* what they leave behind is found in the next round */
}

/* Returns when there is nothing more to wait for; 0: now. */
static int64_t check_finished(int64_t now)
{
	int64_t when;

	if (nothing_left || (command_ended && interrupted))
		return 0;
	if (!command_ended)
		return INT64_MAX;
	when = command_ended_ns + g.linger_ns;
	if (timed_out && when < terminate_ns + 3 * g.kill_after_ns + NS_PER_S)
		when = terminate_ns + 3 * g.kill_after_ns + NS_PER_S;
	return now >= when ? 0 : when;
}

/* Looks if it is time to. Returns when to wake up again; 0: all is over. */
static int64_t step(void)
{
	int64_t now = now_ns(), timeout, end;

	if (now >= sampler_next())
		sampler_tick(now);
	timeout = check_timeout(now);
	end = check_finished(now);
	if (timeout < sampler_next())
		return end < timeout ? end : timeout;
	return end < sampler_next() ? end : sampler_next();
}

/* ---- the loop ---- */

static void pass_on(const siginfo_t *info)
{
	bool from_process = info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;

	switch (info->si_signo) {
	case SIGCHLD:
	case SIGTTIN:
	case SIGTTOU:
	case SIGALRM:
		return;
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
	case SIGQUIT:
		interrupted |= command_ended; /* we only linger: stop that */
		break;
	default:
		break;
	}
	if (from_process && !command_ended)
		kill(g.command, info->si_signo);
}

/* Sleeps until something happens; true if children have changed. */
static bool sleep_until(int64_t when)
{
	int64_t left = when - now_ns();
	struct timespec t = {left > 0 ? left / NS_PER_S : 0, left > 0 ? left % NS_PER_S : 0};
	siginfo_t info;
	int sig = sigtimedwait(&handled, &info, &t);

	if (sig > 0 && sig != SIGCHLD)
		pass_on(&info);
	return sig == SIGCHLD;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	int keep = errno;

	pass_on(info);
	errno = keep;
}

/* In trace mode we sleep in wait4 itself: the kernel then wakes us on the tracee's CPU (__wake_up_parent() is a
 * synchronous wake-up), which takes a fraction of the time that a signal takes, and SIGCHLD need not be sent for each
 * stop. A timer interrupts the sleep; it repeats, lest it expire just before we fall asleep. */
static timer_t alarm_clock;

static void sleep_in_wait(void)
{
	struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct sigaction child = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};

	for (int sig = 1; sig < 65; sig++)
		if (sigismember(&handled, sig) == 1 && sig != SIGCHLD)
			sigaction(sig, &act, NULL);
	sigaction(SIGCHLD, &child, NULL);
	sigprocmask(SIG_UNBLOCK, &handled, NULL);
	if (timer_create(CLOCK_MONOTONIC, &event, &alarm_clock) != 0)
		die("no timer", strerror(errno));
}

static void set_alarm(int64_t at)
{
	static int64_t set_for;
	struct itimerspec when = {.it_interval = {0, 5 * NS_PER_MS}};
	int64_t in_ns = at - now_ns();

	if (at == set_for)
		return;
	set_for = at;
	if (in_ns < 1000)
		in_ns = 1000;
	when.it_value = (struct timespec){in_ns / NS_PER_S, in_ns % NS_PER_S};
	timer_settime(alarm_clock, 0, &when, NULL);
}

static void watch_traced(void)
{
	sleep_in_wait();
	for (int64_t next; (next = step()) != 0;) {
		set_alarm(next);
		(void)reap_one(0);
	}
}

static void watch(void)
{
	for (int64_t next; (next = step()) != 0;)
		if (sleep_until(next))
			reap();
}

/* ---- the report ---- */

static enum hw_ended_by ended_by(void)
{
	int64_t kills;

	if (exec_errno)
		return HW_BY_NOT_STARTED;
	if (command_timed_out)
		return HW_BY_TIMEOUT;
	if (!WIFSIGNALED(command_status))
		return HW_BY_EXIT;
	kills = WTERMSIG(command_status) == SIGKILL ? oom_kills() : -1;
	return kills > kills_before && kills_before >= 0 ? HW_BY_OOM : HW_BY_SIGNAL;
}

static int exit_status(enum hw_ended_by how)
{
	if (how == HW_BY_NOT_STARTED)
		return exec_errno == ENOENT ? 127 : 126;
	if (how == HW_BY_TIMEOUT)
		return 124;
	return WIFSIGNALED(command_status) ? 128 + WTERMSIG(command_status) : WEXITSTATUS(command_status);
}

static int finish(void)
{
	int64_t now = now_ns();
	enum hw_ended_by how = ended_by();
	struct hw_end end = {.command_ns = command_ended_ns, .status = command_status, .ended_by = (int32_t)how,
			     .exec_errno = exec_errno, .user_ns = user_ns, .system_ns = system_ns,
			     .tree_maxrss_bytes = g.largest_maxrss};

	end.left_alive = sampler_finish(now);
	if (end.left_alive > 0)
		stream_warning("left-alive", "descendants of the command still ran when the recording ended; "
					     "--linger waits for them longer");
	end.t_ns = now_ns();
	stream_event(HW_END, 0, &end, sizeof(end));
	stream_flush();
	return exit_status(how);
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
	start_ns = monotonic(CLOCK_MONOTONIC);
	if (!target_fork(o->argv, &command_mask, g.trace, &launch))
		die("cannot fork", strerror(errno));
	g.command = launch.pid;
	signals_survive();
	if (g.trace) {
		if (!trace_seize(launch.pid)) {
			g.trace = false;
			refused = "trace-refused";
			why = "this system does not let one process trace another (Yama, seccomp, or a tracer around us)";
		}
		close(launch.release_fd);
	}
	target_let_go(&launch, stream_fd());
	struct proc *p = proc_add(launch.pid, g.self, 0);

	if (!p)
		die("no memory", NULL);
	image_begin(p, 0, HW_IMAGE_GUESSED);
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* not inherited by what was forked before */
	if (!g.trace)
		discover_init(launch.pid);
	files_budget();
	facts_write(o->launcher);
	write_command(o->argv);
	proc_announce(p, HW_SEEN_EVENT);
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
	command_mask = o.mask_given ? o.mask : initial;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL) != 0)
		stream_warning("no-subreaper", "orphans of the tree can not be waited for on this kernel");
	start(&o);
	if (g.trace)
		watch_traced();
	else
		watch();
	return finish();
}
