/* A file of this size that has no name any more. */
#ifndef HW_TEMPORARY_H
#define HW_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "truth.h"

static inline int temporary_file(size_t bytes)
{
	const char *directory = getenv("TMPDIR");
	char path[512];
	int fd;

	snprintf(path, sizeof path, "%s/truth.XXXXXX", directory == NULL ? "/tmp" : directory);
	fd = mkstemp(path);
	if (fd < 0 || unlink(path) != 0 || ftruncate(fd, (off_t)bytes) != 0)
		truth_leave(89);
	return fd;
}

#endif
