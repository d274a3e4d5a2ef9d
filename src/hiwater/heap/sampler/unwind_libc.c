/* Machines without an unwinder of their own (32-bit ones, riscv64): backtrace() of the C library, which asks libgcc. */
#if !defined(__x86_64__) && !defined(__aarch64__)
#include "unwind.h"

#include <execinfo.h>
#include <stdint.h>

#define OWN_FRAMES 16u
#define DEEPEST 512u

extern const char __ehdr_start[] __attribute__((visibility("hidden"))); /* of this library; linkers define them */
extern const char _end[] __attribute__((visibility("hidden")));

static _Thread_local void *found[DEEPEST + OWN_FRAMES];

void unwind_init(void)
{
	backtrace(found, 1); /* loads libgcc, which takes memory: now, not in the midst of a malloc */
}

void unwind_thread(void)
{
}

void unwind_learn(void)
{
}

void unwind_forget(uintptr_t start, uintptr_t end)
{
	(void)start, (void)end;
}

/* backtrace() tells no stack pointers: what is left out are this library's own frames, whatever `within` is. */
struct hw_unwound unwind(uintptr_t *addresses, unsigned max, const void *within)
{
	struct hw_unwound result = {.count = 0};
	unsigned room = max < DEEPEST ? max : DEEPEST;
	int count = backtrace(found, (int)(room + OWN_FRAMES));

	(void)within;
	for (int i = 0; i < count; i++) {
		uintptr_t address = (uintptr_t)found[i];

		if (result.count == 0 && address >= (uintptr_t)__ehdr_start && address < (uintptr_t)_end)
			continue;
		if (result.count == room) {
			result.cut = 1;
			break;
		}
		addresses[result.count++] = address;
	}
	result.broken = result.count == 0;
	return result;
}
#endif
