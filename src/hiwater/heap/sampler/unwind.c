/* The walk over a stack, frame by frame. unwind.h tells the theory. */
#if defined(__x86_64__) || defined(__aarch64__)
#include "unwind.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>

#include "unwind_cfi.h"
#include "unwind_find.h"

#define PAGE ((uintptr_t)4096)
#define PAGE_OF(address) ((address) & ~(PAGE - 1))

/* ---- rules that are known ----
 *
 * Sets of four within a cache line. A word of an entry is the rule; the other is the address mixed with the rule, so that
 * halves of two entries written at the same time do not look like one. */
#define SETS 4096u
#define WAYS 4u

struct known {
	_Atomic uint64_t mixed, rule;
};
static struct known known[SETS][WAYS] __attribute__((aligned(64)));
static atomic_uint forgotten; /* counts unwind_forget: what was looked up before is not kept */

static inline uint64_t mix(uint64_t pc, uint64_t rule)
{
	return pc ^ rule * 0x9e3779b97f4a7c15u;
}

static inline uint64_t hash(uint64_t pc)
{
	return pc * 0x9e3779b97f4a7c15u >> 32;
}

static inline uint64_t recall(uint64_t pc)
{
	struct known *set = known[hash(pc) % SETS];

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t rule = atomic_load_explicit(&set[i].rule, memory_order_relaxed);

		if (atomic_load_explicit(&set[i].mixed, memory_order_relaxed) == mix(pc, rule) && rule)
			return rule;
	}
	return 0;
}

static void keep(uint64_t pc, uint64_t rule, unsigned before)
{
	uint64_t h = hash(pc);
	struct known *set = known[h % SETS], *slot = &set[h / SETS % WAYS];

	for (unsigned i = 0; i < WAYS; i++) {
		if (atomic_load_explicit(&set[i].rule, memory_order_relaxed) == 0) {
			slot = &set[i];
			break;
		}
	}
	atomic_store_explicit(&slot->rule, rule, memory_order_relaxed);
	atomic_store_explicit(&slot->mixed, mix(pc, rule), memory_order_relaxed);
	if (atomic_load(&forgotten) != before)
		atomic_store(&slot->rule, 0);
}

void unwind_forget(uintptr_t start, uintptr_t end)
{
	atomic_fetch_add(&forgotten, 1);
	for (unsigned i = 0; i < SETS; i++) {
		for (unsigned way = 0; way < WAYS; way++) {
			struct known *one = &known[i][way];
			uint64_t rule = atomic_load_explicit(&one->rule, memory_order_relaxed);
			uint64_t pc = atomic_load_explicit(&one->mixed, memory_order_relaxed) ^ mix(0, rule);

			if (rule && pc >= start && pc < end)
				atomic_store_explicit(&one->rule, 0, memory_order_relaxed);
		}
	}
	find_forget(start, end);
}

/* The return from a handler, where no table tells of it: Linux has it on a page of its own on aarch64, C libraries other
 * than glibc may have it without a table. */
static bool returns_from_signal(uintptr_t pc)
{
#if defined(__x86_64__)
	static const unsigned char code[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}; /* mov $15, %rax; syscall */
#else
	static const unsigned char code[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}; /* mov x8, #139; svc #0 */
#endif

	return page_readable(pc) && page_readable(pc + sizeof(code) - 1) &&
	       memcmp((const void *)pc, code, sizeof(code)) == 0;
}

static struct cfi_rule look_up(uintptr_t pc, uintptr_t return_address)
{
	struct cfi_rule rule = {.kind = CFI_NONE};
	struct cfi_image image;
	unsigned before = atomic_load(&forgotten);
	uint64_t word;

	if (find_image(pc, &image)) {
		rule = cfi_find(&image, pc);
		/* Returned to is not what follows a call but the beginning of a function: somebody has put that address there for
		 * the first frame of a stack to return to, as makecontext does. */
		if (rule.kind == CFI_NONE && return_address > pc && cfi_find(&image, return_address).kind != CFI_NONE)
			rule.kind = CFI_END;
	}
	if (rule.kind == CFI_NONE && returns_from_signal(return_address))
		rule.kind = CFI_SIGNAL;
	word = cfi_pack(&rule);
	/* Code without a table may be a JIT's, and other code tomorrow. */
	if (word && rule.kind != CFI_NONE)
		keep(pc, word, before);
	return rule;
}

/* ---- the stack ----
 *
 * A stack is readable from the stack pointer to its top without a gap. That is found out once for each page: a thread's
 * own stack ends in the page of its thread descriptor (glibc puts it there, on stacks of its own making as well as on
 * given ones), that of the first thread where the kernel has put the arguments. Any other stack (sigaltstack, makecontext)
 * is looked at page by page, each time. */
#define MAX_PROBES 4096u /* 16 MiB; a walk that goes further on pages never seen is broken off */

#define MAX_TRIES 8u

static _Thread_local struct {
	uintptr_t low, high, top; /* [low, high) is readable for as long as the thread lives; high is 0 or top */
	unsigned tries;
} own __attribute__((tls_model("initial-exec")));

struct window {
	uintptr_t low, high; /* readable, as far as this walk has found out */
	unsigned probes;
};

static uintptr_t first_top; /* of the first thread's stack, the end of its page */

/* Nothing is missing between `low` and the end of the thread's own stack: then `low` is on that stack, or next to it. */
static void try_own(uintptr_t low)
{
	uintptr_t page = low + PAGE;

	if (low >= own.top || own.tries == MAX_TRIES)
		return;
	own.tries++;
	if ((own.top - low) / PAGE > MAX_PROBES)
		return;
	while (page < own.top && page_readable(page))
		page += PAGE;
	if (page < own.top)
		return;
	own.low = low;
	own.high = own.top;
}

void unwind_thread(void)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
	uintptr_t descriptor = (uintptr_t)__builtin_thread_pointer();

	if (own.top)
		return;
	own.top = sp < descriptor ? PAGE_OF(descriptor) + PAGE : first_top;
	try_own(PAGE_OF(sp));
}

static inline void merge(struct window *window)
{
	if (window->high != own.low || own.high == 0)
		return;
	own.low = window->low;
	window->high = own.high;
}

static void window_at(struct window *window, uintptr_t sp, bool live)
{
	window->low = PAGE_OF(sp);
	if (sp >= own.low && sp < own.high) {
		window->high = own.high;
		return;
	}
	/* The page of the live stack pointer is readable; one that was read somewhere has to prove it. */
	window->high = live ? window->low + PAGE : window->low;
	merge(window);
}

static bool widen(struct window *window, uintptr_t end)
{
	while (window->high < end) {
		if (window->probes >= MAX_PROBES || !page_readable(window->high))
			return false;
		window->probes++;
		window->high += PAGE;
		merge(window);
	}
	return true;
}

static inline bool read_word(struct window *window, uintptr_t address, uintptr_t *out)
{
	if (__builtin_expect(address % sizeof(uintptr_t) != 0 || address < window->low || address > UINTPTR_MAX - 2 * PAGE, 0))
		return false;
	if (__builtin_expect(address + sizeof(uintptr_t) > window->high, 0) && !widen(window, address + sizeof(uintptr_t)))
		return false;
	*out = *(const uintptr_t *)address;
	return true;
}

/* ---- steps ---- */

struct frame {
	uintptr_t pc; /* of the instruction that is in progress: of a call the return address less one */
	uintptr_t return_address; /* as it was found */
	uintptr_t sp, fp, link; /* link: aarch64's x30, valid while `innermost` */
	bool fp_known;
	bool innermost; /* nothing called from here: the registers are those of that very instruction */
};

enum step { STEP_DONE, STEP_END, STEP_BROKEN };

/* aarch64 may sign return addresses; the signature is in the bits that an address does not need. XPACLRI, a no-operation
 * on processors without it. */
static inline uintptr_t strip(uintptr_t address)
{
#if defined(__aarch64__)
	register uintptr_t x30 __asm__("x30") = address;

	__asm__("hint #7" : "+r"(x30));
	return x30;
#else
	return address;
#endif
}

static inline void returned_to(struct frame *frame, uintptr_t address)
{
	frame->return_address = address;
	frame->pc = address - 1;
	frame->innermost = false;
}

static enum step step_signal(struct frame *frame, struct window *window)
{
#if defined(__x86_64__)
	uintptr_t at = frame->sp + offsetof(ucontext_t, uc_mcontext.gregs);
	uintptr_t pc, sp, fp, link = 0;
	bool ok = read_word(window, at + REG_RIP * 8, &pc) && read_word(window, at + REG_RSP * 8, &sp) &&
		  read_word(window, at + REG_RBP * 8, &fp);
#else
	/* struct rt_sigframe of arch/arm64/kernel/signal.c: siginfo, then ucontext */
	uintptr_t at = frame->sp + sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext);
	uintptr_t pc, sp, fp, link;
	bool ok = read_word(window, at + offsetof(mcontext_t, pc), &pc) && read_word(window, at + offsetof(mcontext_t, sp), &sp) &&
		  read_word(window, at + offsetof(mcontext_t, regs) + 29 * 8, &fp) &&
		  read_word(window, at + offsetof(mcontext_t, regs) + 30 * 8, &link);
#endif
	if (!ok || pc == 0)
		return STEP_BROKEN;
	window_at(window, sp, false);
	*frame = (struct frame){.pc = pc, .return_address = pc + 1, .sp = sp, .fp = fp, .link = link, .fp_known = true, .innermost = true};
	return STEP_DONE;
}

/* There is a call before a return address. */
static bool follows_call(uintptr_t address)
{
	const unsigned char *code = (const unsigned char *)address;

	if (!page_readable(address - 8) || !page_readable(address - 1))
		return false;
#if defined(__x86_64__)
	if (code[-5] == 0xe8) /* call to an offset */
		return true;
	for (int len = 2; len <= 7; len++) { /* call through a register or memory: FF /2 */
		if (code[-len] == 0xff && (code[1 - len] & 0x38) == 0x10)
			return true;
	}
	return false;
#else
	return address % 4 == 0 && ((code[-1] & 0xfc) == 0x94 ||				       /* BL */
				    (code[-1] == 0xd6 && (code[-2] & 0xfe) == 0x3e) || /* BLR */
				    (code[-1] == 0xd7 && (code[-2] & 0xfe) == 0x3e));  /* BLRAA and BLRAB */
#endif
}

/* Code without a table: a frame record (saved frame pointer, return address) where the frame pointer points to, if
 * that looks like one. */
static enum step step_record(struct frame *frame, struct window *window)
{
	uintptr_t fp, ra;
	struct cfi_image image;

#if defined(__aarch64__)
	/* Interrupted in a PLT, which has no table there, or in assembly that calls nothing. */
	if (frame->innermost && follows_call(strip(frame->link))) {
		returned_to(frame, strip(frame->link));
		return STEP_DONE;
	}
#endif
	if (!frame->fp_known || frame->fp < frame->sp || !read_word(window, frame->fp, &fp) ||
	    !read_word(window, frame->fp + sizeof(uintptr_t), &ra))
		return STEP_BROKEN;
	ra = strip(ra);
	if (ra < 2 * PAGE || !follows_call(ra))
		return STEP_BROKEN;
	/* Where a JIT's code was entered from, the frame pointer may be any number: code with a table knows what it is. */
	if (fp != 0 && (fp <= frame->fp || fp % sizeof(uintptr_t) != 0) && !find_image(ra - 1, &image))
		return STEP_BROKEN;
	frame->sp = frame->fp + 2 * sizeof(uintptr_t);
	frame->fp = fp;
	returned_to(frame, ra);
	return STEP_DONE;
}

static inline enum step step(struct frame *frame, struct window *window)
{
	uint64_t word = recall(frame->pc);
	struct cfi_rule rule = __builtin_expect(word != 0, 1) ? cfi_unpack(word) : look_up(frame->pc, frame->return_address);
	uintptr_t cfa, ra;

	switch (rule.kind) {
	case CFI_FROM_SP: cfa = frame->sp + (uintptr_t)rule.offset; break;
	case CFI_FROM_FP:
		if (!frame->fp_known)
			return STEP_BROKEN;
		cfa = frame->fp + (uintptr_t)rule.offset;
		break;
	case CFI_DEREF_SP:
	case CFI_DEREF_FP:
		if ((rule.kind == CFI_DEREF_FP && !frame->fp_known) ||
		    !read_word(window, (rule.kind == CFI_DEREF_SP ? frame->sp : frame->fp) + (uintptr_t)rule.offset, &cfa))
			return STEP_BROKEN;
		cfa += (uintptr_t)rule.add;
		break;
	case CFI_SIGNAL: return step_signal(frame, window);
	case CFI_END: return STEP_END;
	case CFI_NONE: return step_record(frame, window);
	default: return STEP_BROKEN;
	}
	/* Stacks grow down. Only a function that has not yet touched its stack has none of it. */
	if (cfa < frame->sp || (cfa == frame->sp && !frame->innermost))
		return STEP_BROKEN;
	if (rule.ra == CFI_SAME) {
#if defined(__aarch64__)
		if (!frame->innermost)
			return STEP_BROKEN;
		ra = frame->link;
#else
		return STEP_BROKEN;
#endif
	} else if (!read_word(window, (rule.ra == CFI_AT_CFA ? cfa : frame->fp) + (uintptr_t)rule.ra_offset, &ra)) {
		return STEP_BROKEN;
	}
	if (rule.fp == CFI_AT_CFA || rule.fp == CFI_AT_FP) {
		if (!read_word(window, (rule.fp == CFI_AT_CFA ? cfa : frame->fp) + (uintptr_t)rule.fp_offset, &frame->fp))
			return STEP_BROKEN;
	} else if (rule.fp == CFI_GONE) {
		frame->fp_known = false;
	}
	ra = strip(ra);
	if (ra == 0)
		return STEP_END;
	frame->sp = cfa;
	returned_to(frame, ra);
	return STEP_DONE;
}

__attribute__((noinline)) struct hw_unwound unwind(uintptr_t *addresses, unsigned max, const void *within)
{
	struct hw_unwound result = {.count = 0};
	struct frame frame = {.fp_known = true, .innermost = true};
	struct window window = {.probes = 0};
	bool reporting = false;
	unsigned left_out = 0;

	unwind_thread();
#if defined(__x86_64__)
	__asm__ volatile("leaq 0(%%rip), %0; movq %%rsp, %1; movq %%rbp, %2" : "=&r"(frame.pc), "=&r"(frame.sp), "=&r"(frame.fp));
#else
	__asm__ volatile("adr %0, .; mov %1, sp; mov %2, x29; mov %3, x30"
			 : "=&r"(frame.pc), "=&r"(frame.sp), "=&r"(frame.fp), "=&r"(frame.link));
#endif
	frame.return_address = frame.pc;
	window_at(&window, frame.sp, true);
	for (;;) {
		enum step taken = step(&frame, &window);

		if (taken != STEP_DONE) {
			result.broken = taken == STEP_BROKEN;
			if (!result.broken && own.high == 0) /* the first walk was on a stack of another kind */
				try_own(PAGE_OF((uintptr_t)__builtin_frame_address(0)));
			return result;
		}
		if (!reporting) {
			if (within && frame.sp <= (uintptr_t)within && ++left_out < 64)
				continue;
			reporting = true;
		}
		if (result.count == max) {
			result.cut = 1;
			return result;
		}
		addresses[result.count++] = frame.return_address;
	}
}

void unwind_learn(void)
{
	find_learn();
}

void unwind_init(void)
{
	void **end = dlsym(RTLD_DEFAULT, "__libc_stack_end");

	if (end)
		first_top = PAGE_OF((uintptr_t)*end) + PAGE;
	find_init();
	unwind_thread();
}
#endif
