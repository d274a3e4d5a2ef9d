/* model SEED THREADS CALLS: random calls of the allocator, checked against a model: what a block holds is what was written
 * into it, no two blocks overlap, every block is aligned as it must be, errors are those of the manual pages, errno is
 * left alone. Threads give blocks to each other. Says "CALLS calls are right". */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS 300
#define SHARED 64

struct block {
	unsigned char *at;
	size_t size;
	unsigned char seed;
};

static struct block *_Atomic shared[SHARED]; /* on their way to another thread */
static long calls;
static uint64_t first_seed;

#define CHECK(what)                                                                        \
	do {                                                                               \
		if (!(what)) {                                                             \
			fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno); \
			abort();                                                           \
		}                                                                          \
	} while (0)

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static size_t some_size(uint64_t *state)
{
	switch (next(state) % 16) {
	case 0: return 0;
	case 1: return next(state) % 200000;
	case 2: return next(state) % 9000;
	case 3: return (size_t)1 << next(state) % 17;
	default: return next(state) % 500;
	}
}

static void fill(struct block *b)
{
	for (size_t i = 0; i < b->size; i++)
		b->at[i] = (unsigned char)(b->seed + i * 7);
}

static void holds(const struct block *b, size_t size)
{
	for (size_t i = 0; i < size && i < b->size; i++)
		CHECK(b->at[i] == (unsigned char)(b->seed + i * 7));
}

static void given(struct block *b, void *at, size_t size, size_t alignment, uint64_t *state)
{
	CHECK(at != NULL);
	CHECK((uintptr_t)at % alignment == 0);
	CHECK(malloc_usable_size(at) >= size);
	*b = (struct block){at, size, (unsigned char)next(state)};
	fill(b);
}

static void release(struct block *b)
{
	holds(b, b->size);
	errno = 4321;
	free(b->at);
	CHECK(errno == 4321); /* glibc 2.33 */
	b->at = NULL;
}

/* Through a pointer that the compiler knows nothing of: it would leave out calls whose outcome it knows. */
static void *(*volatile use_malloc)(size_t) = malloc;
static void *(*volatile use_calloc)(size_t, size_t) = calloc;
static void *(*volatile use_realloc)(void *, size_t) = realloc;
static void *(*volatile use_reallocarray)(void *, size_t, size_t) = reallocarray;
static void *(*volatile use_aligned_alloc)(size_t, size_t) = aligned_alloc;

static void refusals(uint64_t *state)
{
	size_t huge = (size_t)PTRDIFF_MAX - next(state) % 1000;
	void *at = &at;

	errno = 0;
	CHECK(use_malloc(huge) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(use_malloc(SIZE_MAX - next(state) % 1000) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(use_malloc((size_t)PTRDIFF_MAX + 1 + next(state) % 1000) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(use_calloc(huge, 16) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(use_calloc(2, huge) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(use_reallocarray(NULL, huge, 4) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(use_aligned_alloc(64, huge) == NULL && errno == ENOMEM);
	CHECK(posix_memalign(&at, 3, 100) == EINVAL && at == &at);
	CHECK(posix_memalign(&at, 0, 100) == EINVAL && at == &at);
	CHECK(posix_memalign(&at, 64, huge) == ENOMEM && at == &at);
	free(NULL);
}

static void step(struct block *slots, uint64_t *state)
{
	struct block *b = &slots[next(state) % SLOTS];
	size_t size = some_size(state), alignment;
	unsigned kind = (unsigned)(next(state) % 16);
	void *at;

	if (b->at == NULL) {
		switch (kind) {
		case 0:
		case 1:
			at = use_calloc(size / 8 + 1, 8);
			CHECK(at != NULL);
			for (size_t i = 0; i < (size / 8 + 1) * 8; i++)
				CHECK(((unsigned char *)at)[i] == 0);
			given(b, at, (size / 8 + 1) * 8, alignof(max_align_t), state);
			return;
		case 2:
			alignment = sizeof(void *) << next(state) % 10;
			CHECK(posix_memalign(&at, alignment, size) == 0);
			given(b, at, size, alignment, state);
			return;
		case 3:
			alignment = (size_t)16 << next(state) % 9;
			given(b, use_aligned_alloc(alignment, (size + alignment) / alignment * alignment), size, alignment, state);
			return;
		case 4: given(b, memalign(128, size), size, 128, state); return;
		case 5: given(b, valloc(size % 10000), size % 10000, (size_t)getpagesize(), state); return;
		case 6: given(b, pvalloc(size % 10000 + 1), size % 10000 + 1, (size_t)getpagesize(), state); return;
		case 7: given(b, use_realloc(NULL, size), size, alignof(max_align_t), state); return;
		case 8: given(b, strdup("a word"), 7, alignof(max_align_t), state); return;
		case 9:
			if (next(state) % 8 == 0)
				refusals(state);
			return;
		default: given(b, use_malloc(size), size, alignof(max_align_t), state); return;
		}
	}
	if (kind < 5) { /* a new size: what fits stays */
		struct block old = *b;

		size += size == 0;
		errno = 4321;
		b->at = kind == 0 ? use_reallocarray(old.at, 1, size) : use_realloc(old.at, size);
		CHECK(b->at != NULL && (uintptr_t)b->at % alignof(max_align_t) == 0);
		holds(b, size);
		b->size = size;
		fill(b);
	} else if (kind == 5) { /* one too large: the old one stays whole */
		errno = 0;
		CHECK(use_realloc(b->at, (size_t)PTRDIFF_MAX - 5) == NULL && errno == ENOMEM);
		holds(b, b->size);
	} else if (kind == 6) {
		CHECK(use_realloc(b->at, 0) == NULL); /* glibc: it is freed */
		b->at = NULL;
	} else if (kind < 9) {
		struct block *sent = use_malloc(sizeof(*sent)), *other;

		CHECK(sent != NULL);
		*sent = *b;
		b->at = NULL;
		other = atomic_exchange(&shared[next(state) % SHARED], sent);
		if (other != NULL) {
			*b = *other;
			free(other);
			holds(b, b->size);
		}
	} else {
		release(b);
	}
}

static void *work(void *number)
{
	uint64_t state = first_seed * 1000 + (uintptr_t)number;
	struct block *slots = calloc(SLOTS, sizeof(*slots));

	CHECK(slots != NULL);
	for (long i = 0; i < calls; i++)
		step(slots, &state);
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].at != NULL)
			release(&slots[i]);
	free(slots);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	long count;

	if (argc != 4)
		return 2;
	first_seed = strtoull(argv[1], NULL, 10);
	count = strtol(argv[2], NULL, 10);
	calls = strtol(argv[3], NULL, 10);
	for (long i = 0; i < count; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(i + 1)) == 0);
	for (long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < SHARED; i++)
		if (shared[i] != NULL) {
			release(shared[i]);
			free(shared[i]);
		}
	printf("%ld calls are right\n", calls * count);
	return 0;
}
