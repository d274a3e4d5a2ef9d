/* Where the tables of a piece of code are. */
#ifndef HW_UNWIND_FIND_H
#define HW_UNWIND_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind_cfi.h"

void find_init(void);
void find_learn(void);
void find_forget(uintptr_t start, uintptr_t end);
bool find_image(uintptr_t pc, struct cfi_image *out);

/* The page of `address` can be read. It asks the kernel, so that a wrong guess does not fault. */
bool page_readable(uintptr_t address);

#endif
