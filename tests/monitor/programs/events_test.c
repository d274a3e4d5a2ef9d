/* events_test cases | events_test fuzz SEED ROUNDS: checks the parsers of events.c; built with sanitizers.
 *
 * Each text and each record stands at the end of memory of its very size: a parser that reads one byte too far is
 * caught. As a libFuzzer target (-DLIBFUZZER -fsanitize=fuzzer) it takes what libFuzzer invents. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor.h"

static const char format_6[] =
	"name: rss_stat\nID: 646\nformat:\n"
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
	"\tfield:unsigned int mm_id;\toffset:8;\tsize:4;\tsigned:0;\n"
	"\tfield:unsigned int curr;\toffset:12;\tsize:4;\tsigned:0;\n"
	"\tfield:int member;\toffset:16;\tsize:4;\tsigned:1;\n"
	"\tfield:long size;\toffset:24;\tsize:8;\tsigned:1;\n\n"
	"print fmt: \"mm_id=%u curr=%d type=%s size=%ldB\", REC->mm_id, REC->curr\n";
static const char format_32[] = "ID: 12\nformat:\n"
				"\tfield:unsigned int mm_id;\toffset:8;\tsize:4;\tsigned:0;\n"
				"\tfield:unsigned int curr;\toffset:12;\tsize:4;\tsigned:0;\n"
				"\tfield:int member;\toffset:16;\tsize:4;\tsigned:1;\n"
				"\tfield:long size;\toffset:20;\tsize:4;\tsigned:1;\n";

static struct rss_format format_of(const char *text)
{
	struct rss_format f;

	assert(parse_rss_format(text, strlen(text), &f));
	return f;
}

static void sane(const struct event *e)
{
	assert(e->kind <= EVENT_MAP);
	assert(e->bytes >= 0 && e->lost >= 0 && e->name_len <= sizeof(e->name));
	assert(e->kind != EVENT_RSS || e->member < RSS_MEMBERS);
}

/* Every byte that a parser says is there can be read. */
static void touch(const unsigned char *data, size_t len)
{
	unsigned sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += data[i];
	assert(sum <= 255 * len);
}

static void of_faults(const unsigned char *data, size_t len, const struct event *e)
{
	struct fault f;
	struct mapped m;

	for (unsigned registers = 0; e->kind == EVENT_FAULT && registers <= FAULT_REGISTERS; registers += 11) {
		if (!parse_fault(data, len, registers, &f))
			continue;
		touch(f.stack, f.stack_len);
		touch(f.chain, f.chain_len * 8);
	}
	if (e->kind == EVENT_MAP && parse_mapping(data, len, &m))
		touch((const unsigned char *)m.name, m.name_len);
}

static void all_parsers(const unsigned char *data, size_t len)
{
	unsigned char *copy = malloc(len ? len : 1);
	struct rss_format f, usual = format_of(format_6);
	struct event e;

	assert(copy);
	memcpy(copy, data, len);
	if (parse_event(copy, len, &usual, &e))
		sane(&e);
	if (parse_event(copy, len, NULL, &e)) {
		sane(&e);
		of_faults(copy, len, &e);
	}
	if (parse_rss_format((const char *)copy, len, &f)) {
		assert(f.id >= 0 && (f.bytes_size == 4 || f.bytes_size == 8) && f.mm_id <= 4096 && f.bytes <= 4096);
		if (parse_event(copy, len, &f, &e))
			sane(&e);
	}
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

#define CHECK(condition)                                                                                       \
	do {                                                                                                   \
		if (!(condition)) {                                                                            \
			printf("%d: %s\n", __LINE__, #condition);                                              \
			failures++;                                                                            \
		}                                                                                              \
	} while (0)

/* Builds a record field by field. */
static unsigned char record[512];
static size_t length;

static void add(const void *data, size_t len)
{
	memcpy(record + length, data, len);
	length += len;
}

static void u16(uint16_t value)
{
	add(&value, sizeof(value));
}

static void u32(uint32_t value)
{
	add(&value, sizeof(value));
}

static void u64(uint64_t value)
{
	add(&value, sizeof(value));
}

static void begin(uint32_t type, uint16_t misc)
{
	length = 0;
	u32(type);
	u16(misc);
	u16(0);
}

static void finish(void)
{
	uint16_t size = (uint16_t)length;

	memcpy(record + 6, &size, sizeof(size));
}

static void trailer(uint32_t pid, uint32_t tid, uint64_t t_ns, uint32_t cpu)
{
	u32(pid), u32(tid), u64(t_ns), u32(cpu), u32(0);
	finish();
}

static void sample(uint32_t member, int64_t bytes, uint32_t curr)
{
	begin(9, 0);
	u32(100), u32(101), u64(12345), u32(3), u32(0);
	u32(36); /* raw */
	u32(0), u32(101), u32(0xabcdef01), u32(curr), u32(member), u32(0), u64((uint64_t)bytes), u32(0);
	finish();
}

static void formats(void)
{
	struct rss_format f = format_of(format_6);

	CHECK(f.id == 646 && f.mm_id == 8 && f.curr == 12 && f.member == 16 && f.bytes == 24 && f.bytes_size == 8);
	f = format_of(format_32);
	CHECK(f.id == 12 && f.bytes == 20 && f.bytes_size == 4);
	CHECK(!parse_rss_format("", 0, &f));
	for (size_t len = 0; len < sizeof(format_6) - 1; len++) { /* cut: no field may be made up */
		char *cut = malloc(len ? len : 1);

		memcpy(cut, format_6, len);
		CHECK(!parse_rss_format(cut, len, &f) || (f.bytes == 24 && f.bytes_size == 8));
		free(cut);
	}
	/* another tracepoint, with other fields */
	static const char other[] = "ID: 7\n\tfield:unsigned int mm_id;\toffset:8;\tsize:4;\n\tfield:long size;\toffset:24;\tsize:8;\n";
	CHECK(!parse_rss_format(other, strlen(other), &f));
	static const char far[] = "ID: 7\n\tfield:int mm_id;\toffset:99999;\tsize:4;\n\tfield:int curr;\toffset:4;\tsize:4;\n"
				  "\tfield:int member;\toffset:4;\tsize:4;\n\tfield:long size;\toffset:24;\tsize:8;\n";
	CHECK(!parse_rss_format(far, strlen(far), &f));
}

static void records(void)
{
	struct rss_format f = format_of(format_6);
	struct event e;

	sample(RSS_ANON, 8192, 1);
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_RSS && e.pid == 100 && e.tid == 101 && e.t_ns == 12345 &&
	      e.cpu == 3 && e.mm_id == 0xabcdef01 && e.curr && e.member == RSS_ANON && e.bytes == 8192);
	sample(RSS_SHMEM, -4096, 0); /* before Linux 6.2 a counter may be below 0 */
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_RSS && !e.curr && e.bytes == 0);
	sample(4, 4096, 1); /* a counter of a kernel to come */
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_OTHER);

	begin(3, 1 << 13);
	u32(200), u32(200), add("sh\0\0\0\0\0\0", 8), trailer(200, 200, 777, 1);
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_EXEC && e.pid == 200 && e.name_len == 2 &&
	      memcmp(e.name, "sh", 2) == 0 && e.t_ns == 777 && e.cpu == 1);
	begin(3, 0);
	u32(200), u32(201), add("worker-of-some\0\0", 16), trailer(200, 201, 778, 1);
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_NAME && e.tid == 201 && e.name_len == 14);

	begin(7, 0);
	u32(300), u32(200), u32(300), u32(201), u64(779), trailer(200, 201, 779, 0);
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_FORK && e.pid == 300 && e.ppid == 200 && e.ptid == 201);
	begin(4, 0);
	u32(300), u32(200), u32(300), u32(200), u64(780), trailer(300, 300, 780, 0);
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_EXIT && e.pid == 300 && e.tid == 300);

	begin(2, 0);
	u64(9), u64(41), trailer(300, 300, 781, 0);
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_LOST && e.lost == 41);
	begin(13, 0);
	u64(42), trailer(300, 300, 781, 0);
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_LOST && e.lost == 42);
	begin(5, 0); /* throttled: of no interest */
	u64(1), u64(2), u64(3), trailer(300, 300, 782, 0);
	CHECK(parse_event(record, length, &f, &e) && e.kind == EVENT_OTHER);

	sample(RSS_FILE, 4096, 1);
	for (size_t len = 0; len < length; len++) { /* its size says more than there is */
		unsigned char *cut = malloc(len ? len : 1);

		memcpy(cut, record, len);
		CHECK(!parse_event(cut, len, &f, &e));
		free(cut);
	}
	for (uint16_t size = 0; size < length; size++) { /* its size says less than its fields take */
		memcpy(record + 6, &size, sizeof(size));
		CHECK(!parse_event(record, size, &f, &e) || size >= 8 + 24 + 4 + 32);
	}
}

/* pid, tid, time, address, CPU; ABI and registers; the stack, and how much of it was filled */
static void fault_sample(uint64_t abi, uint64_t stack, uint64_t filled)
{
	begin(9, 2);
	u32(100), u32(101), u64(12345), u64(0x7f0000001000), u32(3), u32(0);
	u64(abi);
	for (uint64_t i = 0; abi && i < 17; i++)
		u64(1000 + i);
	u64(stack);
	for (uint64_t i = 0; i < stack / 8; i++)
		u64(i);
	if (stack)
		u64(filled);
	finish();
}

static void faults(void)
{
	struct event e;
	struct fault f;
	struct mapped m;

	fault_sample(2, 64, 48);
	CHECK(parse_event(record, length, NULL, &e) && e.kind == EVENT_FAULT && e.pid == 100 && e.tid == 101 &&
	      e.t_ns == 12345 && e.cpu == 3);
	CHECK(parse_fault(record, length, 17, &f) && !f.kernel && f.address == 0x7f0000001000 && f.abi == 2 &&
	      f.registers[16] == 1016 && f.stack_len == 48 && f.stack[8] == 1);
	fault_sample(2, 64, 100); /* more than was set aside */
	CHECK(parse_fault(record, length, 17, &f) && f.stack_len == 64);
	fault_sample(0, 0, 0); /* a thread of the kernel */
	CHECK(parse_fault(record, length, 17, &f) && f.abi == 0 && f.stack_len == 0);
	fault_sample(2, 64, 48);
	for (size_t len = 8; len < length; len++) {
		unsigned char *cut = malloc(len);

		memcpy(cut, record, len);
		CHECK(!parse_fault(cut, len, 17, &f));
		free(cut);
	}
	begin(9, 1); /* by the kernel, with a chain */
	u32(100), u32(101), u64(12345), u64(4096), u32(3), u32(0), u64(2), u64((uint64_t)-512), u64(0x401000), finish();
	CHECK(parse_fault(record, length, 0, &f) && f.kernel && f.chain_len == 2);
	memset(record + 40, 0xff, 8); /* so many addresses as no record holds */
	CHECK(!parse_fault(record, length, 0, &f));

	begin(10, 2);
	u32(100), u32(101), u64(0x400000), u64(0x1000), u64(0x2000), u32(8), u32(1), u64(77), u64(0), u32(5), u32(2);
	add("/bin/true\0\0\0\0\0\0", 16), trailer(100, 101, 12, 0);
	CHECK(parse_event(record, length, NULL, &e) && e.kind == EVENT_MAP && e.pid == 100 && e.t_ns == 12);
	CHECK(parse_mapping(record, length, &m) && m.start == 0x400000 && m.len == 0x1000 && m.offset == 0x2000 &&
	      m.inode == 77 && m.protection == 5 && m.flags == 2 && m.name_len == 9 && memcmp(m.name, "/bin/true", 9) == 0);
	memset(record + 24, 0xff, 8); /* beyond the end of all addresses */
	CHECK(!parse_mapping(record, length, &m));
}

static uint64_t state;

static uint64_t next_random(void)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return state >> 33;
}

static void fuzz(uint64_t seed, long rounds)
{
	static unsigned char data[1024];
	static const uint32_t types[] = {2, 3, 4, 7, 9, 10, 13};

	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (long i = 0; i < rounds; i++) {
		size_t len;

		if (i % 2) {
			len = strlen(format_6);
			memcpy(data, format_6, len);
		} else {
			len = next_random() % 512;
			for (size_t at = 0; at < len; at++)
				data[at] = (unsigned char)next_random();
			if (len >= 8) {
				uint32_t type = types[next_random() % 7];
				uint16_t size = (uint16_t)len;

				memcpy(data, &type, sizeof(type));
				memcpy(data + 6, &size, sizeof(size));
			}
			if (len >= 40 && next_random() % 2) {
				uint32_t raw = (uint32_t)(next_random() % 64);

				memcpy(data + 32, &raw, sizeof(raw));
			}
		}
		for (size_t n = next_random() % 4; n > 0 && len > 0; n--)
			data[next_random() % len] = (unsigned char)next_random();
		all_parsers(data, len);
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "fuzz") == 0) {
		fuzz(strtoull(argv[2], NULL, 10), atol(argv[3]));
	} else {
		formats();
		records();
		faults();
	}
	return failures > 0;
}
#endif
