/* Bytes of unknown quality, read from front to back and never beyond their end.
 *
 * This folder is what the monitor and the heap sampler share: how call frame information is written. Pure: no memory is
 * allocated, nothing but the bytes given is touched, so that a signal handler and a fuzzer can use it alike. All of it is
 * inline: what an instruction is and what a caller makes of it become one decision (with functions of its own, a frame that
 * the sampler meets for the first time cost 14 % more), and each program is still made of the C files of one folder.
 *
 * The layouts: DWARF 5, 7.6 (LEB128) and 6.4, and the Linux Standard Base, 10.5 (DW_EH_PE_*) and 10.6 (the tables). */
#ifndef HW_UNWINDING_CURSOR_H
#define HW_UNWINDING_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cfi_cursor {
	const unsigned char *at, *end;
	uint64_t bias; /* what the address of a byte, as the tables count, is more than where it lies here */
	bool bad;      /* it was read beyond the end, or something made no sense; what was read since is 0 */
};

static inline struct cfi_cursor cfi_cursor(const unsigned char *at, const unsigned char *end, uint64_t address)
{
	return (struct cfi_cursor){.at = at, .end = end, .bias = address - (uintptr_t)at};
}

static inline uint64_t cfi_address(const struct cfi_cursor *c)
{
	return (uintptr_t)c->at + c->bias;
}

static inline void cfi_skip(struct cfi_cursor *c, uint64_t size)
{
	if ((uint64_t)(c->end - c->at) < size) {
		c->bad = true;
		c->at = c->end;
		return;
	}
	c->at += size;
}

/* A number of 1, 2, 4 or 8 bytes, in the byte order of the machine that executes: so are the tables. */
static inline uint64_t cfi_take(struct cfi_cursor *c, unsigned size)
{
	const unsigned char *from = c->at;
	uint64_t value = 0;
	uint32_t four;
	uint16_t two;

	if ((size_t)(c->end - from) < size) {
		c->bad = true;
		c->at = c->end;
		return 0;
	}
	switch (size) {
	case 1: value = *from; break;
	case 2: memcpy(&two, from, 2), value = two; break;
	case 4: memcpy(&four, from, 4), value = four; break;
	default: memcpy(&value, from, 8); break;
	}
	c->at += size;
	return value;
}

/* What both kinds of LEB128 share; also, how many bits were read, and the last byte. Bits beyond 64 are dropped. */
static inline uint64_t cfi_leb(struct cfi_cursor *c, unsigned *bits, unsigned *last)
{
	uint64_t value = 0;
	unsigned shift = 0, byte;

	do {
		byte = (unsigned)cfi_take(c, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	*bits = shift;
	*last = byte;
	return value;
}

static inline uint64_t cfi_uleb(struct cfi_cursor *c)
{
	unsigned bits, last;

	return cfi_leb(c, &bits, &last);
}

static inline int64_t cfi_sleb(struct cfi_cursor *c)
{
	unsigned bits, last;
	uint64_t value = cfi_leb(c, &bits, &last);

	if (bits < 64 && last & 0x40)
		value |= ~UINT64_C(0) << bits;
	return (int64_t)value;
}

/* The bytes behind their length, an expression for example; `c` goes on behind them. */
static inline struct cfi_cursor cfi_block(struct cfi_cursor *c)
{
	uint64_t len = cfi_uleb(c);
	struct cfi_cursor inside = *c;

	cfi_skip(c, len);
	inside.end = c->at;
	inside.bad = c->bad;
	return inside;
}

/* A pointer as DW_EH_PE_* encodes it; those of a program are of 8 bytes (wide) or of 4. `data_base`: what DW_EH_PE_datarel
 * counts from, NULL where it cannot stand. What memory must be read for (DW_EH_PE_indirect) is refused. */
static inline uint64_t cfi_pointer(struct cfi_cursor *c, unsigned encoding, bool wide, const uint64_t *data_base)
{
	uint64_t value, base = 0;

	if ((encoding & 0xf0) == 0x10) {
		base = cfi_address(c);
	} else if ((encoding & 0xf0) == 0x30 && data_base) {
		base = *data_base;
	} else if (encoding & 0xf0) { /* to the text or the function: no compiler of the machines unwound does that */
		c->bad = true;
		return 0;
	}
	switch (encoding & 0x0f) {
	case 0x00: value = cfi_take(c, wide ? 8 : 4); break;
	case 0x01: value = cfi_uleb(c); break;
	case 0x02: value = cfi_take(c, 2); break;
	case 0x03: value = cfi_take(c, 4); break;
	case 0x04:
	case 0x0c: value = cfi_take(c, 8); break;
	case 0x09: value = (uint64_t)cfi_sleb(c); break;
	case 0x0a: value = (uint64_t)(int64_t)(int16_t)cfi_take(c, 2); break;
	case 0x0b: value = (uint64_t)(int64_t)(int32_t)cfi_take(c, 4); break;
	default: c->bad = true; return 0;
	}
	value += base;
	return wide ? value : (uint32_t)value;
}

#endif
