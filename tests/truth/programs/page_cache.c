/* The page cache is no RSS: page_cache MIB. Writes a file of MIB and reads it, by a buffer of 1 MiB. */
#include "temporary.h"

int main(int count, char **arguments)
{
	size_t bytes = truth_number(arguments[count - 1]) * TRUTH_MIB;
	char *buffer;
	int fd;

	truth_begin(environ);
	fd = temporary_file(bytes);
	buffer = truth_take(TRUTH_MIB);
	for (size_t offset = 0; offset < bytes; offset += TRUTH_MIB)
		if (pwrite(fd, buffer, TRUTH_MIB, (off_t)offset) != TRUTH_MIB)
			return 2;
	for (size_t offset = 0; offset < bytes; offset += TRUTH_MIB)
		if (pread(fd, buffer, TRUTH_MIB, (off_t)offset) != TRUTH_MIB)
			return 2;
	truth_peak("page_cache");
	truth_leave(0);
}
