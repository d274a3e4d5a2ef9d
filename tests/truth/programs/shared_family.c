/* One piece of shared memory in every process: shared_family CHILDREN MIB MILLISECONDS. The sum of the resident
 * sets is a multiple of what the family takes. */
#include "family.h"

int main(int count, char **arguments)
{
	int children = (int)truth_number(arguments[count - 3]);
	size_t bytes = truth_number(arguments[count - 2]) * TRUTH_MIB;
	char *memory;

	truth_begin(environ);
	family_begin();
	memory = truth_map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1);
	truth_touch(memory, bytes, 1);
	for (int child = 0; child < children; child++) {
		if (family_fork() == 0) {
			truth_touch(memory, bytes, 2);
			family_stay("shared_child", memory, bytes);
		}
	}
	family_hear(children);
	family_peak("shared_family");
	truth_sleep((long)truth_number(arguments[count - 1]));
	family_release();
	family_bury();
	return 0;
}
