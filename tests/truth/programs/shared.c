/* Shared memory: shared anon|memfd MIB. With `memfd` twice MIB are written to the file, which is no RSS, and MIB of
 * them are mapped and read, which is. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "truth.h"

static char page[4096];

static int written_memfd(size_t bytes)
{
	int fd = memfd_create("truth", 0);

	memset(page, 1, sizeof page);
	for (size_t offset = 0; offset < bytes; offset += sizeof page)
		if (write(fd, page, sizeof page) != (ssize_t)sizeof page)
			truth_leave(89);
	return fd;
}

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 1]) * TRUTH_MIB;
	volatile char *memory;
	char sum = 0;

	truth_begin(environ);
	if (strcmp(arguments[1], "anon") == 0) {
		memory = truth_map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1);
		truth_touch((char *)memory, bytes, 1);
	} else {
		memory = truth_map(bytes, MAP_SHARED, written_memfd(2 * bytes));
		for (size_t offset = 0; offset < bytes; offset += 4096)
			sum = (char)(sum + memory[offset]);
	}
	truth_peak("shared");
	truth_leave(sum == 127);
}
