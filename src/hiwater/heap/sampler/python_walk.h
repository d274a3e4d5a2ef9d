/* The frames of a thread, from the interpreter's structures (python_walk.c), and their code objects (python_code.c). */
#ifndef HW_PYTHON_WALK_H
#define HW_PYTHON_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "python.h"
#include "python_api.h"
#include "python_layout.h"

/* False: there is no layout for this interpreter. */
bool python_walk_init(const struct python_api *api);

/* The thread state of the calling thread if it has the GIL, else NULL. */
void *python_walk_thread(void);

/* *sound = false: the structures are not what the layout says, and no more is to be read of them. */
unsigned python_walk(void *thread, struct python_frame *frames, unsigned max, bool *cut, bool *sound);

/* The number of a code object; writes HW_HEAP_CODE for a new one. HW_HEAP_NONE: it could not be told. */
uint32_t python_code(const struct python_layout *layout, const void *code);

/* UTF-8 of a compact string, cut to `room` at a whole character; its length. For python_code() and its test. */
unsigned python_text(const struct python_layout *layout, const void *text, char *utf8, unsigned room);

#endif
