/* A daemon that peaks when its parents are gone: daemon MIB MILLISECONDS. Two forks and a setsid; both pipe ends
 * that its parents hold must have closed before it grows. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "truth.h"

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 2]) * TRUTH_MIB;
	int parents[2];
	char *memory;

	truth_begin(environ);
	if (pipe(parents) != 0)
		return 2;
	if (fork() != 0)
		return 0;
	setsid();
	if (fork() != 0)
		_exit(0);
	close(parents[1]);
	truth_read_byte(parents[0]);
	memory = truth_take(bytes);
	truth_peak("daemon");
	truth_sleep((long)truth_number(arguments[count - 1]));
	truth_drop(memory, bytes);
	_exit(0);
}
