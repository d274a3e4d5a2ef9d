/* Numbers for stacks: a stack that comes again costs no record. Only a hash of 64 bits is kept of each. */
#include <string.h>

#include "internal.h"

struct known {
	uint64_t hash; /* 0: free */
	uint32_t number;
	uint32_t reserved;
};

#define FIRST_SIZE 512u

static struct known *table;
static uint32_t size, used, next_number;

void stacks_reset(void)
{
	if (table != NULL)
		unmap(table, size * sizeof(*table));
	table = NULL;
	size = used = next_number = 0;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9fb21c651e98df25);
	return hash ^ (hash >> 32);
}

static struct known *place_of(uint64_t hash)
{
	for (uint32_t at = (uint32_t)hash & (size - 1);; at = (at + 1) & (size - 1))
		if (table[at].hash == 0 || table[at].hash == hash)
			return &table[at];
}

static bool grow(void)
{
	struct known *old = table;
	uint32_t old_size = size, wanted = size == 0 ? FIRST_SIZE : size * 2;
	struct known *memory = map_anonymous(wanted * sizeof(*memory));

	if (memory == NULL)
		return false;
	table = memory;
	size = wanted;
	for (uint32_t i = 0; i < old_size; i++)
		if (old[i].hash != 0)
			*place_of(old[i].hash) = old[i];
	if (old != NULL)
		unmap(old, old_size * sizeof(*old));
	return true;
}

static bool write_stack(uint32_t number, const uintptr_t *native, unsigned count, const struct python_frame *python,
			unsigned python_count, unsigned flags)
{
	struct hw_heap_stack stack = {
		.stack = number, .native = (uint16_t)count, .python = (uint16_t)python_count, .flags = (uint16_t)flags};
	char *to;

	modules_of(native, count);
	to = out_begin(HW_HEAP_STACK, 0, sizeof(stack) + count * 8 + python_count * sizeof(struct hw_heap_frame));
	if (to == NULL)
		return false;
	memcpy(to, &stack, sizeof(stack));
	to += sizeof(stack);
	for (unsigned i = 0; i < count; i++, to += 8)
		*(uint64_t *)to = native[i];
	for (unsigned i = 0; i < python_count; i++, to += sizeof(struct hw_heap_frame))
		*(struct hw_heap_frame *)to = (struct hw_heap_frame){
			.code = python[i].code, .line = python[i].line, .entry = python[i].entry};
	out_end();
	return true;
}

uint32_t stack_number(const uintptr_t *native, unsigned count, const struct python_frame *python, unsigned python_count,
		      unsigned flags)
{
	uint64_t hash = mix(count, python_count << 8 | flags);
	struct known *place;

	for (unsigned i = 0; i < count; i++)
		hash = mix(hash, native[i]);
	for (unsigned i = 0; i < python_count; i++)
		hash = mix(hash, (uint64_t)python[i].code << 32 | (uint64_t)python[i].entry << 31 | python[i].line);
	hash += hash == 0;
	if (used * 4 >= size * 3 && !grow() && used + 1 >= size)
		return HW_HEAP_NONE;
	place = place_of(hash);
	if (place->hash == 0) {
		if (!write_stack(next_number, native, count, python, python_count, flags))
			return HW_HEAP_NONE;
		/* Writing it may have opened the file of a fork, and so begun the table anew. */
		place = place_of(hash);
		place->hash = hash;
		place->number = next_number++;
		used++;
	}
	return place->number;
}
