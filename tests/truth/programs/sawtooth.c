/* Memory that comes and goes: sawtooth MIB. One tooth of MIB, then ten of half of it: VmHWM was passed long ago. */
#include <unistd.h>

#include "truth.h"

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 1]) * TRUTH_MIB;
	char *memory;

	truth_begin(environ);
	memory = truth_take(bytes);
	truth_peak("sawtooth");
	truth_drop(memory, bytes);
	for (int tooth = 0; tooth < 10; tooth++) {
		memory = truth_take(bytes / 2);
		truth_drop(memory, bytes / 2);
	}
	return 0;
}
