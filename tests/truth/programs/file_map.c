/* A private mapping of a file: file_map MIB. All of it is read, a quarter is written: those pages become anonymous,
 * and take the place of the file's. */
#include <sys/mman.h>

#include "temporary.h"

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 1]) * TRUTH_MIB;
	volatile char *memory;
	char sum = 0;

	truth_begin(environ);
	memory = truth_map(bytes, MAP_PRIVATE, temporary_file(bytes));
	for (size_t offset = 0; offset < bytes; offset += 4096)
		sum = (char)(sum + memory[offset]);
	for (size_t offset = 0; offset < bytes / 4; offset += 4096)
		memory[offset] = (char)(sum + 1);
	truth_peak("file_map");
	truth_leave(0);
}
