/* Taking samples, and how often.
 *
 * The mean distance of two samples follows the memory in use, so that some thousand samples are live whatever the size of
 * the program; but in no thread is it so small that samples take more than a PART of its CPU time, a
 * larger one while the memory in use grows, since these samples stay. A thread draws its next distance with the mean of that moment, and the sample tells it: estimates stay unbiased. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define LIVE_SAMPLES 2800u /* to twice as many: the mean is a power of two */
#define FEWEST_SAMPLES 1024u
#define LEAST_MEAN 512u
#define PART 200 /* of the CPU time goes into samples, at most; what they do to the caches is three times as much */
#define GROWING_PART 50
#define PERIOD_SAMPLES 32u
#define FREE_SAMPLES 4000 /* of a process, before their time counts: short programs are to be seen as well */
#define FIRST_LIVE_SAMPLES (LIVE_SAMPLES / 4) /* as long as these last */

_Thread_local struct hw_thread hw_self HW_TLS;

uint64_t in_use, told_most, fixed_mean;
bool sampling_on;
static uint64_t told_last; /* the memory in use when the totals were told; told_most: the most of it */

void *map_anonymous(size_t bytes)
{
#ifdef SYS_mmap2
	void *address = (void *)syscall(SYS_mmap2, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#else
	void *address = (void *)syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
#endif

	return address == MAP_FAILED ? NULL : address;
}

void unmap(void *address, size_t bytes)
{
	syscall(SYS_munmap, address, bytes);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

bool enter(void)
{
	if (hw_self.sampling)
		return false;
	hw_self.sampling = true;
	inside++;
	/* Some of what is called here is a cancellation point, and malloc is none: the thread would go with our lock. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &hw_self.cancel_state);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return true;
}

void leave(void)
{
	int state = hw_self.cancel_state;

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	inside--;
	hw_self.sampling = false;
	pthread_setcancelstate(state, &state);
}

void count_skipped(size_t bytes)
{
	__atomic_fetch_add(&head->skipped_allocations, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&head->skipped_bytes, bytes, __ATOMIC_RELAXED);
}

/* The countdown goes on from another number: what it has counted is kept. */
void sample_account(struct hw_thread *self, int64_t left)
{
	self->allocated_bytes += (uint64_t)(self->origin - self->left);
	self->origin = self->left = left;
}

void counters_flush(struct hw_thread *self)
{
	sample_account(self, self->left);
	counters_add(&head->totals, self);
	self->allocations = self->allocated_bytes = self->frees = 0;
	self->python_allocations = self->python_allocated_bytes = 0;
}

/* Of another thread that runs meanwhile it is a look at a moment. */
void counters_add(struct hw_heap_totals *totals, const struct hw_thread *thread)
{
	int64_t bytes = (int64_t)thread->allocated_bytes + thread->origin - thread->left -
			(int64_t)thread->python_allocated_bytes;

	totals->allocations += thread->allocations;
	totals->allocated_bytes += bytes > 0 ? (uint64_t)bytes : 0;
	totals->frees += thread->frees;
	totals->python_allocations += thread->python_allocations;
	totals->python_allocated_bytes += thread->python_allocated_bytes;
}

/* --- the distance to the next sample --- */

static uint64_t power_of_two(double at_least)
{
	uint64_t power = 1;

	while ((double)power < at_least && power < UINT64_C(1) << 40)
		power *= 2;
	return power;
}

/* Twice the rate is allowed where the estimates would become too coarse: what holds a twentieth of the memory is to be
 * known to a seventh at least, which takes one sample in a 1024th of it. */
static uint64_t mean_now(const struct hw_thread *self)
{
	uint64_t mean = LEAST_MEAN, use = __atomic_load_n(&in_use, __ATOMIC_RELAXED), least = self->floor;
	bool first = __atomic_load_n(&head->samples, __ATOMIC_RELAXED) < FREE_SAMPLES;

	if (fixed_mean != 0)
		return fixed_mean;
	while (mean * 2 <= use / (first ? FIRST_LIVE_SAMPLES : LIVE_SAMPLES))
		mean *= 2;
	if (least > use / FEWEST_SAMPLES)
		least /= 2;
	return mean > least ? mean : least;
}

static void next_distance(struct hw_thread *self)
{
	self->mean = mean_now(self);
	self->rest = draw_distance(&self->random, self->mean);
	sample_account(self, (int64_t)(self->rest < UNFLUSHED ? self->rest : UNFLUSHED));
	self->rest -= (uint64_t)self->left;
}

/* Do the samples take too much of the time? Asked every PERIOD_SAMPLES of them, or after 20 ms. A sample's free takes
 * about a third of what the sample itself does. The memory grows if more than an eighth of what is allocated stays. */
static void judge_rate(struct hw_thread *self, int64_t now)
{
	int64_t took = now_ns() - now, cpu;
	uint64_t use = __atomic_load_n(&in_use, __ATOMIC_RELAXED);
	double part;

	if (took > 4 * self->usual_ns + 1000) /* it was interrupted */
		took = 4 * self->usual_ns + 1000;
	self->usual_ns += (took - self->usual_ns) / 16;
	self->period_took_ns += took;
	if (++self->period_samples < PERIOD_SAMPLES &&
	    (now - self->period_ns < NS_PER_S / 50 || self->period_samples < PERIOD_SAMPLES / 4))
		return;
	cpu = thread_cpu_ns();
	part = use > self->period_use && use - self->period_use > self->mean * self->period_samples / 8
		       ? GROWING_PART
		       : PART;
	if (__atomic_load_n(&head->samples, __ATOMIC_RELAXED) > FREE_SAMPLES && cpu > self->period_cpu_ns)
		self->floor = power_of_two((double)self->mean * (double)self->period_took_ns * 1.33 * part /
					   (double)(cpu - self->period_cpu_ns) * 0.7071);
	self->period_ns = now;
	self->period_cpu_ns = cpu;
	self->period_took_ns = 0;
	self->period_use = use;
	self->period_samples = 0;
}

bool sample_settle(struct hw_thread *self)
{
	int saved = errno;
	bool due = false;

	process_check();
	if (!sampling_on) {
		sample_account(self, INT64_MAX / 2);
		return false;
	}
	for (;;) {
		if (self->rest != 0) {
			uint64_t more = self->rest < UNFLUSHED ? self->rest : UNFLUSHED;

			self->rest -= more;
			sample_account(self, self->left + (int64_t)more);
		} else if (!self->begun || self->mean == 0) {
			int64_t used = self->left;

			thread_begin(self);
			next_distance(self);
			sample_account(self, self->left + used);
		} else {
			due = true;
			break;
		}
		if (self->left >= 0)
			break;
	}
	if (!due && self->allocated_bytes >= UNFLUSHED && enter()) {
		if (lock_take()) {
			counters_flush(self);
			lock_give();
		}
		leave();
	}
	errno = saved;
	return due;
}

/* --- a sample --- */

static struct scratch *scratch_of(struct hw_thread *self)
{
	if (self->scratch == NULL)
		self->scratch = map_anonymous(sizeof(struct scratch));
	return self->scratch;
}

bool catch_stack(struct caught *caught, const void *within)
{
	struct hw_unwound found;
	unsigned skip = 0;
	bool cut = false;

	*caught = (struct caught){.scratch = scratch_of(&hw_self)};
	if (caught->scratch == NULL)
		return false;
	found = unwind(caught->scratch->native, MAX_FRAMES, within);
	while (skip < found.count && caught->scratch->native[skip] - 1 >= own_start &&
	       caught->scratch->native[skip] - 1 < own_end)
		skip++;
	caught->native = found.count - skip;
	if (skip > 0)
		memmove(caught->scratch->native, caught->scratch->native + skip,
			caught->native * sizeof(caught->scratch->native[0]));
	caught->python = python_frames(caught->scratch->python, MAX_PYTHON_FRAMES, &cut);
	caught->flags = (found.cut || cut ? HW_HEAP_STACK_CUT : 0) | (found.broken ? HW_HEAP_STACK_BROKEN : 0);
	return true;
}

/* Is it time to tell the totals? Then they are told. Asked with the lock held. */
static bool moment_due(void)
{
	uint64_t step = told_most / 64;
	bool fell = in_use < told_last - told_last / 8 && told_last - in_use > 65536;

	if (step < 65536)
		step = 65536;
	if (in_use <= told_most + step && !fell)
		return false;
	if (in_use > told_most)
		told_most = in_use;
	told_last = in_use;
	return true;
}

static void write_sample(const struct live *sample, uint32_t tid, int64_t now, uint16_t kind)
{
	struct hw_heap_alloc *record;
	struct live old;

	/* A free that a signal handler did while the lock was held could not be told; it has happened. */
	if (live_maybe((void *)(uintptr_t)sample->address) && live_remove(sample->address, &old)) {
		in_use -= old.weight;
		head->lost_frees -= head->lost_frees > 0;
	}
	head->samples++;
	record = out_begin(HW_HEAP_ALLOC, kind, sizeof(*record));
	if (record == NULL || !live_insert(sample)) {
		head->lost_samples++;
		head->lost_bytes += sample->weight;
		if (record == NULL)
			return;
	} else {
		in_use += sample->weight;
	}
	*record = (struct hw_heap_alloc){now, sample->address, sample->bytes, sample->mean, sample->stack, tid};
	out_end();
}

void sample_write(void *address, size_t bytes, uint16_t kind, const void *within)
{
	struct hw_thread *self = &hw_self;
	struct live sample = {.address = (uintptr_t)address, .bytes = bytes, .mean = self->mean, .kind = kind};
	struct caught caught;
	int saved = errno;
	bool moment = false;
	int64_t now;

	if (!enter()) {
		count_skipped(bytes);
		next_distance(self);
		return;
	}
	sample.weight = sample_weight(bytes, self->mean);
	now = now_ns();
	if (!catch_stack(&caught, within)) {
		caught.native = caught.python = 0;
		caught.flags = HW_HEAP_STACK_BROKEN;
	}
	if (lock_take()) {
		if (sampling_on) {
			sample.stack = caught.scratch == NULL
					       ? HW_HEAP_NONE
					       : stack_number(caught.scratch->native, caught.native,
							      caught.scratch->python, caught.python, caught.flags);
			sample.file = sample_file_number;
			write_sample(&sample, self->tid, now, kind);
			moment = moment_due();
		}
		counters_flush(self);
		lock_give();
	} else {
		__atomic_fetch_add(&head->lost_samples, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&head->lost_bytes, sample.weight, __ATOMIC_RELAXED);
	}
	if (modules_unknown) {
		modules_refresh();
		modules_appeared = true;
	}
	if (modules_appeared) {
		modules_appeared = false;
		python_appeared();
	}
	if (moment)
		moment_tell(false);
	judge_rate(self, now);
	next_distance(self);
	leave();
	errno = saved;
}

void sample_taken(void *address, size_t bytes, enum hw_heap_kind kind)
{
	sample_write(address, bytes, (uint16_t)kind, __builtin_frame_address(0));
}

bool sample_gone_as(void *address, struct live *removed)
{
	struct hw_thread *self = &hw_self;
	struct hw_heap_free *record;
	bool found = false, moment = false;
	int saved = errno;

	process_check();
	if (!live_has((uintptr_t)address))
		return false;
	if (!enter()) {
		__atomic_fetch_add(&head->lost_frees, 1, __ATOMIC_RELAXED);
		return false;
	}
	if (lock_take()) {
		found = live_remove((uintptr_t)address, removed);
		if (found) {
			in_use -= removed->weight;
			record = sampling_on ? out_begin(HW_HEAP_FREE, 0, sizeof(*record)) : NULL;
			if (record != NULL) {
				*record = (struct hw_heap_free){now_ns(), (uintptr_t)address};
				out_end();
			} else if (!out_is_on()) {
				head->lost_frees++; /* not where sampling went on to the end, and the end goes on */
			}
			moment = sampling_on && moment_due();
		}
		counters_flush(self);
		lock_give();
	} else {
		__atomic_fetch_add(&head->lost_frees, 1, __ATOMIC_RELAXED);
	}
	if (moment)
		moment_tell(false);
	leave();
	errno = saved;
	return found;
}

void sample_gone(void *address)
{
	struct live removed;

	sample_gone_as(address, &removed);
}

/* A realloc failed: the block that was told to be gone lives on. It is the same sample, with its mean. */
void sample_back(const struct live *removed)
{
	struct live sample = *removed;
	int saved = errno;

	if (!enter())
		return;
	if (lock_take()) {
		if (sample.file != sample_file_number)
			sample.stack = HW_HEAP_NONE; /* a fork: its number was of the parent's file */
		sample.file = sample_file_number;
		if (sampling_on) {
			write_sample(&sample, hw_self.tid, now_ns(), sample.kind);
			head->samples--;
		}
		lock_give();
	}
	leave();
	errno = saved;
}

/* --- records for others --- */

bool sample_record(uint16_t type, uint16_t flags, const void *fixed, size_t fixed_size, const void *one,
		   size_t one_size, const void *two, size_t two_size)
{
	char *to;

	if (!lock_take())
		return false;
	to = sampling_on ? out_begin(type, flags, fixed_size + one_size + two_size) : NULL;
	if (to != NULL) {
		memcpy(to, fixed, fixed_size);
		if (one_size > 0)
			memcpy(to + fixed_size, one, one_size);
		if (two_size > 0)
			memcpy(to + fixed_size + one_size, two, two_size);
		out_end();
	}
	lock_give();
	return to != NULL;
}
