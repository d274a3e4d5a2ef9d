/* Who called: the return addresses on the stack of the thread that asks.
 *
 * Theory. x86_64 and aarch64 have an unwinder of their own (unwind.c) over the tables that compilers write for C++
 * exceptions (.eh_frame), so that code without frame pointers gives full stacks. What a table says of one address is
 * kept in a cache of 256 KiB that every thread reads without a lock; a frame then costs some nanoseconds. Nothing is
 * allocated, no lock is taken, and the stack is read only where it is known to be readable, so that a wrong table, code
 * written by a JIT, a coroutine's stack or a broken stack end the walk and not the program. Other machines take
 * backtrace() of the C library, which is slower and promises less.
 */
#ifndef HW_UNWIND_H
#define HW_UNWIND_H

#include <stdint.h>

struct hw_unwound {
	unsigned count; /* addresses found */
	int cut;	/* there are more frames than there was room for: the outermost are missing */
	int broken;     /* the walk did not come to the thread's first frame */
};

/* From the constructor, before anything else of this file: the only one that may load a library. */
void unwind_init(void);

/* At a thread's first sample; unwind() does without. It makes nothing but the thread's own variables ready. */
void unwind_thread(void);

/* After a dlopen: takes down where the new code's tables are. It does nothing where glibc tells (2.35 and newer). */
void unwind_learn(void);

/* The code of [start, end) goes (before a dlclose or after it): what is known of it is void. */
void unwind_forget(uintptr_t start, uintptr_t end);

/* Return addresses, innermost first. `within` is any address in the stack frame of the allocator's function (its
 * __builtin_frame_address(0), or that of a local variable): frames further in are left out, so the first address is in
 * the caller of that function. NULL: the first one is in the caller of unwind(). An address less one is in the
 * instruction that called; where a signal interrupted the code, it is that instruction's address plus one. */
struct hw_unwound unwind(uintptr_t *addresses, unsigned max, const void *within);

#endif
