/* Hundreds of short-lived programs, one of which has a spike: swarm CHILDREN MIB MILLISECONDS. Each child is an image
 * of its own; the spike comes after two thirds of them, and counts. */
#include "family.h"

static void short_life(void)
{
	truth_take(128 * 1024);
	_exit(0);
}

static void spike(size_t bytes, long milliseconds)
{
	char *memory;

	family_count(0);
	truth_warm("spike_child");
	memory = truth_take_at_once(bytes);
	family_count(1);
	truth_peak_once("spike_child");
	truth_sleep(milliseconds);
	truth_drop(memory, bytes);
	_exit(0);
}

int main(int count, char **arguments)
{
	int children = (int)truth_number(arguments[count - 3]);
	size_t bytes = truth_number(arguments[count - 2]) * TRUTH_MIB;
	long milliseconds = (long)truth_number(arguments[count - 1]);

	truth_begin(environ);
	if (count == 5)
		short_life();
	family_begin();
	for (int child = 0; child < children; child++) {
		atomic_store(&family.board->count, 1);
		if (family_fork() == 0) {
			if (child == children * 2 / 3)
				spike(bytes, milliseconds);
			execl("/proc/self/exe", "swarm", "short", "0", "0", "0", (char *)NULL);
			_exit(127);
		}
		family_bury();
	}
	return 0;
}
