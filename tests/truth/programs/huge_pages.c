/* Transparent huge pages: huge_pages MIB. One byte in each 2 MiB is written, all of MIB is resident. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "truth.h"

int main(int count, char **arguments)
{
	const size_t huge = 2 * TRUTH_MIB;
	size_t bytes = truth_number(arguments[count - 1]) * TRUTH_MIB;
	char *memory;

	truth_begin(environ);
	memory = truth_map(bytes + huge, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	memory += (huge - (uintptr_t)memory % huge) % huge;
	madvise(memory, bytes, MADV_HUGEPAGE);
	for (size_t offset = 0; offset < bytes; offset += huge)
		memory[offset] = 1;
	truth_peak("huge_pages");
	truth_leave(0);
}
