/* What code is mapped where. Modules are told when the process begins and after each dlopen that we see; the address of
 * a new stack that is in none of them is asked for by _dl_find_object (glibc 2.35), which takes no lock. */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#define MAX_BUILD_ID 64u
#define MAX_PATH 4096u

struct module {
	uint64_t start, end, bias;
	uint32_t name; /* offset in the pool */
	uint16_t name_len, build_id_len;
	unsigned char build_id[MAX_BUILD_ID];
	bool seen;
};

/* Laid out as glibc 2.35 and newer do; older headers have no such structure. */
struct found_object {
	unsigned long long flags;
	void *map_start, *map_end;
	struct link_map *link_map;
	void *eh_frame;
	unsigned long long reserved[8];
};
static int (*find_object)(void *, struct found_object *);

static struct module *modules; /* those that are mapped now */
static uint32_t count, room;
static char *pool;
static uint32_t pool_used, pool_room;

uintptr_t own_start, own_end, allocator_start, allocator_end;
bool modules_appeared; /* code was met that had not been there before */
bool modules_unknown; /* an address was in no module, and there is no _dl_find_object: modules_refresh may help */

/* Doubles an array that was mapped. */
static bool grow(void **array, uint32_t *elements, size_t element, uint32_t first)
{
	uint32_t wanted = *elements == 0 ? first : *elements * 2;
	void *memory = map_anonymous(wanted * element);

	if (memory == NULL)
		return false;
	if (*array != NULL) {
		memcpy(memory, *array, *elements * element);
		unmap(*array, *elements * element);
	}
	*array = memory;
	*elements = wanted;
	return true;
}

static void find_build_id(struct module *module, const ElfW(Phdr) *headers, unsigned header_count, uint64_t bias)
{
	for (unsigned i = 0; i < header_count; i++) {
		const char *at = (const char *)(uintptr_t)(bias + headers[i].p_vaddr), *end = at + headers[i].p_filesz;

		if (headers[i].p_type != PT_NOTE)
			continue;
		while (at + sizeof(ElfW(Nhdr)) <= end) {
			const ElfW(Nhdr) *note = (const void *)at;
			const char *name = at + sizeof(*note);
			const char *description = name + ((note->n_namesz + 3) & ~3u);

			if (description + note->n_descsz > end)
				break;
			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0 &&
			    note->n_descsz <= MAX_BUILD_ID) {
				module->build_id_len = (uint16_t)note->n_descsz;
				memcpy(module->build_id, description, note->n_descsz);
				return;
			}
			at = description + ((note->n_descsz + 3) & ~3u);
		}
	}
}

static void describe(struct module *module, const ElfW(Phdr) *headers, unsigned header_count, uint64_t bias)
{
	*module = (struct module){.bias = bias};
	for (unsigned i = 0; i < header_count; i++) {
		uint64_t start = bias + headers[i].p_vaddr, end = start + headers[i].p_memsz;

		if (headers[i].p_type != PT_LOAD || !(headers[i].p_flags & PF_X))
			continue;
		if (module->end == 0 || start < module->start)
			module->start = start;
		if (end > module->end)
			module->end = end;
	}
	find_build_id(module, headers, header_count, bias);
}

static void tell(const struct module *module)
{
	struct hw_heap_module record = {.t_ns = now_ns(),
					.start = module->start,
					.end = module->end,
					.bias = module->bias,
					.build_id_len = module->build_id_len,
					.path_len = module->name_len};
	char *to = out_begin(HW_HEAP_MODULE, 0, sizeof(record) + record.build_id_len + record.path_len);

	if (to == NULL)
		return;
	memcpy(to, &record, sizeof(record));
	memcpy(to + sizeof(record), module->build_id, record.build_id_len);
	memcpy(to + sizeof(record) + record.build_id_len, pool + module->name, record.path_len);
	out_end();
}

static void gone(uint32_t index)
{
	struct hw_heap_module_gone record = {now_ns(), modules[index].start};
	void *to = out_begin(HW_HEAP_MODULE_GONE, 0, sizeof(record));

	if (to != NULL) {
		memcpy(to, &record, sizeof(record));
		out_end();
	}
	modules[index] = modules[--count];
}

static struct module *module_at(uint64_t address)
{
	for (uint32_t i = 0; i < count; i++)
		if (address >= modules[i].start && address < modules[i].end)
			return &modules[i];
	return NULL;
}

static bool same(const struct module *one, const struct module *two)
{
	return one->start == two->start && one->end == two->end && one->bias == two->bias &&
	       one->build_id_len == two->build_id_len &&
	       memcmp(one->build_id, two->build_id, one->build_id_len) == 0;
}

static void add(const struct module *module, const char *name, size_t name_len)
{
	for (uint32_t i = 0; i < count;)
		if (modules[i].start < module->end && module->start < modules[i].end)
			gone(i);
		else
			i++;
	if (count == room && !grow((void **)&modules, &room, sizeof(*modules), 64))
		return;
	while (pool_used + name_len > pool_room)
		if (!grow((void **)&pool, &pool_room, 1, 16384))
			return;
	memcpy(pool + pool_used, name, name_len);
	modules[count] = *module;
	modules[count].name = pool_used;
	modules[count].name_len = (uint16_t)name_len;
	pool_used += (uint32_t)name_len;
	tell(&modules[count++]);
}

/* The program itself has no name in the link map. */
static size_t full_name(const char *name, char *to)
{
	size_t length;
	ssize_t n;

	if (name == NULL || name[0] == '\0') {
		n = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", to, (size_t)MAX_PATH);
		return n < 0 ? 0 : (size_t)n;
	}
	length = strlen(name);
	if (length >= MAX_PATH)
		length = MAX_PATH - 1;
	memcpy(to, name, length);
	return length;
}

struct found {
	struct module *modules;
	uint32_t count, room;
	char *names;
	uint32_t names_used, names_room;
	bool failed;
};

static int collect(struct dl_phdr_info *info, size_t size, void *data)
{
	struct found *found = data;
	struct module *module;

	(void)size;
	if (found->count == found->room &&
	    !grow((void **)&found->modules, &found->room, sizeof(*found->modules), 64))
		return found->failed = true;
	while (found->names_used + MAX_PATH > found->names_room)
		if (!grow((void **)&found->names, &found->names_room, 1, 4 * MAX_PATH))
			return found->failed = true;
	module = &found->modules[found->count];
	describe(module, info->dlpi_phdr, info->dlpi_phnum, info->dlpi_addr);
	if (module->end == 0)
		return 0;
	module->name = found->names_used;
	module->name_len =
		(uint16_t)full_name(found->count == 0 ? "" : info->dlpi_name, found->names + found->names_used);
	found->names_used += module->name_len;
	found->count++;
	return 0;
}

void modules_refresh(void)
{
	struct found found = {0};
	struct {
		uint64_t start, end;
	} forgotten[32];
	unsigned forgotten_count = 0;

	dl_iterate_phdr(collect, &found);
	if (!lock_take())
		goto out;
	modules_unknown = false;
	for (uint32_t i = 0; i < count; i++)
		modules[i].seen = false;
	for (uint32_t f = 0; f < found.count; f++)
		for (uint32_t i = 0; i < count; i++)
			if (same(&modules[i], &found.modules[f]))
				modules[i].seen = true;
	for (uint32_t i = 0; i < count && !found.failed;)
		if (!modules[i].seen) {
			if (forgotten_count < 32) {
				forgotten[forgotten_count].start = modules[i].start;
				forgotten[forgotten_count++].end = modules[i].end;
			}
			gone(i);
		} else {
			i++;
		}
	for (uint32_t f = 0; f < found.count; f++) {
		const struct module *module = &found.modules[f], *known = module_at(module->start);

		if (known == NULL || !same(known, module))
			add(module, found.names + module->name, module->name_len);
	}
	lock_give();
	for (unsigned i = 0; i < forgotten_count; i++)
		unwind_forget((uintptr_t)forgotten[i].start, (uintptr_t)forgotten[i].end);
out:
	if (found.modules != NULL)
		unmap(found.modules, found.room * sizeof(*found.modules));
	if (found.names != NULL)
		unmap(found.names, found.names_room);
}

void modules_tell(void)
{
	for (uint32_t i = 0; i < count; i++)
		tell(&modules[i]);
}

void modules_of(const uintptr_t *addresses, unsigned address_count)
{
	static char name[MAX_PATH]; /* under the lock */
	const struct module *last = NULL;

	for (unsigned i = 0; i < address_count; i++) {
		uintptr_t address = addresses[i] - 1;
		struct found_object object;
		const ElfW(Ehdr) *header;
		struct module module;

		if (last != NULL && address >= last->start && address < last->end)
			continue;
		last = module_at(address);
		if (last != NULL)
			continue;
		if (find_object == NULL) {
			modules_unknown = true;
			continue;
		}
		if (find_object((void *)address, &object) != 0)
			continue;
		/* The headers stand in the first page of all that linkers make. */
		header = object.map_start;
		if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
		    header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr)) > 4096)
			continue;
		describe(&module, (const void *)((const char *)header + header->e_phoff), header->e_phnum,
			 object.link_map->l_addr);
		if (address >= module.start && address < module.end) {
			add(&module, name, full_name(object.link_map->l_name, name));
			modules_appeared = true;
			last = NULL;
		}
	}
}

static int range_of(struct dl_phdr_info *info, size_t size, void *data)
{
	uintptr_t *range = data; /* the address, then what is found */
	struct module module;

	(void)size;
	describe(&module, info->dlpi_phdr, info->dlpi_phnum, info->dlpi_addr);
	if (range[0] < module.start || range[0] >= module.end)
		return 0;
	range[1] = (uintptr_t)module.start;
	range[2] = (uintptr_t)module.end;
	return 1;
}

void modules_init(void)
{
	uintptr_t own[3] = {(uintptr_t)modules_init}, allocator[3] = {(uintptr_t)real.malloc};
	uintptr_t libc[3] = {(uintptr_t)dlsym(RTLD_DEFAULT, "__libc_start_main")};

	dl_iterate_phdr(range_of, own);
	own_start = own[1];
	own_end = own[2];
	dl_iterate_phdr(range_of, allocator);
	dl_iterate_phdr(range_of, libc);
	if (allocator[1] != libc[1]) {
		allocator_start = allocator[1];
		allocator_end = allocator[2];
	}
	find_object = (int (*)(void *, struct found_object *))dlsym(RTLD_DEFAULT, "_dl_find_object");
}
