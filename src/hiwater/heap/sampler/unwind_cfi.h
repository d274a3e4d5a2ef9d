/* Call frame information: .eh_frame_hdr and .eh_frame, read as bytes of unknown quality. Pure: it touches nothing but the
 * bytes that it is given, and never beyond their ends. DWARF 4, section 6.4, and the Linux Standard Base, chapter 10.6,
 * describe the tables. */
#ifndef HW_UNWIND_CFI_H
#define HW_UNWIND_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
enum { CFI_FP = 6, CFI_SP = 7, CFI_RA = 16 }; /* System V psABI for AMD64, figure 3.36 */
#else
enum { CFI_FP = 29, CFI_RA = 30, CFI_SP = 31 }; /* DWARF for the Arm 64-bit architecture, 4.1 */
#endif

#define CFI_PARTS 8

struct cfi_part { /* readable bytes of a module, and where the module's own addresses have them */
	const unsigned char *bytes;
	size_t len;
	uint64_t address;
};

struct cfi_image {
	struct cfi_part parts[CFI_PARTS];
	unsigned count;
	uint64_t header; /* address of .eh_frame_hdr */
};

enum cfi_kind {
	CFI_NONE,     /* no table speaks of this address */
	CFI_FROM_SP,  /* CFA = stack pointer + offset */
	CFI_FROM_FP,  /* CFA = frame pointer + offset */
	CFI_DEREF_SP, /* CFA = what is stored at stack pointer + offset, plus `add` */
	CFI_DEREF_FP,
	CFI_SIGNAL, /* the return from a signal handler: the registers are in the ucontext on the stack */
	CFI_END,    /* the first frame of a thread: it has no return address */
	CFI_LOST,   /* a table speaks of it in words that are not understood here */
};

enum cfi_where {
	CFI_SAME,   /* the register was not touched */
	CFI_AT_CFA, /* saved at CFA + offset */
	CFI_AT_FP,  /* saved at frame pointer + offset */
	CFI_GONE,   /* its value is lost, or saved in a way that is not understood */
};

struct cfi_rule { /* how to get from a frame to its caller */
	enum cfi_kind kind;
	enum cfi_where ra, fp;
	int64_t offset, add;
	int64_t ra_offset, fp_offset;
};

/* The rule in force at the instruction at `pc`. */
struct cfi_rule cfi_find(const struct cfi_image *image, uint64_t pc);

/* A rule in one word, never 0; 0: it does not fit. And back. */
uint64_t cfi_pack(const struct cfi_rule *rule);
struct cfi_rule cfi_unpack(uint64_t word);

#endif
