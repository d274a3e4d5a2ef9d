/* The sampled blocks that live: a table of chains, and before it one bit for every LIVE_BITS_LOG2'th of the addresses.
 *
 * The table changes under the lock. It is also read without it, by a thread that asks for a block of its own, which no
 * other thread may enter or remove at that time: if nothing changed while the thread read, the answer is right, and if
 * something did, it says "perhaps". Entries are never unmapped, so such a reader sees nonsense at worst. */
#include <stdatomic.h>

#include "internal.h"

#define BUCKETS_LOG2 15
#define FIRST_BLOCK_LOG2 10
#define BLOCKS 21

uint64_t live_bits[(1u << LIVE_BITS_LOG2) / 64];
static uint32_t buckets[1u << BUCKETS_LOG2]; /* index + 1 of the first entry; 0: none */
static struct live *blocks[BLOCKS];	     /* of 2^(10 + n) entries */
static uint32_t entries;		     /* used once */
static uint32_t free_entries;		     /* index + 1 of the first */
static atomic_uint version;		     /* odd: it is changed now */

static struct live *entry(uint32_t index)
{
	uint32_t shifted = index + (1u << FIRST_BLOCK_LOG2);
	uint32_t block = 31 - (uint32_t)__builtin_clz(shifted);

	return &blocks[block - FIRST_BLOCK_LOG2][shifted - (1u << block)];
}

static uint32_t *bucket_of(uint64_t address)
{
	return &buckets[live_hash((uintptr_t)address) & ((1u << BUCKETS_LOG2) - 1)];
}

static void change_begins(void)
{
	atomic_fetch_add_explicit(&version, 1, memory_order_acq_rel);
	atomic_thread_fence(memory_order_release);
}

static void change_ends(void)
{
	atomic_fetch_add_explicit(&version, 1, memory_order_release);
}

static uint32_t new_entry(void)
{
	uint32_t index = free_entries, block;

	if (index != 0) {
		free_entries = entry(index - 1)->next;
		return index;
	}
	block = 31 - (uint32_t)__builtin_clz(entries + (1u << FIRST_BLOCK_LOG2)) - FIRST_BLOCK_LOG2;
	if (block >= BLOCKS)
		return 0;
	if (blocks[block] == NULL) {
		void *memory = map_anonymous(sizeof(struct live) << (FIRST_BLOCK_LOG2 + block));

		if (memory == NULL)
			return 0;
		__atomic_store_n(&blocks[block], memory, __ATOMIC_RELEASE);
	}
	return ++entries;
}

bool live_insert(const struct live *sample)
{
	uint32_t hash = live_hash((uintptr_t)sample->address);
	uint32_t *bucket = bucket_of(sample->address);
	uint32_t index = new_entry();
	struct live *place;

	if (index == 0)
		return false;
	place = entry(index - 1);
	change_begins();
	*place = *sample;
	place->next = *bucket;
	__atomic_store_n(bucket, index, __ATOMIC_RELEASE);
	__atomic_fetch_or(&live_bits[hash / 64], UINT64_C(1) << (hash % 64), __ATOMIC_RELAXED);
	change_ends();
	return true;
}

bool live_remove(uint64_t address, struct live *removed)
{
	uint32_t hash = live_hash((uintptr_t)address);
	uint32_t *bucket = bucket_of(address), *link;
	bool others = false, found = false;

	for (link = bucket; *link != 0;) {
		struct live *place = entry(*link - 1);
		uint32_t index = *link;

		if (place->address == address && !found) {
			if (place->kind == 0)
				return false;
			found = true;
			*removed = *place;
			change_begins();
			__atomic_store_n(link, place->next, __ATOMIC_RELAXED);
			place->address = 0;
			place->next = free_entries;
			free_entries = index;
		} else {
			others |= live_hash((uintptr_t)place->address) == hash;
			link = &place->next;
		}
	}
	if (!found)
		return false;
	if (!others)
		__atomic_fetch_and(&live_bits[hash / 64], ~(UINT64_C(1) << (hash % 64)), __ATOMIC_RELAXED);
	change_ends();
	return true;
}

bool live_has(uint64_t address)
{
	unsigned before = atomic_load_explicit(&version, memory_order_acquire);
	uint32_t index = __atomic_load_n(bucket_of(address), __ATOMIC_ACQUIRE);

	for (unsigned steps = 0; index != 0 && steps < 1000; steps++) {
		const struct live *place = entry(index - 1);

		if (__atomic_load_n(&place->address, __ATOMIC_RELAXED) == address)
			return true;
		index = __atomic_load_n(&place->next, __ATOMIC_ACQUIRE);
	}
	atomic_thread_fence(memory_order_acquire);
	return index != 0 || before % 2 != 0 || atomic_load_explicit(&version, memory_order_relaxed) != before;
}
