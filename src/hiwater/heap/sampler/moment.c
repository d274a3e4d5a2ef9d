/* The totals of a moment, and glibc's own account beside them. */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/* As glibc 2.33 and newer lay it out. */
struct account {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
static struct account (*ask)(void);
static int64_t asked_ns, answer_took_ns, answers_took_ns;
static int (*trim)(size_t);

/* Only where the C library's allocator serves the program: glibc's account of an idle one tells nothing. */
void moment_init(void)
{
	const char *wanted = getenv("HIWATER_HEAP_TRIM");

	if (allocator_start != 0)
		return;
	if (wanted != NULL && strcmp(wanted, "1") == 0)
		trim = (int (*)(size_t))dlsym(RTLD_DEFAULT, "malloc_trim");
	ask = (struct account(*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
	if (ask != NULL)
		head->flags |= HW_HEAP_PROBE;
}

/* Does a signal handler run on this stack? What it interrupted may hold a lock of the allocator's, and mallinfo2 would
 * wait for it for ever. The return address of a handler is in code that calls rt_sigreturn. */
static bool in_handler(void)
{
	struct caught caught;

	if (!catch_stack(&caught, __builtin_frame_address(0)) || caught.native == 0 ||
	    (caught.flags & (HW_HEAP_STACK_BROKEN | HW_HEAP_STACK_CUT)))
		return true;
	for (unsigned i = 0; i < caught.native; i++) {
#if defined(__x86_64__)
		static const unsigned char trampoline[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
#elif defined(__aarch64__)
		static const unsigned char trampoline[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4};
#else
		return true;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
		/* An unwinder that knows the frame for a signal's may give the address one byte further on. */
		if (memcmp((const void *)caught.scratch->native[i], trampoline, sizeof(trampoline)) == 0 ||
		    memcmp((const void *)(caught.scratch->native[i] - 1), trampoline, sizeof(trampoline)) == 0)
			return true;
#endif
	}
	return false;
}

/* mallinfo2 walks all free blocks of all arenas, some 50 ns for each that is not in a cache: 75 ms for 170 MiB of them. A
 * 400th of the process's CPU time is to go into it, and 2 ms. What the next call takes is told by the last one, and
 * by the memory that was in use before and is not now, in blocks of the usual size. */
static bool account_due(const struct hw_heap_moment *moment, bool end)
{
	struct timespec cpu;
	uint64_t usual = moment->totals.allocations > 0
				 ? moment->totals.allocated_bytes / moment->totals.allocations + 16
				 : 64;
	uint64_t fallen = told_most > in_use ? told_most - in_use : 0;
	int64_t estimate = (int64_t)(fallen / usual * 50);

	if (ask == NULL || (!end && moment->t_ns - asked_ns < NS_PER_S / 20))
		return false;
	if (estimate < answer_took_ns)
		estimate = answer_took_ns;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	return answers_took_ns + estimate <= (cpu.tv_sec * NS_PER_S + cpu.tv_nsec) / 400 + 2000000;
}

static void tell_account(int64_t now)
{
	struct hw_heap_mallinfo record;
	struct account account;

	if (in_handler())
		return;
	account = ask();
	asked_ns = now;
	answer_took_ns = now_ns() - now;
	answers_took_ns += answer_took_ns;
	record = (struct hw_heap_mallinfo){now, account.arena, account.hblkhd, account.uordblks, account.fordblks,
					   account.keepcost, account.hblks};
	sample_record(HW_HEAP_MALLINFO, 0, &record, sizeof(record), NULL, 0, NULL, 0);
}

void moment_tell(bool end)
{
	struct hw_heap_moment record = {.t_ns = now_ns()};
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		record.maxrss_bytes = (uint64_t)usage.ru_maxrss * 1024;
	if (!lock_take())
		return;
	totals_now(&record.totals);
	lock_give();
	sample_record(HW_HEAP_TOTALS, 0, &record, sizeof(record), NULL, 0, NULL, 0);
	if (account_due(&record, end))
		tell_account(record.t_ns);
}

/* 0: it cannot be read. The sums in status and statm are off by some pages for each thread or processor. */
static uint64_t resident_bytes(void)
{
	char text[1024], *at;
	uint64_t kib = 0;
	ssize_t length;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	length = syscall(SYS_read, fd, text, sizeof(text) - 1);
	syscall(SYS_close, fd);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	at = strstr(text, "\nRss:");
	if (at == NULL)
		return 0;
	for (at += 5; *at == ' '; at++)
		;
	for (; *at >= '0' && *at <= '9'; at++)
		kib = kib * 10 + (uint64_t)(*at - '0');
	return kib * 1024;
}

/* After the totals and the account of the end, which are to tell what the program left. */
void moment_trim(void)
{
	struct hw_heap_trim record = {.t_ns = now_ns()};
	struct hw_heap_trim *to;

	if (trim == NULL || in_handler())
		return;
	record.rss_before_bytes = resident_bytes();
	if (record.rss_before_bytes == 0)
		return;
	record.t_ns = now_ns();
	trim(0);
	record.took_ns = (uint64_t)(now_ns() - record.t_ns);
	record.rss_after_bytes = resident_bytes();
	if (record.rss_after_bytes == 0 || !lock_take())
		return;
	to = out_begin(HW_HEAP_TRIM, 0, sizeof(*to));
	if (to != NULL) {
		*to = record;
		out_end();
	}
	lock_give();
}
