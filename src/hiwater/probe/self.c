/* What the kernel says of a process. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first `size` - 1 bytes of a file of /proc/PID, as a string. */
static bool read_file(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	size_t length = 0;
	ssize_t got = 0;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)got;
	close(fd);
	text[length] = '\0';
	return got >= 0 && length > 0;
}

/* The number behind `key`, which starts a line; the kernel's kB are KiB. */
static int64_t number_after(const char *text, const char *key, int64_t unit)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0)
			return strtoll(line + length, NULL, 10) * unit;
	}
	return -1;
}

int64_t statm_rss(pid_t pid)
{
	char text[256];
	long long size, rss;

	/* A zombie's statm is all zeros: it has no memory any more, which is not the same as 0 bytes. */
	if (!read_file(pid, "statm", text, sizeof text) || sscanf(text, "%lld %lld", &size, &rss) != 2 || size == 0)
		return -1;
	return rss * sysconf(_SC_PAGESIZE);
}

static int64_t stat_rss(pid_t pid)
{
	char text[2048], *at;

	if (!read_file(pid, "stat", text, sizeof text) || !(at = strrchr(text, ')')))
		return -1;
	for (int field = 2; field < 24 && at; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoll(at, NULL, 10) * sysconf(_SC_PAGESIZE) : -1;
}

struct figures figures_of(pid_t pid)
{
	struct figures figures = {.rss = -1, .hwm = -1, .threads = -1};
	char text[8192];

	if (read_file(pid, "status", text, sizeof text)) {
		figures.rss = number_after(text, "VmRSS:", 1024);
		figures.hwm = number_after(text, "VmHWM:", 1024);
		figures.threads = number_after(text, "Threads:", 1);
	}
	figures.statm = statm_rss(pid);
	figures.stat = stat_rss(pid);
	return figures;
}

/* The sum of the `Rss:` lines of a file, or -1. */
static int64_t sum_rss(const char *path)
{
	static char text[1 << 14]; /* not on the stack: this must not change what is measured between two walks */
	size_t kept = 0;
	int64_t sum = -1;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while ((got = read(fd, text + kept, sizeof text - 1 - kept)) > 0) {
		char *line = text, *end;

		text[kept + (size_t)got] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1)
			if (strncmp(line, "Rss:", 4) == 0)
				sum = (sum < 0 ? 0 : sum) + strtoll(line + 4, NULL, 10) * 1024;
		kept = strlen(line);
		memmove(text, line, kept);
	}
	close(fd);
	return sum;
}

/* This process's resident set by a walk over its page tables: exact, whatever the counters say. smaps_rollup came
 * with Linux 4.14; its long form does as well. Walked twice: the first walk may itself touch new pages. */
int64_t walk_own_pages(void)
{
	const char *path = access("/proc/self/smaps_rollup", R_OK) == 0 ? "/proc/self/smaps_rollup" : "/proc/self/smaps";

	sum_rss(path);
	return sum_rss(path);
}

int64_t own_maxrss(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : -1;
}
