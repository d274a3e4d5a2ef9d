/* A child that nobody waits for: unreaped MIB MILLISECONDS. Its parent ignores SIGCHLD, so that the kernel drops the
 * child's usage, peak and all. The child counts while its parent sleeps until the child is gone. */
#include <signal.h>

#include "family.h"

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 2]) * TRUTH_MIB;
	int child_lives[2];
	char *memory;

	truth_begin(environ);
	signal(SIGCHLD, SIG_IGN);
	family_begin();
	if (pipe(child_lives) != 0)
		return 2;
	if (family_fork() != 0) {
		truth_close(child_lives[1]);
		truth_read_byte(child_lives[0]);
		return 0;
	}
	memory = truth_take(bytes);
	family_peak("unreaped");
	truth_sleep((long)truth_number(arguments[count - 1]));
	truth_drop(memory, bytes);
	_exit(0);
}
