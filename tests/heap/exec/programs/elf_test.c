/* elf_test cases | elf_test fuzz SEED ROUNDS: checks elf.c; built with sanitizers. As a libFuzzer target
 * (-DLIBFUZZER -fsanitize=fuzzer) it takes what libFuzzer invents. */
#include <assert.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "elf.h"

static void *copied(const void *bytes, size_t len)
{
	void *copy = malloc(len ? len : 1); /* of its very size: a byte too far is caught */

	assert(copy);
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

static void all_parsers(const unsigned char *bytes, size_t len)
{
	unsigned char *copy = copied(bytes, len);
	char *text = malloc(len + 1), *to;
	struct elf_shape shape;
	struct elf_bytes where;
	enum elf_verdict verdict;
	bool changed;
	size_t n;

	if (elf_shape(copy, len, &shape, &verdict))
		assert(verdict == ELF_FOLLOWED && shape.count > 0);
	else
		assert(verdict == ELF_FOLLOWED || verdict == ELF_OTHER_MACHINE);
	elf_linker(copy, len, &where);
	verdict = elf_judge((char *)copy, len);
	assert(verdict == ELF_FOLLOWED || verdict == ELF_OTHER_LIBC);
	for (size_t room = 1; room < 40; room += 13) {
		to = malloc(room);
		n = script_interpreter((char *)copy, len, to, room);
		assert(n < room && (n == 0 || strlen(to) <= n));
		free(to);
	}
	memcpy(text, copy, len);
	text[len] = '\0';
	to = malloc(strlen(text) + 1); /* never longer than it was */
	n = preload_without(text, "libx.so", to, strlen(text) + 1, &changed);
	assert(n != (size_t)-1 && n <= strlen(text) && strlen(to) == n);
	assert(changed || n > 0 || strspn(text, " :") == strlen(text));
	free(to);
	for (size_t room = 1; room < 30; room += 7) {
		to = malloc(room);
		n = preload_without(text, "libx.so", to, room, &changed);
		assert(n == (size_t)-1 || n < room);
		free(to);
	}
	free(text);
	free(copy);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	all_parsers(data, size);
	return 0;
}
#else

static int failures;

static void expect(const char *what, long actual, long expected)
{
	if (actual == expected)
		return;
	failures++;
	printf("%s: expected %ld, got %ld\n", what, expected, actual);
}

static void preload(const char *value, const char *expected)
{
	char to[200];
	bool changed;
	size_t n = preload_without(value, "libx.so", to, sizeof(to), &changed);

	if (n == strlen(expected) && strcmp(to, expected) == 0)
		return;
	failures++;
	printf("%s: expected %s, got %s\n", value, expected, to);
}

static void script(const char *text, const char *expected)
{
	char to[32] = "";
	size_t n = script_interpreter(text, strlen(text), to, sizeof(to));

	if (n == strlen(expected) && strcmp(to, expected) == 0)
		return;
	failures++;
	printf("%s: expected %s, got %s\n", text, expected, to);
}

static void cases(void)
{
	extern const char __ehdr_start[];
	unsigned char header[sizeof(ElfW(Ehdr))];
	enum elf_verdict verdict;
	struct elf_shape shape;
	struct elf_bytes where;
	const char *musl = "/lib/ld-musl-x86_64.so.1";

	memcpy(header, __ehdr_start, sizeof(header));
	expect("this program", elf_shape(header, sizeof(header), &shape, &verdict), true);
	expect("its dynamic linker", elf_linker((const unsigned char *)__ehdr_start + shape.headers,
						 shape.count * sizeof(ElfW(Phdr)), &where), true);
	expect("is glibc's", elf_judge(__ehdr_start + where.offset, (size_t)where.len), ELF_FOLLOWED);
	expect("musl's is not", elf_judge(musl, strlen(musl) + 1), ELF_OTHER_LIBC);
	header[EI_CLASS] ^= 3;
	elf_shape(header, sizeof(header), &shape, &verdict);
	expect("another word size", verdict, ELF_OTHER_MACHINE);
	header[EI_CLASS] ^= 3;
	header[18] ^= 0x55;
	elf_shape(header, sizeof(header), &shape, &verdict);
	expect("another processor", verdict, ELF_OTHER_MACHINE);
	expect("no ELF file", elf_shape((const unsigned char *)"hello, world, no ELF", 20, &shape, &verdict), false);
	expect("may be followed", verdict, ELF_FOLLOWED);

	preload("libx.so", "");
	preload("/a/libx.so", "");
	preload("/a/libx.so:/b/liby.so", "/b/liby.so");
	preload("/b/liby.so /a/libx.so  /c.so", "/b/liby.so:/c.so");
	preload("/a/libx.so.2 mylibx.so", "/a/libx.so.2:mylibx.so");
	preload("", "");

	script("#!/bin/sh\n", "/bin/sh");
	script("#! /usr/bin/env python3\n", "/usr/bin/env");
	script("#!\t/bin/sh", "/bin/sh");
	script("#!\n/bin/sh", "");
	script("#!/a/path/that/is/too/long/for/the/room\n", "");
	script("# /bin/sh", "");
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
	extern const char __ehdr_start[];
	static const char *const texts[] = {"#!/bin/sh -e\n", "/a/libx.so:/b/liby.so libx.so :x", "/lib64/ld-linux-x86-64.so.2"};
	unsigned char bytes[1024];

	for (long round = 0; round < rounds; round++) {
		size_t len;

		if (round % 2) {
			const char *text = texts[random64() % 3];

			len = strlen(text);
			memcpy(bytes, text, len);
		} else {
			len = sizeof(bytes);
			memcpy(bytes, __ehdr_start, len);
		}
		if (random64() % 4 == 0)
			len = random64() % (len + 1);
		for (unsigned n = (unsigned)(random64() % 12); n > 0 && len > 0; n--)
			bytes[random64() % (random64() % 2 || len < 64 ? len : 64)] =
				random64() % 2 ? (unsigned char)random64() : (unsigned char)" :/\0\n#!"[random64() % 7];
		all_parsers(bytes, len);
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "fuzz") == 0) {
		state = strtoull(argv[2], NULL, 10);
		fuzz(strtol(argv[3], NULL, 10));
		return 0;
	}
	cases();
	return failures != 0;
}
#endif
