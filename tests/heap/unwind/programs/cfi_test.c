/* cfi_test cases | cfi_test fuzz SEED ROUNDS: checks unwind_cfi.c; built with sanitizers.
 *
 * The tables are copied to memory of their very size: a parser that reads one byte too far is caught. As a libFuzzer
 * target (-DLIBFUZZER -fsanitize=fuzzer) it takes what libFuzzer invents. */
#include <assert.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unwind_cfi.h"

static void sane(const struct cfi_rule *rule)
{
	uint64_t word = cfi_pack(rule);
	struct cfi_rule again;

	assert(rule->kind <= CFI_LOST && rule->ra <= CFI_GONE && rule->fp <= CFI_GONE);
	if (word == 0)
		return;
	again = cfi_unpack(word);
	assert(again.kind == rule->kind && again.ra == rule->ra && again.fp == rule->fp);
	assert(again.offset == rule->offset && again.ra_offset == rule->ra_offset && again.fp_offset == rule->fp_offset);
	if (rule->kind == CFI_DEREF_SP || rule->kind == CFI_DEREF_FP)
		assert(again.add == rule->add);
}

static struct cfi_part copied(const void *bytes, size_t len, uint64_t address)
{
	unsigned char *copy = malloc(len ? len : 1);

	assert(copy);
	if (len)
		memcpy(copy, bytes, len);
	return (struct cfi_part){.bytes = copy, .len = len, .address = address};
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Two bytes: how long the header is; two: where in the code; then the header and the table. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cfi_image image = {.count = 2, .header = 0x10000};
	struct cfi_rule rule;
	uint16_t header, pc;

	if (size < 4)
		return 0;
	memcpy(&header, data, 2);
	memcpy(&pc, data + 2, 2);
	data += 4, size -= 4;
	if (header > size)
		header = (uint16_t)size;
	image.parts[0] = copied(data, header, 0x10000);
	image.parts[1] = copied(data + header, size - header, 0x20000);
	rule = cfi_find(&image, 0x30000 + pc);
	sane(&rule);
	image.parts[1].address = UINT64_MAX - image.parts[1].len; /* sums that wrap */
	rule = cfi_find(&image, UINT64_MAX - pc);
	sane(&rule);
	free((void *)image.parts[0].bytes);
	free((void *)image.parts[1].bytes);
	return 0;
}
#else

static int failures;

static void expect(const char *what, int64_t actual, int64_t expected)
{
	if (actual == expected)
		return;
	failures++;
	printf("%s: expected %lld, got %lld\n", what, (long long)expected, (long long)actual);
}

#if defined(__x86_64__)
#define CODE_ALIGN 1
#define DATA_ALIGN 0x78 /* -8 */
#define INITIAL 0x0c, CFI_SP, 8, 0x80 + CFI_RA, 1
#else
#define CODE_ALIGN 1
#define DATA_ALIGN 0x78
#define INITIAL 0x0c, CFI_SP, 0
#endif

/* A header without an index, a CIE and an FDE of the 64 bytes of code at 0x5000 with the given instructions. */
static struct cfi_rule rule_of(const unsigned char *instructions, size_t len, uint64_t pc)
{
	unsigned char header[8] = {1, 0x1b, 0xff, 0xff, 0xfc, 0x0f, 0, 0}; /* the table is 0x1000 further on */
	unsigned char table[256] = {0}, *at = table;
	const unsigned char common[] = {0, 0, 0, 0, 1, 'z', 'R', 0, CODE_ALIGN, DATA_ALIGN, CFI_RA, 1, 0x04, INITIAL};
	uint64_t start = 0x5000, size = 64;
	uint32_t n;
	struct cfi_image image = {.count = 2, .header = 0x1000};
	struct cfi_rule rule;

	n = sizeof(common), memcpy(at, &n, 4), at += 4;
	memcpy(at, common, sizeof(common)), at += sizeof(common);
	n = (uint32_t)(4 + 16 + 1 + len), memcpy(at, &n, 4), at += 4;
	n = (uint32_t)(at - table), memcpy(at, &n, 4), at += 4;
	memcpy(at, &start, 8), memcpy(at + 8, &size, 8), at += 16;
	*at++ = 0;
	memcpy(at, instructions, len), at += len;
	image.parts[0] = copied(header, sizeof(header), 0x1000);
	image.parts[1] = copied(table, (size_t)(at - table) + 4, 0x2000);
	rule = cfi_find(&image, pc);
	sane(&rule);
	/* Cut anywhere, it tells something or nothing, and reads no byte too many. */
	for (size_t cut = 0; cut < image.parts[1].len; cut++) {
		struct cfi_image shorter = image;
		struct cfi_rule other;

		shorter.parts[1] = copied(table, cut, 0x2000);
		other = cfi_find(&shorter, pc);
		sane(&other);
		free((void *)shorter.parts[1].bytes);
	}
	free((void *)image.parts[0].bytes);
	free((void *)image.parts[1].bytes);
	return rule;
}
#define RULE(pc, ...) rule_of((const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}), pc)

static void cases(void)
{
	struct cfi_rule r;

	r = RULE(0x5040, 0x00);
	expect("behind the function", r.kind, CFI_NONE);
	r = RULE(0x4fff, 0x00);
	expect("before the function", r.kind, CFI_NONE);
	r = RULE(0x5000, 0x41, 0x0e, 16, 0x80 + CFI_FP, 2, 0x43, 0x0d, CFI_FP);
	expect("first instruction: from the stack pointer", r.kind, CFI_FROM_SP);
	expect("first instruction: frame pointer unchanged", r.fp, CFI_SAME);
	r = RULE(0x5001, 0x41, 0x0e, 16, 0x80 + CFI_FP, 2, 0x43, 0x0d, CFI_FP);
	expect("pushed: offset", r.offset, 16);
	expect("pushed: where", r.fp, CFI_AT_CFA);
	expect("pushed: at", r.fp_offset, -16);
	r = RULE(0x5004, 0x41, 0x0e, 16, 0x80 + CFI_FP, 2, 0x43, 0x0d, CFI_FP);
	expect("moved: from the frame pointer", r.kind, CFI_FROM_FP);
	r = RULE(0x5008, 0x0e, 32, 0x0a, 0x44, 0x0e, 8, 0x41, 0x0b, 0x42, 0x00);
	expect("remembered and restored", r.offset, 32);
	r = RULE(0x5004, 0x0e, 32, 0x0a, 0x44, 0x0e, 8, 0x41, 0x0b, 0x42, 0x00);
	expect("remembered, changed", r.offset, 8);
	r = RULE(0x5000, 0x0b);
	expect("restored, never remembered", r.kind, CFI_LOST);
	r = RULE(0x5000, 0x07, CFI_RA);
	expect("no return address", r.kind, CFI_END);
	r = RULE(0x5000, 0x0f, 3, 0x70 + CFI_FP, 0x78, 0x06, 0x10, CFI_FP, 2, 0x70 + CFI_FP, 0);
	expect("aligned stack: read at the frame pointer", r.kind, CFI_DEREF_FP);
	expect("aligned stack: less 8", r.offset, -8);
	expect("aligned stack: frame pointer", r.fp, CFI_AT_FP);
	r = RULE(0x5000, 0x0f, 5, 0x90, 0x40, 0x06, 0x23, 0x08);
	expect("another register", r.kind, CFI_LOST);
	r = RULE(0x5000, 0x0f, 5, 0x70 + CFI_SP, 0x18, 0x06, 0x23, 0x08);
	expect("kept on the stack", r.kind, CFI_DEREF_SP);
	expect("kept on the stack: at", r.offset, 24);
	expect("kept on the stack: plus", r.add, 8);
	r = RULE(0x5009, 0x0f, 11, 0x70 + CFI_SP, 8, 0x70 + CFI_RA, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22);
	expect("PLT, nothing pushed", r.offset, 8);
	r = RULE(0x501b, 0x0f, 11, 0x70 + CFI_SP, 8, 0x70 + CFI_RA, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22);
	expect("PLT, pushed", r.offset, 16);
	r = RULE(0x5000, 0x0c, 3, 16);
	expect("from a register that is not followed", r.kind, CFI_LOST);
	r = RULE(0x5000, 0x3e);
	expect("an unknown instruction", r.kind, CFI_LOST);
	r = RULE(0x5000, 0x0e, 0x80, 0x80, 0x80, 0x10);
	expect("a frame of 32 MiB", r.offset, 32 << 20);
	expect("does not fit in a word", cfi_pack(&r) == 0, 1);
}

static struct cfi_image own;

static int find_own(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + header->p_vaddr;

		if (header->p_type == PT_GNU_EH_FRAME)
			own.header = at;
		if (header->p_type == PT_LOAD && header->p_flags & PF_R && own.count < CFI_PARTS)
			own.parts[own.count++] = (struct cfi_part){(const unsigned char *)at, header->p_filesz, at};
	}
	return 1;
}

static uint64_t state;

static uint64_t random64(void)
{
	state += 0x9e3779b97f4a7c15u;
	uint64_t z = (state ^ state >> 30) * 0xbf58476d1ce4e5b9u;

	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void fuzz(long rounds)
{
	static const unsigned char odd[] = {0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x0b, 0x0f, 0x10, 0x16, 0x3b, 0x1b, 'z', 'P', 'L', 'R', 'S'};
	const struct cfi_part *part = NULL;
	struct cfi_image image = {.count = 1, .header = own.header};
	size_t from;
	unsigned long found = 0;

	for (unsigned i = 0; i < own.count; i++) {
		if (own.header - own.parts[i].address < own.parts[i].len)
			part = &own.parts[i];
	}
	assert(part);
	from = own.header - part->address; /* linkers put .eh_frame right behind */
	for (long round = 0; round < rounds; round++) {
		size_t len = part->len - from;
		unsigned char *bytes;

		if (random64() % 8 == 0)
			len = random64() % len;
		image.parts[0] = copied(part->bytes + from, len, own.header);
		bytes = (unsigned char *)image.parts[0].bytes;
		for (unsigned n = round % 16 == 0 ? 0 : (unsigned)(random64() % 40); n > 0 && len > 0; n--) {
			size_t at = random64() % (random64() % 4 == 0 ? len : len < 64 ? len : 64);

			if (random64() % 2)
				at = random64() % len;
			bytes[at] = random64() % 2 ? odd[random64() % sizeof(odd)] : (unsigned char)random64();
		}
		for (int i = 0; i < 20; i++) {
			struct cfi_rule rule = cfi_find(&image, (uintptr_t)&fuzz - 0x4000 + random64() % 0x8000);

			sane(&rule);
			found += rule.kind != CFI_NONE;
		}
		free(bytes);
	}
	assert(found > (unsigned long)rounds); /* the tables were really read */
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "fuzz") == 0) {
		dl_iterate_phdr(find_own, NULL);
		state = strtoull(argv[2], NULL, 10);
		fuzz(strtol(argv[3], NULL, 10));
		return 0;
	}
	cases();
	return failures != 0;
}
#endif
