/* Which module holds an address, and which of its bytes may be read.
 *
 * glibc's _dl_find_object (2.35 and newer) tells without a lock. dl_iterate_phdr takes the lock that dlopen holds while
 * the constructors of a library run; a constructor that waits for a thread which is inside malloc would then wait for
 * ever. So where only that is there, the modules are listed in advance: at the start and after each dlopen. */
#if defined(__x86_64__) || defined(__aarch64__)
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <errno.h>

#include "unwind_find.h"

#define PAGE 4096u
#define MAX_LEARNT 512
#define MAX_PROGRAM_HEADERS 64

/* struct dl_find_object of glibc's <dlfcn.h>, which older headers lack. */
struct found {
	unsigned long long flags;
	void *start, *end;
	struct link_map *map;
	void *eh_frame_hdr;
	unsigned long long reserved[7 + 8]; /* more than any version writes */
};
static int (*dl_find)(void *address, struct found *out);

static struct learnt {
	_Atomic uintptr_t start, end;
	struct cfi_image image;
} learnt[MAX_LEARNT];
static atomic_uint learnt_count;
static atomic_flag learning = ATOMIC_FLAG_INIT;

/* rt_sigprocmask reads the new mask before it finds that `how` makes no sense (kernel/signal.c, SYSCALL_DEFINE4(rt_sigprocmask)):
 * EFAULT or EINVAL, and nothing is changed. Programs in a seccomp sandbox are allowed that call if any. */
bool page_readable(uintptr_t address)
{
	int before = errno;
	bool readable;

	address &= ~(uintptr_t)(PAGE - 1);
	readable = syscall(SYS_rt_sigprocmask, -1, (void *)address, NULL, 8) == 0 || errno != EFAULT;
	errno = before;
	return readable && address != 0; /* a mask of NULL is not read */
}

static void add_header(struct cfi_image *image, const ElfW(Phdr) *header, uintptr_t bias)
{
	if (header->p_type == PT_GNU_EH_FRAME)
		image->header = bias + header->p_vaddr;
	if (header->p_type != PT_LOAD || !(header->p_flags & PF_R) || image->count == CFI_PARTS)
		return;
	image->parts[image->count++] = (struct cfi_part){
		.bytes = (const unsigned char *)(bias + header->p_vaddr),
		.len = header->p_filesz,
		.address = bias + header->p_vaddr,
	};
}

/* The first page of a module is readable, unless a linker script wanted it otherwise. Asked once for each. */
static bool starts_readable(uintptr_t start)
{
	static _Atomic uintptr_t asked[64];
	_Atomic uintptr_t *slot = &asked[start / PAGE * 0x9e3779b97f4a7c15u >> 58];

	if (atomic_load_explicit(slot, memory_order_relaxed) == start)
		return true;
	if (!page_readable(start))
		return false;
	atomic_store_explicit(slot, start, memory_order_relaxed);
	return true;
}

/* The parts of a module by the ELF header at its start in memory. */
static bool by_headers(uintptr_t start, uintptr_t end, uintptr_t bias, struct cfi_image *out)
{
	const ElfW(Ehdr) *elf = (const void *)start;
	const ElfW(Phdr) *headers;

	if (end - start < PAGE || !starts_readable(start) || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 ||
	    elf->e_phentsize != sizeof(*headers) || elf->e_phnum > MAX_PROGRAM_HEADERS ||
	    elf->e_phoff > PAGE - elf->e_phnum * sizeof(*headers))
		return false;
	headers = (const void *)(start + elf->e_phoff);
	for (unsigned i = 0; i < elf->e_phnum; i++)
		add_header(out, &headers[i], bias);
	for (unsigned i = 0; i < out->count; i++) { /* nothing beyond the module's own memory */
		struct cfi_part *part = &out->parts[i];

		if (part->address < start || part->address > end || part->len > end - part->address)
			part->len = 0;
	}
	return true;
}

/* A module with gaps between its segments: each of them is an object of its own to _dl_find_object. The program itself has
 * been told where its program headers are; a library begins at its bias. */
static bool in_pieces(uintptr_t bias, struct cfi_image *out)
{
	const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
	unsigned long count = getauxval(AT_PHNUM);

	memset(out, 0, sizeof(*out));
	if (bias != 0)
		return by_headers(bias, UINTPTR_MAX, bias, out);
	for (unsigned long i = 0; headers != NULL && i < count && i < MAX_PROGRAM_HEADERS; i++)
		add_header(out, &headers[i], bias);
	return out->count > 0;
}

bool find_image(uintptr_t pc, struct cfi_image *out)
{
	unsigned count;

	memset(out, 0, sizeof(*out));
	if (dl_find) {
		struct found found;

		if (dl_find((void *)pc, &found) != 0 || !found.eh_frame_hdr || !found.map)
			return false;
		if (!by_headers((uintptr_t)found.start, (uintptr_t)found.end, found.map->l_addr, out) &&
		    !in_pieces(found.map->l_addr, out))
			return false;
		out->header = (uintptr_t)found.eh_frame_hdr;
		return true;
	}
	count = atomic_load_explicit(&learnt_count, memory_order_acquire);
	for (unsigned i = 0; i < count; i++) {
		uintptr_t start = atomic_load_explicit(&learnt[i].start, memory_order_acquire);

		if (pc < start || start == 0 || pc >= atomic_load_explicit(&learnt[i].end, memory_order_relaxed))
			continue;
		*out = learnt[i].image;
		return true;
	}
	return false;
}

static int learn_one(struct dl_phdr_info *info, size_t size, void *unused)
{
	struct cfi_image image = {.count = 0};
	uintptr_t start = 0, end = 0;
	unsigned count, slot;

	(void)size, (void)unused;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];

		add_header(&image, header, info->dlpi_addr);
		if (header->p_type != PT_LOAD)
			continue;
		if (start == 0)
			start = info->dlpi_addr + header->p_vaddr;
		end = info->dlpi_addr + header->p_vaddr + header->p_memsz;
	}
	if (start == 0 || image.header == 0)
		return 0;
	while (atomic_flag_test_and_set_explicit(&learning, memory_order_acquire))
		; /* held for a few stores, never while anything is waited for */
	count = atomic_load(&learnt_count);
	for (slot = 0; slot < count && atomic_load(&learnt[slot].start) != start; slot++)
		;
	if (slot == count) {
		for (slot = 0; slot < count && atomic_load(&learnt[slot].start) != 0; slot++)
			;
		if (slot < MAX_LEARNT) {
			learnt[slot].image = image;
			atomic_store(&learnt[slot].end, end);
			atomic_store_explicit(&learnt[slot].start, start, memory_order_release);
			if (slot == count)
				atomic_store_explicit(&learnt_count, count + 1, memory_order_release);
		}
	}
	atomic_flag_clear_explicit(&learning, memory_order_release);
	return 0;
}

void find_learn(void)
{
	if (!dl_find)
		dl_iterate_phdr(learn_one, NULL);
}

void find_forget(uintptr_t start, uintptr_t end)
{
	unsigned count = atomic_load(&learnt_count);

	for (unsigned i = 0; i < count; i++) {
		uintptr_t at = atomic_load(&learnt[i].start);

		if (at != 0 && at < end && start < atomic_load(&learnt[i].end))
			atomic_store(&learnt[i].start, 0);
	}
}

void find_init(void)
{
	void *symbol = dlsym(RTLD_DEFAULT, "_dl_find_object");

	memcpy(&dl_find, &symbol, sizeof(dl_find)); /* ISO C knows no cast between the two kinds of pointers */
	find_learn();
}
#endif
