/* Each child holds what its parent held, less what it frees, and its own. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char *touch(char *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		((volatile char *)memory)[i] = 1;
	return memory;
}

__attribute__((noinline, noclone)) char *of_the_parent(void)
{
	return touch(malloc(8 << 20), 8 << 20);
}

__attribute__((noinline, noclone)) char *of_the_child(size_t mib)
{
	return touch(malloc(mib << 20), mib << 20);
}

int main(void)
{
	char *first = of_the_parent(), *second = of_the_parent();

	for (int child = 1; child <= 2; child++) {
		pid_t pid = fork();

		if (pid == 0) {
			char *own = of_the_child(10 * child);

			if (child == 2) {
				free(second);
				if (fork() == 0)
					touch(of_the_child(5), 1); /* a grandchild */
				while (wait(NULL) > 0)
					;
			}
			usleep(30000);
			touch(own, 1);
			touch(first, 1);
			exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	touch(second, 1);
	return 0;
}
