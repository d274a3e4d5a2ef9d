/* From the tables of a module to the rule of one address. ../../unwinding/ reads the records and their instructions; here
 * are the search, the two registers that a walk follows, and the word that a rule fits in. */
#include "unwind_cfi.h"

#include <string.h>

#include "../../unwinding/program.h"

static inline bool cursor_at(const struct cfi_image *image, uint64_t address, struct cfi_cursor *out)
{
	for (unsigned i = 0; i < image->count; i++) {
		const struct cfi_part *part = &image->parts[i];
		uint64_t from = address - part->address;

		if (address < part->address || from >= part->len)
			continue;
		*out = cfi_cursor(part->bytes + from, part->bytes + part->len, address);
		return true;
	}
	return false;
}

/* The FDE of a record, if it speaks of `pc`. */
static bool covers(const struct cfi_image *image, struct cfi_record *record, uint64_t pc, struct cfi_fde *out)
{
	struct cfi_cursor cie;

	return record->id != 0 && record->id <= record->id_address &&
	       cursor_at(image, record->id_address - record->id, &cie) && cfi_read_fde(record, &cie, true, out) &&
	       out->ra == CFI_RA && pc >= out->start && pc - out->start < out->size;
}

/* The table without an index: record by record. */
static bool scan(const struct cfi_image *image, uint64_t table, uint64_t pc, struct cfi_fde *out)
{
	struct cfi_record record;
	struct cfi_cursor c;

	if (!cursor_at(image, table, &c))
		return false;
	while (cfi_read_record(&c, &record)) {
		if (covers(image, &record, pc, out))
			return true;
	}
	return false;
}

static bool lookup(const struct cfi_image *image, uint64_t pc, struct cfi_fde *out)
{
	struct cfi_cursor c;
	unsigned pointer, number, form;
	uint64_t table, count, low = 0, high;

	if (!cursor_at(image, image->header, &c) || cfi_take(&c, 1) != 1)
		return false;
	pointer = (unsigned)cfi_take(&c, 1);
	number = (unsigned)cfi_take(&c, 1);
	form = (unsigned)cfi_take(&c, 1);
	table = cfi_pointer(&c, pointer, true, &image->header);
	if (c.bad)
		return false;
	if (number == 0xff || form != 0x3b) /* linkers write pairs of 32-bit offsets from the header, sorted; or nothing */
		return scan(image, table, pc, out);
	count = cfi_pointer(&c, number, true, &image->header);
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
		struct cfi_cursor entry;
		struct cfi_record record;

		memcpy(&at, c.at + (low - 1) * 8 + 4, 4);
		return cursor_at(image, image->header + (uint64_t)(int64_t)at, &entry) &&
		       cfi_read_record(&entry, &record) && covers(image, &record, pc, out);
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
	struct cfi_cursor expression;
	struct saved ra, fp;
};

/* A register saved by an expression: understood is "at the frame pointer + N", of functions that align their stack. */
static struct saved by_expression(struct cfi_cursor e)
{
	unsigned op = (unsigned)cfi_take(&e, 1);
	int64_t offset = cfi_sleb(&e);

	if (e.bad || e.at != e.end || op != 0x70 + CFI_FP) /* DW_OP_breg */
		return (struct saved){.where = CFI_GONE};
	return (struct saved){.where = CFI_AT_FP, .offset = offset};
}

static int64_t sum(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static struct saved saved_by(struct cfi_change *change)
{
	switch (change->rule) {
	case CFI_RULE_SAME: return (struct saved){.where = CFI_SAME};
	case CFI_RULE_UNDEFINED: return (struct saved){.where = CFI_GONE, .undefined = true};
	case CFI_RULE_AT: return (struct saved){.where = CFI_AT_CFA, .offset = change->value};
	case CFI_RULE_AT_EXPRESSION: return by_expression(cfi_block(&change->expression));
	default: return (struct saved){.where = CFI_GONE};
	}
}

/* Executes instructions until the row of `pc` is complete; false: they are not understood. */
static bool execute(struct cfi_cursor *instructions, const struct cfi_fde *fde, uint64_t pc, const struct row *initial, struct row *row)
{
	struct cfi_program program = {.at = instructions, .fde = fde, .location = fde->start, .pc = pc};
	struct row remembered[CFI_REMEMBERED];
	struct cfi_change change = {0};
	unsigned depth = 0;

	for (;;) {
		switch (cfi_next(&program, &change)) {
		case CFI_NOTHING: break;
		case CFI_COMPLETE: return true;
		case CFI_RULE:
			if (change.reg == CFI_RA)
				row->ra = saved_by(&change);
			else if (change.reg == CFI_FP)
				row->fp = saved_by(&change);
			break;
		case CFI_RESTORE:
			if (change.reg == CFI_RA)
				row->ra = initial->ra;
			else if (change.reg == CFI_FP)
				row->fp = initial->fp;
			break;
		case CFI_REMEMBER:
			if (depth == CFI_REMEMBERED)
				return false;
			remembered[depth++] = *row;
			break;
		case CFI_RECALL:
			if (depth == 0)
				return false;
			*row = remembered[--depth];
			break;
		case CFI_CFA:
			row->form = BY_REGISTER;
			row->reg = change.reg;
			row->offset = change.value;
			break;
		case CFI_CFA_REGISTER:
			row->form = BY_REGISTER;
			row->reg = change.reg;
			break;
		case CFI_CFA_OFFSET: row->offset = change.value; break;
		case CFI_CFA_EXPRESSION:
			row->form = BY_EXPRESSION;
			row->expression = change.expression;
			break;
		default: return false;
		}
	}
}

/* breg SP + N; breg PC + 0; lit 15; and; lit M; ge; lit 3; shl; plus: in a linker's PLT the CFA is 8 higher from the
 * M-th byte of each entry on. */
static bool plt(struct cfi_cursor e, uint64_t pc, int64_t *offset)
{
	uint64_t lit;

	if (cfi_take(&e, 1) != 0x70 + CFI_SP)
		return false;
	*offset = cfi_sleb(&e);
	if (cfi_take(&e, 1) != 0x70 + CFI_RA || cfi_sleb(&e) != 0 || cfi_take(&e, 1) != 0x3f || cfi_take(&e, 1) != 0x1a)
		return false;
	lit = cfi_take(&e, 1);
	if (lit < 0x30 || lit > 0x4f || cfi_take(&e, 1) != 0x2a || cfi_take(&e, 1) != 0x33 || cfi_take(&e, 1) != 0x24 ||
	    cfi_take(&e, 1) != 0x22 || e.bad || e.at != e.end)
		return false;
	if ((pc & 15) >= lit - 0x30)
		*offset = sum(*offset, 8);
	return true;
}

static void cfa_by_expression(struct cfi_cursor e, uint64_t pc, struct cfi_rule *rule)
{
	unsigned op;
	bool deref = false;

	rule->kind = CFI_LOST;
	if (plt(e, pc, &rule->offset)) {
		rule->kind = CFI_FROM_SP;
		return;
	}
	/* breg SP or FP + N, then what is stored there: functions that align their stack; some assembly adds to that. */
	op = (unsigned)cfi_take(&e, 1);
	if (op != 0x70 + CFI_SP && op != 0x70 + CFI_FP)
		return;
	rule->offset = cfi_sleb(&e);
	if (e.at < e.end && *e.at == 0x06) { /* DW_OP_deref */
		cfi_take(&e, 1);
		deref = true;
	}
	if (e.at < e.end && *e.at == 0x23) { /* DW_OP_plus_uconst */
		cfi_take(&e, 1);
		rule->add = (int64_t)cfi_uleb(&e);
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
	struct cfi_fde fde;

	if (!lookup(image, pc, &fde))
		return rule;
	if (fde.signal) {
		rule.kind = CFI_SIGNAL;
		return rule;
	}
	rule.kind = CFI_LOST;
	/* What no instruction speaks of is unchanged (and a return address that is unchanged is still in its register). */
	memset(&initial, 0, sizeof(initial));
	initial.reg = UINT64_MAX;
	if (!execute(&fde.common, &fde, UINT64_MAX, &initial, &initial))
		return rule;
	row = initial;
	if (!execute(&fde.own, &fde, pc, &initial, &row))
		return rule;
	if (row.ra.undefined) {
		rule.kind = CFI_END;
		return rule;
	}
	if (row.form == BY_EXPRESSION) {
		cfa_by_expression(cfi_block(&row.expression), pc, &rule);
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
