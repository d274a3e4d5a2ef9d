/* A process that is about to lock itself in (seccomp) may be killed for any system call that it does not know of itself:
 * to open the next part of the file, or to ask for the RSS. So sampling ends there, and the head of the file says so.
 *
 * Filters of one's own need PR_SET_NO_NEW_PRIVS first, unless by root; the filter itself often goes in by syscall(2), which
 * cannot be stood before. A program that executes another one after it begins anew there. */
#include <errno.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

EXPORT int prctl(int option, ...)
{
	unsigned long arguments[4];
	va_list list;

	/* The C library passes on four, whatever the caller gave; so does the kernel's side of it read. */
	va_start(list, option);
	for (int i = 0; i < 4; i++)
		arguments[i] = va_arg(list, unsigned long);
	va_end(list);
	if (option == PR_SET_SECCOMP || (option == PR_SET_NO_NEW_PRIVS && arguments[0] == 1)) {
		int saved = errno;

		process_stop(EPERM);
		errno = saved;
	}
	return (int)syscall(SYS_prctl, option, arguments[0], arguments[1], arguments[2], arguments[3]);
}
