/* The hooks in Python's allocators. */
#include "python.h"

#include <pthread.h>
#include <string.h>

#include "internal.h"
#include "python_api.h"
#include "python_walk.h"

enum { RAW = 0, OBJ = 2, DOMAINS = 3 }; /* PYMEM_DOMAIN_RAW, _MEM, _OBJ */

/* Larger objects pymalloc passes on to malloc (Objects/obmalloc.c, SMALL_REQUEST_THRESHOLD, 3.10 to 3.14); 0 bytes too. */
#define PYMALLOC_MOST 512

/* What a hook stands before. Never changed once it is filled: the interpreter keeps copies of its tables, puts others in
 * their place for a while, and puts the copies back. */
struct slot {
	struct python_allocator below;
	enum hw_heap_kind kind;
};

static struct slot slots[DOMAINS * 4]; /* what PYTHONMALLOC can choose: pymalloc, mimalloc, or either with debug hooks */
static unsigned slot_count;
/* What served in the end when the interpreter was found. Without a pymalloc they are the same. */
static struct python_allocator raw, pymalloc;

static struct python_api api;
static enum {
	NONE = 0,      /* no interpreter was found */
	FOLLOWED,      /* hooked, frames are read */
	WITHOUT_FRAMES, /* hooked; its version is not known, or its structures are not what its version says */
	LEFT_ALONE,    /* not hooked: built without the GIL, or not a CPython >= 3.10 */
} state;

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
	inside = PYTHON_SERVES;
	return given(slot->below.malloc(slot->below.ctx, size), size, slot->kind);
}

static COLD void *calloc_due(const struct slot *slot, size_t count, size_t size)
{
	inside = PYTHON_SERVES;
	return given(slot->below.calloc(slot->below.ctx, count, size), count * size, slot->kind);
}

/* A sampled block, or one of its bit: it may fail, and then the old block lives on. `counted`: the new block is to be
 * counted here, not by what serves it. */
static COLD void *realloc_sampled(const struct slot *slot, void *address, size_t size, bool counted)
{
	struct live gone;
	bool was = sample_gone_as(address, &gone);
	void *moved;

	inside = counted ? PYTHON_SERVES : 0;
	moved = slot->below.realloc(slot->below.ctx, address, size);
	inside = 0;
	if (moved == NULL) {
		if (was)
			sample_back(&gone);
		return NULL;
	}
	if (counted && is_due(size) && sample_settle(&hw_self))
		sample_taken(moved, size, slot->kind);
	return moved;
}

static COLD void *realloc_due(const struct slot *slot, void *address, size_t size)
{
	inside = PYTHON_SERVES;
	return given(slot->below.realloc(slot->below.ctx, address, size), size, slot->kind);
}

static COLD void free_sampled(const struct slot *slot, void *address)
{
	sample_gone(address);
	slot->below.free(slot->below.ctx, address);
}

/* --- before pymalloc: what it serves itself is counted here, and what it passes on by malloc's own hook --- */

static inline bool is_small(size_t size)
{
	return LIKELY(size - 1 < PYMALLOC_MOST);
}

static void *small_malloc(void *ctx, size_t size)
{
	const struct slot *slot = ctx;

	if (is_small(size) && is_due(size))
		return malloc_due(slot, size);
	return slot->below.malloc(slot->below.ctx, size);
}

/* count * size was held against PY_SSIZE_T_MAX by PyMem_Calloc */
static void *small_calloc(void *ctx, size_t count, size_t size)
{
	const struct slot *slot = ctx;

	if (is_small(count * size) && is_due(count * size))
		return calloc_due(slot, count, size);
	return slot->below.calloc(slot->below.ctx, count, size);
}

/* Always a new block, in place or not: what it holds is from now on this call's. A large block that becomes a small one
 * stays malloc's, so that its hook must not count it, too. */
static void *small_realloc(void *ctx, void *address, size_t size)
{
	const struct slot *slot = ctx;
	void *moved;

	if (UNLIKELY(live_maybe(address)))
		return realloc_sampled(slot, address, size, is_small(size));
	if (!is_small(size))
		return slot->below.realloc(slot->below.ctx, address, size);
	if (is_due(size))
		return realloc_due(slot, address, size);
	inside = PYTHON_SERVES;
	moved = slot->below.realloc(slot->below.ctx, address, size);
	inside = 0;
	return moved;
}

/* --- before anything else: all is counted here, whatever serves it --- */

static void *all_malloc(void *ctx, size_t size)
{
	const struct slot *slot = ctx;
	void *address;

	if (is_due(size))
		return malloc_due(slot, size);
	inside = PYTHON_SERVES;
	address = slot->below.malloc(slot->below.ctx, size);
	inside = 0;
	return address;
}

static void *all_calloc(void *ctx, size_t count, size_t size)
{
	const struct slot *slot = ctx;
	void *address;

	if (is_due(count * size))
		return calloc_due(slot, count, size);
	inside = PYTHON_SERVES;
	address = slot->below.calloc(slot->below.ctx, count, size);
	inside = 0;
	return address;
}

static void *all_realloc(void *ctx, void *address, size_t size)
{
	const struct slot *slot = ctx;
	void *moved;

	if (UNLIKELY(live_maybe(address)))
		return realloc_sampled(slot, address, size, true);
	if (is_due(size))
		return realloc_due(slot, address, size);
	inside = PYTHON_SERVES;
	moved = slot->below.realloc(slot->below.ctx, address, size);
	inside = 0;
	return moved;
}

static void any_free(void *ctx, void *address)
{
	const struct slot *slot = ctx;

	if (UNLIKELY(live_maybe(address)))
		free_sampled(slot, address);
	else
		slot->below.free(slot->below.ctx, address);
}

static bool same(const struct python_allocator *a, const struct python_allocator *b)
{
	return !memcmp(a, b, sizeof *a);
}

static bool in_image(uintptr_t address)
{
	return address - api.image_low < api.image_high - api.image_low;
}

/* The context of the interpreter's debug hooks holds what is below them (Objects/obmalloc.c, debug_alloc_api_t). */
static bool is_debug(const struct python_allocator *table, struct python_allocator *below)
{
	struct {
		char domain;
		struct python_allocator below;
	} debug;

	if (!in_image((uintptr_t)table->ctx) || !in_image((uintptr_t)table->ctx + sizeof debug))
		return false;
	memcpy(&debug, table->ctx, sizeof debug);
	*below = debug.below;
	return (debug.domain == 'r' || debug.domain == 'm' || debug.domain == 'o') &&
	       in_image((uintptr_t)debug.below.malloc);
}

/* Functions of the interpreter's own have no context, but for its debug hooks. Anything else (tracemalloc's) may have one
 * of our hooks below it, and is left alone. */
static bool is_interpreters(const struct python_allocator *table)
{
	struct python_allocator below;

	if (!in_image((uintptr_t)table->malloc))
		return false;
	return table->ctx == NULL || (is_debug(table, &below) && below.ctx == NULL);
}

static struct python_allocator innermost(int domain)
{
	struct python_allocator table, below;

	api.get_allocator(domain, &table);
	return is_debug(&table, &below) ? below : table;
}

/* What malloc serves without the interpreter's own doing is left to malloc's hook: all of RAW's, and the other domains'
 * with PYTHONMALLOC=malloc. */
static void hook(int domain, const struct python_allocator *below)
{
	enum hw_heap_kind kind = (enum hw_heap_kind)(HW_HEAP_PY_MEM + domain - 1);
	struct slot *slot = slots;
	bool small = same(below, &pymalloc) && is_interpreters(below);

	if (domain == RAW || same(below, &raw))
		return;
	while (slot < slots + slot_count && !(slot->kind == kind && same(&slot->below, below)))
		slot++;
	if (slot == slots + slot_count) {
		if (slot_count == sizeof slots / sizeof *slots)
			return;
		slot->below = *below;
		slot->kind = kind;
		slot_count++;
	}
	struct python_allocator before_pymalloc = {slot, small_malloc, small_calloc, small_realloc, any_free};
	struct python_allocator before_other = {slot, all_malloc, all_calloc, all_realloc, any_free};
	api.set_allocator(domain, small ? &before_pymalloc : &before_other);
}

static bool is_ours(const struct python_allocator *table)
{
	return table->free == any_free;
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
		raw = innermost(RAW);
		pymalloc = innermost(OBJ);
		for (int domain = 0; domain < DOMAINS && state != LEFT_ALONE; domain++) {
			struct python_allocator table;

			api.get_allocator(domain, &table);
			hook(domain, &table);
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
