/* A thread's counters, and what an allocator's hooks tell the sampler.
 *
 * Poisson sampling: each thread counts down the bytes until its next sample, a number that is drawn from the exponential
 * distribution. An allocation of n bytes is sampled with probability 1 - exp(-n / mean), whatever went before it.
 */
#ifndef HW_SAMPLE_H
#define HW_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"

#define HW_TLS __attribute__((visibility("hidden"), tls_model("initial-exec")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

struct hw_thread {
	int64_t left; /* bytes until something is to be done; below 0 only within the allocator's functions */
	int inside;
	/* Not yet added to the head. Only this thread writes them. What was allocated since `left` was `origin` is their
	 * difference (Python's too), so that malloc has one sum less to keep. */
	uint64_t allocations, frees;
	int64_t origin;
	uint64_t allocated_bytes;
	uint64_t python_allocations, python_allocated_bytes;

	uint64_t rest;	 /* of the distance to the next sample, beyond `left` */
	uint64_t mean;	 /* with which it was drawn */
	uint64_t random; /* state of the generator */
	uint64_t floor;	 /* no smaller mean, or too many samples are taken */
	int64_t period_ns, period_cpu_ns, period_took_ns;
	int64_t usual_ns; /* that a sample takes */
	uint64_t period_use;
	uint32_t period_samples;

	uint32_t tid;
	bool begun;	/* it is in the list of threads */
	bool sampling;	/* the sampler itself runs, and may hold its lock */
	uint8_t farewells;
	int cancel_state; /* of pthread_setcancelstate, before the sampler began to run */
	struct hw_thread *next, *previous;
	struct scratch *scratch;
};

extern _Thread_local struct hw_thread hw_self HW_TLS;

/* Above 0: nothing is sampled or counted. For those who serve their allocations by other functions of the family. */
#define inside hw_self.inside

/* The countdown has ended: is it a sample's end? Begins it anew where not. */
bool sample_settle(struct hw_thread *self);

/* To be asked once for each allocation that succeeded (and not while `inside`): if true, sample_taken() has to follow. */
static inline bool sample_due(size_t bytes)
{
	return UNLIKELY((hw_self.left -= (int64_t)bytes) < 0) && sample_settle(&hw_self);
}

/* Writes a sample of the calling thread. Frames of this library are left out of its stack. */
void sample_taken(void *address, size_t bytes, enum hw_heap_kind kind);

/* One bit for many addresses; 0: no sample of these is live. */
#define LIVE_BITS_LOG2 19
extern uint64_t live_bits[(1u << LIVE_BITS_LOG2) / 64] __attribute__((visibility("hidden")));

/* Neighbours in memory are neighbours in the bits, so that a working set of some MiB needs few lines of the cache. */
static inline uint32_t live_hash(uintptr_t address)
{
	uint64_t unit = (uint64_t)address >> 4;

	return (uint32_t)(unit ^ (unit >> LIVE_BITS_LOG2)) & ((1u << LIVE_BITS_LOG2) - 1);
}

static inline bool live_maybe(const void *address)
{
	uint32_t at = live_hash((uintptr_t)address);

	return (__atomic_load_n(&live_bits[at / 64], __ATOMIC_RELAXED) >> (at % 64)) & 1;
}

void sample_gone(void *address);

/* To be told before the block is given back (or moved): afterwards another thread may get its address. */
static inline void sample_freed(void *address)
{
	if (UNLIKELY(live_maybe(address)))
		sample_gone(address);
}

/* One record of two or three parts, written at once; no lock is held by the caller. False: it was not written. */
bool sample_record(uint16_t type, uint16_t flags, const void *fixed, size_t fixed_size, const void *one,
		   size_t one_size, const void *two, size_t two_size);

/* Counts the files of this process image's memory: after a fork it changes, and all that was numbered in the old file
 * (HW_HEAP_CODE) has to be told anew. */
extern uint32_t sample_file_number __attribute__((visibility("hidden")));

#endif
