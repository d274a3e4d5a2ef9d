/* spaces_test SEED ROUNDS: holds what is mapped where against a model that knows each page; built with sanitizers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor.h"

#define PAGES 200
#define PAGE 4096

/* What spaces.c needs of other parts. */
uint32_t object_find(uint64_t device, uint64_t inode, const char *path, size_t path_len)
{
	(void)device;
	return path_len == 9 && memcmp(path, "/bin/file", 9) == 0 ? (uint32_t)inode : HW_NONE;
}

ssize_t read_file(const char *path, char *buf, size_t size)
{
	static const char text[] =
		"00400000-00401000 r-xp 00002000 08:01 77                 /bin/file\n"
		"not a line of it\n"
		"7f0000000000-7f0000002000 rw-p 00000000 00:00 0 \n"
		"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0          [stack]\n";

	if (strcmp(path, "/proc/7/maps") != 0 || size < sizeof(text))
		return -1;
	memcpy(buf, text, sizeof(text));
	return sizeof(text) - 1;
}

static uint64_t state;

static uint64_t next_random(void)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return state >> 33;
}

static int failures;

#define CHECK(condition)                                                                                       \
	do {                                                                                                   \
		if (!(condition)) {                                                                            \
			printf("%d: %s\n", __LINE__, #condition);                                              \
			failures++;                                                                            \
		}                                                                                              \
	} while (0)

struct page {
	uint32_t object;
	uint64_t offset;
};

static void compare(const struct space *s, const struct page *pages)
{
	for (unsigned i = 0; i < PAGES; i++) {
		const struct mapping *m = space_find(s, (uint64_t)i * PAGE + 17);

		if (pages[i].object == 0) {
			CHECK(!m);
			continue;
		}
		CHECK(m && m->object == pages[i].object && m->offset + (uint64_t)i * PAGE - m->start == pages[i].offset);
	}
	for (size_t i = 0; i < s->count; i++) {
		CHECK(s->mappings[i].start < s->mappings[i].end);
		CHECK(i == 0 || s->mappings[i - 1].end <= s->mappings[i].start);
	}
}

static void at_random(long rounds)
{
	static struct page pages[PAGES];
	struct space s = {0}, copy = {0};

	for (long round = 0; round < rounds; round++) {
		unsigned start = (unsigned)(next_random() % PAGES), len = 1 + (unsigned)(next_random() % 40);
		struct mapped m = {.inode = 1 + (uint64_t)round, .offset = next_random() % 50 * PAGE, .name = "/bin/file",
				   .name_len = 9, .protection = 5};

		if (start + len > PAGES)
			len = PAGES - start;
		m.start = (uint64_t)start * PAGE;
		m.len = (uint64_t)len * PAGE;
		space_map(&s, &m);
		for (unsigned i = 0; i < len; i++)
			pages[start + i] = (struct page){(uint32_t)m.inode, m.offset + (uint64_t)i * PAGE};
		compare(&s, pages);
	}
	space_copy(&copy, &s);
	space_clear(&s);
	compare(&copy, pages);
	space_clear(&copy);
	CHECK(!space_find(&s, 0) && !space_find(&copy, 0));
}

static uint16_t kind(const char *name, uint32_t flags)
{
	struct space s = {0};
	struct mapped m = {.start = PAGE, .len = PAGE, .name = name, .name_len = strlen(name), .flags = flags};

	space_map(&s, &m);
	uint16_t found = space_find(&s, PAGE)->kind;

	space_clear(&s);
	return found;
}

static void kinds_and_files(void)
{
	struct space s = {0};
	const struct mapping *m;

	CHECK(kind("//anon", 0) == HW_FAULT_ANON && kind("", 0) == HW_FAULT_ANON);
	CHECK(kind("[heap]", 0) == HW_FAULT_HEAP && kind("[stack]", 0) == HW_FAULT_STACK_MEMORY);
	CHECK(kind("[vdso]", 0) == HW_FAULT_SPECIAL && kind("/bin/file", 0) == HW_FAULT_FILE);
	CHECK(kind("/memfd:x (deleted)", 0) == HW_FAULT_SHMEM && kind("/dev/zero (deleted)", 0) == HW_FAULT_SHMEM);
	CHECK(kind("//anon", 0x40000) == HW_FAULT_HUGETLB);
	CHECK(!space_read(&s, 8) && s.count == 0);
	CHECK(space_read(&s, 7) && s.count == 3);
	m = space_find(&s, 0x400010);
	CHECK(m && m->executable && m->object == 77 && m->offset == 0x2000);
	m = space_find(&s, 0x7f0000001fff);
	CHECK(m && !m->executable && m->kind == HW_FAULT_ANON);
	CHECK(space_find(&s, 0x7ffc00000000)->kind == HW_FAULT_STACK_MEMORY);
	space_clear(&s);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	state = strtoull(argv[1], NULL, 10);
	kinds_and_files();
	at_random(atol(argv[2]));
	return failures > 0;
}
