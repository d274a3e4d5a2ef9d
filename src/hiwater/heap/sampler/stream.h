/* What the heap sampler writes: one file for each program image, named PID.N.heap, in the folder HIWATER_HEAP_DIR.
 *
 * A file is one `struct hw_heap_head`, padded to HW_HEAP_HEAD_SIZE, and then records. It is written through shared
 * mappings, so what a process has written survives however the process ends. Everything is in the byte order of the
 * machine that measured. A record is a `struct hw_heap_record` followed by a payload; `size` counts both and is a
 * multiple of 8. A reader skips types that it does not know and ignores payload bytes behind the fields it knows.
 * Records are valid up to head.end; what is not told in full is counted in head.lost_*.
 *
 * Times are CLOCK_MONOTONIC itself. Sizes are what the program asked for.
 */
#ifndef HW_HEAP_STREAM_H
#define HW_HEAP_STREAM_H

#include <stdint.h>

#define HW_HEAP_MAGIC "\x89HWHEAP\n"
#define HW_HEAP_VERSION 1
#define HW_HEAP_BYTE_ORDER 0x01020304u
#define HW_HEAP_HEAD_SIZE 4096u
#define HW_HEAP_NONE 0xffffffffu

enum hw_heap_flags {
	HW_HEAP_FORKED = 1,  /* a fork without execve: what its parent held at that moment, it holds too */
	HW_HEAP_PYTHON = 2,  /* Python's allocators are followed */
	HW_HEAP_ENDED = 4,   /* the process came to its end, exit() or execve: nothing is missing behind the last record */
	HW_HEAP_STOPPED = 8, /* sampling ended before the process did: `stopped_errno` says why (a full disk) */
	HW_HEAP_PROBE = 16,  /* mallinfo2 is there: glibc's own allocator serves the process */
	HW_HEAP_FRAMELESS = 32, /* Python's frames cannot be read: an unknown version, or not what its version says */
	HW_HEAP_UNHOOKED = 64, /* an interpreter is there whose allocators are not followed: too old, or without the GIL */
};

/* Exact totals of everything that went through the allocator's functions, sampled or not. Threads add theirs now and
 * then: a killed process lacks what its threads had not added, at most `unflushed_bytes` for each of them. */
struct hw_heap_totals {
	uint64_t allocations;     /* calls that gave memory: malloc, calloc, realloc to a new block, ... */
	uint64_t allocated_bytes; /* asked for */
	uint64_t frees;
	uint64_t python_allocations; /* of Python's own allocators; what they leave to malloc is above */
	uint64_t python_allocated_bytes;
};

struct hw_heap_head {
	char magic[8];
	uint32_t byte_order;
	uint16_t version;
	uint16_t word_bytes;
	uint32_t pid;
	uint32_t number;	/* N of the file's name: images of one pid count up */
	uint32_t parent_pid;    /* of a fork: whose file holds what was allocated before */
	uint32_t parent_number; /* HW_HEAP_NONE: begun by execve */
	int64_t start_ns;
	int64_t end_ns; /* 0: not told */
	uint64_t mean_bytes;    /* what was asked for: mean distance of samples in allocated bytes; 0: chosen as it goes */
	uint32_t flags;		/* enum hw_heap_flags */
	int32_t stopped_errno;
	uint64_t end;		/* size of the file that is valid */
	uint64_t samples;       /* allocations that were sampled */
	uint64_t lost_samples;  /* sampled, but not written */
	uint64_t lost_bytes;    /* the memory that they stand for */
	uint64_t lost_frees;    /* of sampled blocks: these seem to live on */
	uint64_t skipped_allocations; /* not open to sampling: made while a sample was taken, by a signal handler in between */
	uint64_t skipped_bytes;
	uint64_t unflushed_bytes;
	struct hw_heap_totals totals;
	uint64_t copied;	/* of a fork: `end` of the parent's file at that moment */
};

struct hw_heap_record {
	uint32_t size;
	uint16_t type;
	uint16_t flags; /* meaning depends on the type */
};

enum hw_heap_type {
	HW_HEAP_MODULE = 1,	/* struct hw_heap_module, its build-id, its path: code is mapped */
	HW_HEAP_MODULE_GONE,    /* struct hw_heap_module_gone: dlclose */
	HW_HEAP_STACK,		/* struct hw_heap_stack, then addresses, then Python's frames */
	HW_HEAP_CODE,		/* struct hw_heap_code, its qualified name, its file's name: Python code that stacks name */
	HW_HEAP_ALLOC,		/* struct hw_heap_alloc; flags: enum hw_heap_kind. One sampled allocation */
	HW_HEAP_FREE,		/* struct hw_heap_free: of a sampled block */
	HW_HEAP_MAP,		/* struct hw_heap_map: mmap, every one. Addresses that were mapped before are replaced */
	HW_HEAP_UNMAP,		/* struct hw_heap_unmap: munmap, every one */
	HW_HEAP_BRK,		/* struct hw_heap_brk: brk or sbrk that the program itself called */
	HW_HEAP_TOTALS,		/* struct hw_heap_moment */
	HW_HEAP_MALLINFO,       /* struct hw_heap_mallinfo: glibc's own account */
	HW_HEAP_THREAD,		/* struct hw_heap_thread: flags 1 begun, 0 ended */
	HW_HEAP_NOT_FOLLOWED,   /* struct hw_heap_not_followed, the path; flags: enum hw_heap_why. A program is executed */
	HW_HEAP_TRIM,		/* struct hw_heap_trim: malloc_trim at exit, where HIWATER_HEAP_TRIM asks for it */
};

enum hw_heap_kind {
	HW_HEAP_MALLOC = 1, /* malloc, calloc, realloc, operator new, ... */
	HW_HEAP_ALIGNED,    /* memalign and its family */
	HW_HEAP_PY_MEM,     /* PYMEM_DOMAIN_MEM, where the interpreter serves it itself: pymalloc's up to 512 bytes */
	HW_HEAP_PY_OBJ,     /* PYMEM_DOMAIN_OBJ */
};

struct hw_heap_module {
	int64_t t_ns;
	uint64_t start, end; /* of its code in memory (its executable segment) */
	uint64_t bias;       /* address in memory less address in the file's own terms (dlpi_addr) */
	uint16_t build_id_len;
	uint16_t path_len;
	uint32_t reserved;
};

struct hw_heap_module_gone {
	int64_t t_ns;
	uint64_t start;
};

/* Addresses are those of the calls' returns, innermost first; the innermost is in the caller of the allocator's function.
 * Each is a u64. The caller looks a return address up at address - 1. */
struct hw_heap_stack {
	uint32_t stack; /* its number; numbers are given once in a file */
	uint16_t native;
	uint16_t python; /* struct hw_heap_frame, innermost first */
	uint16_t flags;  /* enum hw_heap_stack_flags */
	uint16_t reserved;
	uint32_t reserved2;
};
enum hw_heap_stack_flags {
	HW_HEAP_STACK_CUT = 1,	/* deeper than is kept: the outermost are missing */
	HW_HEAP_STACK_BROKEN = 2, /* the unwinder did not come to the end */
};

struct hw_heap_frame {
	uint32_t code;  /* of a HW_HEAP_CODE */
	uint32_t line;  /* 0: unknown */
	uint32_t entry; /* 1: it was entered from C: the next one belongs to an evaluation further out on the native stack */
	uint32_t reserved;
};

struct hw_heap_code {
	uint32_t code;
	uint32_t first_line;
	uint16_t name_len, file_len; /* UTF-8 */
	uint32_t reserved;
};

struct hw_heap_alloc {
	int64_t t_ns;
	uint64_t address;
	uint64_t bytes;
	uint64_t mean_bytes; /* in force at that moment: it was sampled with probability 1 - exp(-bytes / mean_bytes) */
	uint32_t stack;
	uint32_t tid;
};

struct hw_heap_free {
	int64_t t_ns;
	uint64_t address;
};

struct hw_heap_map { /* hw_record.flags: the protection, PROT_* */
	int64_t t_ns;
	uint64_t address, bytes;
	uint64_t moved_from; /* of mremap: the old address, and its size in moved_bytes; else 0 */
	uint64_t moved_bytes;
	uint32_t map_flags;  /* MAP_* */
	int32_t fd;
	uint32_t stack;
	uint32_t tid;
};

struct hw_heap_unmap {
	int64_t t_ns;
	uint64_t address, bytes;
};

struct hw_heap_brk {
	int64_t t_ns;
	uint64_t before, after;
	uint32_t stack;
	uint32_t tid;
};

/* Written when the memory in use reaches a new maximum that exceeds the last one told by 1/64 (at least 64 KiB), when it
 * has fallen by 1/8 since, and at the end. */
struct hw_heap_moment {
	int64_t t_ns;
	uint64_t maxrss_bytes; /* getrusage(RUSAGE_SELF): what the RSS has reached, and what was inherited */
	struct hw_heap_totals totals;
};

/* mallinfo2(3). With HW_HEAP_TOTALS where the last one is older than 50 ms, and at the end. */
struct hw_heap_mallinfo {
	int64_t t_ns;
	uint64_t arena_bytes, mmapped_bytes, in_use_bytes, free_bytes, top_bytes;
	uint64_t mmapped_blocks;
};

/* malloc_trim(0) of glibc's own allocator: the last that the process does. RSS by smaps_rollup, exact. */
struct hw_heap_trim {
	int64_t t_ns; /* before it */
	uint64_t took_ns;
	uint64_t rss_before_bytes, rss_after_bytes;
};

/* Why a program that the process executes (or its child does, after vfork or by posix_spawn) leaves no file. */
enum hw_heap_why {
	HW_HEAP_IS_STATIC = 1,    /* it has no dynamic linker */
	HW_HEAP_OTHER_LIBC = 2,   /* that of another C library: it is executed without this library in LD_PRELOAD */
	HW_HEAP_OTHER_MACHINE = 3, /* another word size or processor: the same */
	HW_HEAP_PRIVILEGED = 4,   /* set-user-ID or set-group-ID: LD_PRELOAD is ignored */
};

struct hw_heap_not_followed {
	int64_t t_ns;
	uint32_t pid; /* of the process that executes; of posix_spawn its parent */
	uint16_t path_len;
	uint16_t reserved;
};

struct hw_heap_thread {
	int64_t t_ns;
	uint32_t tid;
	uint32_t reserved;
	uint64_t stack_low, stack_high; /* 0: unknown */
};

#endif
