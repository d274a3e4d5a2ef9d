/* Judges what is to be executed. */
#include "elf.h"

#include <elf.h>
#include <endian.h>
#include <link.h>
#include <string.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define LINKER "ld-linux-x86-64.so.2"
#elif defined(__i386__)
#define MACHINE EM_386
#define LINKER "ld-linux.so.2"
#elif defined(__aarch64__) && __BYTE_ORDER == __LITTLE_ENDIAN
#define MACHINE EM_AARCH64
#define LINKER "ld-linux-aarch64.so.1"
#elif defined(__arm__) && defined(__ARM_PCS_VFP)
#define MACHINE EM_ARM
#define LINKER "ld-linux-armhf.so.3"
#elif defined(__arm__)
#define MACHINE EM_ARM
#define LINKER "ld-linux.so.3"
#elif defined(__riscv) && __riscv_xlen == 64
#define MACHINE EM_RISCV
#define LINKER "ld-linux-riscv64-lp64d.so.1"
#endif

bool elf_shape(const unsigned char *bytes, size_t len, struct elf_shape *shape, enum elf_verdict *verdict)
{
	ElfW(Ehdr) header;

	*verdict = ELF_FOLLOWED;
	if (len < EI_NIDENT + 4 || memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return false;
	if (bytes[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
	    bytes[EI_DATA] != (__BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB)) {
		*verdict = ELF_OTHER_MACHINE;
		return false;
	}
	if (len < sizeof(header))
		return false;
	memcpy(&header, bytes, sizeof(header));
#ifdef MACHINE
	if (header.e_machine != MACHINE) {
		*verdict = ELF_OTHER_MACHINE;
		return false;
	}
#endif
	if ((header.e_type != ET_EXEC && header.e_type != ET_DYN) || header.e_phentsize != sizeof(ElfW(Phdr)) ||
	    header.e_phnum == 0)
		return false;
	shape->headers = header.e_phoff;
	shape->count = header.e_phnum;
	return true;
}

bool elf_linker(const unsigned char *headers, size_t len, struct elf_bytes *where)
{
	for (; len >= sizeof(ElfW(Phdr)); headers += sizeof(ElfW(Phdr)), len -= sizeof(ElfW(Phdr))) {
		ElfW(Phdr) header;

		memcpy(&header, headers, sizeof(header));
		if (header.p_type != PT_INTERP)
			continue;
		*where = (struct elf_bytes){header.p_offset, header.p_filesz};
		return true;
	}
	return false;
}

enum elf_verdict elf_judge(const char *linker, size_t len)
{
#ifdef LINKER
	const char *name = linker;

	len = strnlen(linker, len);
	/* Distributions have it in folders of their own; its name is what tells the C library and the machine. */
	for (size_t i = 0; i < len; i++)
		if (linker[i] == '/')
			name = linker + i + 1;
	len -= (size_t)(name - linker);
	if (len != strlen(LINKER) || memcmp(name, LINKER, len) != 0)
		return ELF_OTHER_LIBC;
#else
	(void)linker, (void)len;
#endif
	return ELF_FOLLOWED;
}

size_t script_interpreter(const char *bytes, size_t len, char *to, size_t room)
{
	size_t at = 2, end;

	if (len < 2 || bytes[0] != '#' || bytes[1] != '!')
		return 0;
	while (at < len && (bytes[at] == ' ' || bytes[at] == '\t'))
		at++;
	for (end = at; end < len; end++)
		if (bytes[end] == '\n' || bytes[end] == ' ' || bytes[end] == '\t' || bytes[end] == '\0')
			break;
	if (end == at || end - at >= room)
		return 0;
	memcpy(to, bytes + at, end - at);
	to[end - at] = '\0';
	return end - at;
}

size_t preload_without(const char *value, const char *own, char *to, size_t room, bool *changed)
{
	size_t used = 0;

	*changed = false;
	for (;;) {
		size_t len, name;

		value += strspn(value, " :");
		len = strcspn(value, " :");
		if (len == 0)
			break;
		for (name = len; name > 0 && value[name - 1] != '/'; name--)
			;
		if (len - name == strlen(own) && memcmp(value + name, own, len - name) == 0) {
			*changed = true;
		} else {
			if (len + (used > 0) + 1 > room - used)
				return (size_t)-1;
			if (used > 0)
				to[used++] = ':';
			memcpy(to + used, value, len);
			used += len;
		}
		value += len;
	}
	if (used >= room)
		return (size_t)-1;
	to[used] = '\0';
	return used;
}
