/* Steady growth: grow MIB [leave]. Touches 1 MiB after the other, holds the peak for 5 ms, gives all back, and goes
 * on with ordinary work at a quarter of the size. With `leave` it ends at its peak. */
#include <string.h>
#include <unistd.h>

#include "truth.h"

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[1]) * TRUTH_MIB;
	char *memory = truth_map(bytes, 0x22, -1);
	int leave = count > 2 && strcmp(arguments[2], "leave") == 0; /* behind the peak it could bring in a page of libc */

	truth_begin(environ);
	for (size_t offset = 0; offset < bytes; offset += TRUTH_MIB)
		truth_touch(memory + offset, TRUTH_MIB, 1);
	truth_peak("grow");
	if (leave)
		truth_leave(0);
	truth_sleep(5);
	truth_drop(memory, bytes);
	truth_take(bytes / 4);
	return 0;
}
