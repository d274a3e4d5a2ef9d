/* What the caller is told. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int report_fd = 1;

/* Sends the report to `fd`. A command that is started later sees it only if it is to report there as well. */
void report_to(int fd, bool shared)
{
	if (fd > 2 && fcntl(fd, F_SETFD, shared ? 0 : FD_CLOEXEC) != 0)
		misuse("--report-fd %d is not open", fd);
	report_fd = fd;
}

/* One line, written at once: two processes may share the descriptor. */
void report_number(const char *key, int64_t value)
{
	char line[128];
	int length = snprintf(line, sizeof line, "%s=%" PRId64 "\n", key, value);
	ssize_t written;

	do
		written = write(report_fd, line, (size_t)length);
	while (written < 0 && errno == EINTR);
	if (written != length)
		_exit(EXIT_MISUSE); /* nobody listens: there is nothing left to do */
}

void report_size(const char *key, int64_t bytes)
{
	if (bytes >= 0)
		report_number(key, bytes);
}

/* Ends the probe with a sentence on stderr. */
void misuse(const char *format, ...)
{
	va_list arguments;

	fputs("hiwater-probe: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(EXIT_MISUSE);
}

/* The argument of `option` as a number that is not negative. */
int64_t parse_bytes(const char *option, const char *text)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end || value < 0)
		misuse("--%s takes a number, not '%s'", option, text);
	return value;
}
