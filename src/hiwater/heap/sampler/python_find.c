/* Is there an interpreter in this process, and where? */
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "python_api.h"

/* A library that was loaded without RTLD_GLOBAL is not found by name alone. */
struct sought {
	char path[512];
};

static int is_libpython(struct dl_phdr_info *info, size_t size, void *data)
{
	struct sought *sought = data;
	const char *path = info->dlpi_name;
	const char *name = path ? strrchr(path, '/') : NULL;

	(void)size;
	name = name ? name + 1 : path;
	if (!name || strncmp(name, "libpython3", 10) || strlen(path) >= sizeof sought->path)
		return 0;
	if (!strncmp(name, "libpython3.so", 13)) /* the stable ABI's: it holds nothing */
		return 0;
	strcpy(sought->path, path);
	return 1;
}

/* The handle is kept, so the library is never unloaded from under the hooks. Interpreters do not survive that anyway. */
static bool find_handle(void **handle)
{
	struct sought sought;

	*handle = RTLD_DEFAULT;
	if (dlsym(*handle, "PyMem_SetAllocator"))
		return true;
	if (!dl_iterate_phdr(is_libpython, &sought))
		return false;
	*handle = dlopen(sought.path, RTLD_LAZY | RTLD_NOLOAD);
	return *handle && dlsym(*handle, "PyMem_SetAllocator");
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

/* A function's address as dlsym gives it; ISO C has no cast for that. */
#define FIND(handle, field, name)                                       \
	do {                                                            \
		void *at_ = dlsym(handle, name);                        \
		memcpy(&(field), &at_, sizeof(field));                  \
	} while (0)

bool python_find(struct python_api *api)
{
	void *handle;
	bool found = find_handle(&handle);

	memset(api, 0, sizeof *api);
	if (found) {
		const char *(*get_version)(void);
		const unsigned long *version = dlsym(handle, "Py_Version");

		FIND(handle, get_version, "Py_GetVersion");
		if (version)
			api->version = (uint32_t)*version;
		else if (get_version)
			api->version = version_of(get_version());
		FIND(handle, api->get_allocator, "PyMem_GetAllocator");
		FIND(handle, api->set_allocator, "PyMem_SetAllocator");
		FIND(handle, api->is_initialized, "Py_IsInitialized");
		FIND(handle, api->current_state, "PyThreadState_GetUnchecked"); /* 3.13 */
		if (!api->current_state)
			FIND(handle, api->current_state, "_PyThreadState_UncheckedGet");
		FIND(handle, api->own_state, "PyGILState_GetThisThreadState");
		FIND(handle, api->line, "PyCode_Addr2Line");
		api->code_type = dlsym(handle, "PyCode_Type");
		api->text_type = dlsym(handle, "PyUnicode_Type");
		api->runtime = dlsym(handle, "_PyRuntime");
		struct image image = {.low = 0};
		memcpy(&image.within, &api->set_allocator, sizeof image.within);
		dl_iterate_phdr(is_image, &image);
		api->image_low = image.low;
		api->image_high = image.high;
	}
	dlerror();
	return found && api->get_allocator && api->set_allocator && api->is_initialized;
}
