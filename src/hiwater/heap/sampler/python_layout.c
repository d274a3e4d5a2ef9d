/* The structures of CPython 3.10 to 3.13, as far as frames need them. For 3.10, 3.11 and 3.12 the beginnings of the
 * structures are declared here, in own words, so that the compiler computes the offsets for this machine (from
 * Include/cpython/pystate.h, code.h, unicodeobject.h, frameobject.h, and Include/internal/pycore_frame.h of each version);
 * since 3.13 the interpreter publishes most of them itself, in front of _PyRuntime (struct _Py_DebugOffsets of
 * Include/internal/pycore_runtime.h), for debuggers. */
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

/* struct _Py_DebugOffsets of 3.13: all but the cookie are u64, so their places are counted. */
#define COOKIE "xdebugpy"
enum debug_313 {
	DEBUG_COOKIE,
	DEBUG_VERSION,
	DEBUG_FREE_THREADED,
	DEBUG_RUNTIME,			       /* 3 fields */
	DEBUG_INTERPRETER = DEBUG_RUNTIME + 3, /* 13 */
	DEBUG_THREAD = DEBUG_INTERPRETER + 13, /* 9: size, prev, next, interp, current_frame, ... */
	DEBUG_FRAME = DEBUG_THREAD + 9,	/* 6: size, previous, executable, instr_ptr, localsplus, owner */
	DEBUG_CODE = DEBUG_FRAME + 6, /* 10: size, filename, name, qualname, linetable, firstlineno, 3, instructions */
	DEBUG_OBJECT = DEBUG_CODE + 10, /* 2: size, ob_type */
	DEBUG_TYPE = DEBUG_OBJECT + 2,  /* 4 */
	DEBUG_TUPLE = DEBUG_TYPE + 4,   /* 3: size, ob_item, ob_size */
	DEBUG_LIST = DEBUG_TUPLE + 3,   /* 3 */
	DEBUG_DICT = DEBUG_LIST + 3,    /* 3 */
	DEBUG_FLOAT = DEBUG_DICT + 3,   /* 2 */
	DEBUG_LONG = DEBUG_FLOAT + 2,   /* 3 */
	DEBUG_BYTES = DEBUG_LONG + 3,   /* 3 */
	DEBUG_TEXT = DEBUG_BYTES + 3,   /* 4: size, state, length, asciiobject_size */
};

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

static bool layout_313(struct python_layout *layout, const void *runtime)
{
	if (!runtime || memcmp(runtime, COOKIE, 8) || debug_offset(runtime, DEBUG_VERSION) >> 16 != 0x030d)
		return false;
	bool good = take(&layout->state_frame, runtime, DEBUG_THREAD, 4) &&
		    take(&layout->frame_previous, runtime, DEBUG_FRAME, 1) &&
		    take(&layout->frame_code, runtime, DEBUG_FRAME, 2) &&
		    take(&layout->frame_instruction, runtime, DEBUG_FRAME, 3) &&
		    take(&layout->frame_owner, runtime, DEBUG_FRAME, 5) &&
		    take(&layout->code_file, runtime, DEBUG_CODE, 1) && take(&layout->code_name, runtime, DEBUG_CODE, 3) &&
		    take(&layout->code_lines, runtime, DEBUG_CODE, 4) &&
		    take(&layout->code_first_line, runtime, DEBUG_CODE, 5) &&
		    take(&layout->code_instructions, runtime, DEBUG_CODE, 9) &&
		    take(&layout->object_type, runtime, DEBUG_OBJECT, 1) &&
		    take(&layout->object_size, runtime, DEBUG_TUPLE, 2) &&
		    take(&layout->text_state, runtime, DEBUG_TEXT, 1) && take(&layout->text_length, runtime, DEBUG_TEXT, 2);
	if (!good || layout->code_instructions < 2 * sizeof(void *))
		return false;
	layout->owner_c_stack = 3; /* FRAME_OWNED_BY_CSTACK */
	/* Not told: `_co_firsttraceable` stands in front of `co_extra`, which stands in front of the instructions. */
	layout->code_first_traceable = (uint16_t)(layout->code_instructions - 2 * sizeof(void *));
	layout->text_ascii = (uint16_t)debug_offset(runtime, DEBUG_TEXT + 3);
	layout->text_compact = (uint16_t)(layout->text_ascii + sizeof(struct text_312) - offsetof(struct text_312, compact));
	return layout->text_ascii < debug_offset(runtime, DEBUG_TEXT);
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
		return layout_313(layout, runtime);
	default:
		return false;
	}
}

bool python_free_threaded(const void *runtime)
{
	return runtime && !memcmp(runtime, COOKIE, 8) && debug_offset(runtime, DEBUG_FREE_THREADED) == 1;
}
