/* The ways to start a command. What each of them does to the figures of the command is the point of it all. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void make_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) != 0)
		misuse("no pipe: %s", strerror(errno));
}

/* In the child: become the command, or tell the parent why not. */
static _Noreturn void become(char **command, int failure)
{
	int error;

	execvp(command[0], command);
	error = errno;
	if (write(failure, &error, sizeof error) != sizeof error)
		_exit(EXIT_MISUSE);
	_exit(EXIT_NOT_FOUND);
}

/* Waits until the child has become the command, which closes its end of the pipe, or has said why it could not. */
static int wait_for_exec(int failure)
{
	int error = 0;
	ssize_t got;

	do
		got = read(failure, &error, sizeof error);
	while (got < 0 && errno == EINTR);
	close(failure);
	return got == sizeof error ? error : 0;
}

/* fork copies the memory map: the child starts with the resident set that the launcher has now. */
static struct started by_fork(char **command)
{
	struct started started = {-1, 0};
	int failure[2];

	make_pipe(failure);
	started.pid = fork();
	if (started.pid < 0)
		misuse("fork failed: %s", strerror(errno));
	if (started.pid == 0)
		become(command, failure[1]);
	close(failure[1]);
	started.error = wait_for_exec(failure[0]);
	return started;
}

/* vfork lends the launcher's memory map to the child, with the high-water mark of its whole life. */
static struct started by_vfork(char **command)
{
	static volatile int error; /* the child writes into our memory: that is vfork */
	struct started started = {-1, 0};

	error = 0;
	started.pid = vfork();
	if (started.pid < 0)
		misuse("vfork failed: %s", strerror(errno));
	if (started.pid == 0) {
		execvp(command[0], command);
		error = errno;
		_exit(EXIT_NOT_FOUND);
	}
	started.error = error;
	return started;
}

/* glibc (since 2.24) and musl make it of clone(CLONE_VM | CLONE_VFORK): the same as vfork for memory. */
static struct started by_spawn(char **command)
{
	struct started started = {-1, 0};

	started.error = posix_spawnp(&started.pid, command[0], NULL, NULL, command, environ);
	if (started.error)
		started.pid = -1;
	return started;
}

struct started start(enum how how, char **command)
{
	switch (how) {
	case BY_VFORK:
		return by_vfork(command);
	case BY_SPAWN:
		return by_spawn(command);
	default:
		return by_fork(command);
	}
}

/* Forks a child that becomes the command once it is traced, so that its exit stop can not be missed. Where tracing is
 * refused, `trace_error` says why and the command does not run. */
struct started start_traced(char **command, int *trace_error)
{
	struct started started = {-1, 0};
	int gate[2], failure[2];
	char go = 'g';

	make_pipe(gate);
	make_pipe(failure);
	started.pid = fork();
	if (started.pid < 0)
		misuse("fork failed: %s", strerror(errno));
	if (started.pid == 0) {
		close(gate[1]);
		if (read(gate[0], &go, 1) != 1)
			_exit(EXIT_MISUSE);
		become(command, failure[1]);
	}
	close(gate[0]);
	close(failure[1]);
	*trace_error = ptrace(PTRACE_SEIZE, started.pid, 0, PTRACE_O_TRACEEXIT) == 0 ? 0 : errno;
	if (*trace_error == 0 && write(gate[1], &go, 1) != 1)
		misuse("the child is gone");
	close(gate[1]);
	if (*trace_error) {
		waitpid(started.pid, NULL, 0);
		started.pid = -1;
		close(failure[0]);
		return started;
	}
	started.error = wait_for_exec(failure[0]);
	return started;
}
