/* Ended by a signal at its peak: killed MIB kill|segv|abort. */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "truth.h"

static sigjmp_buf back;

static void return_from_abort(int number)
{
	(void)number;
	siglongjmp(back, 1);
}

/* abort() once with a handler that gets out of it: its code is mapped from then on, and the real one adds nothing. */
static void rehearse_abort(void)
{
	signal(SIGABRT, return_from_abort);
	if (sigsetjmp(back, 1) == 0)
		abort();
	signal(SIGABRT, SIG_DFL);
}

int main(int count, char **arguments)
{
	const char *how = arguments[count - 1];
	size_t bytes = truth_number(arguments[1]) * TRUTH_MIB;
	const struct rlimit no_core = {0, 0};

	truth_begin(environ);
	setrlimit(RLIMIT_CORE, &no_core);
	rehearse_abort();
	kill(getpid(), 0);
	truth_take(bytes);
	truth_peak("killed");
	if (how[0] == 'k')
		kill(getpid(), SIGKILL);
	else if (how[0] == 's')
		*(volatile int *)0 = 1;
	else
		abort();
	return 1;
}
