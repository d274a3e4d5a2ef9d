/* ledger_test cases | ledger_test fuzz SEED ROUNDS: checks how the text of smaps becomes rows (smaps.c, rows.c); built
 * with sanitizers. As a libFuzzer target (-DLIBFUZZER -fsanitize=fuzzer) it takes what libFuzzer invents. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "ledger_cases.h"

#define KIB(bytes) ((bytes) < 0 ? -1 : (bytes) / 1024)

static struct rows rows;
static unsigned char out[HW_LEDGER_ROWS_MAX * sizeof(struct hw_ledger_row) + 16 * 1024];
static size_t out_len;
static uint32_t out_rows;
static int64_t rss_fed;
static int failures;

static bool on_tmpfs(uint32_t major, uint32_t minor)
{
	return major == 0 && minor == 0x17;
}

static void take(void *context, const struct vma *v)
{
	assert(v->is.start <= v->is.end && v->name_len <= sizeof(v->name));
	if (v->is.value[VMA_RSS] > 0)
		rss_fed += v->is.value[VMA_RSS];
	rows_add(context, v);
}

/* In pieces of this size, each in memory of its own: a byte too far is caught. */
static void feed(const char *text, size_t len, size_t piece, const uint64_t *stack_pointers, size_t count, int64_t stack_limit)
{
	static struct smaps smaps;

	rss_fed = 0;
	rows_begin(&rows);
	rows.stack_pointers = stack_pointers;
	rows.stack_pointer_count = count;
	rows.stack_limit = stack_limit;
	rows.page_size = 4096;
	rows.on_tmpfs = on_tmpfs;
	smaps.lines.used = smaps.count = 0;
	smaps.open = false;
	smaps.each = take;
	smaps.context = &rows;
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		char *copy = malloc(n);

		assert(copy);
		memcpy(copy, text + at, n);
		smaps_feed(&smaps, copy, n);
		free(copy);
	}
	smaps_end(&smaps);
	out_len = rows_write(&rows, out, sizeof(out), &out_rows);
}

static size_t row_at(size_t at, struct hw_ledger_row *row)
{
	assert(at + sizeof(*row) <= out_len);
	memcpy(row, out + at, sizeof(*row));
	at += sizeof(*row) + ((row->name_len + 7u) & ~7u);
	assert(at <= out_len);
	return at;
}

static void check_invariants(void)
{
	struct hw_ledger_row row;
	int64_t sum = 0, before = INT64_MAX;
	size_t at = 0;

	assert(out_rows <= HW_LEDGER_ROWS_MAX);
	for (uint32_t i = 0; i < out_rows; i++) {
		at = row_at(at, &row);
		assert(row.kind > 0 && row.kind < HW_MAP_KINDS && row.count > 0);
		assert(row.rss_bytes <= before && row.rss_bytes >= -1);
		before = row.rss_bytes;
		sum += row.rss_bytes > 0 ? row.rss_bytes : 0;
	}
	assert(at == out_len && sum == rss_fed);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t pointers[] = {0x1000, 0x7f1000700000};
	struct mount_line mount;

	feed((const char *)data, size, size ? size : 1, pointers, 2, 8 << 20);
	check_invariants();
	feed((const char *)data, size, 7, pointers, 2, -1);
	check_invariants();
	(void)parse_mount((const char *)data, size, &mount);
	(void)parse_stack_pointer((const char *)data, size);
	(void)parse_stack_limit((const char *)data, size);
	return 0;
}
#else

static const char *const kinds[] = {"?",	"HEAP",	 "STACK",   "THREAD_STACK",   "ANON", "ANON_NAMED",
				    "FILE",	"SHMEM", "SPECIAL", "UNMAPPED_SHMEM", "ARENA"};

static void render(char *text, size_t room)
{
	struct hw_ledger_row row;
	size_t at = 0, begin;

	*text = 0;
	for (uint32_t i = 0; i < out_rows; i++) {
		begin = at;
		at = row_at(at, &row);
		size_t n = strlen(text);

		snprintf(text + n, room - n, "%s %u %" PRIx64 " %u %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %.*s\n",
			 kinds[row.kind], row.count, row.start, row.flags, KIB(row.size_bytes), KIB(row.rss_bytes),
			 KIB(row.private_bytes), KIB(row.anon_bytes), (int)row.name_len,
			 (const char *)out + begin + sizeof(row));
	}
}

static void expect_text(const char *name, const char *actual, const char *expected)
{
	if (strcmp(actual, expected) == 0)
		return;
	failures++;
	printf("%s: expected\n%sgot\n%s", name, expected, actual);
}

static void expect(const char *what, int64_t actual, int64_t expected)
{
	if (actual == expected)
		return;
	failures++;
	printf("%s: expected %" PRId64 ", got %" PRId64 "\n", what, expected, actual);
}
#define EXPECT(actual, expected) expect(#actual, (int64_t)(actual), (int64_t)(expected))

static void one_case(const struct ledger_case *c)
{
	static char text[64 * 1024];
	static const size_t pieces[] = {1, 2, 3, 61, 4096, 1 << 20};
	size_t count = 0;

	while (count < 4 && c->stack_pointers[count])
		count++;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		feed(c->text, strlen(c->text), pieces[i], c->stack_pointers, count, c->stack_limit);
		check_invariants();
		render(text, sizeof(text));
		expect_text(c->name, text, c->rows);
	}
	for (size_t len = 0; len < strlen(c->text); len += 3) {
		feed(c->text, len, len, c->stack_pointers, count, c->stack_limit);
		check_invariants();
	}
}

/* More of everything than there is room for. */
static void check_bounds(void)
{
	const size_t room = 40000000;
	char *text = malloc(room);
	size_t n = 0;
	struct hw_ledger_row row;
	uint32_t anon = 0, rest = 0;

	assert(text);
	for (unsigned i = 0; i < 30000; i++) {
		unsigned long long start = 0x7f0000000000ull + i * 0x4000ull;

		n += (size_t)snprintf(text + n, room - n, "%llx-%llx rw-p 00000000 00:00 0 \nRss: %u kB\n", start, start + 0x1000,
				      8 + i % 4);
		n += (size_t)snprintf(text + n, room - n, "%llx-%llx r--p 00000000 08:01 %u   /lib/%u.so\nRss: 4 kB\n",
				      start + 0x1000, start + 0x2000, i, i);
	}
	n += (size_t)snprintf(text + n, room - n, "7fff00000000-7fff00001000 r--p 00000000 08:01 5 /");
	memset(text + n, 'x', 9000); /* longer than any path */
	n += 9000;
	n += (size_t)snprintf(text + n, room - n, "\nRss: 999 kB\n");
	feed(text, n, 4096, NULL, 0, -1);
	check_invariants();
	EXPECT(rows.merged, true);
	for (size_t i = 0, at = 0; i < out_rows; i++) {
		at = row_at(at, &row);
		anon += row.kind == HW_MAP_ANON;
		rest += row.kind == HW_MAP_FILE && row.name_len == 0;
	}
	EXPECT(anon, HW_LEDGER_ANON_MAX + 1), EXPECT(rest, 1);
	free(text);
}

static void check_unmapped(void)
{
	static const char text[] = "1000-5000 rw-s 00000000 00:17 7 /dev/shm/a\nRss: 8 kB\nAnonymous: 0 kB\n"
				   "5000-9000 rw-p 00000000 00:17 7 /dev/shm/a\nRss: 8 kB\nAnonymous: 4 kB\n";
	char got[1024];

	feed(text, sizeof(text) - 1, 4096, NULL, 0, -1);
	EXPECT(rows_mapped(&rows, 0, 0x17, 7), 12 * 1024), EXPECT(rows_mapped(&rows, 0, 0x17, 8), 0);
	rows_add_unmapped(&rows, "/memfd:x (deleted)", 18, 3 << 20);
	rows_add_unmapped(&rows, "/memfd:x (deleted)", 18, 1 << 20);
	out_len = rows_write(&rows, out, sizeof(out), &out_rows);
	check_invariants();
	render(got, sizeof(got));
	expect_text("unmapped", got, "SHMEM 2 1000 43 32 16 -1 4 /dev/shm/a\nUNMAPPED_SHMEM 2 0 48 4096 0 -1 -1 /memfd:x\n");
}

static bool mount(const char *line, struct mount_line *m)
{
	return parse_mount(line, strlen(line), m);
}

static void check_rest(void)
{
	struct mount_line m;

	EXPECT(mount("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw", &m), true);
	EXPECT(m.id, 36), EXPECT(m.major, 98), EXPECT(m.tmpfs, false);
	EXPECT(mount("25 1 0:23 / /dev/shm rw - tmpfs tmpfs rw,size=1k", &m), true), EXPECT(m.minor, 23), EXPECT(m.tmpfs, true);
	EXPECT(mount("25 1 0:6 / /dev rw shared:2 - devtmpfs udev rw", &m), true), EXPECT(m.tmpfs, true);
	EXPECT(mount("25 1 0:23 / /dev/shm rw", &m), false), EXPECT(mount("25 1 0:23 / / rw -", &m), false);
	EXPECT(mount("25 1 0:23 / / rw - ", &m), true), EXPECT(m.tmpfs, false), EXPECT(mount("", &m), false);

#define POINTER(text) parse_stack_pointer(text, sizeof(text) - 1)
	EXPECT(POINTER("34 0x0 0x0 0x2 0x8 0x0 0x7ffc 0x7fd1cd2b1eb0 0x7fd1cdb8adf2\n"), 0x7fd1cd2b1eb0);
	EXPECT(POINTER("-1 0xbeef 0x1\n"), 0xbeef), EXPECT(POINTER("running\n"), 0), EXPECT(POINTER(""), 0);
	EXPECT(POINTER("0x1 0x2"), 0), EXPECT(POINTER(" "), 0), EXPECT(POINTER("  "), 0), EXPECT(POINTER("a zzz 0x1"), 0);
#define LIMIT(text) parse_stack_limit(text, sizeof(text) - 1)
	EXPECT(LIMIT("Limit Soft\nMax stack size            8388608              unlimited            bytes     \n"), 8388608);
	EXPECT(LIMIT("Max stack size            unlimited            unlimited            bytes     \n"), -1), EXPECT(LIMIT(""), -1);
	EXPECT(without_deleted("/a (deleted)", 12), 2), EXPECT(without_deleted(" (deleted)", 10), 0), EXPECT(without_deleted("/a", 2), 2);
}

static uint64_t state;

static size_t below(size_t n) /* xorshift64 */
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return n ? (size_t)(state % n) : 0;
}

static void fuzz(uint64_t seed, long rounds)
{
	static char text[16384];
	static const char bytes[] = "\n:- 0f[]pwrs/gu()9";
	const size_t cases = sizeof(ledger_cases) / sizeof(*ledger_cases);

	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (long i = 0; i < rounds; i++) {
		const struct ledger_case *c = &ledger_cases[below(cases)], *other = &ledger_cases[below(cases)];
		size_t len = strlen(c->text), cut = below(strlen(other->text) + 1);

		memcpy(text, c->text, len);
		for (size_t n = 1 + below(8); n > 0 && len > 0; n--)
			text[below(len)] = below(4) ? bytes[below(sizeof(bytes) - 1)] : (char)below(256);
		len = below(len + 1);
		if (len + strlen(other->text) - cut <= sizeof(text)) {
			memcpy(text + len, other->text + cut, strlen(other->text) - cut);
			len += strlen(other->text) - cut;
		}
		feed(text, len, 1 + below(5000), c->stack_pointers, 1, c->stack_limit);
		check_invariants();
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "fuzz") == 0) {
		fuzz(strtoull(argv[2], NULL, 10), atol(argv[3]));
		return 0;
	}
	for (size_t i = 0; i < sizeof(ledger_cases) / sizeof(*ledger_cases); i++)
		one_case(&ledger_cases[i]);
	check_bounds();
	check_unmapped();
	check_rest();
	return failures > 0;
}
#endif
