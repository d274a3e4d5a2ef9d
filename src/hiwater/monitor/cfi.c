/* Call frame information, as compilers leave it in .eh_frame: how a function's caller is found from its registers.
 * Bytes in, rules out; touches nothing else, so that it can be fuzzed.
 *
 * Layouts and opcodes: DWARF 5, section 6.4, and the Linux Standard Base, "Exception Frames". The section alone is
 * used: its search table (PT_GNU_EH_FRAME) is missing from static programs. */
#include <stdlib.h>
#include <string.h>

#include "monitor.h"

#define STATES 8 /* DW_CFA_remember_state, nested */

struct reader {
	const unsigned char *data;
	size_t at, end;
	bool bad; /* it wanted more than there is */
};

static uint64_t take(struct reader *r, unsigned bytes)
{
	uint64_t value = 0;

	if (r->bad || r->end - r->at < bytes) {
		r->bad = true;
		return 0;
	}
	switch (bytes) { /* the file is of this machine's byte order */
	case 1:
		value = r->data[r->at];
		break;
	case 2: {
		uint16_t v;
		memcpy(&v, r->data + r->at, sizeof(v));
		value = v;
		break;
	}
	case 4: {
		uint32_t v;
		memcpy(&v, r->data + r->at, sizeof(v));
		value = v;
		break;
	}
	default:
		memcpy(&value, r->data + r->at, sizeof(value));
		break;
	}
	r->at += bytes;
	return value;
}

static uint64_t uleb(struct reader *r)
{
	uint64_t value = 0;

	for (unsigned shift = 0; !r->bad; shift += 7) {
		uint64_t byte = take(r, 1);

		if (shift < 64)
			value |= (byte & 127) << shift;
		if (!(byte & 128))
			break;
	}
	return value;
}

static int64_t sleb(struct reader *r)
{
	uint64_t value = 0, byte = 0;
	unsigned shift = 0;

	while (!r->bad) {
		byte = take(r, 1);
		if (shift < 64)
			value |= (byte & 127) << shift;
		shift += 7;
		if (!(byte & 128))
			break;
	}
	if (shift < 64 && byte & 64)
		value |= ~UINT64_C(0) << shift;
	return (int64_t)value;
}

/* A pointer in one of the encodings DW_EH_PE_*. What needs memory to be followed is refused. */
static uint64_t pointer(struct reader *r, const struct cfi *c, uint8_t encoding)
{
	uint64_t value, here = c->address + r->at;

	switch (encoding & 15) {
	case 0:
		value = take(r, c->wide ? 8 : 4);
		break;
	case 1:
		value = uleb(r);
		break;
	case 2:
		value = take(r, 2);
		break;
	case 3:
		value = take(r, 4);
		break;
	case 4:
	case 12:
		value = take(r, 8);
		break;
	case 9:
		value = (uint64_t)sleb(r);
		break;
	case 10:
		value = (uint64_t)(int16_t)take(r, 2);
		break;
	case 11:
		value = (uint64_t)(int32_t)take(r, 4);
		break;
	default:
		r->bad = true;
		return 0;
	}
	switch (encoding & 0x70) {
	case 0:
		break;
	case 0x10:
		value += here;
		break;
	default: /* relative to the text, the data or the function: no compiler of these machines does that */
		r->bad = true;
	}
	return c->wide ? value : (uint32_t)value;
}

struct cie {
	uint64_t code_align;
	int64_t data_align;
	unsigned ra;
	uint8_t encoding;
	bool sized, signal;
	size_t begin, end; /* of its instructions */
};

/* The body of an entry, and where the next one begins. False: there are no more. */
static bool entry(struct reader *all, struct reader *body, uint64_t *id, size_t *id_at)
{
	uint64_t len = take(all, 4);
	bool longer = len == 0xffffffff;

	if (longer)
		len = take(all, 8);
	if (all->bad || len == 0)
		return false;
	if (len > all->end - all->at) {
		all->bad = true;
		return false;
	}
	*body = (struct reader){all->data, all->at, all->at + (size_t)len, false};
	all->at += (size_t)len;
	*id_at = body->at;
	*id = take(body, longer ? 8 : 4);
	return !body->bad;
}

static bool read_cie(const struct cfi *c, size_t at, struct cie *out)
{
	struct reader all = {c->data, at, c->size, false}, r;
	uint64_t id, version, len;
	size_t id_at, names, stop;

	*out = (struct cie){0};
	if (at >= c->size || !entry(&all, &r, &id, &id_at) || id != 0)
		return false;
	version = take(&r, 1);
	names = r.at;
	while (take(&r, 1) != 0 && !r.bad)
		;
	if (r.bad || (version != 1 && version != 3 && version != 4))
		return false;
	if (version == 4)
		take(&r, 2); /* sizes of an address and of a segment's number */
	out->code_align = uleb(&r);
	out->data_align = sleb(&r);
	out->ra = (unsigned)(version == 1 ? take(&r, 1) : uleb(&r));
	stop = r.at;
	if (c->data[names] == 'z') {
		out->sized = true;
		len = uleb(&r);
		if (r.bad || len > r.end - r.at)
			return false;
		stop = r.at + (size_t)len;
		for (const unsigned char *n = c->data + names + 1; *n; n++) {
			if (*n == 'R') {
				out->encoding = (uint8_t)take(&r, 1);
			} else if (*n == 'P') {
				uint8_t encoding = (uint8_t)take(&r, 1);

				if (encoding == 0x50) /* aligned: of no machine that is unwound */
					return false;
				pointer(&r, c, encoding & 0x0f);
			} else if (*n == 'L') {
				take(&r, 1);
			} else if (*n == 'S') {
				out->signal = true;
			} else if (*n != 'B' && *n != 'G') {
				break; /* unknown, and so is what follows; its length is not */
			}
		}
	} else if (c->data[names] != 0) {
		return false;
	}
	out->begin = stop;
	out->end = r.end;
	return !r.bad && out->ra < CFI_REGISTERS;
}

/* What an entry at `at` covers; false if it is no FDE that can be used. */
static bool read_fde(const struct cfi *c, size_t at, struct cie *cie, struct reader *instructions, uint64_t *start,
		     uint64_t *len)
{
	struct reader all = {c->data, at, c->size, false}, r;
	uint64_t id, skipped;
	size_t id_at;

	if (at >= c->size || !entry(&all, &r, &id, &id_at) || id == 0 || id > id_at || !read_cie(c, id_at - (size_t)id, cie))
		return false;
	*start = pointer(&r, c, cie->encoding);
	*len = pointer(&r, c, cie->encoding & 15);
	if (cie->sized) {
		skipped = uleb(&r);
		if (r.bad || skipped > r.end - r.at)
			return false;
		r.at += (size_t)skipped;
	}
	*instructions = r;
	return !r.bad && *len > 0 && *start + *len > *start;
}

static int by_start(const void *a, const void *b)
{
	const struct cfi_entry *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Finds all that is described. False: there is nothing, or no memory for it. */
bool cfi_index(struct cfi *c)
{
	struct reader all = {c->data, 0, c->size, false}, body;
	size_t room = 0;

	c->entries = NULL;
	c->count = 0;
	while (all.end - all.at > 4) {
		size_t at = all.at, id_at;
		uint64_t id, start, len;
		struct cie cie;

		if (!entry(&all, &body, &id, &id_at)) {
			if (all.bad)
				break;
			continue; /* a terminator: crtend.o's, and others follow where several were linked together */
		}
		if (id == 0 || !read_fde(c, at, &cie, &body, &start, &len) || start == 0)
			continue;
		if (c->count == room) {
			size_t more = room ? room * 2 : 256;
			struct cfi_entry *grown = realloc(c->entries, more * sizeof(*grown));

			if (!grown)
				return false;
			c->entries = grown;
			room = more;
		}
		c->entries[c->count++] = (struct cfi_entry){start, start + len, at};
	}
	if (c->count > 0)
		qsort(c->entries, c->count, sizeof(*c->entries), by_start);
	return c->count > 0;
}

static const struct cfi_entry *find(const struct cfi *c, uint64_t pc)
{
	size_t low = 0, high = c->count;

	while (low < high) { /* the last that does not begin behind it */
		size_t middle = low + (high - low) / 2;

		if (c->entries[middle].start <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && pc < c->entries[low - 1].end ? &c->entries[low - 1] : NULL;
}

static void set(struct reader *r, struct cfi_row *row, uint64_t reg, enum cfi_rule rule, int64_t value)
{
	if (value < INT32_MIN || value > INT32_MAX)
		r->bad = true;
	else if (reg < CFI_REGISTERS)
		row->registers[reg] = (struct cfi_how){rule, (int32_t)value};
}

static void set_cfa(struct reader *r, struct cfi_row *row, uint64_t reg, int64_t offset)
{
	if (offset < INT32_MIN || offset > INT32_MAX || reg >= CFI_REGISTERS)
		r->bad = true;
	row->cfa_register = (uint8_t)reg;
	row->cfa_offset = (int32_t)offset;
	row->cfa_is_expression = false;
}

/* An expression stays where it is: its place is kept, and its length stands before it. */
static int64_t expression(struct reader *r)
{
	size_t at = r->at;
	uint64_t len = uleb(r);

	if (r->bad || len > r->end - r->at || at > INT32_MAX) {
		r->bad = true;
		return 0;
	}
	r->at += (size_t)len;
	return (int64_t)at;
}

/* Executes instructions up to `pc`. `first`: the row that the CIE's make, which some go back to. */
static bool execute(const struct cfi *c, const struct cie *cie, struct reader r, uint64_t at, uint64_t pc,
		    const struct cfi_row *first, struct cfi_row *row)
{
	struct cfi_row kept[STATES];
	unsigned depth = 0;
	uint64_t reg;

	while (r.at < r.end && !r.bad) {
		uint8_t op = (uint8_t)take(&r, 1), low = op & 63;

		switch (op >> 6) {
		case 1: /* DW_CFA_advance_loc */
			at += low * cie->code_align;
			if (at > pc)
				return true;
			continue;
		case 2: /* DW_CFA_offset */
			set(&r, row, low, CFI_AT, (int64_t)(uleb(&r) * (uint64_t)cie->data_align));
			continue;
		case 3: /* DW_CFA_restore */
			if (first && low < CFI_REGISTERS)
				row->registers[low] = first->registers[low];
			continue;
		default:
			break;
		}
		switch (low) {
		case 0x00: /* nop */
			break;
		case 0x01: /* set_loc */
			at = pointer(&r, c, cie->encoding);
			if (at > pc)
				return !r.bad;
			break;
		case 0x02: /* advance_loc1, 2, 4 */
		case 0x03:
		case 0x04:
			at += take(&r, 1U << (low - 2)) * cie->code_align;
			if (at > pc)
				return !r.bad;
			break;
		case 0x05: /* offset_extended */
			reg = uleb(&r);
			set(&r, row, reg, CFI_AT, (int64_t)(uleb(&r) * (uint64_t)cie->data_align));
			break;
		case 0x06: /* restore_extended */
			reg = uleb(&r);
			if (first && reg < CFI_REGISTERS)
				row->registers[reg] = first->registers[reg];
			break;
		case 0x07: /* undefined */
			set(&r, row, uleb(&r), CFI_UNDEFINED, 0);
			break;
		case 0x08: /* same_value */
			set(&r, row, uleb(&r), CFI_SAME, 0);
			break;
		case 0x09: /* register */
			reg = uleb(&r);
			set(&r, row, reg, CFI_REGISTER, (int64_t)(uleb(&r) % CFI_REGISTERS));
			break;
		case 0x0a: /* remember_state */
			if (depth == STATES)
				return false;
			kept[depth++] = *row;
			break;
		case 0x0b: /* restore_state */
			if (depth == 0)
				return false;
			*row = kept[--depth];
			break;
		case 0x0c: /* def_cfa */
			reg = uleb(&r);
			set_cfa(&r, row, reg, (int64_t)uleb(&r));
			break;
		case 0x0d: /* def_cfa_register */
			set_cfa(&r, row, uleb(&r), row->cfa_offset);
			break;
		case 0x0e: /* def_cfa_offset */
			set_cfa(&r, row, row->cfa_register, (int64_t)uleb(&r));
			break;
		case 0x0f: /* def_cfa_expression */
			row->cfa_offset = (int32_t)expression(&r);
			row->cfa_is_expression = true;
			break;
		case 0x10: /* expression */
			reg = uleb(&r);
			set(&r, row, reg, CFI_AT_EXPRESSION, expression(&r));
			break;
		case 0x11: /* offset_extended_sf */
			reg = uleb(&r);
			set(&r, row, reg, CFI_AT, (int64_t)((uint64_t)sleb(&r) * (uint64_t)cie->data_align));
			break;
		case 0x12: /* def_cfa_sf */
			reg = uleb(&r);
			set_cfa(&r, row, reg, (int64_t)((uint64_t)sleb(&r) * (uint64_t)cie->data_align));
			break;
		case 0x13: /* def_cfa_offset_sf */
			set_cfa(&r, row, row->cfa_register, (int64_t)((uint64_t)sleb(&r) * (uint64_t)cie->data_align));
			break;
		case 0x14: /* val_offset */
			reg = uleb(&r);
			set(&r, row, reg, CFI_IS, (int64_t)(uleb(&r) * (uint64_t)cie->data_align));
			break;
		case 0x15: /* val_offset_sf */
			reg = uleb(&r);
			set(&r, row, reg, CFI_IS, (int64_t)((uint64_t)sleb(&r) * (uint64_t)cie->data_align));
			break;
		case 0x16: /* val_expression */
			reg = uleb(&r);
			set(&r, row, reg, CFI_IS_EXPRESSION, expression(&r));
			break;
		case 0x2d: /* AARCH64_negate_ra_state: signed or not, the signature is cut off */
			break;
		case 0x2e: /* GNU_args_size */
			uleb(&r);
			break;
		case 0x2f: /* GNU_negative_offset_extended */
			reg = uleb(&r);
			set(&r, row, reg, CFI_AT, -(int64_t)(uleb(&r) * (uint64_t)cie->data_align));
			break;
		default:
			return false;
		}
	}
	return !r.bad;
}

/* The rules at `pc`, an address in the file's own terms. False: nothing is said of it, or nothing that can be used. */
bool cfi_find(const struct cfi *c, uint64_t pc, struct cfi_row *row)
{
	const struct cfi_entry *at = find(c, pc);
	struct reader instructions;
	struct cfi_row first;
	struct cie cie;
	uint64_t start, len;

	*row = (struct cfi_row){0};
	if (!at || !read_fde(c, at->at, &cie, &instructions, &start, &len))
		return false;
	if (!execute(c, &cie, (struct reader){c->data, cie.begin, cie.end, false}, start, UINT64_MAX, NULL, row))
		return false;
	row->ra = (uint8_t)cie.ra;
	row->signal = cie.signal;
	first = *row;
	return execute(c, &cie, instructions, start, pc, &first, row);
}

/* ---- expressions ---- */

/* DW_OP_*, those that call frame information may hold. `read_word` reads the memory of the program. */
bool cfi_evaluate(const struct cfi *c, int32_t where, const uint64_t *registers, bool has_first, uint64_t first,
		  cfi_read_word *read_word, void *context, uint64_t *out)
{
	enum { DEPTH = 32, STEPS = 500 };
	struct reader r = {c->data, (size_t)where, c->size, false};
	uint64_t stack[DEPTH + 1], a, b;
	unsigned depth = 0, word = c->wide ? 8 : 4;

	if (where < 0 || (size_t)where >= c->size)
		return false;
	uint64_t len = uleb(&r);

	if (r.bad || len > r.end - r.at)
		return false;
	r.end = r.at + (size_t)len;
	size_t begin = r.at;

	if (has_first)
		stack[depth++] = first;
	for (unsigned step = 0; r.at < r.end && !r.bad; step++) {
		uint8_t op = (uint8_t)take(&r, 1);
		bool two = (op >= 0x1a && op <= 0x1e) || op == 0x21 || op == 0x22 ||
			   (op >= 0x24 && op <= 0x27) || (op >= 0x29 && op <= 0x2e);

		if (step > STEPS || depth >= DEPTH)
			return false;
		if (two) {
			if (depth < 2)
				return false;
			b = stack[--depth];
			a = stack[--depth];
			switch (op) {
			case 0x1a: a &= b; break;
			case 0x1b: a = b && !((int64_t)a == INT64_MIN && (int64_t)b == -1) ? (uint64_t)((int64_t)a / (int64_t)b) : 0; break;
			case 0x1c: a -= b; break;
			case 0x1d: a = b ? a % b : 0; break;
			case 0x1e: a *= b; break;
			case 0x21: a |= b; break;
			case 0x22: a += b; break;
			case 0x24: a = b < 64 ? a << b : 0; break;
			case 0x25: a = b < 64 ? a >> b : 0; break;
			case 0x26: a = (uint64_t)((int64_t)a >> (b < 64 ? b : 63)); break;
			case 0x27: a ^= b; break;
			case 0x29: a = a == b; break;
			case 0x2a: a = (int64_t)a >= (int64_t)b; break;
			case 0x2b: a = (int64_t)a > (int64_t)b; break;
			case 0x2c: a = (int64_t)a <= (int64_t)b; break;
			case 0x2d: a = (int64_t)a < (int64_t)b; break;
			default: a = a != b; break;
			}
			stack[depth++] = a;
			continue;
		}
		if (op >= 0x30 && op <= 0x4f) { /* lit */
			stack[depth++] = op - 0x30U;
			continue;
		}
		if ((op >= 0x70 && op <= 0x8f) || op == 0x92) { /* breg, bregx */
			uint64_t reg = op == 0x92 ? uleb(&r) : op - 0x70U;

			if (reg >= CFI_REGISTERS)
				return false;
			stack[depth++] = registers[reg] + (uint64_t)sleb(&r);
			continue;
		}
		switch (op) {
		case 0x03: stack[depth++] = take(&r, word); break;
		case 0x08: stack[depth++] = take(&r, 1); break;
		case 0x09: stack[depth++] = (uint64_t)(int8_t)take(&r, 1); break;
		case 0x0a: stack[depth++] = take(&r, 2); break;
		case 0x0b: stack[depth++] = (uint64_t)(int16_t)take(&r, 2); break;
		case 0x0c: stack[depth++] = take(&r, 4); break;
		case 0x0d: stack[depth++] = (uint64_t)(int32_t)take(&r, 4); break;
		case 0x0e:
		case 0x0f: stack[depth++] = take(&r, 8); break;
		case 0x10: stack[depth++] = uleb(&r); break;
		case 0x11: stack[depth++] = (uint64_t)sleb(&r); break;
		case 0x06: /* deref */
		case 0x94: /* deref_size */
			if (op == 0x94 && take(&r, 1) != word)
				return false;
			if (depth < 1 || !read_word(context, stack[depth - 1], &stack[depth - 1]))
				return false;
			break;
		case 0x12: /* dup */
			if (depth < 1)
				return false;
			stack[depth] = stack[depth - 1];
			depth++;
			break;
		case 0x13: /* drop */
			if (depth < 1)
				return false;
			depth--;
			break;
		case 0x14: /* over */
			if (depth < 2)
				return false;
			stack[depth] = stack[depth - 2];
			depth++;
			break;
		case 0x16: /* swap */
			if (depth < 2)
				return false;
			a = stack[depth - 1];
			stack[depth - 1] = stack[depth - 2];
			stack[depth - 2] = a;
			break;
		case 0x1f: /* neg */
			if (depth < 1)
				return false;
			stack[depth - 1] = -stack[depth - 1];
			break;
		case 0x20: /* not */
			if (depth < 1)
				return false;
			stack[depth - 1] = ~stack[depth - 1];
			break;
		case 0x23: /* plus_uconst */
			if (depth < 1)
				return false;
			stack[depth - 1] += uleb(&r);
			break;
		case 0x28: /* bra */
		case 0x2f: { /* skip */
			int64_t to = (int16_t)take(&r, 2);

			if (op == 0x28) {
				if (depth < 1)
					return false;
				if (stack[--depth] == 0)
					break;
			}
			to += (int64_t)r.at;
			if (to < (int64_t)begin || to > (int64_t)r.end)
				return false;
			r.at = (size_t)to;
			break;
		}
		case 0x96: /* nop */
			break;
		default:
			return false;
		}
	}
	if (r.bad || depth == 0)
		return false;
	*out = stack[depth - 1];
	return true;
}
