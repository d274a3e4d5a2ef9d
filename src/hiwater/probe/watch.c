/* The ways to watch a command until it has ended. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

struct ended wait_for(pid_t pid)
{
	struct ended ended;

	while (wait4(pid, &ended.status, 0, &ended.usage) != pid)
		if (errno != EINTR)
			misuse("wait4 failed: %s", strerror(errno));
	return ended;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Looks at the resident set now and then every `period_ns`, as monitoring tools do, until the command has ended.
 * `looks` counts how often there was something to see. */
struct ended poll_rss(pid_t pid, int64_t period_ns, int64_t *largest, int64_t *looks)
{
	struct ended ended;
	sigset_t child;
	int64_t next = now_ns();
	pid_t got;

	/* Blocked only now, so that the command did not inherit it; a child that has ended before is met by WNOHANG. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	*largest = -1;
	*looks = 0;
	while ((got = wait4(pid, &ended.status, WNOHANG, &ended.usage)) == 0) {
		int64_t left = next - now_ns();

		if (left <= 0) {
			int64_t rss = statm_rss(pid);

			if (rss >= 0)
				++*looks;
			if (rss > *largest)
				*largest = rss;
			next += period_ns;
		} else {
			struct timespec pause = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};

			sigtimedwait(&child, NULL, &pause);
		}
	}
	if (got < 0)
		misuse("wait4 failed: %s", strerror(errno));
	return ended;
}

/* Lets a tracee go on after the stop that `status` tells of; reads its figures at the last one, before it exits. */
static void after_stop(pid_t pid, int status, struct figures *last)
{
	int event = status >> 16, signal = WSTOPSIG(status);

	if (event == PTRACE_EVENT_EXIT) {
		*last = figures_of(pid);
		ptrace(PTRACE_CONT, pid, 0, 0);
	} else if (event == PTRACE_EVENT_STOP) {
		bool group = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;

		ptrace(group ? PTRACE_LISTEN : PTRACE_CONT, pid, 0, 0);
	} else {
		/* A signal of the command's own: it gets it. */
		ptrace(PTRACE_CONT, pid, 0, event ? 0 : (long)signal);
	}
}

/* Waits for a command from start_traced(). Its figures at the exit stop are those of its last program image, because
 * the kernel still holds the memory map then; -1 where the stop never came. */
struct ended wait_for_exit_stop(pid_t pid, struct figures *last)
{
	struct ended ended;

	*last = (struct figures){-1, -1, -1, -1, -1};
	for (;;) {
		if (wait4(pid, &ended.status, __WALL, &ended.usage) != pid) {
			if (errno != EINTR)
				misuse("wait4 failed: %s", strerror(errno));
		} else if (!WIFSTOPPED(ended.status)) {
			return ended;
		} else {
			after_stop(pid, ended.status, last);
		}
	}
}
