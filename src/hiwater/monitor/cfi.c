/* Call frame information, as compilers leave it in .eh_frame: how a function's caller is found from its registers.
 * Bytes in, rules out; touches nothing else, so that it can be fuzzed. ../unwinding/ reads the records and their
 * instructions; here are the index of a section, the rows of all registers, and what expressions yield.
 *
 * The section alone is used: its search table (PT_GNU_EH_FRAME) is missing from static programs. */
#include <stdlib.h>

#include "../unwinding/program.h"
#include "monitor.h"

/* From `offset` of the section on. */
static bool cursor_at(const struct cfi *c, uint64_t offset, struct cfi_cursor *out)
{
	if (offset >= c->size)
		return false;
	*out = cfi_cursor(c->data + offset, c->data + c->size, c->address + offset);
	return true;
}

/* What a record covers; false if it is no FDE that can be used. */
static bool read_fde(const struct cfi *c, struct cfi_record *record, struct cfi_fde *out)
{
	struct cfi_cursor cie;
	uint64_t at = record->id_address - c->address;

	return record->id != 0 && record->id <= at && cursor_at(c, at - record->id, &cie) &&
	       cfi_read_fde(record, &cie, c->wide, out) && out->ra < CFI_REGISTERS && out->size > 0 &&
	       out->start + out->size > out->start;
}

static int by_start(const void *a, const void *b)
{
	const struct cfi_entry *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Finds all that is described. False: there is nothing, or no memory for it. */
bool cfi_index(struct cfi *c)
{
	struct cfi_cursor all;
	size_t room = 0;

	c->entries = NULL;
	c->count = 0;
	if (!cursor_at(c, 0, &all))
		return false;
	while (all.end - all.at > 4) {
		size_t at = (size_t)(all.at - c->data);
		struct cfi_record record;
		struct cfi_fde fde;

		if (!cfi_read_record(&all, &record)) {
			if (all.bad)
				break;
			continue; /* a terminator: crtend.o's, and others follow where several were linked together */
		}
		if (!read_fde(c, &record, &fde) || fde.start == 0)
			continue;
		if (c->count == room) {
			size_t more = room ? room * 2 : 256;
			struct cfi_entry *grown = realloc(c->entries, more * sizeof(*grown));

			if (!grown)
				return false;
			c->entries = grown;
			room = more;
		}
		c->entries[c->count++] = (struct cfi_entry){fde.start, fde.start + fde.size, at};
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

static bool fits(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

static bool set_cfa(struct cfi_row *row, uint64_t reg, int64_t offset)
{
	if (!fits(offset) || reg >= CFI_REGISTERS)
		return false;
	row->cfa_register = (uint8_t)reg;
	row->cfa_offset = (int32_t)offset;
	row->cfa_is_expression = false;
	return true;
}

/* An expression stays where it is: its place is kept, and its length stands before it. */
static int64_t place(const struct cfi *c, const struct cfi_change *change)
{
	return change->expression.at - c->data;
}

static bool set(const struct cfi *c, const struct cfi_change *change, struct cfi_row *row)
{
	int64_t value = 0;

	switch (change->rule) {
	case CFI_RULE_SAME:
	case CFI_RULE_UNDEFINED:
		break;
	case CFI_RULE_AT:
	case CFI_RULE_IS:
		value = change->value;
		break;
	case CFI_RULE_REGISTER:
		value = (int64_t)((uint64_t)change->value % CFI_REGISTERS);
		break;
	case CFI_RULE_AT_EXPRESSION:
	case CFI_RULE_IS_EXPRESSION:
		value = place(c, change);
		break;
	}
	if (!fits(value))
		return false;
	if (change->reg < CFI_REGISTERS)
		row->registers[change->reg] = (struct cfi_how){change->rule, (int32_t)value};
	return true;
}

/* Executes instructions up to `pc`. `first`: the row that the CIE's make, which some go back to. */
static bool execute(const struct cfi *c, const struct cfi_fde *fde, struct cfi_cursor *instructions, uint64_t pc,
		    const struct cfi_row *first, struct cfi_row *row)
{
	struct cfi_program program = {.at = instructions, .fde = fde, .location = fde->start, .pc = pc};
	struct cfi_row kept[CFI_REMEMBERED];
	struct cfi_change change = {0};
	unsigned depth = 0;
	bool good = true;

	while (good) {
		switch (cfi_next(&program, &change)) {
		case CFI_FAILED:
			return false;
		case CFI_COMPLETE:
			return true;
		case CFI_NOTHING:
			break;
		case CFI_RULE:
			good = set(c, &change, row);
			break;
		case CFI_RESTORE:
			if (first && change.reg < CFI_REGISTERS)
				row->registers[change.reg] = first->registers[change.reg];
			break;
		case CFI_REMEMBER:
			if (depth == CFI_REMEMBERED)
				return false;
			kept[depth++] = *row;
			break;
		case CFI_RECALL:
			if (depth == 0)
				return false;
			*row = kept[--depth];
			break;
		case CFI_CFA:
			good = set_cfa(row, change.reg, change.value);
			break;
		case CFI_CFA_REGISTER:
			good = set_cfa(row, change.reg, row->cfa_offset);
			break;
		case CFI_CFA_OFFSET:
			good = set_cfa(row, row->cfa_register, change.value);
			break;
		case CFI_CFA_EXPRESSION:
			good = fits(place(c, &change));
			row->cfa_offset = (int32_t)place(c, &change);
			row->cfa_is_expression = true;
			break;
		}
	}
	return false;
}

/* The rules at `pc`, an address in the file's own terms. False: nothing is said of it, or nothing that can be used. */
bool cfi_find(const struct cfi *c, uint64_t pc, struct cfi_row *row)
{
	const struct cfi_entry *at = find(c, pc);
	struct cfi_cursor table;
	struct cfi_record record;
	struct cfi_row first;
	struct cfi_fde fde;

	*row = (struct cfi_row){0};
	if (!at || !cursor_at(c, at->at, &table) || !cfi_read_record(&table, &record) || !read_fde(c, &record, &fde))
		return false;
	if (!execute(c, &fde, &fde.common, UINT64_MAX, NULL, row))
		return false;
	row->ra = (uint8_t)fde.ra;
	row->signal = fde.signal;
	first = *row;
	return execute(c, &fde, &fde.own, pc, &first, row);
}

/* ---- expressions ---- */

/* DW_OP_*, those that call frame information may hold. `read_word` reads the memory of the program. */
bool cfi_evaluate(const struct cfi *c, int32_t where, const uint64_t *registers, bool has_first, uint64_t first,
		  cfi_read_word *read_word, void *context, uint64_t *out)
{
	enum { DEPTH = 32, STEPS = 500 };
	struct cfi_cursor all, r;
	uint64_t stack[DEPTH + 1], a, b;
	unsigned depth = 0, word = c->wide ? 8 : 4;

	if (where < 0 || !cursor_at(c, (uint64_t)where, &all))
		return false;
	r = cfi_block(&all);
	const unsigned char *begin = r.at;

	if (has_first)
		stack[depth++] = first;
	for (unsigned step = 0; r.at < r.end && !r.bad; step++) {
		uint8_t op = (uint8_t)cfi_take(&r, 1);
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
			uint64_t reg = op == 0x92 ? cfi_uleb(&r) : op - 0x70U;

			if (reg >= CFI_REGISTERS)
				return false;
			stack[depth++] = registers[reg] + (uint64_t)cfi_sleb(&r);
			continue;
		}
		switch (op) {
		case 0x03: stack[depth++] = cfi_take(&r, word); break;
		case 0x08: stack[depth++] = cfi_take(&r, 1); break;
		case 0x09: stack[depth++] = (uint64_t)(int8_t)cfi_take(&r, 1); break;
		case 0x0a: stack[depth++] = cfi_take(&r, 2); break;
		case 0x0b: stack[depth++] = (uint64_t)(int16_t)cfi_take(&r, 2); break;
		case 0x0c: stack[depth++] = cfi_take(&r, 4); break;
		case 0x0d: stack[depth++] = (uint64_t)(int32_t)cfi_take(&r, 4); break;
		case 0x0e:
		case 0x0f: stack[depth++] = cfi_take(&r, 8); break;
		case 0x10: stack[depth++] = cfi_uleb(&r); break;
		case 0x11: stack[depth++] = (uint64_t)cfi_sleb(&r); break;
		case 0x06: /* deref */
		case 0x94: /* deref_size */
			if (op == 0x94 && cfi_take(&r, 1) != word)
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
			stack[depth - 1] += cfi_uleb(&r);
			break;
		case 0x28: /* bra */
		case 0x2f: { /* skip */
			int64_t to = (int16_t)cfi_take(&r, 2);

			if (op == 0x28) {
				if (depth < 1)
					return false;
				if (stack[--depth] == 0)
					break;
			}
			if (to < begin - r.at || to > r.end - r.at)
				return false;
			r.at += to;
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
