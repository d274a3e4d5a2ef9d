/* A process begins, forks, loads code and ends; its threads come and go. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

static struct hw_thread *threads; /* under the lock */
static bool threads_unknown; /* one has gone, and could not be taken out of the list */
static struct scratch *scratches; /* of threads that ended */
static uint64_t seed, begun_threads;
static pthread_key_t farewell_key;
static bool farewell_key_made;
static uint32_t owner;	 /* the process whose memory this is: not the child of a vfork */
static int *not_forked; /* in a page that the kernel empties in children (Linux 4.14); NULL: it cannot */

static uint64_t number_from(const char *text)
{
	uint64_t number = 0;

	if (text == NULL)
		return 0;
	for (; *text >= '0' && *text <= '9' && number < UINT64_C(1) << 40; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	return *text == '\0' ? number : 0;
}

/* --- threads --- */

void tell_thread(uint32_t tid, bool begun)
{
	struct hw_heap_thread *to = sampling_on && !out_is_pending() ? out_begin(HW_HEAP_THREAD, begun, sizeof(*to)) : NULL;

	if (to == NULL)
		return;
	*to = (struct hw_heap_thread){.t_ns = now_ns(), .tid = tid};
	out_end();
}

/* Destructors of other keys may run after ours and allocate: we ask to be called again until nobody is called any more. */
static void farewell(void *thread)
{
	struct hw_thread *self = &hw_self;

	if (thread != self) /* a program that uses a key which it never made; ours may be the first of all */
		return;
	if (++self->farewells < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(farewell_key, thread);
		return;
	}
	if (!self->begun || !enter())
		return;
	if (lock_take()) {
		counters_flush(self);
		tell_thread(self->tid, false);
		if (self->previous != NULL)
			self->previous->next = self->next;
		else
			threads = self->next;
		if (self->next != NULL)
			self->next->previous = self->previous;
		if (self->scratch != NULL) {
			self->scratch->next = scratches;
			scratches = self->scratch;
			self->scratch = NULL;
		}
		lock_give();
	} else {
		threads_unknown = true;
	}
	/* It stays `begun`: what it still allocates must not enter it in the list again, since nobody would take it out. */
	leave();
}

void thread_begin(struct hw_thread *self)
{
	bool entered;

	if (self->begun)
		return;
	entered = enter();
	self->begun = true;
	self->tid = (uint32_t)syscall(SYS_gettid);
	self->random = seed + UINT64_C(0x632be59bd9b4e019) * __atomic_add_fetch(&begun_threads, 1, __ATOMIC_RELAXED);
	self->period_ns = now_ns();
	self->period_cpu_ns = thread_cpu_ns();
	if (farewell_key_made)
		pthread_setspecific(farewell_key, self);
	unwind_thread();
	if (lock_take()) {
		self->previous = NULL;
		self->next = threads;
		if (threads != NULL)
			threads->previous = self;
		threads = self;
		if (self->scratch == NULL && scratches != NULL) {
			self->scratch = scratches;
			scratches = scratches->next;
		}
		tell_thread(self->tid, true);
		lock_give();
	}
	if (entered)
		leave();
}

/* --- forks --- */

static bool fork_locked;

static void before_fork(void)
{
	inside++;
	fork_locked = !hw_self.sampling && lock_take();
}

static void after_fork_in_parent(void)
{
	if (fork_locked)
		lock_give();
	inside--;
}

static void begin_as_child(void)
{
	struct hw_thread *self = &hw_self, *other;
	uint32_t parent = owner;

	lock_reset();
	if (not_forked != NULL)
		*not_forked = 1;
	owner = (uint32_t)getpid();
	out_forked(parent);
	stacks_reset();
	python_forked();
	for (other = threads; other != NULL; other = other->next)
		if (other != self && other->scratch != NULL) {
			other->scratch->next = scratches;
			scratches = other->scratch;
		}
	threads = NULL;
	threads_unknown = false;
	/* What this thread has counted is its parent's to tell. The distance is drawn anew, by a generator of its own. */
	self->allocations = self->allocated_bytes = self->frees = 0;
	self->origin = 0;
	self->python_allocations = self->python_allocated_bytes = 0;
	self->begun = self->sampling = false;
	self->left = 0;
	self->rest = self->mean = 0;
	seed ^= (uint64_t)owner << 32 | (uint32_t)now_ns();
}

static void after_fork_in_child(void)
{
	begin_as_child();
	inside--;
}

void process_check(void)
{
	if (not_forked != NULL && UNLIKELY(*not_forked == 0))
		begin_as_child(); /* by clone() itself, or a function that leaves out what is done at forks */
}

static void notice_forks(void)
{
	void *page;

	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
	page = map_anonymous((size_t)sysconf(_SC_PAGESIZE));
	if (page == NULL)
		return;
	if (madvise(page, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK) != 0) {
		unmap(page, (size_t)sysconf(_SC_PAGESIZE));
		return;
	}
	not_forked = page;
	*not_forked = 1;
}

/* --- begin and end --- */

/* With what threads have counted and not added yet. */
void totals_now(struct hw_heap_totals *totals)
{
	unsigned most = 1000; /* a look at more of them would take long */

	*totals = head->totals;
	for (const struct hw_thread *thread = threads_unknown ? NULL : threads; thread != NULL && most-- > 0;
	     thread = thread->next)
		counters_add(totals, thread);
}

static void configure(void)
{
	uint64_t random = 0;
	const void *kernels = (const void *)getauxval(AT_RANDOM);

	fixed_mean = number_from(getenv("HIWATER_HEAP_SAMPLE"));
	if (kernels != NULL)
		memcpy(&random, kernels, sizeof(random));
	seed = number_from(getenv("HIWATER_HEAP_SEED"));
	if (seed == 0)
		seed = random ^ (uint64_t)now_ns();
}

__attribute__((constructor)) static void begin(void)
{
	bool entered;

	real_resolve();
	if (!out_configure())
		return;
	entered = enter();
	inside += OWN_WORK;
	configure();
	owner = (uint32_t)getpid();
	modules_init();
	unwind_init();
	farewell_key_made = pthread_key_create(&farewell_key, farewell) == 0;
	notice_forks();
	moment_init();
	head->unflushed_bytes = UNFLUSHED;
	if (out_open(false)) {
		modules_refresh();
		python_init();
	}
	/* Threads that have allocated before this had nothing to count down: they begin with their next allocation. */
	sample_account(&hw_self, 0);
	inside -= OWN_WORK;
	if (entered)
		leave();
}

void process_end(bool forever)
{
	if (!sampling_on || (uint32_t)getpid() != owner || (!forever && out_is_pending()) || !enter())
		return;
	moment_tell(true);
	if (forever && lock_take()) {
		/* Threads that run on until the very end are not to add theirs once more. */
		totals_now(&head->totals);
		sampling_on = false;
		lock_give();
	}
	head->end_ns = now_ns();
	head->flags |= HW_HEAP_ENDED;
	if (forever)
		moment_trim();
	if (lock_take()) {
		out_shorten();
		lock_give();
	}
	leave();
}

void process_stop(int error)
{
	if (!out_is_on() || !enter())
		return;
	if (lock_take()) {
		totals_now(&head->totals);
		lock_give();
	}
	moment_tell(false);
	if (lock_take()) {
		out_stop(error);
		lock_give();
	}
	leave();
}

void process_goes_on(void)
{
	if (!out_is_on() || (uint32_t)getpid() != owner)
		return;
	head->flags &= ~(uint32_t)HW_HEAP_ENDED;
	head->end_ns = 0;
}

__attribute__((destructor)) static void end(void)
{
	process_end(true);
}

EXPORT __attribute__((noreturn)) void _exit(int status)
{
	int saved = errno;

	process_end(true);
	errno = saved;
	for (;;)
		syscall(SYS_exit_group, status);
}

EXPORT __attribute__((noreturn)) void _Exit(int status)
{
	_exit(status);
}

EXPORT __attribute__((noreturn)) void quick_exit(int status)
{
	void (*real_quick_exit)(int) = (void (*)(int))dlsym(RTLD_NEXT, "quick_exit");

	process_end(true);
	if (real_quick_exit != NULL)
		real_quick_exit(status);
	_exit(status);
}

/* --- code that comes and goes --- */

/* The caller of dlopen counts: its RUNPATH is searched, its $ORIGIN is meant. So a name that has to be searched for is
 * passed on by a jump, and what it loaded is found later (modules_of). */
EXPORT void *dlopen(const char *name, int flags)
{
	static void *(*real_dlopen)(const char *, int);
	void *handle;

	if (real_dlopen == NULL)
		real_dlopen = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
	if (name == NULL || strchr(name, '/') == NULL || strchr(name, '$') != NULL || !sampling_on || inside > 0)
		return real_dlopen(name, flags);
	handle = real_dlopen(name, flags);
	if (handle != NULL && enter()) {
		int saved = errno;

		inside += OWN_WORK;
		process_check();
		unwind_learn();
		modules_refresh();
		python_init();
		errno = saved;
		inside -= OWN_WORK;
		leave();
	}
	return handle;
}

EXPORT int dlclose(void *handle)
{
	static int (*real_dlclose)(void *);
	int result;

	if (real_dlclose == NULL)
		real_dlclose = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
	if (sampling_on && inside == 0 && enter()) {
		python_keep();
		leave();
	}
	result = real_dlclose(handle);
	if (sampling_on && inside == 0 && enter()) {
		int saved = errno;

		inside += OWN_WORK;
		process_check();
		modules_refresh();
		errno = saved;
		inside -= OWN_WORK;
		leave();
	}
	return result;
}
