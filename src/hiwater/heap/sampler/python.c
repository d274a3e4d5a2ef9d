/* The hooks in Python's allocators. */
#include "python.h"

#include <pthread.h>
#include <string.h>

#include "internal.h"
#include "python_api.h"
#include "python_walk.h"

enum { DOMAINS = 3 }; /* PYMEM_DOMAIN_RAW, _MEM, _OBJ */

/* What a hook stands before. Never changed once it is filled: the interpreter keeps copies of its tables, puts others in
 * their place for a while, and puts the copies back. */
struct slot {
	struct python_allocator below;
	enum hw_heap_kind kind;
};

static struct slot slots[DOMAINS * 4]; /* what PYTHONMALLOC can choose: malloc, pymalloc, and either with debug hooks */
static unsigned slot_count;
static struct python_allocator first[DOMAINS]; /* what was there when the interpreter was found */

static struct python_api api;
static enum {
	NONE = 0,      /* no interpreter was found */
	FOLLOWED,      /* hooked, frames are read */
	WITHOUT_FRAMES, /* hooked; its version is not known, or its structures are not what its version says */
	LEFT_ALONE,    /* not hooked: built without the GIL, or not a CPython >= 3.10 */
} state;

/* PyMem_SetAllocator copies a table without a lock (up to 3.11), and RAW may be called without the GIL meanwhile: our
 * function may come with the context of the one below it. The other domains are called with the GIL only. */
static const struct slot *torn(const void *ctx)
{
	for (unsigned i = 0; i < slot_count; i++)
		if (slots[i].below.ctx == ctx)
			return &slots[i];
	return &slots[0];
}

static inline const struct slot *raw_slot(const void *ctx)
{
	if (LIKELY((uintptr_t)ctx - (uintptr_t)slots < sizeof slots))
		return ctx;
	return torn(ctx);
}

/* The hooks do their counting before they pass the call on, so that they keep nothing over it: a few ns a call. Only
 * where the countdown ends is it known first whether there is memory. */
static inline bool is_due(size_t size)
{
	hw_self.python_allocations++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* or both are added in a vector register, which takes longer */
	hw_self.python_allocated_bytes += size;
	return UNLIKELY((hw_self.left -= (int64_t)size) < 0);
}

static COLD void *given(void *address, size_t size, enum hw_heap_kind kind)
{
	inside = 0;
	if (address == NULL) {
		hw_self.python_allocations--;
		hw_self.python_allocated_bytes -= size;
		hw_self.left += (int64_t)size;
	} else if (sample_settle(&hw_self)) {
		sample_taken(address, size, kind);
	}
	return address;
}

static COLD void *malloc_due(const struct slot *slot, size_t size)
{
	inside = 1;
	return given(slot->below.malloc(slot->below.ctx, size), size, slot->kind);
}

static inline void *malloc_by(const struct slot *slot, size_t size)
{
	void *address;

	if (UNLIKELY(inside))
		return slot->below.malloc(slot->below.ctx, size);
	if (is_due(size))
		return malloc_due(slot, size);
	inside = 1;
	address = slot->below.malloc(slot->below.ctx, size);
	inside = 0;
	return address;
}

static COLD void *calloc_due(const struct slot *slot, size_t count, size_t size)
{
	inside = 1;
	return given(slot->below.calloc(slot->below.ctx, count, size), count * size, slot->kind);
}

/* count * size was held against PY_SSIZE_T_MAX by PyMem_Calloc */
static inline void *calloc_by(const struct slot *slot, size_t count, size_t size)
{
	void *address;

	if (UNLIKELY(inside))
		return slot->below.calloc(slot->below.ctx, count, size);
	if (is_due(count * size))
		return calloc_due(slot, count, size);
	inside = 1;
	address = slot->below.calloc(slot->below.ctx, count, size);
	inside = 0;
	return address;
}

/* A sampled block, or one of its bit: it may fail, and then the old block lives on. */
static COLD void *realloc_sampled(const struct slot *slot, void *address, size_t size)
{
	struct live gone;
	bool was = sample_gone_as(address, &gone);
	void *moved;

	inside = 1;
	moved = slot->below.realloc(slot->below.ctx, address, size);
	inside = 0;
	if (moved == NULL) {
		if (was)
			sample_back(&gone);
		return NULL;
	}
	hw_self.python_frees++;
	if (is_due(size) && sample_settle(&hw_self))
		sample_taken(moved, size, slot->kind);
	return moved;
}

static COLD void *realloc_due(const struct slot *slot, void *address, size_t size)
{
	inside = 1;
	return given(slot->below.realloc(slot->below.ctx, address, size), size, slot->kind);
}

/* Always a new block, in place or not: what it holds is from now on this call's. */
static inline void *realloc_by(const struct slot *slot, void *address, size_t size)
{
	void *moved;

	if (UNLIKELY(inside))
		return slot->below.realloc(slot->below.ctx, address, size);
	if (UNLIKELY(address && live_maybe(address)))
		return realloc_sampled(slot, address, size);
	hw_self.python_frees += address != NULL;
	if (is_due(size))
		return realloc_due(slot, address, size);
	inside = 1;
	moved = slot->below.realloc(slot->below.ctx, address, size);
	inside = 0;
	return moved;
}

static COLD void free_sampled(const struct slot *slot, void *address)
{
	sample_gone(address);
	inside = 1;
	slot->below.free(slot->below.ctx, address);
	inside = 0;
}

static inline void free_by(const struct slot *slot, void *address)
{
	if (UNLIKELY(inside || !address)) {
		slot->below.free(slot->below.ctx, address);
		return;
	}
	hw_self.python_frees++;
	if (UNLIKELY(live_maybe(address))) {
		free_sampled(slot, address);
		return;
	}
	inside = 1;
	slot->below.free(slot->below.ctx, address);
	inside = 0;
}

/* --- the functions of the tables: RAW's, and those of the other two domains --- */

static void *raw_malloc(void *ctx, size_t size)
{
	return malloc_by(raw_slot(ctx), size);
}
static void *raw_calloc(void *ctx, size_t count, size_t size)
{
	return calloc_by(raw_slot(ctx), count, size);
}
static void *raw_realloc(void *ctx, void *address, size_t size)
{
	return realloc_by(raw_slot(ctx), address, size);
}
static void raw_free(void *ctx, void *address)
{
	free_by(raw_slot(ctx), address);
}

static void *hook_malloc(void *ctx, size_t size)
{
	return malloc_by(ctx, size);
}
static void *hook_calloc(void *ctx, size_t count, size_t size)
{
	return calloc_by(ctx, count, size);
}
static void *hook_realloc(void *ctx, void *address, size_t size)
{
	return realloc_by(ctx, address, size);
}
static void hook_free(void *ctx, void *address)
{
	free_by(ctx, address);
}

static bool same(const struct python_allocator *a, const struct python_allocator *b)
{
	return !memcmp(a, b, sizeof *a);
}

static bool in_image(uintptr_t address)
{
	return address - api.image_low < api.image_high - api.image_low;
}

/* What the interpreter itself puts there: the functions it began with, in whatever domain (PYTHONMALLOC=malloc takes
 * RAW's for all), or its debug hooks on top of them (whose context is {char domain; PyMemAllocatorEx below}). Anything
 * else may have one of our hooks below it, and is left alone. */
static bool is_interpreters(const struct python_allocator *table)
{
	struct {
		char domain;
		struct python_allocator below;
	} debug;

	for (int i = 0; i < DOMAINS; i++)
		if (table->malloc == first[i].malloc && table->free == first[i].free)
			return true;
	if (!in_image((uintptr_t)table->ctx) || !in_image((uintptr_t)table->ctx + sizeof debug) ||
	    !in_image((uintptr_t)table->malloc))
		return false;
	memcpy(&debug, table->ctx, sizeof debug);
	if (debug.domain != 'r' && debug.domain != 'm' && debug.domain != 'o')
		return false;
	for (int i = 0; i < DOMAINS; i++)
		if (debug.below.malloc == first[i].malloc)
			return true;
	return false;
}

static void hook(int domain, const struct python_allocator *below)
{
	enum hw_heap_kind kind = (enum hw_heap_kind)(HW_HEAP_PY_RAW + domain);
	struct slot *slot = slots;

	while (slot < slots + slot_count && !(slot->kind == kind && same(&slot->below, below)))
		slot++;
	if (slot == slots + slot_count) {
		if (slot_count == sizeof slots / sizeof *slots)
			return;
		slot->below = *below;
		slot->kind = kind;
		slot_count++;
	}
	struct python_allocator raw = {slot, raw_malloc, raw_calloc, raw_realloc, raw_free};
	struct python_allocator other = {slot, hook_malloc, hook_calloc, hook_realloc, hook_free};
	api.set_allocator(domain, kind == HW_HEAP_PY_RAW ? &raw : &other);
}

static bool is_ours(const struct python_allocator *table)
{
	return table->malloc == hook_malloc || table->malloc == raw_malloc;
}

/* Puts the hooks back where the interpreter has taken them away. */
static void hook_again(void)
{
	for (int domain = 0; domain < DOMAINS; domain++) {
		struct python_allocator table;

		api.get_allocator(domain, &table);
		if (!is_ours(&table) && is_interpreters(&table))
			hook(domain, &table);
	}
}

static void begin(bool ask_linker)
{
	int before = inside;

	if (state != NONE)
		return;
	inside = before + 1;
	if (python_find(&api, ask_linker)) {
		if (api.version < 0x030a0000 || python_free_threaded(api.runtime))
			state = LEFT_ALONE;
		else
			state = python_walk_init(&api) ? FOLLOWED : WITHOUT_FRAMES;
		for (int domain = 0; domain < DOMAINS && state != LEFT_ALONE; domain++) {
			api.get_allocator(domain, &first[domain]);
			hook(domain, &first[domain]);
		}
		head->flags |= state == LEFT_ALONE ? HW_HEAP_UNHOOKED : HW_HEAP_PYTHON;
		head->flags |= state == WITHOUT_FRAMES ? HW_HEAP_FRAMELESS : 0;
	}
	inside = before;
}

void python_init(void)
{
	begin(true);
}

void python_appeared(void)
{
	begin(false);
}

void python_keep(void)
{
	static bool kept;

	if (!kept && (state == FOLLOWED || state == WITHOUT_FRAMES)) {
		kept = true;
		python_keep_library();
	}
}

/* The hooks can only be lost while the interpreter is not initialised. Afterwards one look is enough; and once it has
 * been initialised, only the thread that did so looks, because Py_Finalize frees the lock of the tables (3.12). */
static void look(bool has_gil)
{
	static bool settled, ever;
	static pthread_t initialiser;
	bool initialised = api.is_initialized();

	if (initialised && settled)
		return;
	if (ever && !pthread_equal(initialiser, pthread_self()))
		return;
	hook_again();
	settled = initialised && has_gil;
	if (settled) {
		initialiser = pthread_self();
		ever = true;
	}
}

/* One thread at a time; others go without frames rather than wait. There is only one anyway, the GIL's holder, unless
 * subinterpreters have their own. */
static bool busy;

unsigned python_frames(struct python_frame *frames, unsigned max, bool *cut)
{
	unsigned count = 0;

	*cut = false;
	if (state != FOLLOWED && state != WITHOUT_FRAMES)
		return 0;
	void *thread = python_walk_thread();
	if (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE))
		return 0;
	look(thread != NULL);
	if (thread && state == FOLLOWED) {
		bool sound = true;

		count = python_walk(thread, frames, max, cut, &sound);
		if (!sound) {
			state = WITHOUT_FRAMES;
			head->flags |= HW_HEAP_FRAMELESS;
		}
	}
	__atomic_clear(&busy, __ATOMIC_RELEASE);
	return count;
}

void python_forked(void)
{
	__atomic_clear(&busy, __ATOMIC_RELEASE);
}
