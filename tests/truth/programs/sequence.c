/* Children one after another: sequence CHILDREN MIB MILLISECONDS. The last one takes half as much again and counts,
 * while its parent waits. */
#include "family.h"

static void live(size_t bytes, int is_last, long milliseconds)
{
	char *memory = truth_take(bytes);

	if (is_last)
		family_peak("sequence_child");
	else
		truth_warm("sequence_child");
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
	family_begin();
	for (int child = 0; child < children; child++) {
		int is_last = child == children - 1;

		atomic_store(&family.board->count, 1);
		if (family_fork() == 0)
			live(is_last ? bytes * 3 / 2 : bytes, is_last, milliseconds);
		family_bury();
	}
	return 0;
}
