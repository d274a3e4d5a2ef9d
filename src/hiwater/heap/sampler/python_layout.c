/* The structures of CPython 3.10 to 3.15, as far as frames need them. For 3.10, 3.11 and 3.12 the beginnings of the
 * structures are declared here, in own words, so that the compiler computes the offsets for this machine (from
 * Include/cpython/pystate.h, code.h, unicodeobject.h, frameobject.h, and Include/internal/pycore_frame.h of each version);
 * since 3.13 the interpreter publishes most of them itself, in front of _PyRuntime (struct _Py_DebugOffsets of
 * Include/internal/pycore_runtime.h, since 3.14 pycore_debug_offsets.h), for debuggers. */
#include "python_layout.h"

#include <stddef.h>
#include <string.h>

struct object {
	intptr_t references;
	void *type;
};
struct sized {
	struct object object;
	intptr_t size;
};

/* Strings: 3.12 (PEP 623) took two fields out. */
struct text_310 {
	struct object object;
	intptr_t length, hash;
	uint32_t state;
	void *wide;
	struct {
		intptr_t utf8_length;
		void *utf8;
		intptr_t wide_length;
	} compact;
};
struct text_312 {
	struct object object;
	intptr_t length, hash;
	uint32_t state;
	struct {
		intptr_t utf8_length;
		void *utf8;
	} compact;
};

struct state_310 { /* of a thread, 3.10 */
	void *previous, *next, *interpreter, *frame;
};
struct frame_310 {
	struct sized object;
	void *previous, *code, *builtins, *globals, *locals, *value_stack, *trace;
	int depth;
	char trace_lines, trace_opcodes;
	void *generator;
	int last, line;
};
struct code_310 {
	struct object object;
	int arguments, positional, keyword, locals, stack, flags, first_line;
	void *bytes, *constants, *names, *variables, *free_variables, *cells, *cell2arg, *file, *name, *lines;
};

struct state_311 { /* 3.11, 3.12 */
	void *previous, *next, *interpreter;
	int states[5];
	int more[2]; /* tracing; 3.11: its reason. 3.12 has other ones in this room */
	void *cframe;
};
struct cframe_311 {
	uint8_t use_tracing;
	void *frame, *previous;
};
struct cframe_312 {
	void *frame, *previous;
};
struct frame_311 {
	void *function, *globals, *builtins, *locals, *code, *object, *previous, *instruction;
	int top;
	bool is_entry;
	char owner;
};
struct frame_312 {
	void *code, *previous, *function, *globals, *builtins, *locals, *object, *instruction;
	int top;
	uint16_t return_offset;
	char owner;
};
struct code_311 {
	struct sized object;
	void *constants, *names, *exceptions;
	int flags;
	short warmup, linetable_entry;
	int arguments, positional, keyword, stack, first_line;
	int counts[5];
	void *variables, *kinds, *file, *name, *qualified_name, *lines, *weak;
	void *cached[2]; /* the code as bytes; lines as an array */
	int first_traceable;
	void *extra;
	char instructions[1];
};
struct code_312 {
	struct sized object;
	void *constants, *names, *exceptions;
	int flags;
	int arguments, positional, keyword, stack, first_line;
	int counts[5];
	uint32_t version;
	void *variables, *kinds, *file, *name, *qualified_name, *lines, *weak;
	void *cached;
	uint64_t instrumentation;
	void *monitoring;
	int first_traceable;
	void *extra;
	char instructions[1];
};

/* struct _Py_DebugOffsets: all but the cookie are u64, so their places are counted. Each group begins with the size of its
 * structure; the groups differ in length from version to version, and are frozen with a version's first release. */
#define COOKIE "xdebugpy"
enum { DEBUG_COOKIE, DEBUG_VERSION, DEBUG_FREE_THREADED };

struct debug_groups {
	uint8_t thread;	 /* size, prev, next, interp, current_frame */
	uint8_t frame;	 /* size, previous, executable, instr_ptr, localsplus, owner */
	uint8_t code;	 /* size, filename, name, qualname, linetable, firstlineno, 3, co_code_adaptive */
	uint8_t object;	 /* size, ob_type */
	uint8_t tuple;	 /* size, ob_item, ob_size */
	uint8_t text;	 /* size, state, length, asciiobject_size */
};
static const struct debug_groups debug_313 = {.thread = 19, .frame = 28, .code = 34, .object = 44, .tuple = 50, .text = 67};
static const struct debug_groups debug_314 = {.thread = 22, .frame = 31, .code = 39, .object = 50, .tuple = 56, .text = 77};
static const struct debug_groups debug_315 = {.thread = 22, .frame = 39, .code = 47, .object = 58, .tuple = 68, .text = 89};

static uint64_t debug_offset(const void *runtime, unsigned place)
{
	uint64_t value;

	memcpy(&value, (const char *)runtime + 8u * place, sizeof value);
	return value;
}

static const struct python_layout nothing = {
	.cframe_frame = PYTHON_ABSENT,
	.frame_instruction = PYTHON_ABSENT,
	.frame_last = PYTHON_ABSENT,
	.frame_line = PYTHON_ABSENT,
	.frame_is_entry = PYTHON_ABSENT,
	.frame_owner = PYTHON_ABSENT,
	.owner_c_stack = 0xff,
	.code_instructions = PYTHON_ABSENT,
	.code_bytes = PYTHON_ABSENT,
	.code_first_traceable = PYTHON_ABSENT,
	.object_type = offsetof(struct object, type),
	.object_size = offsetof(struct sized, size),
	.text_length = offsetof(struct text_312, length),
	.text_state = offsetof(struct text_312, state),
	.text_ascii = offsetof(struct text_312, compact),
	.text_compact = sizeof(struct text_312),
};

static void layout_310(struct python_layout *layout)
{
	layout->state_frame = offsetof(struct state_310, frame);
	layout->frame_previous = offsetof(struct frame_310, previous);
	layout->frame_code = offsetof(struct frame_310, code);
	layout->frame_last = offsetof(struct frame_310, last);
	layout->frame_line = offsetof(struct frame_310, line);
	layout->code_file = offsetof(struct code_310, file);
	layout->code_name = offsetof(struct code_310, name);
	layout->code_first_line = offsetof(struct code_310, first_line);
	layout->code_lines = offsetof(struct code_310, lines);
	layout->code_bytes = offsetof(struct code_310, bytes);
	layout->text_ascii = offsetof(struct text_310, compact);
	layout->text_compact = sizeof(struct text_310);
}

static void layout_311(struct python_layout *layout)
{
	layout->state_frame = offsetof(struct state_311, cframe);
	layout->cframe_frame = offsetof(struct cframe_311, frame);
	layout->frame_previous = offsetof(struct frame_311, previous);
	layout->frame_code = offsetof(struct frame_311, code);
	layout->frame_instruction = offsetof(struct frame_311, instruction);
	layout->frame_is_entry = offsetof(struct frame_311, is_entry);
	layout->code_file = offsetof(struct code_311, file);
	layout->code_name = offsetof(struct code_311, qualified_name);
	layout->code_first_line = offsetof(struct code_311, first_line);
	layout->code_lines = offsetof(struct code_311, lines);
	layout->code_first_traceable = offsetof(struct code_311, first_traceable);
	layout->code_instructions = offsetof(struct code_311, instructions);
	layout->text_ascii = offsetof(struct text_310, compact);
	layout->text_compact = sizeof(struct text_310);
}

static void layout_312(struct python_layout *layout)
{
	layout->state_frame = offsetof(struct state_311, cframe);
	layout->cframe_frame = offsetof(struct cframe_312, frame);
	layout->frame_previous = offsetof(struct frame_312, previous);
	layout->frame_code = offsetof(struct frame_312, code);
	layout->frame_instruction = offsetof(struct frame_312, instruction);
	layout->frame_owner = offsetof(struct frame_312, owner);
	layout->owner_c_stack = 3; /* FRAME_OWNED_BY_CSTACK */
	layout->code_file = offsetof(struct code_312, file);
	layout->code_name = offsetof(struct code_312, qualified_name);
	layout->code_first_line = offsetof(struct code_312, first_line);
	layout->code_lines = offsetof(struct code_312, lines);
	layout->code_first_traceable = offsetof(struct code_312, first_traceable);
	layout->code_instructions = offsetof(struct code_312, instructions);
}

/* Taken only if it is a place inside a structure of this size. */
static bool take(uint16_t *field, const void *runtime, unsigned group, unsigned place)
{
	uint64_t size = debug_offset(runtime, group), offset = debug_offset(runtime, group + place);

	*field = (uint16_t)offset;
	return offset < size && size < PYTHON_ABSENT;
}

static bool layout_debug(struct python_layout *layout, uint32_t version, const void *runtime, const struct debug_groups *at)
{
	/* Alphas, betas and candidates have other groups than the release. */
	if ((version >> 4 & 15) != 15 || !runtime || memcmp(runtime, COOKIE, 8) ||
	    debug_offset(runtime, DEBUG_VERSION) != version)
		return false;
	bool good = take(&layout->state_frame, runtime, at->thread, 4) &&
		    take(&layout->frame_previous, runtime, at->frame, 1) &&
		    take(&layout->frame_code, runtime, at->frame, 2) &&
		    take(&layout->frame_instruction, runtime, at->frame, 3) &&
		    take(&layout->frame_owner, runtime, at->frame, 5) &&
		    take(&layout->code_file, runtime, at->code, 1) && take(&layout->code_name, runtime, at->code, 3) &&
		    take(&layout->code_lines, runtime, at->code, 4) &&
		    take(&layout->code_first_line, runtime, at->code, 5) &&
		    take(&layout->code_instructions, runtime, at->code, 9) &&
		    take(&layout->object_type, runtime, at->object, 1) &&
		    take(&layout->object_size, runtime, at->tuple, 2) &&
		    take(&layout->text_state, runtime, at->text, 1) && take(&layout->text_length, runtime, at->text, 2);
	if (!good || layout->code_instructions < 2 * sizeof(void *))
		return false;
	layout->owner_c_stack = 3; /* FRAME_OWNED_BY_CSTACK; since 3.14 it is called FRAME_OWNED_BY_INTERPRETER */
	/* Not told: `_co_firsttraceable` stands in front of `co_extra`, which stands in front of the instructions. */
	layout->code_first_traceable = (uint16_t)(layout->code_instructions - 2 * sizeof(void *));
	layout->text_ascii = (uint16_t)debug_offset(runtime, at->text + 3u);
	layout->text_compact = (uint16_t)(layout->text_ascii + sizeof(struct text_312) - offsetof(struct text_312, compact));
	return layout->text_ascii < debug_offset(runtime, at->text);
}

bool python_layout(uint32_t version, const void *runtime, struct python_layout *layout)
{
	*layout = nothing;
	switch (version >> 16) {
	case 0x030a:
		layout_310(layout);
		return true;
	case 0x030b:
		layout_311(layout);
		return true;
	case 0x030c:
		layout_312(layout);
		return true;
	case 0x030d:
		return layout_debug(layout, version, runtime, &debug_313);
	case 0x030e:
		layout->frame_code_tags = 3; /* _PyStackRef: Py_TAG_BITS of Include/internal/pycore_stackref.h */
		return layout_debug(layout, version, runtime, &debug_314);
	case 0x030f:
		layout->frame_code_tags = 3;
		return layout_debug(layout, version, runtime, &debug_315);
	default:
		return false;
	}
}

bool python_free_threaded(const void *runtime)
{
	return runtime && !memcmp(runtime, COOKIE, 8) && debug_offset(runtime, DEBUG_FREE_THREADED) == 1;
}
