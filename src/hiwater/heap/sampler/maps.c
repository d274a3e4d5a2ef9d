/* mmap and its relatives: every call that the program itself makes is told.
 *
 * The order of the records is that of the calls: a mapping that goes is told before the call, since afterwards another
 * thread may get its addresses; mremap, which does both, is called under the lock. */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* The calls of an allocator that the program is linked with are no mappings of the program's. */
static bool told(const void *caller)
{
	uintptr_t address = (uintptr_t)caller - 1;

	return sampling_on && (inside == 0 || inside == PYTHON_SERVES) && !hw_self.sampling &&
	       (address < allocator_start || address >= allocator_end);
}

static void tell_map(struct hw_heap_map *record, int protection, const struct caught *caught, bool caught_it)
{
	struct hw_heap_map *to;

	record->stack = caught_it ? stack_number(caught->scratch->native, caught->native, caught->scratch->python,
						 caught->python, caught->flags)
				  : HW_HEAP_NONE;
	record->tid = hw_self.tid;
	to = out_begin(HW_HEAP_MAP, (uint16_t)protection, sizeof(*to));
	if (to != NULL) {
		*to = *record;
		out_end();
	}
}

static uint64_t whole_pages(uint64_t bytes)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static void *call_mmap(void *address, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
#ifdef SYS_mmap2
	if (offset < 0 || offset % 4096 != 0) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap2, address, bytes, protection, flags, fd, (unsigned long)(offset / 4096));
#else
	return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
#endif
}

static void *map_and_tell(void *wanted, size_t bytes, int protection, int flags, int fd, off64_t offset,
			  const void *caller, const void *within)
{
	void *address = call_mmap(wanted, bytes, protection, flags, fd, offset);
	int saved = errno;
	struct caught caught;
	bool caught_it;

	if (address == MAP_FAILED || !told(caller) || !enter())
		return address;
	process_check();
	thread_begin(&hw_self);
	caught_it = catch_stack(&caught, within);
	if (lock_take()) {
		struct hw_heap_map record = {.t_ns = now_ns(),
					     .address = (uintptr_t)address,
					     .bytes = whole_pages(bytes),
					     .map_flags = (uint32_t)flags,
					     .fd = fd};

		tell_map(&record, protection, &caught, caught_it);
		lock_give();
	}
	leave();
	errno = saved;
	return address;
}

EXPORT void *mmap64(void *wanted, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
	return map_and_tell(wanted, bytes, protection, flags, fd, offset, __builtin_return_address(0),
			    __builtin_frame_address(0));
}

EXPORT void *mmap(void *wanted, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return map_and_tell(wanted, bytes, protection, flags, fd, offset, __builtin_return_address(0),
			    __builtin_frame_address(0));
}

EXPORT int munmap(void *address, size_t bytes)
{
	int saved = errno;

	if (bytes > 0 && (uintptr_t)address % 4096 == 0 && told(__builtin_return_address(0)) && enter()) {
		process_check();
		if (lock_take()) {
			struct hw_heap_unmap *to = out_begin(HW_HEAP_UNMAP, 0, sizeof(*to));

			if (to != NULL) {
				*to = (struct hw_heap_unmap){now_ns(), (uintptr_t)address, whole_pages(bytes)};
				out_end();
			}
			lock_give();
		}
		leave();
	}
	errno = saved;
	return (int)syscall(SYS_munmap, address, bytes);
}

EXPORT void *mremap(void *old, size_t old_bytes, size_t bytes, int flags, ...)
{
	void *wanted = NULL, *address;
	struct caught caught;
	bool caught_it, locked;
	va_list arguments;
	int saved = errno;

	if (flags & MREMAP_FIXED) {
		va_start(arguments, flags);
		wanted = va_arg(arguments, void *);
		va_end(arguments);
	}
	if (!told(__builtin_return_address(0)) || !enter())
		return (void *)syscall(SYS_mremap, old, old_bytes, bytes, flags, wanted);
	process_check();
	thread_begin(&hw_self);
	caught_it = catch_stack(&caught, __builtin_frame_address(0));
	locked = lock_take();
	errno = saved;
	address = (void *)syscall(SYS_mremap, old, old_bytes, bytes, flags, wanted);
	saved = errno;
	if (locked) {
		struct hw_heap_map record = {.t_ns = now_ns(),
					     .address = (uintptr_t)address,
					     .bytes = whole_pages(bytes),
					     .moved_from = (uintptr_t)old,
					     .moved_bytes = whole_pages(old_bytes),
					     .fd = -1};

		if (address != MAP_FAILED)
			tell_map(&record, 0, &caught, caught_it);
		lock_give();
	}
	leave();
	errno = saved;
	return address;
}

static int (*real_brk)(void *);
static void *(*real_sbrk)(intptr_t);

static void tell_break(uintptr_t before, uintptr_t after, const void *within)
{
	struct caught caught;
	bool caught_it;

	if (before == after || !enter())
		return;
	process_check();
	thread_begin(&hw_self);
	caught_it = catch_stack(&caught, within);
	if (lock_take()) {
		uint32_t stack = caught_it ? stack_number(caught.scratch->native, caught.native, caught.scratch->python,
							  caught.python, caught.flags)
					   : HW_HEAP_NONE;
		struct hw_heap_brk *to = out_begin(HW_HEAP_BRK, 0, sizeof(*to));

		if (to != NULL) {
			*to = (struct hw_heap_brk){now_ns(), before, after, stack, hw_self.tid};
			out_end();
		}
		lock_give();
	}
	leave();
}

EXPORT int brk(void *end)
{
	uintptr_t before;
	int result, saved;

	if (real_brk == NULL)
		real_brk = (int (*)(void *))dlsym(RTLD_NEXT, "brk");
	if (!told(__builtin_return_address(0)))
		return real_brk(end);
	before = (uintptr_t)syscall(SYS_brk, NULL);
	result = real_brk(end);
	saved = errno;
	if (result == 0)
		tell_break(before, (uintptr_t)syscall(SYS_brk, NULL), __builtin_frame_address(0));
	errno = saved;
	return result;
}

EXPORT void *sbrk(intptr_t more)
{
	void *before;
	int saved;

	if (real_sbrk == NULL)
		real_sbrk = (void *(*)(intptr_t))dlsym(RTLD_NEXT, "sbrk");
	before = real_sbrk(more);
	saved = errno;
	if (before != (void *)-1 && more != 0 && told(__builtin_return_address(0)))
		tell_break((uintptr_t)before, (uintptr_t)before + (uintptr_t)more, __builtin_frame_address(0));
	errno = saved;
	return before;
}
