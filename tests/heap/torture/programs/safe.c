/* An allocator that signal handlers may call: it only ever moves on. For a program that is linked with it, what the sampler
 * does is the only thing that a signal can interrupt. */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define ROOM ((size_t)1 << 32)

static _Atomic(char *) base;
static atomic_size_t used;

static char *room(void)
{
	char *at = base, *mine;

	if (at != NULL)
		return at;
	mine = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mine == MAP_FAILED)
		__builtin_trap();
	if (atomic_compare_exchange_strong(&base, &at, mine))
		return mine;
	munmap(mine, ROOM);
	return at;
}

void *memalign(size_t alignment, size_t size)
{
	char *start = room();
	size_t at = atomic_fetch_add(&used, size + alignment + 32);

	if (at + size + alignment + 32 > ROOM) {
		errno = ENOMEM;
		return NULL;
	}
	at = (at + 16 + alignment + 15) / alignment * alignment;
	*(size_t *)(start + at - 16) = size;
	return start + at;
}

void *malloc(size_t size)
{
	return memalign(16, size);
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return memalign(16, bytes); /* never used before */
}

void free(void *block)
{
	(void)block;
}

void *realloc(void *old, size_t size)
{
	void *block = malloc(size);
	size_t before = old ? ((size_t *)old)[-2] : 0;

	if (block && old)
		memcpy(block, old, before < size ? before : size);
	return block;
}
