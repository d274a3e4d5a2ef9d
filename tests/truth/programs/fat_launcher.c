/* A launcher with a past: fat_launcher MIB holds|freed fork|vfork|spawn COMMAND [ARGUMENT...]. It takes MIB, gives
 * them back or not, executes the command, and ends with its status. */
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"

static pid_t launch(const char *how, char **command)
{
	pid_t pid = -1;

	if (strcmp(how, "spawn") == 0)
		return posix_spawnp(&pid, command[0], NULL, NULL, command, environ) == 0 ? pid : -1;
	pid = strcmp(how, "vfork") == 0 ? vfork() : fork();
	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	return pid;
}

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[1]) * TRUTH_MIB;
	char *memory = truth_map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int status;
	pid_t pid;

	if (count < 5)
		return 2;
	madvise(memory, bytes, MADV_HUGEPAGE); /* only to be fat sooner */
	truth_touch(memory, bytes, 1);
	if (strcmp(arguments[2], "freed") == 0)
		truth_drop(memory, bytes);
	pid = launch(arguments[3], arguments + 4);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
