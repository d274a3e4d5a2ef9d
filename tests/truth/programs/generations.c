/* A child of a child of a child: generations DEPTH MIB MILLISECONDS. Each generation takes MIB of its own, rewrites
 * a quarter of what it has from its parent, and has the next one; the eldest counts. */
#include "family.h"

int main(int count, char **arguments)
{
	int depth = (int)truth_number(arguments[count - 3]);
	size_t bytes = truth_number(arguments[count - 2]) * TRUTH_MIB;
	char *memory = NULL;
	int generation;

	truth_begin(environ);
	family_begin();
	for (generation = 0; generation < depth; generation++) {
		if (memory != NULL)
			truth_touch(memory, bytes / 4, 2 + generation);
		memory = truth_take(bytes);
		if (generation == depth - 1 || family_fork() != 0)
			break;
	}
	if (generation > 0) {
		truth_settle(1);
		truth_warm("generation");
		truth_say("generation", 1);
		family_ready();
		family_wait();
		truth_drop(memory, bytes);
		family_bury();
		return 0;
	}
	family_hear(depth - 1);
	family_peak("generations");
	truth_sleep((long)truth_number(arguments[count - 1]));
	family_release();
	truth_drop(memory, bytes);
	family_bury();
	return 0;
}
