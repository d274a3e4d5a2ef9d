/* From the tables of a module to the rule of one address. */
#include "unwind_cfi.h"

#include <string.h>

#define MAX_REMEMBERED 8 /* compilers nest one deep */

struct cursor {
	const unsigned char *at, *end;
	uint64_t address; /* of `at` */
	bool bad;	  /* it was read beyond the end, or something made no sense */
};

static uint64_t fixed(struct cursor *c, unsigned size)
{
	uint64_t value = 0;
	uint16_t two;
	uint32_t four;

	if ((size_t)(c->end - c->at) < size) {
		c->bad = true;
		c->at = c->end;
		return 0;
	}
	/* The tables are in the byte order of the machine that executes. */
	switch (size) {
	case 1: value = *c->at; break;
	case 2: memcpy(&two, c->at, 2), value = two; break;
	case 4: memcpy(&four, c->at, 4), value = four; break;
	default: memcpy(&value, c->at, 8); break;
	}
	c->at += size;
	c->address += size;
	return value;
}

static void skip(struct cursor *c, uint64_t size)
{
	if ((uint64_t)(c->end - c->at) < size) {
		c->bad = true;
		c->at = c->end;
		return;
	}
	c->at += size;
	c->address += size;
}

static uint64_t uleb(struct cursor *c)
{
	uint64_t value = 0;
	unsigned shift = 0, byte;

	do {
		byte = (unsigned)fixed(c, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && !c->bad);
	return value;
}

static int64_t sleb(struct cursor *c)
{
	uint64_t value = 0;
	unsigned shift = 0, byte;

	do {
		byte = (unsigned)fixed(c, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && !c->bad);
	if (shift < 64 && byte & 0x40)
		value |= ~(uint64_t)0 << shift;
	return (int64_t)value;
}

/* A pointer as DW_EH_PE_* encodes it. What must be read from another place (0x80) is only ever skipped here. */
static uint64_t encoded(struct cursor *c, unsigned encoding, uint64_t data_base)
{
	uint64_t base, value;

	switch (encoding & 0x70) {
	case 0x00: base = 0; break;
	case 0x10: base = c->address; break;
	case 0x30: base = data_base; break;
	default: c->bad = true; return 0;
	}
	switch (encoding & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c: value = fixed(c, 8); break;
	case 0x01: value = uleb(c); break;
	case 0x02: value = fixed(c, 2); break;
	case 0x03: value = fixed(c, 4); break;
	case 0x09: value = (uint64_t)sleb(c); break;
	case 0x0a: value = (uint64_t)(int64_t)(int16_t)fixed(c, 2); break;
	case 0x0b: value = (uint64_t)(int64_t)(int32_t)fixed(c, 4); break;
	default: c->bad = true; return 0;
	}
	return base + value;
}

static bool cursor_at(const struct cfi_image *image, uint64_t address, struct cursor *out)
{
	for (unsigned i = 0; i < image->count; i++) {
		const struct cfi_part *part = &image->parts[i];
		uint64_t from = address - part->address;

		if (address < part->address || from >= part->len)
			continue;
		*out = (struct cursor){.at = part->bytes + from, .end = part->bytes + part->len, .address = address};
		return true;
	}
	return false;
}

struct entry { /* an FDE and what its CIE says */
	struct cursor common, own; /* the instructions of both */
	uint64_t start, size;
	uint64_t code_align;
	int64_t data_align;
	unsigned encoding;
	bool signal, augmented;
};

/* Limits `c` to one record, behind its length. */
static bool record(struct cursor *c)
{
	uint32_t len = (uint32_t)fixed(c, 4);

	/* 0 ends the table; 0xffffffff announces a 64-bit length, which no compiler writes here. */
	if (c->bad || len == 0 || len == 0xffffffffu || len > (size_t)(c->end - c->at))
		return false;
	c->end = c->at + len;
	return true;
}

static bool read_common(struct cursor c, struct entry *out)
{
	const char *text;
	size_t room;
	unsigned version;

	if (!record(&c) || fixed(&c, 4) != 0)
		return false;
	version = (unsigned)fixed(&c, 1);
	if (version != 1 && version != 3 && version != 4)
		return false;
	text = (const char *)c.at;
	room = strnlen(text, (size_t)(c.end - c.at));
	skip(&c, room + 1);
	if (c.bad)
		return false;
	if (version == 4 && (fixed(&c, 1) != 8 || fixed(&c, 1) != 0)) /* address size, segment size */
		return false;
	out->code_align = uleb(&c);
	out->data_align = sleb(&c);
	if ((version == 1 ? fixed(&c, 1) : uleb(&c)) != CFI_RA)
		return false;
	out->encoding = 0;
	out->signal = false;
	out->augmented = room > 0;
	if (room > 0) {
		struct cursor data;
		uint64_t len;
		unsigned form;

		if (text[0] != 'z') /* "eh" of gcc 2 and the like: how long its data are is not told */
			return false;
		len = uleb(&c);
		data = c;
		skip(&c, len);
		data.end = c.at;
		for (size_t i = 1; i < room; i++) {
			if (text[i] == 'R')
				out->encoding = (unsigned)fixed(&data, 1);
			else if (text[i] == 'S')
				out->signal = true;
			else if (text[i] == 'L')
				skip(&data, 1);
			else if (text[i] == 'P' && (form = (unsigned)fixed(&data, 1)) != 0xff)
				encoded(&data, form & 0x7f, 0);
			else if (text[i] != 'P' && text[i] != 'B' && text[i] != 'G') /* aarch64: signed with key B; tagged stack */
				break;
		}
		if (data.bad)
			return false;
	}
	out->common = c;
	return !c.bad;
}

/* The FDE at `c`. */
static bool read_entry(const struct cfi_image *image, struct cursor c, struct entry *out)
{
	struct cursor common;
	uint64_t at;
	uint32_t back;

	if (!record(&c))
		return false;
	at = c.address;
	back = (uint32_t)fixed(&c, 4);
	if (c.bad || back == 0 || back > at || !cursor_at(image, at - back, &common) || !read_common(common, out))
		return false;
	if (out->encoding & 0x80)
		return false;
	out->start = encoded(&c, out->encoding, 0);
	out->size = encoded(&c, out->encoding & 0x0f, 0);
	if (out->augmented)
		skip(&c, uleb(&c));
	out->own = c;
	return !c.bad;
}

static bool entry_of(const struct cfi_image *image, struct cursor c, uint64_t pc, struct entry *out)
{
	return read_entry(image, c, out) && pc >= out->start && pc - out->start < out->size;
}

/* The table without an index: record by record. */
static bool scan(const struct cfi_image *image, uint64_t table, uint64_t pc, struct entry *out)
{
	struct cursor c;

	if (!cursor_at(image, table, &c))
		return false;
	for (;;) {
		struct cursor one = c, inside;

		if (!record(&one))
			return false;
		inside = one;
		if (fixed(&inside, 4) != 0 && entry_of(image, c, pc, out))
			return true;
		skip(&c, (uint64_t)(one.end - c.at));
		if (c.bad)
			return false;
	}
}

static bool lookup(const struct cfi_image *image, uint64_t pc, struct entry *out)
{
	struct cursor c;
	unsigned pointer, number, form;
	uint64_t table, count, low = 0, high;

	if (!cursor_at(image, image->header, &c) || fixed(&c, 1) != 1)
		return false;
	pointer = (unsigned)fixed(&c, 1);
	number = (unsigned)fixed(&c, 1);
	form = (unsigned)fixed(&c, 1);
	table = encoded(&c, pointer, image->header);
	if (c.bad || pointer & 0x80)
		return false;
	if (number == 0xff || form != 0x3b) /* linkers write pairs of 32-bit offsets from the header, sorted; or nothing */
		return scan(image, table, pc, out);
	count = encoded(&c, number, image->header);
	if (c.bad || count == 0 || count > (uint64_t)(c.end - c.at) / 8)
		return false;
	/* low: the last one known to start at or before pc; high: the first known to start behind it */
	for (high = count; low < high;) {
		uint64_t middle = low + (high - low) / 2;
		int32_t start;

		memcpy(&start, c.at + middle * 8, 4);
		if (image->header + (uint64_t)(int64_t)start <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	{
		int32_t at;
		struct cursor entry;

		memcpy(&at, c.at + (low - 1) * 8 + 4, 4);
		return cursor_at(image, image->header + (uint64_t)(int64_t)at, &entry) && entry_of(image, entry, pc, out);
	}
}

enum cfa_form { BY_REGISTER, BY_EXPRESSION };

struct saved {
	enum cfi_where where;
	bool undefined;
	int64_t offset;
};

struct row {
	enum cfa_form form;
	uint64_t reg;
	int64_t offset;
	struct cursor expression;
	struct saved ra, fp;
};

static struct saved *slot(struct row *row, uint64_t reg, struct saved *other)
{
	return reg == CFI_RA ? &row->ra : reg == CFI_FP ? &row->fp : other;
}

/* A register saved by an expression: understood is "at the frame pointer + N", of functions that align their stack. */
static struct saved by_expression(struct cursor e)
{
	unsigned op = (unsigned)fixed(&e, 1);
	int64_t offset = sleb(&e);

	if (e.bad || e.at != e.end || op != 0x70 + CFI_FP) /* DW_OP_breg */
		return (struct saved){.where = CFI_GONE};
	return (struct saved){.where = CFI_AT_FP, .offset = offset};
}

static int64_t product(uint64_t a, int64_t b)
{
	return (int64_t)(a * (uint64_t)b);
}

static int64_t sum(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static struct cursor block(struct cursor *c)
{
	uint64_t len = uleb(c);
	struct cursor e = *c;

	skip(c, len);
	e.end = c->at;
	e.bad = c->bad;
	return e;
}

/* Executes instructions until the row of `pc` is complete; false: they are not understood. */
static bool execute(struct cursor c, const struct entry *entry, uint64_t pc, const struct row *initial, struct row *row)
{
	struct row remembered[MAX_REMEMBERED];
	unsigned depth = 0;
	uint64_t location = entry->start;

	while (c.at < c.end && !c.bad) {
		unsigned op = (unsigned)fixed(&c, 1);
		struct saved other, *where;
		uint64_t reg, delta = 0;

		switch (op & 0xc0) {
		case 0x40: /* DW_CFA_advance_loc */
			location += (op & 0x3f) * entry->code_align;
			if (location > pc)
				return true;
			continue;
		case 0x80: /* DW_CFA_offset */
			where = slot(row, op & 0x3f, &other);
			*where = (struct saved){.where = CFI_AT_CFA, .offset = product(uleb(&c), entry->data_align)};
			continue;
		case 0xc0: /* DW_CFA_restore */
			reg = op & 0x3f;
			if (reg == CFI_RA)
				row->ra = initial->ra;
			else if (reg == CFI_FP)
				row->fp = initial->fp;
			continue;
		}
		switch (op) {
		case 0x00: /* DW_CFA_nop */
			break;
		case 0x01: /* DW_CFA_set_loc */
			location = encoded(&c, entry->encoding, 0);
			if (location > pc)
				return !c.bad;
			break;
		case 0x02: /* DW_CFA_advance_loc1, 2, 4 */
		case 0x03:
		case 0x04:
			delta = fixed(&c, op == 2 ? 1 : op == 3 ? 2 : 4);
			location += delta * entry->code_align;
			if (location > pc)
				return !c.bad;
			break;
		case 0x05: /* DW_CFA_offset_extended */
			where = slot(row, uleb(&c), &other);
			*where = (struct saved){.where = CFI_AT_CFA, .offset = product(uleb(&c), entry->data_align)};
			break;
		case 0x11: /* DW_CFA_offset_extended_sf */
			where = slot(row, uleb(&c), &other);
			*where = (struct saved){.where = CFI_AT_CFA,
						.offset = product((uint64_t)sleb(&c), entry->data_align)};
			break;
		case 0x2f: /* DW_CFA_GNU_negative_offset_extended */
			where = slot(row, uleb(&c), &other);
			*where = (struct saved){.where = CFI_AT_CFA,
						.offset = product(0 - uleb(&c), entry->data_align)};
			break;
		case 0x06: /* DW_CFA_restore_extended */
			reg = uleb(&c);
			if (reg == CFI_RA)
				row->ra = initial->ra;
			else if (reg == CFI_FP)
				row->fp = initial->fp;
			break;
		case 0x07: /* DW_CFA_undefined */
			*slot(row, uleb(&c), &other) = (struct saved){.where = CFI_GONE, .undefined = true};
			break;
		case 0x08: /* DW_CFA_same_value */
			*slot(row, uleb(&c), &other) = (struct saved){.where = CFI_SAME};
			break;
		case 0x09: /* DW_CFA_register */
			*slot(row, uleb(&c), &other) = (struct saved){.where = CFI_GONE};
			uleb(&c);
			break;
		case 0x0a: /* DW_CFA_remember_state */
			if (depth == MAX_REMEMBERED)
				return false;
			remembered[depth++] = *row;
			break;
		case 0x0b: /* DW_CFA_restore_state */
			if (depth == 0)
				return false;
			*row = remembered[--depth];
			break;
		case 0x0c: /* DW_CFA_def_cfa */
			row->form = BY_REGISTER;
			row->reg = uleb(&c);
			row->offset = (int64_t)uleb(&c);
			break;
		case 0x12: /* DW_CFA_def_cfa_sf */
			row->form = BY_REGISTER;
			row->reg = uleb(&c);
			row->offset = product((uint64_t)sleb(&c), entry->data_align);
			break;
		case 0x0d: /* DW_CFA_def_cfa_register */
			row->form = BY_REGISTER;
			row->reg = uleb(&c);
			break;
		case 0x0e: /* DW_CFA_def_cfa_offset */
			row->offset = (int64_t)uleb(&c);
			break;
		case 0x13: /* DW_CFA_def_cfa_offset_sf */
			row->offset = product((uint64_t)sleb(&c), entry->data_align);
			break;
		case 0x0f: /* DW_CFA_def_cfa_expression */
			row->form = BY_EXPRESSION;
			row->expression = block(&c);
			break;
		case 0x10: /* DW_CFA_expression */
			where = slot(row, uleb(&c), &other);
			*where = by_expression(block(&c));
			break;
		case 0x14: /* DW_CFA_val_offset */
			*slot(row, uleb(&c), &other) = (struct saved){.where = CFI_GONE};
			uleb(&c);
			break;
		case 0x15: /* DW_CFA_val_offset_sf */
			*slot(row, uleb(&c), &other) = (struct saved){.where = CFI_GONE};
			sleb(&c);
			break;
		case 0x16: /* DW_CFA_val_expression */
			*slot(row, uleb(&c), &other) = (struct saved){.where = CFI_GONE};
			block(&c);
			break;
		case 0x2d: /* DW_CFA_AARCH64_negate_ra_state: signatures are stripped from every return address anyway */
			break;
		case 0x2e: /* DW_CFA_GNU_args_size */
			uleb(&c);
			break;
		default:
			return false;
		}
	}
	return !c.bad;
}

/* breg SP + N; breg PC + 0; lit 15; and; lit M; ge; lit 3; shl; plus: in a linker's PLT the CFA is 8 higher from the
 * M-th byte of each entry on. */
static bool plt(struct cursor e, uint64_t pc, int64_t *offset)
{
	uint64_t lit;

	if (fixed(&e, 1) != 0x70 + CFI_SP)
		return false;
	*offset = sleb(&e);
	if (fixed(&e, 1) != 0x70 + CFI_RA || sleb(&e) != 0 || fixed(&e, 1) != 0x3f || fixed(&e, 1) != 0x1a)
		return false;
	lit = fixed(&e, 1);
	if (lit < 0x30 || lit > 0x4f || fixed(&e, 1) != 0x2a || fixed(&e, 1) != 0x33 || fixed(&e, 1) != 0x24 ||
	    fixed(&e, 1) != 0x22 || e.bad || e.at != e.end)
		return false;
	if ((pc & 15) >= lit - 0x30)
		*offset = sum(*offset, 8);
	return true;
}

static void cfa_by_expression(struct cursor e, uint64_t pc, struct cfi_rule *rule)
{
	unsigned op;
	bool deref = false;

	rule->kind = CFI_LOST;
	if (plt(e, pc, &rule->offset)) {
		rule->kind = CFI_FROM_SP;
		return;
	}
	/* breg SP or FP + N, then what is stored there: functions that align their stack; some assembly adds to that. */
	op = (unsigned)fixed(&e, 1);
	if (op != 0x70 + CFI_SP && op != 0x70 + CFI_FP)
		return;
	rule->offset = sleb(&e);
	if (e.at < e.end && *e.at == 0x06) { /* DW_OP_deref */
		fixed(&e, 1);
		deref = true;
	}
	if (e.at < e.end && *e.at == 0x23) { /* DW_OP_plus_uconst */
		fixed(&e, 1);
		rule->add = (int64_t)uleb(&e);
	}
	if (e.bad || e.at != e.end)
		return;
	if (!deref) {
		rule->offset = sum(rule->offset, rule->add);
		rule->add = 0;
	}
	if (op == 0x70 + CFI_SP)
		rule->kind = deref ? CFI_DEREF_SP : CFI_FROM_SP;
	else
		rule->kind = deref ? CFI_DEREF_FP : CFI_FROM_FP;
}

struct cfi_rule cfi_find(const struct cfi_image *image, uint64_t pc)
{
	struct cfi_rule rule = {.kind = CFI_NONE};
	struct row initial, row;
	struct entry entry;

	if (!lookup(image, pc, &entry))
		return rule;
	if (entry.signal) {
		rule.kind = CFI_SIGNAL;
		return rule;
	}
	rule.kind = CFI_LOST;
	/* What no instruction speaks of is unchanged (and a return address that is unchanged is still in its register). */
	memset(&initial, 0, sizeof(initial));
	initial.reg = UINT64_MAX;
	if (!execute(entry.common, &entry, UINT64_MAX, &initial, &initial))
		return rule;
	row = initial;
	if (!execute(entry.own, &entry, pc, &initial, &row))
		return rule;
	if (row.ra.undefined) {
		rule.kind = CFI_END;
		return rule;
	}
	if (row.form == BY_EXPRESSION) {
		cfa_by_expression(row.expression, pc, &rule);
	} else if (row.reg == CFI_SP || row.reg == CFI_FP) {
		rule.kind = row.reg == CFI_SP ? CFI_FROM_SP : CFI_FROM_FP;
		rule.offset = row.offset;
	}
	rule.ra = row.ra.where, rule.ra_offset = row.ra.offset;
	rule.fp = row.fp.where, rule.fp_offset = row.fp.offset;
	if (rule.ra == CFI_GONE)
		rule.kind = CFI_LOST;
	return rule;
}

/* Bits 0-2 kind, 3-4 and 5-6 where return address and frame pointer are, 7 always set, 8-31 offset (where a CFA is read
 * from memory: 8-23 offset, 24-31 what is added), 32-47 and 48-63 the offsets of the two registers / 8. */
static bool fits(int64_t value, unsigned bits)
{
	int64_t limit = (int64_t)1 << (bits - 1);

	return value >= -limit && value < limit;
}

static bool fits_in_words(int64_t value)
{
	return value % 8 == 0 && fits(value / 8, 16);
}

static bool is_deref(enum cfi_kind kind)
{
	return kind == CFI_DEREF_SP || kind == CFI_DEREF_FP;
}

uint64_t cfi_pack(const struct cfi_rule *rule)
{
	uint64_t low;

	if (is_deref(rule->kind)) {
		if (!fits(rule->offset, 16) || rule->add < 0 || rule->add > 255)
			return 0;
		low = ((uint64_t)rule->offset & 0xffff) | (uint64_t)rule->add << 16;
	} else {
		if (!fits(rule->offset, 24))
			return 0;
		low = (uint64_t)rule->offset & 0xffffff;
	}
	if (!fits_in_words(rule->ra_offset) || !fits_in_words(rule->fp_offset))
		return 0;
	return (uint64_t)rule->kind | (uint64_t)rule->ra << 3 | (uint64_t)rule->fp << 5 | 0x80 | low << 8 |
	       ((uint64_t)(rule->ra_offset / 8) & 0xffff) << 32 | ((uint64_t)(rule->fp_offset / 8) & 0xffff) << 48;
}

struct cfi_rule cfi_unpack(uint64_t word)
{
	struct cfi_rule rule = {
		.kind = (enum cfi_kind)(word & 7),
		.ra = (enum cfi_where)(word >> 3 & 3),
		.fp = (enum cfi_where)(word >> 5 & 3),
		.ra_offset = (int64_t)(int16_t)(word >> 32) * 8,
		.fp_offset = (int64_t)(int16_t)(word >> 48) * 8,
	};

	if (is_deref(rule.kind)) {
		rule.offset = (int16_t)(word >> 8);
		rule.add = (int64_t)(word >> 24 & 0xff);
	} else {
		rule.offset = (int32_t)(uint32_t)word >> 8;
	}
	return rule;
}
