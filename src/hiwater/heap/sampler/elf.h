/* What a file is that is to be executed, judged by its first bytes. Pure: no file is touched here. */
#ifndef HW_ELF_H
#define HW_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why this library cannot follow a program; also the flags of a HW_HEAP_NOT_FOLLOWED. */
enum elf_verdict {
	ELF_FOLLOWED = 0,	/* glibc's dynamic linker loads it on this machine; or a file that cannot be judged */
	ELF_STATIC = 1,		/* no dynamic linker: LD_PRELOAD means nothing to it, nor does it do harm */
	ELF_OTHER_LIBC = 2,	/* another C library's dynamic linker, which would refuse to start it with this library */
	ELF_OTHER_MACHINE = 3,  /* another word size or processor: the dynamic linker would print an error */
	ELF_PRIVILEGED = 4,	/* set-user-ID or set-group-ID: the dynamic linker ignores LD_PRELOAD, silently */
};

struct elf_shape { /* of a file for this machine: where its program headers are */
	uint64_t headers;
	uint16_t count;
};
struct elf_bytes { /* a part of the file */
	uint64_t offset, len;
};

/* The first bytes of an ELF file. False: it is none, or a broken one (it will not be executed either); *verdict says
 * ELF_OTHER_MACHINE where its program headers do not matter. */
bool elf_shape(const unsigned char *bytes, size_t len, struct elf_shape *shape, enum elf_verdict *verdict);

/* Its program headers. False: it names no dynamic linker. */
bool elf_linker(const unsigned char *headers, size_t len, struct elf_bytes *where);

/* The path of its dynamic linker, as the file has it. */
enum elf_verdict elf_judge(const char *linker, size_t len);

/* The first bytes of a script: its interpreter's path, cut out as the kernel does (fs/binfmt_script.c, load_script). 0: it
 * is none, or the path does not fit. */
size_t script_interpreter(const char *bytes, size_t len, char *to, size_t room);

/* The value of LD_PRELOAD without the libraries that have the file name `own`. Returns its length; (size_t)-1: it does not
 * fit; *changed: there was one. */
size_t preload_without(const char *value, const char *own, char *to, size_t room, bool *changed);

#endif
