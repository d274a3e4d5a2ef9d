/* Children at the same time: parallel CHILDREN MIB MILLISECONDS. Each takes MIB of its own; the parent counts. */
#include "family.h"

int main(int count, char **arguments)
{
	int children = (int)truth_number(arguments[count - 3]);
	size_t bytes = truth_number(arguments[count - 2]) * TRUTH_MIB;

	truth_begin(environ);
	family_begin();
	for (int child = 0; child < children; child++)
		if (family_fork() == 0)
			family_stay("parallel_child", truth_take(bytes), bytes);
	family_hear(children);
	family_peak("parallel");
	truth_sleep((long)truth_number(arguments[count - 1]));
	family_release();
	family_bury();
	return 0;
}
