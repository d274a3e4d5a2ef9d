/* malloc and its family. What is done for a call that is not sampled stands here whole. */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

/* dlsym may allocate (before glibc 2.34, for its error text) while the next functions are still being looked up. */
static char bootstrap[32768] __attribute__((aligned(64)));
static size_t bootstrap_used;
static bool resolving;

static void *bootstrap_take(size_t bytes, size_t alignment)
{
	size_t at = (bootstrap_used + 16 + alignment - 1) / alignment * alignment;
	struct live forever = {.address = (uintptr_t)bootstrap + at, .bytes = bytes};

	if (bytes > sizeof(bootstrap) - at || at > sizeof(bootstrap)) {
		errno = ENOMEM;
		return NULL;
	}
	bootstrap_used = at + bytes;
	live_insert(&forever); /* so that free() comes by the slow way */
	return bootstrap + at;
}

static bool is_bootstrap(const void *block)
{
	return (uintptr_t)block - (uintptr_t)bootstrap < sizeof(bootstrap);
}

static void *first_malloc(size_t bytes)
{
	if (resolving)
		return bootstrap_take(bytes, 16);
	real_resolve();
	return real.malloc(bytes);
}

static void *first_calloc(size_t count, size_t size)
{
	if (resolving) {
		size_t bytes;

		return __builtin_mul_overflow(count, size, &bytes) ? NULL : bootstrap_take(bytes, 16);
	}
	real_resolve();
	return real.calloc(count, size);
}

static void *first_realloc(void *old, size_t bytes)
{
	real_resolve();
	return real.realloc(old, bytes);
}

static void first_free(void *block)
{
	(void)block; /* nothing has been given out */
}

static int first_posix_memalign(void **to, size_t alignment, size_t bytes)
{
	real_resolve();
	return real.posix_memalign(to, alignment, bytes);
}

static void *first_aligned_alloc(size_t alignment, size_t bytes)
{
	real_resolve();
	return real.aligned_alloc(alignment, bytes);
}

static void *first_memalign(size_t alignment, size_t bytes)
{
	if (resolving)
		return bootstrap_take(bytes, alignment < 16 ? 16 : alignment);
	real_resolve();
	return real.memalign(alignment, bytes);
}

static void *first_valloc(size_t bytes)
{
	real_resolve();
	return real.valloc(bytes);
}

static void *first_pvalloc(size_t bytes)
{
	real_resolve();
	return real.pvalloc(bytes);
}

struct real real = {first_malloc,	 first_calloc,	first_realloc, first_free,   first_posix_memalign,
		    first_aligned_alloc, first_memalign, first_valloc,	first_pvalloc};

void real_resolve(void)
{
	struct real found;

	if (real.malloc != first_malloc || resolving)
		return;
	resolving = true;
	found.malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	found.calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	found.realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	found.free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	found.posix_memalign = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
	found.aligned_alloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
	found.memalign = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "memalign");
	found.valloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "valloc");
	found.pvalloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "pvalloc");
	real = found;
	resolving = false;
}

/* --- the family --- */

static void skipped(size_t bytes)
{
	if (hw_self.sampling && inside < OWN_WORK)
		count_skipped(bytes);
}

static COLD void *malloc_inside(size_t bytes)
{
	skipped(bytes);
	return real.malloc(bytes);
}

/* Counts a block that was given; one that was refused never was in the count, however large. */
static COLD void *given(void *block, size_t bytes, uint16_t kind, const void *within)
{
	if (block == NULL)
		return NULL;
	hw_self.left -= (int64_t)bytes;
	hw_self.allocations++;
	if (hw_self.left < 0 && sample_settle(&hw_self))
		sample_write(block, bytes, kind, within);
	return block;
}

static COLD void *malloc_slowly(size_t bytes)
{
	return given(real.malloc(bytes), bytes, HW_HEAP_MALLOC, __builtin_frame_address(0));
}

/* A jump at the end, no call: so a small allocation that fails is counted nevertheless. Large ones come by the slow way,
 * as no thread's countdown is longer than UNFLUSHED. */
EXPORT void *malloc(size_t bytes)
{
	if (UNLIKELY(inside > 0))
		return malloc_inside(bytes);
	if (UNLIKELY(bytes > (uint64_t)hw_self.left))
		return malloc_slowly(bytes);
	hw_self.left -= (int64_t)bytes;
	hw_self.allocations++;
	return real.malloc(bytes);
}

static COLD void *calloc_slowly(size_t count, size_t size)
{
	return given(real.calloc(count, size), count * size, HW_HEAP_MALLOC, __builtin_frame_address(0));
}

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (UNLIKELY(__builtin_mul_overflow(count, size, &bytes)))
		return real.calloc(count, size); /* which refuses it */
	if (UNLIKELY(inside > 0)) {
		skipped(bytes);
		return real.calloc(count, size);
	}
	if (UNLIKELY(bytes > (uint64_t)hw_self.left))
		return calloc_slowly(count, size);
	hw_self.left -= (int64_t)bytes;
	hw_self.allocations++;
	return real.calloc(count, size);
}

static COLD void free_slowly(void *block)
{
	if (is_bootstrap(block))
		return;
	sample_gone(block);
	hw_self.frees += inside == 0;
	real.free(block);
}

EXPORT void free(void *block)
{
	if (UNLIKELY(live_maybe(block))) {
		free_slowly(block);
		return;
	}
	hw_self.frees += block != NULL && inside == 0;
	real.free(block);
}

/* A block that changes its size is a block given back and a new one: the new size has its own chance to be sampled. The
 * old one is told to be gone before the call, since afterwards another thread may have its address. */
static COLD void *realloc_slowly(void *old, size_t bytes)
{
	struct live removed;
	bool sampled;
	void *block;

	if (is_bootstrap(old)) {
		size_t most = sizeof(bootstrap) - (size_t)((char *)old - bootstrap);

		block = real.malloc(bytes);
		if (block != NULL)
			memcpy(block, old, bytes < most ? bytes : most);
		return block;
	}
	sampled = live_maybe(old) && sample_gone_as(old, &removed);
	block = real.realloc(old, bytes);
	if (block == NULL && bytes != 0 && sampled)
		sample_back(&removed);
	if (inside > 0)
		return block;
	hw_self.frees += old != NULL && (block != NULL || bytes == 0);
	return given(block, bytes, HW_HEAP_MALLOC, __builtin_frame_address(0));
}

EXPORT void *realloc(void *old, size_t bytes)
{
	void *block;

	if (UNLIKELY(inside > 0)) {
		skipped(bytes);
		return UNLIKELY(live_maybe(old)) ? realloc_slowly(old, bytes) : real.realloc(old, bytes);
	}
	if (UNLIKELY(bytes > (uint64_t)hw_self.left || live_maybe(old)))
		return realloc_slowly(old, bytes);
	hw_self.left -= (int64_t)bytes;
	block = real.realloc(old, bytes);
	if (LIKELY(block != NULL)) {
		hw_self.allocations++;
		hw_self.frees += old != NULL;
	} else {
		hw_self.left += (int64_t)bytes;
		hw_self.frees += bytes == 0 && old != NULL; /* glibc: it was freed */
	}
	return block;
}

EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(old, bytes);
}

/* The rarer ones: `inside` keeps an allocator from being counted twice that serves one of them by another. */
static void *aligned_given(void *block, size_t bytes, const void *within)
{
	inside--;
	if (inside > 0) {
		skipped(bytes);
		return block;
	}
	return given(block, bytes, HW_HEAP_ALIGNED, within);
}

EXPORT int posix_memalign(void **to, size_t alignment, size_t bytes)
{
	void *block = NULL;
	int error;

	inside++;
	error = real.posix_memalign(&block, alignment, bytes);
	if (error == 0)
		*to = block;
	aligned_given(error == 0 ? block : NULL, bytes, __builtin_frame_address(0));
	return error;
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
	inside++;
	return aligned_given(real.aligned_alloc(alignment, bytes), bytes, __builtin_frame_address(0));
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
	inside++;
	return aligned_given(real.memalign(alignment, bytes), bytes, __builtin_frame_address(0));
}

EXPORT void *valloc(size_t bytes)
{
	inside++;
	return aligned_given(real.valloc(bytes), bytes, __builtin_frame_address(0));
}

EXPORT void *pvalloc(size_t bytes)
{
	inside++;
	return aligned_given(real.pvalloc(bytes), bytes, __builtin_frame_address(0));
}
