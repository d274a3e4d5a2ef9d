/* A library to preload: at every COMPARE_EVERY-th malloc of a program it walks the stack twice, with unwind() and with
 * libgcc's unwinder, and compares frame by frame. At the end it writes a line to the file COMPARE_TO:
 *     stacks same frames cut broken nanoseconds(unwind) nanoseconds(backtrace)
 * and above it the first stacks that differ. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include "unwind.h"

#define DEPTH 1024

static void *(*real_malloc)(size_t);
static _Thread_local int inside __attribute__((tls_model("initial-exec")));
static atomic_ulong calls, stacks, same, frames, cut, broken, own_ns, their_ns, told;
static unsigned long every = 1;
static int out = -1;

struct walk {
	uintptr_t addresses[DEPTH];
	unsigned count;
	uintptr_t within;
};

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000 + t.tv_nsec;
}

static _Unwind_Reason_Code one(struct _Unwind_Context *context, void *data)
{
	struct walk *walk = data;
	int before = 0;
	uintptr_t ip = _Unwind_GetIPInfo(context, &before);

	/* The CFA that libgcc tells with an address is that of the frame further in, which is the stack pointer here. */
	if (ip == 0 || (walk->within && _Unwind_GetCFA(context) <= walk->within))
		return _URC_NO_REASON;
	walk->within = 0;
	if (walk->count == DEPTH)
		return _URC_END_OF_STACK;
	walk->addresses[walk->count++] = ip + (before != 0);
	return _URC_NO_REASON;
}

static void say(const char *format, ...)
{
	char line[400];
	va_list list;

	va_start(list, format);
	vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	if (out >= 0 && write(out, line, strlen(line)) < 0)
		_exit(99);
}

static void difference(const struct walk *ours, const struct walk *theirs)
{
	if (atomic_fetch_add(&told, 1) >= 10)
		return;
	for (unsigned i = 0; i < ours->count || i < theirs->count; i++) {
		uintptr_t a = i < ours->count ? ours->addresses[i] : 0, b = i < theirs->count ? theirs->addresses[i] : 0;
		Dl_info info = {0};

		dladdr((void *)((a ? a : b) - 1), &info);
		say("%s %3u %#lx %#lx %s+%#lx %s\n", a == b ? " " : "!", i, a, b, info.dli_fname ? info.dli_fname : "?",
		    (a ? a : b) - (uintptr_t)info.dli_fbase, info.dli_sname ? info.dli_sname : "");
	}
	say("\n");
}

static __attribute__((noinline)) void compare(const void *within)
{
	static _Thread_local struct walk ours, theirs;
	static _Thread_local void *addresses[DEPTH];
	int64_t t0, t1, t2;
	struct hw_unwound found;

	t0 = now();
	found = unwind(ours.addresses, DEPTH, within);
	t1 = now();
	backtrace(addresses, DEPTH);
	t2 = now();
	ours.count = found.count;
	theirs.count = 0;
	theirs.within = (uintptr_t)within;
	_Unwind_Backtrace(one, &theirs);
	stacks++;
	frames += found.count;
	cut += (unsigned long)found.cut;
	broken += (unsigned long)found.broken;
	own_ns += (unsigned long)(t1 - t0);
	their_ns += (unsigned long)(t2 - t1);
	if (ours.count == theirs.count && memcmp(ours.addresses, theirs.addresses, ours.count * sizeof(uintptr_t)) == 0)
		same++;
	else
		difference(&ours, &theirs);
}

void *malloc(size_t size)
{
	if (!real_malloc)
		*(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
	if (out >= 0 && !inside && ++calls % every == 0) {
		inside++;
		compare(__builtin_frame_address(0));
		inside--;
	}
	return real_malloc(size);
}

static __attribute__((constructor)) void begin(void)
{
	const char *to = getenv("COMPARE_TO"), *number = getenv("COMPARE_EVERY");
	void *frame;

	inside++;
	unwind_init();
	backtrace(&frame, 1);
	if (number)
		every = strtoul(number, NULL, 10);
	if (to) {
		int fd = open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

		out = fcntl(fd, F_DUPFD_CLOEXEC, 500);
		close(fd);
	}
	inside--;
}

static __attribute__((destructor)) void end(void)
{
	inside++;
	if (stacks)
		say("%lu %lu %lu %lu %lu %lu %lu %s\n", stacks, same, frames, cut, broken, own_ns / stacks, their_ns / stacks,
		    program_invocation_short_name);
}
