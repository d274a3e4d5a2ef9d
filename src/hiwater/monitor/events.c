/* What a perf ring says of memory: the format of the tracepoint kmem:rss_stat, and the records of the ring. Bytes in,
 * values out; touches nothing else, so that it can be fuzzed.
 *
 * The layouts are those of perf_event_open(2) for the sample types of rings.c, with sample_id_all: TID, TIME, CPU and, of
 * samples, RAW; of page faults ADDR, and either CALLCHAIN or REGS_USER and STACK_USER. */
#include <string.h>

#include "monitor.h"

#define TRAILER 24 /* pid, tid, time, cpu, reserved: behind every record that is no sample */

static bool number_after(const char *line, const char *end, const char *key, int64_t *out)
{
	const char *at = memmem(line, (size_t)(end - line), key, strlen(key));
	int64_t value = 0;

	if (!at)
		return false;
	at += strlen(key);
	if (at >= end || *at < '0' || *at > '9')
		return false;
	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		value = value * 10 + (*at - '0');
		if (value > INT32_MAX)
			return false;
	}
	*out = value;
	return true;
}

static bool field_is(const char *line, const char *end, const char *name)
{
	const char *semicolon = memchr(line, ';', (size_t)(end - line));
	size_t n = strlen(name);

	return semicolon && (size_t)(semicolon - line) > n && memcmp(semicolon - n, name, n) == 0 &&
	       semicolon[-1 - (ptrdiff_t)n] == ' ';
}

/* events/kmem/rss_stat/format: "ID: N", and a line a field: "field:unsigned int mm_id;  offset:8;  size:4; ...". */
bool parse_rss_format(const char *text, size_t len, struct rss_format *out)
{
	static const struct {
		const char *name;
		int64_t size;
	} fields[] = {{"mm_id", 4}, {"curr", 4}, {"member", 4}, {"size", 0}};
	uint32_t *const offsets[] = {&out->mm_id, &out->curr, &out->member, &out->bytes};
	unsigned found = 0;
	const char *line = text, *end = text + len;

	*out = (struct rss_format){.id = -1};
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		int64_t offset, size;

		if (!stop)
			stop = end;
		if (stop - line > 3 && memcmp(line, "ID:", 3) == 0)
			number_after(line, stop, "ID: ", &out->id);
		for (unsigned i = 0; i < 4 && memmem(line, (size_t)(stop - line), "field:", 6); i++) {
			if (!field_is(line, stop, fields[i].name) || !number_after(line, stop, "offset:", &offset) ||
			    !number_after(line, stop, "size:", &size) || offset > 4096)
				continue;
			if (fields[i].size ? size != fields[i].size : size != 4 && size != 8)
				continue;
			if (i == 3)
				out->bytes_size = (uint32_t)size; /* long: as wide as the kernel's */
			*offsets[i] = (uint32_t)offset;
			found |= 1U << i;
		}
		line = stop + 1;
	}
	return out->id >= 0 && found == 15;
}

static uint32_t u32_at(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t u64_at(const unsigned char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static bool parse_sample(const unsigned char *at, size_t len, const struct rss_format *f, struct event *out)
{
	uint32_t raw;

	/* pid, tid, time, cpu, reserved, size of the raw data, the raw data */
	if (len < TRAILER + 4)
		return false;
	out->pid = (int32_t)u32_at(at);
	out->tid = (int32_t)u32_at(at + 4);
	out->t_ns = (int64_t)u64_at(at + 8);
	out->cpu = u32_at(at + 16);
	raw = u32_at(at + TRAILER);
	at += TRAILER + 4;
	if (raw > len - TRAILER - 4 || f->mm_id + 4 > raw || f->curr + 4 > raw || f->member + 4 > raw ||
	    f->bytes + f->bytes_size > raw)
		return false;
	out->mm_id = u32_at(at + f->mm_id);
	out->curr = u32_at(at + f->curr) != 0;
	out->member = u32_at(at + f->member);
	out->bytes = f->bytes_size == 8 ? (int64_t)u64_at(at + f->bytes) : (int64_t)(int32_t)u32_at(at + f->bytes);
	if (out->bytes < 0) /* before Linux 6.2 a counter may be below 0 for a moment */
		out->bytes = 0;
	out->kind = out->member < RSS_MEMBERS ? EVENT_RSS : EVENT_OTHER;
	return true;
}

/* The sample of a page fault, as far as its record has what is asked for; `registers`: how many. */
bool parse_fault(const unsigned char *record, size_t len, unsigned registers, struct fault *out)
{
	enum { HEADER = 8, FIXED = 32, MODE = 7, KERNEL = 1 };
	const unsigned char *at = record + HEADER + FIXED, *end = record + len;
	uint16_t misc;
	uint64_t n;

	*out = (struct fault){0};
	if (len < HEADER + FIXED + 8)
		return false;
	memcpy(&misc, record + 4, sizeof(misc));
	out->kernel = (misc & MODE) == KERNEL;
	out->address = u64_at(record + HEADER + 16);
	n = u64_at(at); /* of addresses, or the ABI of the registers (0: there are none) */
	at += 8;
	if (!registers) {
		if (n > (uint64_t)(end - at) / 8)
			return false;
		out->chain = at;
		out->chain_len = (size_t)n;
		return true;
	}
	out->abi = n;
	if (n != 0) {
		if (registers > FAULT_REGISTERS || (size_t)(end - at) < registers * 8)
			return false;
		for (unsigned i = 0; i < registers; i++, at += 8)
			out->registers[i] = u64_at(at);
	}
	if (end - at < 8)
		return false;
	n = u64_at(at); /* what was set aside; behind it, how much of it was filled */
	at += 8;
	if (n == 0)
		return true;
	if (n > (uint64_t)(end - at) || (uint64_t)(end - at) - n < 8)
		return false;
	out->stack = at;
	out->stack_len = (size_t)u64_at(at + n);
	if (out->stack_len > n)
		out->stack_len = (size_t)n;
	return true;
}

/* PERF_RECORD_MMAP2. */
bool parse_mapping(const unsigned char *record, size_t len, struct mapped *out)
{
	enum { HEADER = 8, FIXED = 64 };
	const unsigned char *at = record + HEADER;

	if (len < HEADER + FIXED + TRAILER)
		return false;
	*out = (struct mapped){.start = u64_at(at + 8), .len = u64_at(at + 16), .offset = u64_at(at + 24),
			       .device = (uint64_t)u32_at(at + 32) << 32 | u32_at(at + 36), .inode = u64_at(at + 40),
			       .protection = u32_at(at + 56), .flags = u32_at(at + 60), .name = (const char *)at + FIXED};
	out->name_len = strnlen(out->name, len - HEADER - FIXED - TRAILER);
	return out->len > 0 && out->start + out->len > out->start;
}

static void parse_trailer(const unsigned char *record, size_t len, struct event *out)
{
	const unsigned char *at = record + len - TRAILER;

	out->t_ns = (int64_t)u64_at(at + 8);
	out->cpu = u32_at(at + 16);
}

/* One whole record, its header included; without a format, samples are of faults. False: it can not be what it says it
 * is. */
bool parse_event(const unsigned char *record, size_t len, const struct rss_format *f, struct event *out)
{
	enum {
		HEADER = 8,
		LOST = 2,
		COMM = 3,
		EXIT = 4,
		FORK = 7,
		SAMPLE = 9,
		MMAP2 = 10,
		LOST_SAMPLES = 13,
		EXEC_BIT = 1 << 13
	};

	*out = (struct event){.kind = EVENT_OTHER, .record = record, .record_len = len};
	if (len < HEADER || len > UINT16_MAX)
		return false;
	uint32_t type = u32_at(record);
	uint16_t misc, size;
	const unsigned char *at = record + HEADER;

	memcpy(&misc, record + 4, sizeof(misc));
	memcpy(&size, record + 6, sizeof(size));
	if (size != len)
		return false;
	if (type == SAMPLE && !f) {
		if (len < HEADER + TRAILER + 8)
			return false;
		out->kind = EVENT_FAULT;
		out->pid = (int32_t)u32_at(at);
		out->tid = (int32_t)u32_at(at + 4);
		out->t_ns = (int64_t)u64_at(at + 8);
		out->cpu = u32_at(at + 24);
		return true;
	}
	if (type == SAMPLE)
		return parse_sample(at, len - HEADER, f, out);
	if (len < HEADER + TRAILER)
		return false;
	parse_trailer(record, len, out);
	switch (type) {
	case LOST: /* id, lost */
	case LOST_SAMPLES: /* lost */
		if (len < HEADER + TRAILER + (type == LOST ? 16 : 8))
			return false;
		out->kind = EVENT_LOST;
		out->lost = (int64_t)(u64_at(at + (type == LOST ? 8 : 0)) & INT64_MAX);
		break;
	case COMM: /* pid, tid, name */
		if (len < HEADER + TRAILER + 16)
			return false;
		out->kind = misc & EXEC_BIT ? EVENT_EXEC : EVENT_NAME;
		out->pid = (int32_t)u32_at(at);
		out->tid = (int32_t)u32_at(at + 4);
		out->name_len = strnlen((const char *)at + 8, len - HEADER - TRAILER - 8);
		if (out->name_len > sizeof(out->name))
			out->name_len = sizeof(out->name);
		memcpy(out->name, at + 8, out->name_len);
		break;
	case MMAP2: /* pid, tid, address, length, offset, major, minor, inode, generation, protection, flags, name */
		if (len < HEADER + TRAILER + 64)
			return false;
		out->kind = EVENT_MAP;
		out->pid = (int32_t)u32_at(at);
		out->tid = (int32_t)u32_at(at + 4);
		break;
	case FORK: /* pid, ppid, tid, ptid, time */
	case EXIT:
		if (len < HEADER + TRAILER + 24)
			return false;
		out->kind = type == FORK ? EVENT_FORK : EVENT_EXIT;
		out->pid = (int32_t)u32_at(at);
		out->ppid = (int32_t)u32_at(at + 4);
		out->tid = (int32_t)u32_at(at + 8);
		out->ptid = (int32_t)u32_at(at + 12);
		break;
	default:
		break;
	}
	return true;
}
