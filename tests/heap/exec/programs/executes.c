/* executes FUNCTION TARGET: executes TARGET with the arguments "one two", by that function, and with the environment that it
 * has; by "vfork-..." in a child of vfork. It ends with errno if that fails, and says if its own environment was changed. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int status_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return 200;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 201;
}

static int execute(const char *how, char *target, char **arguments)
{
	pid_t pid;
	int error;

	if (strcmp(how, "execve") == 0)
		execve(target, arguments, environ);
	else if (strcmp(how, "execv") == 0)
		execv(target, arguments);
	else if (strcmp(how, "execvp") == 0)
		execvp(target, arguments);
	else if (strcmp(how, "execvpe") == 0)
		execvpe(target, arguments, environ);
	else if (strcmp(how, "execl") == 0)
		execl(target, target, "one", "two", (char *)NULL);
	else if (strcmp(how, "execlp") == 0)
		execlp(target, target, "one", "two", (char *)NULL);
	else if (strcmp(how, "execle") == 0)
		execle(target, target, "one", "two", (char *)NULL, environ);
	else if (strcmp(how, "fexecve") == 0)
		fexecve(open(target, O_RDONLY), arguments, environ);
	else if (strcmp(how, "fexecve-path") == 0)
		fexecve(open(target, O_PATH), arguments, environ);
	else if (strcmp(how, "execveat") == 0)
		execveat(AT_FDCWD, target, arguments, environ, 0);
	else if (strcmp(how, "posix_spawn") == 0 || strcmp(how, "posix_spawnp") == 0) {
		error = (how[11] ? posix_spawnp : posix_spawn)(&pid, target, NULL, NULL, arguments, environ);
		if (error == 0)
			exit(status_of(pid));
		errno = error;
	}
	return errno;
}

int main(int argc, char **argv)
{
	char *arguments[] = {argv[2], "one", "two", NULL};
	char before[4096];
	int error;

	if (argc != 3 || strlen(getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "") >= sizeof(before))
		return 202;
	strcpy(before, getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "");
	if (strncmp(argv[1], "vfork-", 6) == 0) {
		pid_t pid = vfork();

		if (pid == 0)
			_exit(execute(argv[1] + 6, argv[2], arguments));
		error = status_of(pid);
	} else {
		error = execute(argv[1], argv[2], arguments);
	}
	if (strcmp(before, getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "") != 0)
		return 203;
	return error;
}
