/* The totals of a moment, and glibc's own account beside them. */
#include <dlfcn.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>

#include "internal.h"

/* As glibc 2.33 and newer lay it out. */
struct account {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
static struct account (*ask)(void);
static int64_t asked_ns, answer_took_ns;

/* Only where the C library's allocator serves the program: glibc's account of an idle one tells nothing. */
void moment_init(void)
{
	if (allocator_start != 0)
		return;
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

/* It walks all free blocks of all arenas: at most a hundredth of the time is to go into it. */
static bool account_due(int64_t now, bool end)
{
	int64_t pause = 50 * NS_PER_S / 1000;

	if (ask == NULL)
		return false;
	if (pause < 100 * answer_took_ns)
		pause = 100 * answer_took_ns;
	return end || now - asked_ns >= pause;
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
	record.totals = head->totals;
	sample_record(HW_HEAP_TOTALS, 0, &record, sizeof(record), NULL, 0, NULL, 0);
	if (account_due(record.t_ns, end))
		tell_account(record.t_ns);
}
