/* The independent witness: exitstop COMMAND [ARGUMENT...] executes the command under ptrace, stops every thread of
 * its tree where it ends, and prints, for each process, the largest VmHWM and the VmRSS of those stops:
 *
 *     pid=17 hwm_bytes=68157440 rss_bytes=68157440
 *
 * VmHWM is exact at that stop only for a program that ends at its peak (the mark that the kernel stored when memory
 * was given back comes from approximate counters), and only from Linux 6.16 on and where that change was backported. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEEN_MAX = 1024 };

struct seen {
	int pid;
	unsigned long hwm_kib;
	unsigned long rss_kib;
};

static struct seen seen[SEEN_MAX];
static int seen_count;

static void look(pid_t thread)
{
	struct seen now = {0, 0, 0};
	char line[256];
	FILE *status;
	int at = 0;

	snprintf(line, sizeof line, "/proc/%d/status", (int)thread);
	status = fopen(line, "r");
	if (status == NULL)
		return;
	while (fgets(line, sizeof line, status) != NULL) {
		sscanf(line, "Tgid: %d", &now.pid);
		sscanf(line, "VmHWM: %lu", &now.hwm_kib);
		sscanf(line, "VmRSS: %lu", &now.rss_kib);
	}
	fclose(status);
	while (at < seen_count && seen[at].pid != now.pid)
		at++;
	if (at == SEEN_MAX)
		return;
	if (at == seen_count)
		seen[seen_count++].pid = now.pid;
	if (now.hwm_kib > seen[at].hwm_kib)
		seen[at].hwm_kib = now.hwm_kib;
	if (now.rss_kib > seen[at].rss_kib)
		seen[at].rss_kib = now.rss_kib;
}

static void go_on(pid_t thread, int status)
{
	int number = WSTOPSIG(status);
	int event = status >> 16;

	if (event == PTRACE_EVENT_EXIT)
		look(thread);
	if (event == PTRACE_EVENT_STOP && number != SIGTRAP)
		ptrace(PTRACE_LISTEN, thread, 0, 0);
	else
		ptrace(PTRACE_CONT, thread, 0, event == 0 ? number : 0);
}

int main(int count, char **arguments)
{
	int gate[2];
	int status = 0;
	int last = 0;
	pid_t target;
	pid_t pid;

	if (count < 2 || pipe(gate) != 0)
		return 2;
	target = fork();
	if (target == 0) {
		char byte;

		close(gate[1]);
		if (read(gate[0], &byte, 1) == 0)
			execvp(arguments[1], arguments + 1);
		_exit(127);
	}
	if (ptrace(PTRACE_SEIZE, target, 0,
		   PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE) != 0) {
		perror("exitstop: PTRACE_SEIZE");
		kill(target, SIGKILL);
		return 125;
	}
	close(gate[0]);
	close(gate[1]);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			go_on(pid, status);
		else if (pid == target)
			last = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	for (int at = 0; at < seen_count; at++)
		printf("pid=%d hwm_bytes=%lu rss_bytes=%lu\n", seen[at].pid, seen[at].hwm_kib * 1024,
		       seen[at].rss_kib * 1024);
	return last;
}
