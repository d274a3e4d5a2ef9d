/* Memory that can be had and given back. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file of `bytes` that has no name. */
static int nameless_file(size_t bytes)
{
	const char *directory = getenv("TMPDIR");
	char path[4096];
	int fd;

	if (!directory || !*directory)
		directory = "/tmp";
	if (strlen(directory) + sizeof "/hiwater-XXXXXX" > sizeof path)
		misuse("TMPDIR is too long");
	strcpy(path, directory);
	strcat(path, "/hiwater-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		misuse("no file can be made in %s: %s", directory, strerror(errno));
	unlink(path);
	if (ftruncate(fd, (off_t)bytes) != 0)
		misuse("no file of %zu bytes can be made in %s: %s", bytes, directory, strerror(errno));
	return fd;
}

/* Address space of `bytes`, none of it resident yet. */
char *reserve(enum kind kind, size_t bytes)
{
	int flags = kind == ANON ? MAP_PRIVATE | MAP_ANONYMOUS : kind == SHMEM ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	int fd = kind == MAPPED_FILE ? nameless_file(bytes) : -1;
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (area == MAP_FAILED)
		misuse("%zu bytes of memory are not to be had: %s", bytes, strerror(errno));
	if (fd >= 0)
		close(fd);
	return area;
}

/* Makes every page resident. A write, not a read: reading maps the zero page, which counts nowhere, and on a file it
 * brings neighbours along (fault-around), so that the number of faults is not the number of pages. */
void touch(char *area, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < bytes; i += page)
		((volatile char *)area)[i] = 1;
}

char *grow(enum kind kind, size_t bytes)
{
	char *area = NULL;

	if (bytes) {
		area = reserve(kind, bytes);
		touch(area, bytes);
	}
	return area;
}

/* Grows by `bytes` as fast as the machine can: huge pages where they are to be had. What counts is the size. */
char *grow_ballast(size_t bytes)
{
	char *area = NULL;

	if (bytes) {
		area = reserve(ANON, bytes);
		madvise(area, bytes, MADV_HUGEPAGE); /* a wish: kernels without huge pages refuse it */
		touch(area, bytes);
	}
	return area;
}

void give_back(char *area, size_t bytes)
{
	if (area)
		munmap(area, bytes);
}
