/* CPython inside the process: its allocators are hooked, and the Python frames of the current thread read.
 *
 * Theory of operation. CPython serves memory through three tables of functions, one a domain (RAW, MEM, OBJ), which
 * PyMem_SetAllocator replaces; the tables are initialised statically, so this is allowed before the interpreter is
 * initialised, and python_init does it from the library's constructor, before main. MEM and OBJ are hooked for what the
 * interpreter serves itself, pymalloc's small objects; what it takes from malloc is counted there. Where the
 * interpreter then chooses its allocators anew (PYTHONMALLOC, -X dev, Py_Finalize followed by Py_Initialize of 3.12 and
 * newer, which resets its whole state), the hooks are gone; that is looked for at each sample while the interpreter is
 * not initialised, and once after it is. Anybody else's hooks (tracemalloc's) wrap ours and are left alone.
 *
 * Frames are read from the interpreter's own structures, with the layout of its version (python_layout.c), because the
 * functions for it create objects. The layout is held against the running interpreter once, by reads that cannot
 * fault; where it does not hold, memory is still counted, without Python frames.
 *
 * Not followed: builds without the GIL (nothing is hooked), interpreters whose symbols are hidden, PyPy. Of
 * subinterpreters memory is counted as everything else; their frames are read since 3.12, before that left out.
 */
#ifndef HW_PYTHON_H
#define HW_PYTHON_H

#include <stdbool.h>
#include <stdint.h>

struct python_frame {
	uint32_t code; /* of a HW_HEAP_CODE that has been written */
	uint32_t line; /* 0: unknown */
	uint32_t entry; /* 1: it was entered from C */
};

/* From the constructor and after each dlopen that succeeded (dlerror() is clear afterwards): finds an interpreter and hooks its
 * allocators, once; the head's flags say what became of it. */
void python_init(void);

/* The same in the middle of an allocation, by code that had not been seen: a library that the linker was left to search
 * for. An interpreter in the program itself is not found so. */
void python_appeared(void);

/* Before a dlclose: an interpreter that is hooked stays where it is. They do not survive that anyway. */
void python_keep(void);

/* The frames of the current thread, innermost first, at most `max`; *cut is set where there were more. 0 frames without
 * the GIL and outside Python. Never allocates, never waits for a lock that an interrupted thread may hold.
 * To be called at each sample of whatever kind, with `inside` > 0: it also sees to it that the hooks are still there. */
unsigned python_frames(struct python_frame *frames, unsigned max, bool *cut);

void python_forked(void); /* in the child of a fork */

#endif
