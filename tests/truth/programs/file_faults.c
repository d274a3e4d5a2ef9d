/* Few faults that bring many pages: file_faults MIB. Of a file in the page cache one byte of each 64 KiB is read, for
 * which the kernel maps the whole 64 KiB; then all is unmapped. Before Linux 6.2 no counter has ever shown it. */
#include <sys/mman.h>

#include "temporary.h"

enum { AROUND = 1 << 16 };

static char piece[AROUND];

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 1]) * TRUTH_MIB;
	int fd = temporary_file(bytes);
	volatile char *memory;
	char sum = 0;

	truth_begin(environ);
	for (size_t offset = 0; offset < bytes; offset += AROUND)
		if (write(fd, piece, AROUND) != AROUND)
			truth_leave(88);
	memory = truth_map(bytes, MAP_PRIVATE, fd);
	truth_warm("file_faults");
	truth_drop(truth_take(4096), 4096); /* what was faulted in up to here is handed in */
	for (size_t offset = 0; offset < bytes; offset += AROUND)
		sum = (char)(sum + memory[offset]);
	truth_peak_once("file_faults");
	truth_linger(1);
	truth_drop((char *)memory, bytes);
	truth_leave(sum);
}
