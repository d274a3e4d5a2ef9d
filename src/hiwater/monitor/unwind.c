/* From registers and a copy of the stack to the calls that are under way.
 *
 * By call frame information (cfi.c) wherever the code has it: whatever a distribution builds, without frame pointers too,
 * and in static programs. Where it has none, by frame pointers (Go, code that was made at run time), and where these lead
 * nowhere (musl's library has neither) by the next word on the stack that some call has left. */
#include <string.h>

#include "../unwinding/program.h"
#include "monitor.h"

#define ROWS 1024 /* kept, of those that were worked out */
#define WORDS_SEARCHED 512
#define LEAF_MAX 65536 /* no function is longer whose call is believed by its place */

struct machine {
	unsigned word, stack_pointer, frame_pointer, program_counter; /* registers in DWARF's numbers */
	bool returns_in_memory; /* a call leaves its address on the stack, not in a register */
	uint64_t address_mask;
};

#if defined(__x86_64__)
#define REGISTERS UINT64_C(0xff01ff) /* AX to IP, R8 to R15: asm/perf_regs.h */
#define REGISTER_COUNT 17
static const uint8_t numbers[] = {0, 3, 2, 1, 4, 5, 6, 7, 16, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct machine wide = {8, 7, 6, 16, true, ~UINT64_C(0)};
#elif defined(__i386__)
#define REGISTERS UINT64_C(0x1ff)
#define REGISTER_COUNT 9
#elif defined(__aarch64__)
#define REGISTERS UINT64_C(0x1ffffffff) /* X0 to X29, LR, SP, PC */
#define REGISTER_COUNT 33
static const uint8_t numbers[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
				  17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
/* Above the addresses of user space lie signatures (pointer authentication) and tags. */
static const struct machine wide = {8, 31, 29, 32, false, (UINT64_C(1) << 48) - 1};
#endif
#if defined(__x86_64__) || defined(__i386__)
static const uint8_t narrow_numbers[] = {0, 3, 1, 2, 6, 7, 5, 4, 8};
static const struct machine narrow = {4, 4, 5, 8, true, UINT32_MAX};
#endif

struct walk {
	const struct machine *machine;
	const struct space *space;
	int32_t pid;
	const unsigned char *stack;
	uint64_t stack_at, stack_end;
	uint64_t registers[CFI_REGISTERS];
	uint64_t pc;
	bool exact;   /* pc is the instruction itself */
	bool framed;  /* the last caller was found by the frame pointer */
	bool beyond; /* something was looked for behind the copy's end */
};

uint64_t unwind_registers(unsigned *count)
{
#ifdef REGISTERS
	*count = REGISTER_COUNT;
	return REGISTERS;
#else
	*count = 0;
	return 0;
#endif
}

static bool set_up(struct walk *w, const struct fault *f)
{
#ifdef REGISTERS
	const uint8_t *to = NULL;
	unsigned n = 0;

#if defined(__x86_64__) || defined(__aarch64__)
	if (f->abi == 2) {
		w->machine = &wide;
		to = numbers;
		n = sizeof(numbers);
	}
#endif
#if defined(__x86_64__) || defined(__i386__)
	if (f->abi == 1) {
		w->machine = &narrow;
		to = narrow_numbers;
		n = sizeof(narrow_numbers);
	}
#endif
	if (!to)
		return false;
	for (unsigned i = 0; i < n; i++)
		w->registers[to[i]] = f->registers[i];
	w->pc = w->registers[w->machine->program_counter];
	w->stack_at = w->registers[w->machine->stack_pointer];
	w->stack = f->stack;
	w->stack_end = w->stack_at + f->stack_len;
	return true;
#else
	(void)w;
	(void)f;
	return false;
#endif
}

uint64_t unwind_stack_pointer(const struct fault *f)
{
	struct walk w = {0};

	return set_up(&w, f) ? w.stack_at : 0;
}

static bool read_word(void *context, uint64_t address, uint64_t *out)
{
	struct walk *w = context;
	unsigned word = w->machine->word;

	if (address < w->stack_at || address > w->stack_end || w->stack_end - address < word) {
		w->beyond |= address >= w->stack_at;
		return false;
	}
	if (word == 8) {
		memcpy(out, w->stack + (address - w->stack_at), 8);
	} else {
		uint32_t value;

		memcpy(&value, w->stack + (address - w->stack_at), 4);
		*out = value;
	}
	return true;
}

/* ---- where an address lies ---- */

struct place {
	struct object *object; /* NULL: in no file */
	uint64_t offset, address;
};

static bool locate(const struct walk *w, uint64_t pc, struct place *out)
{
	const struct mapping *m = space_find(w->space, pc);

	if (!m || !m->executable)
		return false;
	out->object = object_at(m->object);
	out->offset = pc - m->start + m->offset;
	out->address = pc;
	if (!out->object)
		return true;
	object_load(out->object, w->pid, m->start, m->end);
	if (out->object->image) /* of the vDSO, the offset counts from its begin */
		out->offset = pc - m->start;
	if (out->object->is_elf)
		out->address = object_address(out->object, out->offset);
	if (!out->object->is_elf || out->address == UINT64_MAX) {
		out->object = NULL;
		out->address = pc;
	}
	return true;
}

/* ---- the caller, as call frame information tells it ---- */

static const struct cfi_row *row_at(const struct object *o, uint64_t address)
{
	static struct kept {
		const struct object *object;
		uint64_t address;
		bool found;
		struct cfi_row row;
	} rows[ROWS];
	struct kept *k = &rows[(address ^ address >> 10 ^ (uint64_t)o->id * 61) % ROWS];

	if (k->object != o || k->address != address) {
		k->object = o;
		k->address = address;
		k->found = cfi_find(&o->cfi, address, &k->row);
	}
	return k->found ? &k->row : NULL;
}

enum step { STEP_DONE, STEP_END, STEP_FAILED, STEP_UNKNOWN };

static bool restore(struct walk *w, const struct cfi *c, const struct cfi_how *how, uint64_t cfa, uint64_t *value)
{
	uint64_t address;

	switch (how->rule) {
	case CFI_RULE_AT:
		return read_word(w, cfa + (uint64_t)(int64_t)how->value, value);
	case CFI_RULE_IS:
		*value = cfa + (uint64_t)(int64_t)how->value;
		return true;
	case CFI_RULE_REGISTER:
		*value = w->registers[how->value];
		return true;
	case CFI_RULE_AT_EXPRESSION:
		return cfi_evaluate(c, how->value, w->registers, true, cfa, read_word, w, &address) &&
		       read_word(w, address, value);
	case CFI_RULE_IS_EXPRESSION:
		return cfi_evaluate(c, how->value, w->registers, true, cfa, read_word, w, value);
	default:
		return true; /* as it is */
	}
}

static enum step by_cfi(struct walk *w, const struct object *o, uint64_t address)
{
	const struct machine *m = w->machine;
	const struct cfi_row *row = o->has_cfi && o->wide == (m->word == 8) ? row_at(o, address) : NULL;
	uint64_t cfa, before[CFI_REGISTERS], after[CFI_REGISTERS];

	if (!row)
		return STEP_UNKNOWN;
	if (row->registers[row->ra].rule == CFI_RULE_UNDEFINED)
		return STEP_END; /* _start, and the begin of a thread */
	if (row->registers[row->ra].rule == CFI_RULE_SAME && (m->returns_in_memory || !w->exact))
		return STEP_FAILED;
	if (row->cfa_is_expression) {
		if (!cfi_evaluate(&o->cfi, row->cfa_offset, w->registers, false, 0, read_word, w, &cfa))
			return STEP_FAILED;
	} else {
		cfa = w->registers[row->cfa_register] + (uint64_t)(int64_t)row->cfa_offset;
	}
	if (m->word == 4)
		cfa = (uint32_t)cfa;
	memcpy(before, w->registers, sizeof(before));
	memcpy(after, w->registers, sizeof(after));
	after[m->stack_pointer] = cfa;
	for (unsigned i = 0; i < CFI_REGISTERS; i++)
		if (row->registers[i].rule != CFI_RULE_SAME && !restore(w, &o->cfi, &row->registers[i], cfa, &after[i]) &&
		    (i == row->ra || i == m->stack_pointer || i == m->frame_pointer))
			return STEP_FAILED; /* another one is not needed, most likely */
	w->framed = false;
	w->exact = row->signal; /* it interrupted an instruction: nothing was called */
	w->pc = after[row->ra] & m->address_mask;
	memcpy(w->registers, after, sizeof(after));
	w->registers[m->program_counter] = w->pc;
	return after[m->stack_pointer] == before[m->stack_pointer] && w->pc == before[m->program_counter] ? STEP_FAILED
													 : STEP_DONE;
}

/* ---- the caller, where nothing describes the code ---- */

/* Does a call stand before `at`, which can have led to `pc`? 1: it led there for certain; 0: it may have. */
static int led_by_call(const struct walk *w, uint64_t at, const struct place *callee)
{
	struct place caller;
	unsigned char code[7];

	if (!locate(w, at, &caller) || !caller.object || caller.offset < sizeof(code) ||
	    !object_bytes(caller.object, caller.offset - sizeof(code), code, sizeof(code)))
		return -1;
	if (code[2] == 0xe8) { /* call rel32 */
		int32_t distance;
		memcpy(&distance, code + 3, sizeof(distance));
		uint64_t target = caller.address + (uint64_t)(int64_t)distance;

		if (caller.object != callee->object)
			return 0; /* through its linkage table */
		return target <= callee->address && callee->address - target < LEAF_MAX ? 1 : -1;
	}
	/* call r/m: ff /2, of two to seven bytes */
	for (unsigned len = 2; len <= 7; len++) {
		unsigned char op = code[7 - len], form = code[8 - len], mode = form >> 6, rm = form & 7;
		unsigned want = 2 + (mode != 3 && rm == 4) + (mode == 1 ? 1 : mode == 2 || (mode == 0 && rm == 5) ? 4 : 0);

		if (op == 0xff && (form >> 3 & 7) == 2 && want == len)
			return 0;
	}
	return -1;
}

static void returned(struct walk *w, uint64_t pc, uint64_t stack_pointer)
{
	w->pc = pc & w->machine->address_mask;
	w->registers[w->machine->program_counter] = w->pc;
	w->registers[w->machine->stack_pointer] = stack_pointer;
	w->exact = false;
}

static bool by_frame_pointer(struct walk *w)
{
	const struct machine *m = w->machine;
	uint64_t frame = w->registers[m->frame_pointer], next, pc;
	struct place caller;

	if (frame < w->registers[m->stack_pointer] || frame % m->word != 0 || !read_word(w, frame, &next) ||
	    !read_word(w, frame + m->word, &pc))
		return false;
	if (pc == 0) { /* the outermost one: Go's goexit, clone() */
		returned(w, 0, frame + 2 * m->word);
		return true;
	}
	if (!locate(w, pc & m->address_mask, &caller))
		return false;
	returned(w, pc, frame + 2 * m->word);
	w->registers[m->frame_pointer] = next;
	w->framed = true;
	return true;
}

static enum step by_looks(struct walk *w, const struct place *here, bool innermost, uint16_t *flags)
{
	const struct machine *m = w->machine;
	uint64_t sp = w->registers[m->stack_pointer], word;

	if (innermost && !m->returns_in_memory) { /* a leaf has it in its register; a frame is on top of it otherwise */
		struct place caller;
		uint64_t pc = w->registers[30] & m->address_mask;

		if (w->registers[m->frame_pointer] == 0 && locate(w, pc, &caller)) {
			returned(w, pc, sp);
			return STEP_DONE;
		}
	}
	if (innermost && m->returns_in_memory && here->object && read_word(w, sp, &word) &&
	    led_by_call(w, word, here) == 1) { /* a leaf that has no frame */
		returned(w, word, sp + m->word);
		return STEP_DONE;
	}
	if (by_frame_pointer(w))
		return w->pc ? STEP_DONE : STEP_END;
	/* It is 0 where a program and its threads begin, and nothing was called from there. */
	const enum step none = w->registers[m->frame_pointer] == 0 && !innermost ? STEP_END : STEP_FAILED;

	if (!m->returns_in_memory || !here->object || (w->framed && none == STEP_END))
		return none;
	for (unsigned i = 0; i < WORDS_SEARCHED; i++, sp += m->word) {
		if (!read_word(w, sp, &word))
			return none;
		if (led_by_call(w, word, here) < 0)
			continue;
		returned(w, word, sp + m->word);
		*flags |= HW_FAULT_STACK_GUESSED;
		return STEP_DONE;
	}
	return none;
}

/* ---- all of them ---- */

static void add(struct calls *out, const struct walk *w, const struct place *at)
{
	out->frames[out->count++] =
		(struct hw_fault_frame){.address = at->address, .module = at->object ? at->object->id : HW_NONE, .exact = w->exact};
}

static void by_chain(struct walk *w, const struct fault *f, struct calls *out)
{
	struct place at;

	w->exact = true;
	for (size_t i = 0; i < f->chain_len && out->count < CALLS_MAX; i++) {
		uint64_t pc;

		memcpy(&pc, f->chain + 8 * i, sizeof(pc));
		if (pc >= (uint64_t)-4095) /* a mark: what follows is the kernel's, or the user's */
			continue;
		if (!locate(w, pc, &at))
			at = (struct place){NULL, 0, pc};
		add(out, w, &at);
		w->exact = false;
	}
}

void unwind_stack(const struct space *s, int32_t pid, const struct fault *f, struct calls *out)
{
	static struct walk w;
	bool innermost = true;

	w = (struct walk){.space = s, .pid = pid, .exact = true};
	out->count = 0;
	out->flags = 0;
	if (f->chain) {
		by_chain(&w, f, out);
		return;
	}
	if (!set_up(&w, f))
		return;
	for (;; innermost = false) {
		struct place here, before;
		uint64_t sp = w.registers[w.machine->stack_pointer];
		enum step step;

		if (!locate(&w, w.pc, &here)) {
			if (out->count == 0)
				add(out, &w, &(struct place){NULL, 0, w.pc});
			out->flags |= HW_FAULT_STACK_BROKEN;
			return;
		}
		add(out, &w, &here);
		if (out->count == CALLS_MAX) {
			out->flags |= HW_FAULT_STACK_CUT;
			return;
		}
		/* A call can be the last instruction of its function: the one before the return tells which that is. */
		before = here;
		if (!w.exact && here.address > 0)
			before.address--;
		step = here.object ? by_cfi(&w, here.object, before.address) : STEP_UNKNOWN;
		if (step == STEP_UNKNOWN)
			step = by_looks(&w, &here, innermost, &out->flags);
		if (step == STEP_END)
			return;
		if (step == STEP_FAILED || w.registers[w.machine->stack_pointer] < sp) {
			out->flags |= w.beyond ? HW_FAULT_STACK_CUT : HW_FAULT_STACK_BROKEN;
			return;
		}
	}
}
