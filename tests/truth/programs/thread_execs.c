/* A thread that is not the first one replaces the whole program: thread_execs MIB MIB. The thread takes on the
 * number of the process at that moment, and all other threads end. */
#include <pthread.h>
#include <unistd.h>

#include "truth.h"

static char **next;

static void *grow_and_exec(void *unused)
{
	char *memory = truth_take(truth_number(next[0]) * TRUTH_MIB);

	(void)unused;
	truth_peak("thread_execs");
	truth_drop(memory, TRUTH_ARGUMENTS); /* as in execs.c */
	truth_exec(next);
	return NULL;
}

int main(int count, char **arguments)
{
	pthread_t other;

	truth_begin(environ);
	next = arguments + 1;
	if (count == 2) {
		truth_take(truth_number(arguments[1]) * TRUTH_MIB);
		truth_peak("thread_execs");
		truth_leave(0);
	}
	if (pthread_create(&other, NULL, grow_and_exec, NULL) != 0)
		return 2;
	pthread_join(other, NULL);
	return 2;
}
