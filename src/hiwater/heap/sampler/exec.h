/* The guard before execve: what is executed must not fail because of this library. */
#ifndef HW_EXEC_H
#define HW_EXEC_H

#include "elf.h"

/* What `path` (from the folder `at`, as openat(2) has it) leads to, through its #! lines. Nothing is allocated; errno may
 * change. */
enum elf_verdict exec_look(int at, const char *path);
enum elf_verdict exec_look_fd(int fd);

#endif
