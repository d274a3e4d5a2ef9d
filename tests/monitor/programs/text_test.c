/* text_test cases | text_test fuzz SEED ROUNDS: checks the parsers of text.c; built with sanitizers.
 *
 * Each text stands at the end of memory of its very size, without a NUL behind it: a parser that reads one byte too
 * far is caught. As a libFuzzer target (-DLIBFUZZER -fsanitize=fuzzer) it takes what libFuzzer invents. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor.h"
#include "text_cases.h"

static void sane(int64_t value)
{
	assert(value >= -1);
}

static void all_parsers(const char *text, size_t len)
{
	struct statm statm;
	struct status status;
	struct stat_line stat;
	struct rollup rollup;

	if (parse_statm(text, len, &statm))
		assert(statm.rss >= 0 && statm.shared >= 0 && statm.text >= 0);
	if (parse_status(text, len, &status)) {
		assert(status.name_len <= sizeof(status.name));
		sane(status.hwm), sane(status.rss), sane(status.anon), sane(status.file), sane(status.shmem);
		sane(status.swap), sane(status.pte), sane(status.hugetlb), sane(status.vm_peak), sane(status.threads), sane(status.tgid), sane(status.ppid);
	}
	if (parse_stat(text, len, &stat)) {
		assert(stat.comm_len <= sizeof(stat.comm));
		sane(stat.ppid), sane(stat.minor_faults), sane(stat.child_minor_faults);
	}
	if (parse_rollup(text, len, &rollup)) {
		assert(rollup.rss >= 0 && rollup.pss >= 0);
		sane(rollup.pss_anon), sane(rollup.private_bytes), sane(rollup.swap), sane(rollup.anon_huge);
	}
	sane(parse_last_pid(text, len));
	sane(find_number(text, len, "MemTotal:"));
}

static void in_its_own_memory(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert(copy);
	memcpy(copy, text, len);
	all_parsers(copy, len);
	free(copy);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in_its_own_memory((const char *)data, size);
	return 0;
}
#else

#define TEXT(name) {#name, name, sizeof(name) - 1}
static const struct {
	const char *name, *text;
	size_t len;
} texts[] = {TEXT(linux_statm),	  TEXT(linux_status), TEXT(old_status),	  TEXT(gvisor_status), TEXT(zombie_status),
	     TEXT(kthread_status), TEXT(wsl1_status),  TEXT(odd_status),   TEXT(linux_stat),    TEXT(odd_stat),
	     TEXT(zombie_stat),	  TEXT(linux_rollup), TEXT(old_rollup),	  TEXT(linux_loadavg), TEXT(gvisor_loadavg),
	     TEXT(linux_meminfo)};
#define TEXTS (sizeof(texts) / sizeof(*texts))

static int failures;

static void expect(const char *what, int64_t actual, int64_t expected)
{
	if (actual == expected)
		return;
	failures++;
	printf("%s: expected %lld, got %lld\n", what, (long long)expected, (long long)actual);
}

#define EXPECT(actual, expected) expect(#actual, (int64_t)(actual), (int64_t)(expected))
#define KIB(n) (INT64_C(1024) * (n))
#define NAME_IS(field, length, name) EXPECT(length == strlen(name) && memcmp(field, name, length) == 0, true)

static void check_status(void)
{
	struct status s;

	EXPECT(parse_status(linux_status, sizeof(linux_status) - 1, &s), true);
	NAME_IS(s.name, s.name_len, "python3");
	EXPECT(s.tgid, 4711), EXPECT(s.ppid, 4242), EXPECT(s.threads, 3);
	EXPECT(s.hwm, KIB(13504)), EXPECT(s.rss, KIB(13376)), EXPECT(s.vm_peak, KIB(20508)), EXPECT(s.swap, KIB(12));
	EXPECT(s.pte, KIB(80)), EXPECT(s.hugetlb, KIB(4096));
	EXPECT(s.anon, KIB(7040)), EXPECT(s.file, KIB(6272)), EXPECT(s.shmem, KIB(64));
	EXPECT(s.ignores_sigchld, true), EXPECT(s.zombie, false);

	EXPECT(parse_status(old_status, sizeof(old_status) - 1, &s), true);
	EXPECT(s.hwm, KIB(1500)), EXPECT(s.rss, KIB(1400)), EXPECT(s.anon, -1), EXPECT(s.file, -1), EXPECT(s.shmem, -1);
	EXPECT(s.pte, -1), EXPECT(s.hugetlb, -1);
	EXPECT(s.ignores_sigchld, false);

	EXPECT(parse_status(gvisor_status, sizeof(gvisor_status) - 1, &s), true);
	EXPECT(s.hwm, -1), EXPECT(s.vm_peak, -1), EXPECT(s.rss, KIB(1804)), EXPECT(s.anon, -1), EXPECT(s.threads, 1);

	EXPECT(parse_status(zombie_status, sizeof(zombie_status) - 1, &s), true);
	NAME_IS(s.name, s.name_len, "defunct one");
	EXPECT(s.zombie, true), EXPECT(s.rss, -1), EXPECT(s.hwm, -1), EXPECT(s.ppid, 98);

	EXPECT(parse_status(kthread_status, sizeof(kthread_status) - 1, &s), true);
	EXPECT(s.rss, -1), EXPECT(s.zombie, false);

	EXPECT(parse_status(wsl1_status, sizeof(wsl1_status) - 1, &s), true);
	EXPECT(s.rss, 0), EXPECT(s.hwm, 0);

	EXPECT(parse_status(odd_status, sizeof(odd_status) - 1, &s), true);
	NAME_IS(s.name, s.name_len, " VmRSS: 1 kB) Z");
	EXPECT(s.hwm, -1), EXPECT(s.rss, -1), EXPECT(s.anon, -1), EXPECT(s.threads, -1), EXPECT(s.zombie, false);

	EXPECT(parse_status("", 0, &s), false);
	EXPECT(parse_status("\n\n\n", 3, &s), false);
}

static void check_stat(void)
{
	struct stat_line s;

	EXPECT(parse_stat(linux_stat, sizeof(linux_stat) - 1, &s), true);
	NAME_IS(s.comm, s.comm_len, "python3");
	EXPECT(s.state, 'S'), EXPECT(s.ppid, 4242), EXPECT(s.minor_faults, 1522), EXPECT(s.child_minor_faults, 77);
	EXPECT(parse_stat(odd_stat, sizeof(odd_stat) - 1, &s), true);
	NAME_IS(s.comm, s.comm_len, "a) Z 1 (b");
	EXPECT(s.state, 'R'), EXPECT(s.ppid, 11), EXPECT(s.minor_faults, 5), EXPECT(s.child_minor_faults, 6);
	EXPECT(parse_stat(zombie_stat, sizeof(zombie_stat) - 1, &s), true);
	EXPECT(s.state, 'Z'), EXPECT(s.ppid, 98);
	EXPECT(parse_stat("1 (x", 4, &s), false);
	EXPECT(parse_stat(")(", 2, &s), false);
	EXPECT(parse_stat("1 (x) S", 7, &s), false);
	EXPECT(parse_stat("", 0, &s), false);
}

static void check_rest(void)
{
	struct statm m;
	struct rollup r;
	int64_t n;

	EXPECT(parse_statm(linux_statm, sizeof(linux_statm) - 1, &m), true);
	EXPECT(m.rss, 844), EXPECT(m.shared, 396), EXPECT(m.text, 5);
	EXPECT(parse_statm("0 0 0 0 0 0 0\n", 14, &m), true), EXPECT(m.rss, 0);
	EXPECT(parse_statm("12 34", 5, &m), false);
	EXPECT(parse_statm("12 99999999999999999999 1 1", 27, &m), false);
	EXPECT(parse_statm("x", 1, &m), false);

	EXPECT(parse_rollup(linux_rollup, sizeof(linux_rollup) - 1, &r), true);
	EXPECT(r.rss, KIB(13376)), EXPECT(r.pss, KIB(9001)), EXPECT(r.pss_anon, KIB(7000)), EXPECT(r.pss_file, KIB(1937));
	EXPECT(r.pss_shmem, KIB(64)), EXPECT(r.private_bytes, KIB(7376)), EXPECT(r.swap, KIB(12));
	EXPECT(r.swap_pss, KIB(11)), EXPECT(r.lazyfree, KIB(16)), EXPECT(r.anon_huge, KIB(2048));
	EXPECT(parse_rollup(old_rollup, sizeof(old_rollup) - 1, &r), true);
	EXPECT(r.pss, KIB(40)), EXPECT(r.pss_anon, -1), EXPECT(r.lazyfree, -1), EXPECT(r.private_bytes, KIB(40));
	EXPECT(parse_rollup("Rss: 5 kB\n", 10, &r), false);

	EXPECT(parse_last_pid(linux_loadavg, sizeof(linux_loadavg) - 1), 29871);
	EXPECT(parse_last_pid(gvisor_loadavg, sizeof(gvisor_loadavg) - 1), 0);
	EXPECT(parse_last_pid("0.00 0.00 0.00 1/2 x", 20), -1);
	EXPECT(parse_last_pid("17", 2), -1);
	EXPECT(parse_last_pid(" \n", 2), -1);
	EXPECT(find_number(linux_meminfo, sizeof(linux_meminfo) - 1, "MemTotal:"), 24684092);
	EXPECT(find_number(linux_meminfo, sizeof(linux_meminfo) - 1, "SwapTotal:"), 0);
	EXPECT(find_number(linux_meminfo, sizeof(linux_meminfo) - 1, "Nothing:"), -1);

	EXPECT(parse_decimal("0", &n) && n == 0, true);
	EXPECT(parse_decimal("999999999999999999", &n) && n == INT64_C(999999999999999999), true);
	EXPECT(parse_decimal("9999999999999999999", &n), false);
	EXPECT(parse_decimal("", &n), false), EXPECT(parse_decimal("-1", &n), false), EXPECT(parse_decimal("1 ", &n), false);
}

static void cases(void)
{
	check_status();
	check_stat();
	check_rest();
	for (size_t i = 0; i < TEXTS; i++)
		for (size_t len = 0; len <= texts[i].len; len++) {
			in_its_own_memory(texts[i].text, len);
			in_its_own_memory(texts[i].text + len, texts[i].len - len);
		}
}

static uint64_t state;

static uint64_t next_random(void) /* xorshift64 */
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t below(size_t n)
{
	return n ? (size_t)(next_random() % n) : 0;
}

static size_t mutate(char *text, size_t len, size_t room)
{
	static const char *const pieces[] = {"\n", ":", " ", "\t", "(", ")", "kB", "-", "99999999999999999999", "VmHWM:",
					     "Name:", "SigIgn:", "Rss:", "Pss:", "State:", "\0", "\xff", "9223372036854775807"};
	size_t at = below(len + 1);

	switch (below(4)) {
	case 0: /* another byte */
		if (len > 0)
			text[at % len] = (char)next_random();
		return len;
	case 1: { /* some bytes less */
		size_t gone = below(len - at + 1) % 32;

		memmove(text + at, text + at + gone, len - at - gone);
		return len - gone;
	}
	case 2: { /* a piece more */
		const char *piece = pieces[below(sizeof(pieces) / sizeof(*pieces))];
		size_t more = *piece ? strlen(piece) : 1;

		if (len + more > room)
			return len;
		memmove(text + at + more, text + at, len - at);
		memcpy(text + at, piece, more);
		return len + more;
	}
	default: /* the end of another text */
		{
			size_t other = below(TEXTS), from = below(texts[other].len), n = texts[other].len - from;

			if (at + n > room)
				return len;
			memcpy(text + at, texts[other].text + from, n);
			return at + n;
		}
	}
}

static void fuzz(uint64_t seed, long rounds)
{
	static char text[8192];

	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (long i = 0; i < rounds; i++) {
		size_t which = below(TEXTS), len = texts[which].len;

		memcpy(text, texts[which].text, len);
		for (size_t n = 1 + below(8); n > 0; n--)
			len = mutate(text, len, sizeof(text));
		in_its_own_memory(text, len);
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
