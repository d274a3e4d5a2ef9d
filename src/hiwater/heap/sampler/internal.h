/* hiwater's heap sampler, a library that is loaded before a program's others (LD_PRELOAD).
 *
 * Theory of operation
 *
 * interpose.c stands before the C library's malloc and its family: it counts, and asks whether the countdown of the
 * thread has ended (sample.h). Then sampling.c takes the stack, and writes a sample. live.c knows which blocks were
 * sampled and live; free() reads one bit for all others. stacks.c gives stacks numbers, modules.c tells what code is
 * mapped where, output.c writes the file, maps.c stands before mmap and its relatives, process.c sees a process begin,
 * fork and end.
 *
 * One lock guards everything that threads share. Nothing is done under it that could wait for anything of the program's:
 * no unwinding, no dl function, no allocator. While the sampler runs, the thread's `sampling` is set: a signal handler
 * that allocates in between is served, and not sampled. All memory of the sampler's own is mapped by system calls. */
#ifndef HW_INTERNAL_H
#define HW_INTERNAL_H

#include <sys/types.h>

#include "python.h"
#include "sample.h"
#include "stream.h"
#include "unwind.h"

#define EXPORT __attribute__((visibility("default")))
#define COLD __attribute__((noinline, cold))

#define MAX_FRAMES 256u
#define MAX_PYTHON_FRAMES 128u

/* A thread's countdown is no longer, so that what it has counted gets into the head now and then. */
#define UNFLUSHED (UINT64_C(256) << 10)

#define NS_PER_S INT64_C(1000000000)

/* --- the next functions of these names: the C library's, or those of an allocator that the program is linked with --- */
struct real {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
};
extern struct real real;
void real_resolve(void);

/* --- lock.c --- */
bool lock_take(void); /* false: not to be had within seconds; whoever held it was killed (a child of vfork) */
void lock_give(void);
void lock_reset(void);

/* --- system calls of our own: the functions of these names are interposed, and none of them is a cancellation point --- */
void *map_anonymous(size_t bytes); /* NULL: there is no memory */
void unmap(void *address, size_t bytes);
int64_t now_ns(void);
int64_t thread_cpu_ns(void);

/* --- variate.c --- */
uint64_t next_random(uint64_t *state);
double natural_logarithm(double x);	/* x > 0 */
double exponential_decay(double x);	/* e^-x, x >= 0 */
uint64_t draw_distance(uint64_t *state, uint64_t mean);
uint64_t sample_weight(uint64_t bytes, uint64_t mean); /* bytes / p: what a sample stands for */

/* --- output.c; under the lock, but for out_configure --- */
extern struct hw_heap_head *head;
bool out_configure(void); /* false: nobody wants a file */
bool out_open(bool forked); /* the file of this image */
void out_forked(uint32_t parent_pid);	/* in the child: the next record opens a file of its own */
bool out_is_on(void);
bool out_is_pending(void); /* a fork that has told nothing so far, and has no file */
void out_stop(int error);
void out_foresee(void); /* the path will perhaps lead nowhere */
void out_shorten(void); /* nothing will be written any more, as far as can be told: gives back the room behind the end */
/* Room for a record with a payload of so many bytes, its head filled in; NULL: not to be written. */
void *out_begin(uint16_t type, uint16_t flags, size_t payload);
void out_end(void);
#define HW_PAYLOAD_MAX 60000u

/* --- live.c; under the lock --- */
struct live {
	uint64_t address; /* 0: free */
	uint64_t bytes, mean, weight;
	uint32_t stack; /* its number in that file: */
	uint32_t file;	/* sample_file_number */
	uint32_t next;
	uint16_t kind; /* 0: memory that is never given back */
};
bool live_insert(const struct live *sample); /* false: there is no memory */
bool live_remove(uint64_t address, struct live *removed);
bool live_has(uint64_t address); /* without the lock: the caller's own block, so nobody else changes the answer */

/* --- stacks.c; under the lock --- */
uint32_t stack_number(const uintptr_t *native, unsigned count, const struct python_frame *python, unsigned python_count,
		      unsigned flags); /* HW_HEAP_NONE: it could not be written */
void stacks_reset(void);

/* --- modules.c --- */
void modules_init(void);
void modules_refresh(void);  /* without the lock: asks the dynamic linker */
void modules_tell(void);     /* under the lock: all of them, to a new file */
void modules_of(const uintptr_t *addresses, unsigned count); /* under the lock: those that are not told yet */
extern uintptr_t own_start, own_end;	   /* code of this library */
extern uintptr_t allocator_start, allocator_end; /* of an allocator that is not the C library's; 0: there is none */
extern bool modules_unknown, modules_appeared;

/* --- sampling.c --- */
struct scratch {
	struct scratch *next;
	uintptr_t native[MAX_FRAMES];
	struct python_frame python[MAX_PYTHON_FRAMES];
};
extern uint64_t in_use, told_most; /* estimated from the samples */
extern uint64_t fixed_mean;
extern bool sampling_on;
struct caught {
	unsigned native, python, flags;
	struct scratch *scratch;
};
bool enter(void); /* the sampler begins to run in this thread: false where it does already */
void leave(void);
/* Between them: what is called allocates for the sampler, not for the program. Nothing of it counts as skipped. */
#define OWN_WORK 0x10000
/* Python's allocator serves what was counted at its hook: malloc is not to count it, but its arenas are mapped here. */
#define PYTHON_SERVES 0x100
bool catch_stack(struct caught *caught, const void *within);
void sample_account(struct hw_thread *self, int64_t left);
void counters_flush(struct hw_thread *self); /* under the lock */
void counters_add(struct hw_heap_totals *totals, const struct hw_thread *thread);
void sample_write(void *address, size_t bytes, uint16_t kind, const void *within);
bool sample_gone_as(void *address, struct live *removed);
void sample_back(const struct live *removed);
void count_skipped(size_t bytes);

/* --- moment.c --- */
void moment_init(void);
void moment_tell(bool end); /* without the lock */
void moment_trim(void); /* likewise: the very last, if HIWATER_HEAP_TRIM asks for it */

/* --- process.c --- */
void process_end(bool forever); /* flushes; true: the process ends now */
void process_stop(int error); /* tells the totals, and nothing more for the rest of the process's life */
void process_goes_on(void); /* the execve failed that process_end(false) was for */
void tell_thread(uint32_t tid, bool begun); /* under the lock */
void thread_begin(struct hw_thread *self); /* its first allocation */
void process_check(void); /* a child of clone() without fork() is noticed here */
void totals_now(struct hw_heap_totals *totals); /* under the lock */

#endif
