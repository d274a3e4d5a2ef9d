/* Waits: for children that change, for signals that ask for something, for the next look, for deadlines. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

static struct launch *launch;
static const sigset_t *handled;
static struct ending ending;
static bool command_ended, terminating, interrupted, nothing_left;
static int64_t terminate_ns;

/* ---- the end of processes ---- */

static void note_rusage(const struct rusage *ru)
{
	int64_t maxrss = (int64_t)ru->ru_maxrss * 1024;

	if (maxrss > ending.largest_maxrss)
		ending.largest_maxrss = maxrss;
}

static void command_is_over(int status, int64_t now)
{
	command_ended = true;
	ending.status = status;
	ending.at_ns = now;
	if (target_execed(launch, &ending.exec_errno) != EXEC_FAILED)
		ending.exec_errno = 0;
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
	ending.user_ns += ru->ru_utime.tv_sec * NS_PER_S + ru->ru_utime.tv_usec * 1000;
	ending.system_ns += ru->ru_stime.tv_sec * NS_PER_S + ru->ru_stime.tv_usec * 1000;
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

static void events_drain(void)
{
	exact_drain();
	faults_drain();
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
		events_drain(); /* its exit was an event before we were told */
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
	siginfo_t info;

	do {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0)
			last_sight(info.si_pid);
	} while (reap_one(WNOHANG));
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
	if (!terminating) {
		terminating = true;
		ending.timed_out = !command_ended;
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
	when = ending.at_ns + g.linger_ns;
	if (terminating && when < terminate_ns + 3 * g.kill_after_ns + NS_PER_S)
		when = terminate_ns + 3 * g.kill_after_ns + NS_PER_S;
	return now >= when ? 0 : when;
}

/* Looks if it is time to. Returns when to wake up again; 0: all is over. */
static int64_t step(void)
{
	int64_t now = now_ns(), timeout, end;

	if (now >= sampler_next())
		sampler_tick(now);
	else
		events_drain();
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

	if (g.exact || g.faults) {
		rings_sleep(handled, &t);
		t = (struct timespec){0, 0};
	}
	int sig = sigtimedwait(handled, &info, &t);

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
		if (sigismember(handled, sig) == 1 && sig != SIGCHLD)
			sigaction(sig, &act, NULL);
	sigaction(SIGCHLD, &child, NULL);
	sigprocmask(SIG_UNBLOCK, handled, NULL);
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

static void watch_quietly(void)
{
	for (int64_t next; (next = step()) != 0;)
		if (sleep_until(next))
			reap();
}

const struct ending *watch(struct launch *started, const sigset_t *signals)
{
	launch = started;
	handled = signals;
	if (g.trace)
		watch_traced();
	else
		watch_quietly();
	return &ending;
}
