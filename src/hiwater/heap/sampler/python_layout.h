/* Where CPython keeps what a stack needs, for each version. Offsets in bytes. */
#ifndef HW_PYTHON_LAYOUT_H
#define HW_PYTHON_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define PYTHON_ABSENT 0xffffu

struct python_layout {
	/* of the thread state: the current frame, or (3.11, 3.12) the structure on the C stack that points to it */
	uint16_t state_frame;
	uint16_t cframe_frame;
	/* of a frame */
	uint16_t frame_previous;
	uint16_t frame_code;
	uint16_t frame_code_tags; /* 3.14 and newer: bits of that pointer that are none of the address */
	uint16_t frame_instruction; /* address of the instruction it is at */
	uint16_t frame_last;	    /* 3.10: number of that instruction (int) */
	uint16_t frame_line;	    /* 3.10: the line, where a tracer had it computed (int); else 0 */
	uint16_t frame_is_entry;    /* 3.11: a byte: entered from C */
	uint16_t frame_owner;       /* a byte */
	/* 3.12 and newer: frames of this owner hold no code, they mark where an evaluation was entered from C */
	uint8_t owner_c_stack;
	/* of a code object */
	uint16_t code_file, code_name, code_first_line, code_lines;
	uint16_t code_instructions; /* 3.11 and newer: they follow the object. Their number is its ob_size */
	uint16_t code_bytes;	    /* 3.10: a bytes object holds them */
	uint16_t code_first_traceable; /* int: a frame at an instruction before this one is still being set up */
	/* of objects */
	uint16_t object_type, object_size;
	/* of a string */
	uint16_t text_length, text_state;
	uint16_t text_ascii, text_compact; /* where characters begin: of ASCII strings, of other compact ones */
};

/* What a version's layout is. `runtime` is _PyRuntime, or NULL. False: not known. */
bool python_layout(uint32_t version, const void *runtime, struct python_layout *layout);

/* Whether _PyRuntime says that the interpreter was built without the GIL (told since 3.13). */
bool python_free_threaded(const void *runtime);

#endif
