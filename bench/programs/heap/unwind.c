/* What a stack costs: the heap sampler's unwinder against the C library's backtrace(), at several depths.
 *
 *     S=src/hiwater/heap/sampler
 *     gcc -std=gnu11 -D_GNU_SOURCE -O2 -g -iquote $S -o unwind bench/programs/heap/unwind.c $S/unwind.c $S/unwind_cfi.c $S/unwind_find.c && ./unwind
 *
 * Best of seven rounds, in CPU time of the thread: other load disturbs it little. "cold" is the first walk of each
 * address, tables and all. */

#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "unwind.h"

#define ROUNDS 7
#define WALKS 20000
#define BACKTRACES 2000

static volatile long sink;

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static __attribute__((noinline)) void measure(int depth)
{
	uintptr_t addresses[512];
	void *pointers[512];
	double own = 1e12, theirs = 1e12, cold, begun;
	unsigned count;

	unwind_forget(0, UINTPTR_MAX);
	begun = cpu_ns();
	count = unwind(addresses, 512, NULL).count;
	cold = cpu_ns() - begun;
	backtrace(pointers, 512);
	for (int round = 0; round < ROUNDS; round++) {
		begun = cpu_ns();
		for (int i = 0; i < WALKS; i++)
			sink += unwind(addresses, 512, NULL).count;
		if (cpu_ns() - begun < own * WALKS)
			own = (cpu_ns() - begun) / WALKS;
		begun = cpu_ns();
		for (int i = 0; i < BACKTRACES; i++)
			sink += backtrace(pointers, 512);
		if (cpu_ns() - begun < theirs * BACKTRACES)
			theirs = (cpu_ns() - begun) / BACKTRACES;
	}
	printf("%3d calls deep, %3u frames: unwind %5.0f ns (%.1f a frame, cold %.0f), backtrace %6.0f ns (%.0f a frame)\n", depth,
	       count, own, own / count, cold / count, theirs, theirs / count);
}

static __attribute__((noinline)) void call(int left, int depth)
{
	volatile char here[32];

	here[0] = (char)left;
	if (left == 0)
		measure(depth);
	else
		call(left - 1, depth);
	sink += here[0];
}

int main(void)
{
	static const int depths[] = {1, 5, 15, 30, 60, 200};

	unwind_init();
	for (unsigned i = 0; i < sizeof(depths) / sizeof(*depths); i++)
		call(depths[i], depths[i]);
	return 0;
}
