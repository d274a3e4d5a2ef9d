/* Attaching: a process that runs already, and its descendants, are looked at until it ends, the time is over, or a signal
 * asks for the end. Nothing is done to them, and nobody waits for them here: there is no exit status and no rusage. What
 * was before is known by VmHWM alone, of each image that runs still.
 *
 * The end of the process is told by a pidfd (since Linux 5.3), else by looking; its pid and the time when it started name
 * it for good. Descendants whose parents end stay followed once they are known. One that lost its parent before it was
 * looked at has gone to the nearest subreaper above, or to init: who is new there, while somebody of the tree has ended,
 * may be such an orphan. That is said, and not guessed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define ADOPTERS 64

static int pidfd = -1, signal_fd = -1;
static uint64_t start_time, attached_at; /* in clock ticks since boot */
static int32_t adopter[ADOPTERS];	 /* who may become the parent of the tree's orphans: the ancestors */
static uint32_t adopters;
static sigset_t ignored; /* as nohup has it: then only a signal that somebody sends is meant */
static bool interrupted;
static int64_t gone_ns = -1;

/* ---- may it be attached to? ---- */

static bool read_status(pid_t pid, struct status *out)
{
	static char buf[8192];
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	ssize_t n = read_file(path, buf, sizeof(buf));

	return n > 0 && parse_status(buf, (size_t)n, out);
}

static bool has_ended(const struct stat_line *stat)
{
	return (stat->state == 'Z' || stat->state == 'X') && stat->threads <= 1;
}

/* Is /proc that of our own pid namespace? */
static bool proc_is_ours(void)
{
	char self[16];
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = 0;
	return atoi(self) == g.self;
}

/* Why it cannot be; NULL if it can. */
static const char *refusal(pid_t pid)
{
	static char text[256];
	struct stat_line stat;
	struct status st;

	if (!proc_is_ours()) {
		snprintf(text, sizeof(text), "/proc is missing, or is that of another pid namespace: mount the proc of this one");
	} else if (pid == g.self || pid == g.leave_out) {
		snprintf(text, sizeof(text), "process %d is hiwater itself", (int)pid);
	} else if (kill(pid, 0) != 0 && errno == ESRCH) {
		snprintf(text, sizeof(text), "there is no process %d (in another pid namespace it has another number)", (int)pid);
	} else if (!read_status(pid, &st) || !read_stat(pid, &stat)) {
		if (kill(pid, 0) != 0 && errno == ESRCH)
			snprintf(text, sizeof(text), "process %d has just ended", (int)pid);
		else
			snprintf(text, sizeof(text), "process %d is hidden from this user (hidepid of /proc): root can attach to it",
				 (int)pid);
	} else if (st.tgid > 0 && st.tgid != pid) {
		snprintf(text, sizeof(text), "%d is a thread of process %d: attach to that one", (int)pid, (int)st.tgid);
	} else if (has_ended(&stat)) {
		snprintf(text, sizeof(text), "process %d has ended already; its parent has yet to wait for it", (int)pid);
	} else if (stat.kernel_thread) {
		snprintf(text, sizeof(text), "process %d is a thread of the kernel, which has no memory map of its own", (int)pid);
	} else {
		start_time = stat.start_time;
		return NULL;
	}
	return text;
}

static int refuse(const char *why)
{
	struct hw_end end = {.status = -1, .ended_by = HW_BY_NOT_STARTED, .user_ns = -1, .system_ns = -1,
			     .tree_maxrss_bytes = -1};

	if (stream_fd() < 0)
		die(why, NULL);
	stream_fact_number("attached_pid", g.attached);
	stream_facts_done();
	stream_warning("not-attached", why);
	stream_event(HW_END, 0, &end, sizeof(end));
	stream_flush();
	return 125;
}

/* ---- orphans ---- */

static void note_ancestors(void)
{
	struct stat_line stat;
	struct timespec t;
	int32_t pid = g.attached;

	clock_gettime(CLOCK_BOOTTIME, &t);
	attached_at = (uint64_t)t.tv_sec * (uint64_t)sysconf(_SC_CLK_TCK);
	adopter[adopters++] = 1; /* whom hidepid may hide */
	while (adopters < ADOPTERS && read_stat(pid, &stat) && stat.ppid > 0) {
		pid = (int32_t)stat.ppid;
		adopter[adopters++] = pid;
	}
}

bool attach_may_have_adopted(const struct stat_line *stranger)
{
	if (stranger->start_time < attached_at)
		return false;
	for (uint32_t i = 0; i < adopters; i++)
		if (adopter[i] == stranger->ppid)
			return true;
	return false;
}

void attach_lost_orphan(void)
{
	static bool told;

	if (!told)
		stream_warning("attached-orphan", "a process may have lost its parent before it was first looked at: it would be "
						  "in no figure, so nothing bounds them from above");
	told = true;
}

/* ---- the beginning ---- */

static void write_command(void)
{
	static char text[HW_CMDLINE_MAX * 4];
	char path[32];
	size_t count = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)g.attached);
	n = read_file(path, text, sizeof(text) - 1);
	while (n > 0 && text[n - 1] == 0)
		n--; /* a program that writes a title over its arguments leaves the rest of them empty */
	if (n <= 0) {
		struct proc *p = proc_find(g.attached);

		n = p ? (ssize_t)p->comm_len : 0;
		memcpy(text, p ? p->comm : "", (size_t)n);
	}
	text[n] = 0;
	for (ssize_t i = 0; i <= n; i++)
		count += text[i] == 0;
	stream_record(HW_COMMAND, (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX), text, (size_t)n + 1, NULL, 0, 0,
		      NULL);
}

static bool may_read(pid_t pid)
{
	char path[32], exe[8];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return readlink(path, exe, sizeof(exe)) >= 0 || (errno != EACCES && errno != EPERM);
}

static bool begin(const struct options *o)
{
	struct stat_line stat;

	clock_start();
	if (!read_stat(o->attach, &stat) || stat.start_time != start_time)
		return false;
	struct proc *p = proc_add(o->attach, (int32_t)stat.ppid, 0);

	if (!p)
		die("no memory", NULL);
	p->comm_len = stat.comm_len;
	memcpy(p->comm, stat.comm, stat.comm_len);
	p->minor_faults = stat.minor_faults;
	p->child_minor_faults = stat.child_minor_faults;
	p->start_time = start_time;
	image_begin(p, 0, HW_IMAGE_ATTACHED);
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	files_budget();
	note_ancestors();
	discover_attached(0);
	stream_fact("mode_wanted", "quiet");
	facts_write(0);
	write_command();
	stream_warning("attached", "what was before attaching is known only by the marks of the programs that still ran: not the "
				   "tree's peak, nor processes that had ended");
	sampler_tick(now_ns());
	bool readable = true;

	for (uint32_t i = 0; i < procs_slots; i++) {
		if (!procs[i].in_use)
			continue;
		image_announce(&procs[i], true);
		readable &= may_read(procs[i].pid);
	}
	if (!readable)
		stream_warning("attached-limited", "not all processes may be read wholly by this user: program files and shared "
						   "memory are unknown, and an execve of the same program can go unnoticed");
	stream_flush(); /* if we are killed now, at least this is known */
	return true;
}

static void open_events(const sigset_t *signals)
{
	static const int asks[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction now;

	signals_survive();
	sigemptyset(&ignored);
	for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++)
		if (sigaction(asks[i], NULL, &now) == 0 && now.sa_handler == SIG_IGN)
			sigaddset(&ignored, asks[i]);
	signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		die("no signalfd", strerror(errno));
	pidfd = (int)syscall(SYS_pidfd_open, g.attached, 0);
}

/* ---- the loop ---- */

static bool is_gone(void)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	struct stat_line stat;

	if (pidfd >= 0)
		return poll(&fd, 1, 0) > 0;
	if (!read_stat(g.attached, &stat))
		return kill(g.attached, 0) != 0 && errno == ESRCH;
	return stat.start_time != start_time || has_ended(&stat);
}

static bool anybody_lives(void)
{
	for (uint32_t i = 0; i < procs_slots; i++)
		if (procs[i].in_use && !procs[i].image_over)
			return true;
	return false;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Looks if it is time to. Returns when to wake up again; 0: all is over. */
static int64_t step(void)
{
	int64_t now = now_ns(), when;

	if (gone_ns < 0 && is_gone()) {
		struct proc *p = proc_find(g.attached);

		gone_ns = now;
		if (p)
			p->due_tick = 0;
		sampler_tick(now);
	} else if (now >= sampler_next()) {
		sampler_tick(now);
	}
	if (interrupted || (g.duration_ns > 0 && now >= g.duration_ns))
		return 0;
	when = g.duration_ns > 0 ? earlier(g.duration_ns, sampler_next()) : sampler_next();
	if (gone_ns < 0)
		return when;
	if (now >= gone_ns + g.linger_ns || !anybody_lives())
		return 0;
	return earlier(when, gone_ns + g.linger_ns);
}

/* Ctrl-C and the like end the recording, and nothing else. */
static void take_signals(void)
{
	struct signalfd_siginfo info;

	while (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int sig = (int)info.ssi_signo;

		switch (sig) {
		case SIGINT:
		case SIGTERM:
		case SIGHUP:
		case SIGQUIT:
			interrupted |= info.ssi_code <= 0 || !sigismember(&ignored, sig);
			break;
		case SIGTSTP:
			raise(SIGSTOP); /* whoever waits for us sees it; SIGCONT ends it */
			break;
		default:
			break;
		}
	}
}

static void wait_until(int64_t when)
{
	struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = gone_ns < 0 ? pidfd : -1, .events = POLLIN}};
	int64_t left = when - now_ns();
	struct timespec t = {left > 0 ? left / NS_PER_S : 0, left > 0 ? left % NS_PER_S : 0};

	if (ppoll(fds, 2, &t, NULL) > 0 && fds[0].revents)
		take_signals();
}

static void finish(void)
{
	int64_t now = now_ns();
	struct hw_end end = {.command_ns = gone_ns >= 0 ? gone_ns : now, .status = -1,
			     .ended_by = gone_ns >= 0 ? HW_BY_GONE : HW_BY_DETACHED, .user_ns = -1, .system_ns = -1,
			     .tree_maxrss_bytes = -1};

	end.left_alive = sampler_finish(now);
	if (gone_ns >= 0 && end.left_alive > 0)
		stream_warning("left-alive", "descendants of the process still ran when the recording ended; --linger waits for "
					     "them longer");
	end.t_ns = now_ns();
	stream_event(HW_END, 0, &end, sizeof(end));
	stream_flush();
}

int follow_attached(const struct options *o, const sigset_t *signals)
{
	const char *why;

	g.attached = o->attach;
	why = refusal(o->attach);
	if (why)
		return refuse(why);
	open_events(signals);
	if (!begin(o))
		return refuse("the process has just ended");
	for (int64_t next; (next = step()) != 0;)
		wait_until(next);
	finish();
	return 0;
}
