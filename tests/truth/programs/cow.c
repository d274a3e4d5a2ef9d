/* Memory that forks share until they write: cow PARENT_MIB CHILDREN CHILD_MIB MILLISECONDS. Each child rewrites
 * CHILD_MIB of what its parent holds; the RSS of each stays what the parent's is. */
#include "family.h"

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 4]) * TRUTH_MIB;
	int children = (int)truth_number(arguments[count - 3]);
	size_t rewritten = truth_number(arguments[count - 2]) * TRUTH_MIB;
	char *memory;

	truth_begin(environ);
	family_begin();
	memory = truth_take(bytes);
	for (int child = 0; child < children; child++) {
		if (family_fork() == 0) {
			truth_touch(memory, rewritten, 2 + child);
			family_stay("cow_child", memory, bytes);
		}
	}
	family_hear(children);
	family_peak("cow");
	truth_sleep((long)truth_number(arguments[count - 1]));
	family_release();
	family_bury();
	return 0;
}
