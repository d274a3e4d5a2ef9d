/* cfi_test cases | cfi_test fuzz SEED ROUNDS: checks the reader of call frame information; built with sanitizers.
 *
 * Each section stands at the end of memory of its very size. As a libFuzzer target (-DLIBFUZZER -fsanitize=fuzzer) it
 * takes what libFuzzer invents. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unwinding/program.h"
#include "monitor.h"

#define ADDRESS 0x10000

static bool read_nothing(void *context, uint64_t address, uint64_t *out)
{
	(void)context;
	*out = address * 3;
	return address % 5 != 0;
}

static void all(const unsigned char *data, size_t len)
{
	static uint64_t registers[CFI_REGISTERS];
	unsigned char *copy = malloc(len ? len : 1);
	struct cfi c = {.data = copy, .size = len, .address = ADDRESS, .wide = len % 2 == 0};
	struct cfi_row row;
	uint64_t value;

	assert(copy);
	memcpy(copy, data, len);
	if (cfi_index(&c)) {
		for (size_t i = 0; i < c.count && i < 64; i++) {
			uint64_t middle = c.entries[i].start + (c.entries[i].end - c.entries[i].start) / 2;

			assert(c.entries[i].start < c.entries[i].end);
			if (cfi_find(&c, c.entries[i].start, &row))
				assert(row.ra < CFI_REGISTERS && row.cfa_register < CFI_REGISTERS);
			if (cfi_find(&c, middle, &row) && row.cfa_is_expression)
				cfi_evaluate(&c, row.cfa_offset, registers, false, 0, read_nothing, NULL, &value);
		}
	}
	for (int32_t at = -1; at < (int32_t)len + 1 && at < 64; at++)
		cfi_evaluate(&c, at, registers, at % 2 == 0, 7, read_nothing, NULL, &value);
	free(c.entries);
	free(copy);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	all(data, size);
	return 0;
}
#else

static int failures;

#define CHECK(condition)                                                                                       \
	do {                                                                                                   \
		if (!(condition)) {                                                                            \
			printf("%d: %s\n", __LINE__, #condition);                                              \
			failures++;                                                                            \
		}                                                                                              \
	} while (0)

static unsigned char section[512];
static size_t length;

static void byte(unsigned value)
{
	section[length++] = (unsigned char)value;
}

static void word(uint32_t value)
{
	memcpy(section + length, &value, 4);
	length += 4;
}

static size_t open_entry(uint32_t id)
{
	size_t at = length;

	word(0);
	word(id);
	return at;
}

static void close_entry(size_t at)
{
	while (length % 4)
		byte(0);
	uint32_t len = (uint32_t)(length - at - 4);

	memcpy(section + at, &len, 4);
}

/* What a compiler writes for: push rbp; mov rbp, rsp; sub; ...; leave; ret */
static void usual(void)
{
	size_t at;

	length = 0;
	at = open_entry(0);
	byte(1), byte('z'), byte('R'), byte(0), byte(1), byte(0x78), byte(16), byte(1), byte(0x1b);
	byte(0x0c), byte(7), byte(8), byte(0x90), byte(1); /* CFA = rsp + 8, return address at CFA - 8 */
	close_entry(at);
	at = open_entry((uint32_t)length + 4);
	word(0x2000 - (ADDRESS + (uint32_t)length)); /* from 0x2000, relative to here */
	word(0x100);
	byte(0);
	byte(0x41), byte(0x0e), byte(16), byte(0x86), byte(2); /* after 1: CFA = rsp + 16, rbp at CFA - 16 */
	byte(0x43), byte(0x0d), byte(6);		       /* after 3 more: CFA = rbp + 16 */
	byte(0x02), byte(0x80), byte(0x0a), byte(0x0c), byte(7), byte(8), byte(0xc6); /* 128 more: left */
	byte(0x41), byte(0x0b);				       /* behind the return: as it was */
	close_entry(at);
	word(0);
}

static void cases(void)
{
	struct cfi c = {.data = section, .address = ADDRESS, .wide = true};
	struct cfi_row row;

	usual();
	c.size = length;
	CHECK(cfi_index(&c) && c.count == 1 && c.entries[0].start == 0x2000 && c.entries[0].end == 0x2100);
	CHECK(!cfi_find(&c, 0x1fff, &row) && !cfi_find(&c, 0x2100, &row));
	CHECK(cfi_find(&c, 0x2000, &row) && row.ra == 16 && row.cfa_register == 7 && row.cfa_offset == 8 &&
	      row.registers[16].rule == CFI_RULE_AT && row.registers[16].value == -8 && row.registers[6].rule == CFI_RULE_SAME);
	CHECK(cfi_find(&c, 0x2001, &row) && row.cfa_offset == 16 && row.registers[6].rule == CFI_RULE_AT &&
	      row.registers[6].value == -16);
	CHECK(cfi_find(&c, 0x2004, &row) && row.cfa_register == 6 && row.cfa_offset == 16);
	CHECK(cfi_find(&c, 0x2084, &row) && row.cfa_register == 7 && row.cfa_offset == 8 && row.registers[6].rule == CFI_RULE_SAME);
	CHECK(cfi_find(&c, 0x20ff, &row) && row.cfa_register == 6 && row.cfa_offset == 16 && row.registers[6].rule == CFI_RULE_AT);
	free(c.entries);
	for (size_t cut = 0; cut < length; cut++)
		all(section, cut);

	/* What a linker writes for its table: rsp + 8 + ((rip & 15) >= 11) * 8 */
	static const unsigned char plt[] = {11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22};
	uint64_t registers[CFI_REGISTERS] = {[7] = 1000, [16] = 0x400}, value = 0;
	struct cfi e = {.data = plt, .size = sizeof(plt), .wide = true};

	CHECK(cfi_evaluate(&e, 0, registers, false, 0, read_nothing, NULL, &value) && value == 1008);
	registers[16] = 0x40b;
	CHECK(cfi_evaluate(&e, 0, registers, false, 0, read_nothing, NULL, &value) && value == 1016);
	e.size--; /* cut */
	CHECK(!cfi_evaluate(&e, 0, registers, false, 0, read_nothing, NULL, &value));
	static const unsigned char for_ever[] = {3, 0x2f, 0xfd, 0xff};
	struct cfi w = {.data = for_ever, .size = sizeof(for_ever), .wide = true};

	CHECK(!cfi_evaluate(&w, 0, registers, false, 0, read_nothing, NULL, &value));
}

static uint64_t state;

static uint64_t next_random(void)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return state >> 33;
}

static void fuzz(uint64_t seed, long rounds)
{
	static unsigned char data[600];

	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (long i = 0; i < rounds; i++) {
		usual();
		memcpy(data, section, length);
		for (size_t n = next_random() % 6; n > 0; n--)
			data[next_random() % length] = (unsigned char)next_random();
		all(data, next_random() % 8 ? length : next_random() % (length + 1));
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "fuzz") == 0)
		fuzz(strtoull(argv[2], NULL, 10), atol(argv[3]));
	else
		cases();
	return failures > 0;
}
#endif
