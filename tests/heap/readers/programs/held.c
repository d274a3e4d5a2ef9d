/* Holds memory by several functions and says how much: at its peak and at its end, of each function the bytes asked for,
 * the blocks, and the bytes that the allocator made of them. One line each: MOMENT FUNCTION BYTES BLOCKS USABLE. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITE __attribute__((noinline, noclone))
#define STRINGS 10000
#define RECORDS 500
#define BUFFERS 8

struct site {
	const char *name;
	size_t bytes, blocks, usable;
};

static struct site strings = {"hold_strings", 0, 0, 0}, records = {"hold_records", 0, 0, 0};
static struct site buffers = {"hold_buffers", 0, 0, 0}, table = {"grow_table", 0, 0, 0};
static char *kept_strings[STRINGS], *kept_records[RECORDS], *kept_buffers[BUFFERS];
static char *kept_table;
static size_t table_bytes;

static char *held(struct site *site, char *block, size_t bytes)
{
	if (!block)
		abort();
	site->bytes += bytes;
	site->blocks++;
	site->usable += malloc_usable_size(block);
	return block;
}

static void let_go(struct site *site, char *block, size_t bytes)
{
	site->bytes -= bytes;
	site->blocks--;
	site->usable -= malloc_usable_size(block);
	free(block);
}

SITE static void hold_strings(void)
{
	for (int i = 0; i < STRINGS; i++) {
		size_t bytes = 48 + (size_t)i % 40;
		kept_strings[i] = held(&strings, malloc(bytes), bytes);
		memset(kept_strings[i], 1, bytes);
	}
}

SITE static void hold_records(void)
{
	for (int i = 0; i < RECORDS; i++)
		kept_records[i] = held(&records, calloc(10, 100), 1000);
}

SITE static void hold_buffers(void)
{
	for (int i = 0; i < BUFFERS; i++) {
		kept_buffers[i] = held(&buffers, malloc(1 << 20), 1 << 20);
		memset(kept_buffers[i], 1, 1 << 20);
	}
}

SITE static void grow_table(void)
{
	for (table_bytes = 1000; table_bytes < 300000; table_bytes += 1000)
		kept_table = realloc(kept_table, table_bytes);
	table_bytes -= 1000;
	held(&table, kept_table, table_bytes);
}

SITE static void come_and_go(void)
{
	for (int i = 0; i < 20000; i++) {
		char *block = malloc(64 + (size_t)i % 100);
		*(volatile char *)block = 1;
		free(block);
	}
}

static void tell(const char *moment)
{
	const struct site *sites[] = {&strings, &records, &buffers, &table};
	for (int i = 0; i < 4; i++)
		printf("%s %s %zu %zu %zu\n", moment, sites[i]->name, sites[i]->bytes, sites[i]->blocks, sites[i]->usable);
}

int main(void)
{
	static char output[4096]; /* so that stdio holds no memory of its own */
	setvbuf(stdout, output, _IOFBF, sizeof output);
	hold_strings();
	hold_records();
	grow_table();
	come_and_go();
	hold_buffers();
	tell("peak");
	for (int i = 0; i < BUFFERS; i++)
		let_go(&buffers, kept_buffers[i], 1 << 20);
	let_go(&table, kept_table, table_bytes);
	tell("exit");
	return 0;
}
