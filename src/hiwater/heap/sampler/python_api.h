/* What is called of the interpreter: found by name, nothing of its headers is needed. */
#ifndef HW_PYTHON_API_H
#define HW_PYTHON_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PyMemAllocatorEx, since Python 3.5. */
struct python_allocator {
	void *ctx;
	void *(*malloc)(void *ctx, size_t size);
	void *(*calloc)(void *ctx, size_t count, size_t size);
	void *(*realloc)(void *ctx, void *address, size_t size);
	void (*free)(void *ctx, void *address);
};

struct python_api {
	uint32_t version; /* PY_VERSION_HEX */
	void (*get_allocator)(int domain, struct python_allocator *);
	void (*set_allocator)(int domain, struct python_allocator *);
	int (*is_initialized)(void);
	/* The thread state that holds the GIL: of whatever thread up to 3.11, of the calling one since 3.12; or NULL */
	void *(*current_state)(void);
	void *(*own_state)(void); /* of the calling thread, whether it has the GIL or not; not of subinterpreters */
	int (*line)(void *code, int byte); /* of an instruction. Allocates nothing */
	const void *code_type, *text_type;
	const void *runtime;		 /* _PyRuntime, or NULL */
	uintptr_t image_low, image_high; /* where the program or library that holds the interpreter lies */
};

/* Looks for an interpreter in the process. False: there is none. Asking the linker finds one in the program itself, too,
 * leaves dlerror() clear, and is not to be done in the middle of an allocation. */
bool python_find(struct python_api *api, bool ask_linker);

/* An interpreter's library stays where it is, whoever closes it. Leaves dlerror() clear. */
void python_keep_library(void);

#endif
