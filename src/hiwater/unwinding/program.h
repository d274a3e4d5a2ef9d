/* The instructions of call frame information (DW_CFA_*), one by one: what each changes in the row of rules. Where rows are
 * kept, and which registers they have, is the caller's. */
#ifndef HW_UNWINDING_PROGRAM_H
#define HW_UNWINDING_PROGRAM_H

#include "entry.h"

#define CFI_REMEMBERED 8 /* rows that CFI_REMEMBER can stack; compilers nest one deep */

enum cfi_step {
	CFI_FAILED,   /* not understood, or cut */
	CFI_COMPLETE, /* the row is that of `pc` */
	CFI_NOTHING,
	CFI_RULE,    /* register `reg` is found by `rule` */
	CFI_RESTORE, /* it is found as the CIE's instructions left it */
	CFI_REMEMBER,
	CFI_RECALL,
	CFI_CFA, /* the CFA is register `reg` plus `value` */
	CFI_CFA_REGISTER,
	CFI_CFA_OFFSET,
	CFI_CFA_EXPRESSION, /* it is what `expression` yields */
};

enum cfi_register_rule { /* where a caller's register is */
	CFI_RULE_SAME,     /* in the register */
	CFI_RULE_UNDEFINED,
	CFI_RULE_AT,       /* stored at CFA + value */
	CFI_RULE_IS,	   /* CFA + value itself */
	CFI_RULE_REGISTER, /* in the register of that number */
	CFI_RULE_AT_EXPRESSION,
	CFI_RULE_IS_EXPRESSION,
};

struct cfi_program {
	struct cfi_cursor *at; /* the next instruction */
	const struct cfi_fde *fde;
	uint64_t location, pc;
};

struct cfi_change {
	enum cfi_register_rule rule;
	uint64_t reg;
	int64_t value;
	struct cfi_cursor expression; /* at its length: for cfi_block() */
};

enum cfi_operand { CFI_WITHOUT, CFI_PLAIN, CFI_FACTORED, CFI_SIGNED_FACTORED, CFI_NEGATED_FACTORED, CFI_EXPRESSION };

/* What each instruction is, and what follows it: DWARF 5, 6.4.2 and 7.24, and those that compilers add. */
static const struct cfi_instruction {
	uint8_t step, rule; /* enum cfi_step, enum cfi_register_rule */
	bool has_register;
	uint8_t operand;
} cfi_instructions[0x40] = {
	[0x00] = {CFI_NOTHING, 0, false, CFI_WITHOUT},                     /* nop */
	[0x05] = {CFI_RULE, CFI_RULE_AT, true, CFI_FACTORED},              /* offset_extended */
	[0x06] = {CFI_RESTORE, 0, true, CFI_WITHOUT},                      /* restore_extended */
	[0x07] = {CFI_RULE, CFI_RULE_UNDEFINED, true, CFI_WITHOUT},        /* undefined */
	[0x08] = {CFI_RULE, CFI_RULE_SAME, true, CFI_WITHOUT},             /* same_value */
	[0x09] = {CFI_RULE, CFI_RULE_REGISTER, true, CFI_PLAIN},           /* register */
	[0x0a] = {CFI_REMEMBER, 0, false, CFI_WITHOUT},                    /* remember_state */
	[0x0b] = {CFI_RECALL, 0, false, CFI_WITHOUT},                      /* restore_state */
	[0x0c] = {CFI_CFA, 0, true, CFI_PLAIN},                            /* def_cfa */
	[0x0d] = {CFI_CFA_REGISTER, 0, true, CFI_WITHOUT},                 /* def_cfa_register */
	[0x0e] = {CFI_CFA_OFFSET, 0, false, CFI_PLAIN},                    /* def_cfa_offset */
	[0x0f] = {CFI_CFA_EXPRESSION, 0, false, CFI_EXPRESSION},           /* def_cfa_expression */
	[0x10] = {CFI_RULE, CFI_RULE_AT_EXPRESSION, true, CFI_EXPRESSION}, /* expression */
	[0x11] = {CFI_RULE, CFI_RULE_AT, true, CFI_SIGNED_FACTORED},       /* offset_extended_sf */
	[0x12] = {CFI_CFA, 0, true, CFI_SIGNED_FACTORED},                  /* def_cfa_sf */
	[0x13] = {CFI_CFA_OFFSET, 0, false, CFI_SIGNED_FACTORED},          /* def_cfa_offset_sf */
	[0x14] = {CFI_RULE, CFI_RULE_IS, true, CFI_FACTORED},              /* val_offset */
	[0x15] = {CFI_RULE, CFI_RULE_IS, true, CFI_SIGNED_FACTORED},       /* val_offset_sf */
	[0x16] = {CFI_RULE, CFI_RULE_IS_EXPRESSION, true, CFI_EXPRESSION}, /* val_expression */
	[0x2d] = {CFI_NOTHING, 0, false, CFI_WITHOUT},                     /* AARCH64_negate_ra_state: a signature is cut off anyway */
	[0x2e] = {CFI_NOTHING, 0, false, CFI_PLAIN},                       /* GNU_args_size */
	[0x2f] = {CFI_RULE, CFI_RULE_AT, true, CFI_NEGATED_FACTORED},      /* GNU_negative_offset_extended */
};

static inline enum cfi_step cfi_arrived(const struct cfi_program *p)
{
	if (p->at->bad)
		return CFI_FAILED;
	return p->location > p->pc ? CFI_COMPLETE : CFI_NOTHING;
}

static inline int64_t cfi_operand(struct cfi_cursor *c, enum cfi_operand kind, uint64_t factor)
{
	switch (kind) {
	case CFI_PLAIN: return (int64_t)cfi_uleb(c);
	case CFI_FACTORED: return (int64_t)(cfi_uleb(c) * factor);
	case CFI_SIGNED_FACTORED: return (int64_t)((uint64_t)cfi_sleb(c) * factor);
	case CFI_NEGATED_FACTORED: return (int64_t)((0 - cfi_uleb(c)) * factor);
	default: return 0;
	}
}

/* One instruction; to be called until it is CFI_COMPLETE or CFI_FAILED. Of `out` is set what the step speaks of. */
static inline enum cfi_step cfi_next(struct cfi_program *p, struct cfi_change *out)
{
	const struct cfi_fde *fde = p->fde;
	const struct cfi_instruction *what;
	struct cfi_cursor *c = p->at;
	unsigned op, low;

	if (c->at >= c->end)
		return c->bad ? CFI_FAILED : CFI_COMPLETE;
	op = (unsigned)cfi_take(c, 1);
	low = op & 0x3f;
	switch (op >> 6) {
	case 1: /* advance_loc */
		p->location += low * fde->code_align;
		return cfi_arrived(p);
	case 2: /* offset */
		out->rule = CFI_RULE_AT;
		out->reg = low;
		out->value = cfi_operand(c, CFI_FACTORED, (uint64_t)fde->data_align);
		return c->bad ? CFI_FAILED : CFI_RULE;
	case 3: /* restore */
		out->reg = low;
		return CFI_RESTORE;
	}
	switch (low) {
	case 0x01: /* set_loc */
		p->location = cfi_pointer(c, fde->encoding, fde->wide, NULL);
		return cfi_arrived(p);
	case 0x02: /* advance_loc1, 2, 4 */
	case 0x03:
	case 0x04:
		p->location += cfi_take(c, 1U << (low - 2)) * fde->code_align;
		return cfi_arrived(p);
	}
	what = &cfi_instructions[low];
	out->rule = (enum cfi_register_rule)what->rule;
	if (what->has_register)
		out->reg = cfi_uleb(c);
	if (what->operand == CFI_EXPRESSION) {
		out->expression = *c;
		cfi_skip(c, cfi_uleb(c));
	} else {
		out->value = cfi_operand(c, (enum cfi_operand)what->operand, (uint64_t)fde->data_align);
	}
	return c->bad ? CFI_FAILED : (enum cfi_step)what->step;
}

#endif
