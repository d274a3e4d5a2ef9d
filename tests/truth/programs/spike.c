/* A spike: spike MIB MILLISECONDS. From the first of its pages to the last given back it lasts hardly longer than
 * the time stated, which includes the walk. Before and after the program is small and sleeps for a while, as one
 * that a slow sampler finds small every time. */
#include <time.h>
#include <unistd.h>

#include "truth.h"

static long milliseconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 2]) * TRUTH_MIB;
	long milliseconds = (long)truth_number(arguments[count - 1]);
	struct timespec start;
	char *memory;

	truth_begin(environ);
	clock_gettime(CLOCK_MONOTONIC, &start);
	truth_sleep(30 - milliseconds_since(&start));
	truth_warm("spike");
	memory = truth_take_at_once(bytes);
	clock_gettime(CLOCK_MONOTONIC, &start);
	truth_peak_once("spike");
	while (milliseconds_since(&start) < milliseconds)
		;
	truth_drop(memory, bytes);
	truth_sleep(30);
	return 0;
}
