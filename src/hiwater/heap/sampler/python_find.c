/* Is there an interpreter in this process, and where? */
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "python_api.h"

/* A library that was loaded without RTLD_GLOBAL is not found by name alone. Its symbols are looked up in its own tables
 * (the System V ABI's dynamic section, and the hash table of GNU), because the functions for it may wait for a lock that
 * another thread holds, and this may be asked in the middle of an allocation. */
struct library {
	char path[512];
	uintptr_t base;
	const ElfW(Sym) *symbols;
	const char *names;
	const uint32_t *hashes;
};

/* glibc has made addresses of the offsets, but for some machines. */
static uintptr_t address_of(const struct library *library, const ElfW(Dyn) *entry)
{
	return entry->d_un.d_ptr < library->base ? library->base + entry->d_un.d_ptr : entry->d_un.d_ptr;
}

static int is_libpython(struct dl_phdr_info *info, size_t size, void *data)
{
	struct library *library = data;
	const char *path = info->dlpi_name;
	const char *name = path ? strrchr(path, '/') : NULL;
	const ElfW(Dyn) *entry = NULL;

	(void)size;
	name = name ? name + 1 : path;
	if (!name || strncmp(name, "libpython3", 10) || strlen(path) >= sizeof library->path)
		return 0;
	if (!strncmp(name, "libpython3.so", 13)) /* the stable ABI's: it holds nothing */
		return 0;
	*library = (struct library){.base = info->dlpi_addr};
	strcpy(library->path, path);
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			entry = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	for (; entry && entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			library->symbols = (const ElfW(Sym) *)address_of(library, entry);
		else if (entry->d_tag == DT_STRTAB)
			library->names = (const char *)address_of(library, entry);
		else if (entry->d_tag == DT_GNU_HASH)
			library->hashes = (const uint32_t *)address_of(library, entry);
	}
	return library->symbols && library->names && library->hashes;
}

/* Buckets, the first symbol that is in the table, words and shift of a filter, the filter, buckets, chains. */
static void *find_symbol(const struct library *library, const char *name)
{
	const uint32_t *table = library->hashes;
	uint32_t buckets = table[0], first = table[1], words = table[2], hash = 5381;
	const uint32_t *bucket = table + 4 + words * (sizeof(ElfW(Addr)) / sizeof *table), *chain = bucket + buckets;

	for (const char *at = name; *at; at++)
		hash = hash * 33 + (unsigned char)*at;
	if (buckets == 0 || bucket[hash % buckets] < first)
		return NULL;
	for (uint32_t i = bucket[hash % buckets];; i++) {
		const ElfW(Sym) *symbol = &library->symbols[i];
		uint32_t linked = chain[i - first];

		if ((linked | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF &&
		    !strcmp(library->names + symbol->st_name, name))
			return (void *)(library->base + symbol->st_value);
		if (linked & 1)
			return NULL;
	}
}

/* NULL: the program's own symbols, by the linker. */
static void *look_up(const struct library *library, const char *name)
{
	return library ? find_symbol(library, name) : dlsym(RTLD_DEFAULT, name);
}

void python_keep_library(void)
{
	struct library library;

	/* For good: the handle is not given back. */
	if (dl_iterate_phdr(is_libpython, &library))
		dlopen(library.path, RTLD_LAZY | RTLD_NOLOAD);
	dlerror();
}

struct image {
	uintptr_t within, low, high;
};

static int is_image(struct dl_phdr_info *info, size_t size, void *data)
{
	struct image *image = data;
	uintptr_t low = UINTPTR_MAX, high = 0;

	(void)size;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + part->p_vaddr;

		if (part->p_type != PT_LOAD)
			continue;
		low = start < low ? start : low;
		high = start + part->p_memsz > high ? start + part->p_memsz : high;
	}
	if (image->within < low || image->within >= high)
		return 0;
	image->low = low;
	image->high = high;
	return 1;
}

/* "3.10.13 (main, ...": Py_Version is there since 3.11 only. */
static uint32_t version_of(const char *text)
{
	char *rest;
	unsigned long major = strtoul(text, &rest, 10);
	unsigned long minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;

	return (uint32_t)(major << 24 | minor << 16);
}

/* ISO C has no cast from an object's address to a function's. */
#define FIND(library, field, name)                                      \
	do {                                                            \
		void *at_ = look_up(library, name);                     \
		memcpy(&(field), &at_, sizeof(field));                  \
	} while (0)

static void find_all(const struct library *library, struct python_api *api)
{
	const char *(*get_version)(void);
	const unsigned long *version = look_up(library, "Py_Version");
	struct image image = {.low = 0};

	FIND(library, get_version, "Py_GetVersion");
	if (version)
		api->version = (uint32_t)*version;
	else if (get_version)
		api->version = version_of(get_version());
	FIND(library, api->get_allocator, "PyMem_GetAllocator");
	FIND(library, api->set_allocator, "PyMem_SetAllocator");
	FIND(library, api->is_initialized, "Py_IsInitialized");
	FIND(library, api->current_state, "PyThreadState_GetUnchecked"); /* 3.13 */
	if (!api->current_state)
		FIND(library, api->current_state, "_PyThreadState_UncheckedGet");
	FIND(library, api->own_state, "PyGILState_GetThisThreadState");
	FIND(library, api->line, "PyCode_Addr2Line");
	api->code_type = look_up(library, "PyCode_Type");
	api->text_type = look_up(library, "PyUnicode_Type");
	api->runtime = look_up(library, "_PyRuntime");
	memcpy(&image.within, &api->set_allocator, sizeof image.within);
	dl_iterate_phdr(is_image, &image);
	api->image_low = image.low;
	api->image_high = image.high;
}

bool python_find(struct python_api *api, bool ask_linker)
{
	struct library library;

	memset(api, 0, sizeof *api);
	if (ask_linker && dlsym(RTLD_DEFAULT, "PyMem_SetAllocator"))
		find_all(NULL, api);
	else if (dl_iterate_phdr(is_libpython, &library))
		find_all(&library, api);
	if (ask_linker)
		dlerror();
	return api->get_allocator && api->set_allocator && api->is_initialized;
}
