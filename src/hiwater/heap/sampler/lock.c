/* The sampler's only lock: a futex. It can be reset in the child of a fork, knows nothing of the C library's threads, and
 * waits for seconds at most: the child of a vfork runs in its parent's memory and may be killed while it holds it. */
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

static atomic_int word; /* 0 free, 1 held, 2 held and waited for */

#ifdef SYS_futex
#define HW_FUTEX SYS_futex
#else
#define HW_FUTEX SYS_futex_time64
#endif

bool lock_take(void)
{
	int seen = 0;

	if (LIKELY(atomic_compare_exchange_strong_explicit(&word, &seen, 1, memory_order_acquire, memory_order_relaxed)))
		return true;
	for (int spin = 0; spin < 100; spin++) {
		seen = 0;
		if (atomic_load_explicit(&word, memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_strong_explicit(&word, &seen, 1, memory_order_acquire, memory_order_relaxed))
			return true;
	}
	for (int64_t begun = 0;;) {
		/* Relative, and as wide as the kernel's call of this name takes it. */
		struct {
			long seconds, nanoseconds;
		} patience = {0, 200000000};

		if (atomic_exchange_explicit(&word, 2, memory_order_acquire) == 0)
			return true;
		if (begun == 0)
			begun = now_ns();
		else if (now_ns() - begun > 3 * NS_PER_S)
			return false;
		syscall(HW_FUTEX, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, &patience, NULL, 0);
	}
}

void lock_give(void)
{
	if (atomic_exchange_explicit(&word, 0, memory_order_release) == 2)
		syscall(HW_FUTEX, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

void lock_reset(void)
{
	atomic_store(&word, 0);
}
