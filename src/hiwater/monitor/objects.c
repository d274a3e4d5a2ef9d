/* The files that programs have mapped: what of them is needed to unwind their stacks, read when it is first asked for.
 *
 * They are read, not mapped: a file that somebody cuts short meanwhile would be our end. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"

#define OBJECTS_MAX 65536
#define HEADERS_MAX 4096	      /* of a file */
#define FRAMES_MAX (UINT64_C(96) << 20) /* of one .eh_frame: the largest browsers have some 30 MiB */
#define ALL_MAX (UINT64_C(384) << 20)   /* of all together */
#define SLOTS 4096
#define PATH_LONGEST 4096
#define FILES_KEPT 64 /* open, to look at their code */

static struct object **objects, *slots[SLOTS];
static uint32_t count, room;
static uint64_t held;
static unsigned files_kept;

/* The vDSO is no file: what the kernel has mapped for us is the same. */
static bool is_vdso(const struct object *o)
{
	return strcmp(o->path, "[vdso]") == 0;
}

static bool read_at(const struct object *o, uint64_t at, void *out, size_t len)
{
	if (o->image) {
		if (at > o->image_len || len > o->image_len - at)
			return false;
		memcpy(out, o->image + at, len);
		return true;
	}
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(o->fd, (char *)out + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* Headers of both widths in one form. */
struct section {
	uint32_t name, type;
	uint64_t flags, address, offset, size;
};

static bool read_section(const struct object *o, uint64_t at, struct section *out)
{
	Elf64_Shdr w;
	Elf32_Shdr n;

	if (o->wide) {
		if (!read_at(o, at, &w, sizeof(w)))
			return false;
		*out = (struct section){w.sh_name, w.sh_type, w.sh_flags, w.sh_addr, w.sh_offset, w.sh_size};
		return true;
	}
	if (!read_at(o, at, &n, sizeof(n)))
		return false;
	*out = (struct section){n.sh_name, n.sh_type, n.sh_flags, n.sh_addr, n.sh_offset, n.sh_size};
	return true;
}

static void read_build_id(struct object *o, uint64_t offset, uint64_t size)
{
	unsigned char note[1024];
	Elf32_Nhdr head; /* the same in both widths */
	size_t len = size < sizeof(note) ? (size_t)size : sizeof(note), at = 0;

	if (o->build_id_len || !read_at(o, offset, note, len))
		return;
	while (len - at >= sizeof(head)) {
		size_t name, desc;

		memcpy(&head, note + at, sizeof(head));
		name = at + sizeof(head);
		if (head.n_namesz > len || head.n_descsz > len)
			return;
		desc = name + ((head.n_namesz + 3) & ~3U);
		if (desc > len || head.n_descsz > len - desc)
			return;
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && memcmp(note + name, "GNU", 4) == 0 &&
		    head.n_descsz <= sizeof(o->build_id)) {
			memcpy(o->build_id, note + desc, head.n_descsz);
			o->build_id_len = head.n_descsz;
			return;
		}
		at = desc + ((head.n_descsz + 3) & ~3U);
		if (at > len)
			return;
	}
}

static bool read_segments(struct object *o, uint64_t at, unsigned entries, unsigned size)
{
	for (unsigned i = 0; i < entries; i++, at += size) {
		uint32_t type;
		struct segment s;

		if (o->wide) {
			Elf64_Phdr p;

			if (!read_at(o, at, &p, sizeof(p)))
				return false;
			type = p.p_type;
			s = (struct segment){p.p_vaddr, p.p_offset, p.p_filesz};
		} else {
			Elf32_Phdr p;

			if (!read_at(o, at, &p, sizeof(p)))
				return false;
			type = p.p_type;
			s = (struct segment){p.p_vaddr, p.p_offset, p.p_filesz};
		}
		if (type == PT_NOTE)
			read_build_id(o, s.offset, s.size);
		if (type == PT_LOAD && o->segment_count < OBJECT_SEGMENTS)
			o->segments[o->segment_count++] = s;
	}
	return o->segment_count > 0;
}

/* .eh_frame, by its name: in a stripped file too, section headers are left. */
static void read_frames(struct object *o, uint64_t at, unsigned entries, unsigned size, unsigned names_index)
{
	struct section names, s;
	char name[16];

	if (entries > HEADERS_MAX || names_index >= entries || !read_section(o, at + (uint64_t)names_index * size, &names))
		return;
	for (unsigned i = 0; i < entries; i++) {
		if (!read_section(o, at + (uint64_t)i * size, &s) || !(s.flags & SHF_ALLOC) || s.type == SHT_NOBITS)
			continue;
		if (s.name > names.size || !read_at(o, names.offset + s.name, name, sizeof(".eh_frame")) ||
		    memcmp(name, ".eh_frame", sizeof(".eh_frame")) != 0)
			continue;
		if (s.size == 0 || s.size > FRAMES_MAX || held + s.size > ALL_MAX)
			return;
		unsigned char *data = malloc((size_t)s.size);

		if (!data || !read_at(o, s.offset, data, (size_t)s.size)) {
			free(data);
			return;
		}
		o->cfi = (struct cfi){.data = data, .size = (size_t)s.size, .address = s.address, .wide = o->wide};
		o->has_cfi = cfi_index(&o->cfi);
		held += s.size + o->cfi.count * sizeof(struct cfi_entry);
		return;
	}
}

static void read_elf(struct object *o)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf64_Ehdr wide;
		Elf32_Ehdr narrow;
	} h;
	const uint16_t one = 1;
	unsigned char native = *(const unsigned char *)&one ? ELFDATA2LSB : ELFDATA2MSB;

	memset(&h, 0, sizeof(h));
	if (!read_at(o, 0, &h, sizeof(h.narrow)) || memcmp(h.ident, ELFMAG, SELFMAG) != 0 || h.ident[EI_DATA] != native)
		return;
	o->wide = h.ident[EI_CLASS] == ELFCLASS64;
	if (o->wide) {
		if (!read_at(o, 0, &h, sizeof(h.wide)) || h.wide.e_phentsize < sizeof(Elf64_Phdr) ||
		    !read_segments(o, h.wide.e_phoff, h.wide.e_phnum, h.wide.e_phentsize))
			return;
		o->is_elf = true;
		if (h.wide.e_shentsize >= sizeof(Elf64_Shdr))
			read_frames(o, h.wide.e_shoff, h.wide.e_shnum, h.wide.e_shentsize, h.wide.e_shstrndx);
	} else {
		if (h.narrow.e_phentsize < sizeof(Elf32_Phdr) ||
		    !read_segments(o, h.narrow.e_phoff, h.narrow.e_phnum, h.narrow.e_phentsize))
			return;
		o->is_elf = true;
		if (h.narrow.e_shentsize >= sizeof(Elf32_Shdr))
			read_frames(o, h.narrow.e_shoff, h.narrow.e_shnum, h.narrow.e_shentsize, h.narrow.e_shstrndx);
	}
}

static size_t vdso_len(const unsigned char *image)
{
	Elf64_Ehdr h;

	memcpy(&h, image, sizeof(h));
	return h.e_ident[EI_CLASS] == ELFCLASS64 ? (size_t)h.e_shoff + (size_t)h.e_shnum * h.e_shentsize : 0;
}

/* As the process sees it, or as we do; or the mapping itself, of a file that has no name any more (for root). */
static int open_object(const struct object *o, int32_t pid, uint64_t start, uint64_t end)
{
	char path[64 + PATH_LONGEST];
	struct stat st;
	int fd = open(o->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == o->inode)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, o->path);
	int inside = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (inside < 0) {
		snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)pid, (unsigned long long)start,
			 (unsigned long long)end);
		inside = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	}
	if (inside >= 0 && fstat(inside, &st) == 0 && S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return inside;
	}
	if (inside >= 0)
		close(inside);
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd; /* overlay file systems show other numbers than those of the mapping */
}

/* Reads what is in it, once. `pid`: a process that has it mapped, from `start` to `end`. */
void object_load(struct object *o, int32_t pid, uint64_t start, uint64_t end)
{
	if (o->loaded)
		return;
	o->loaded = true;
	o->fd = -1;
	if (is_vdso(o)) {
		o->image = (const unsigned char *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);
		o->image_len = o->image ? vdso_len(o->image) : 0;
		if (!o->image_len)
			return;
	} else if (o->path[0] != '/' || (o->fd = open_object(o, pid, start, end)) < 0) {
		return;
	}
	read_elf(o);
	if (o->fd >= 0 && (!o->is_elf || files_kept == FILES_KEPT)) {
		close(o->fd);
		o->fd = -1;
	}
	files_kept += o->fd >= 0;
}

/* Bytes of it, at an offset in the file. */
bool object_bytes(const struct object *o, uint64_t offset, void *out, size_t len)
{
	return (o->fd >= 0 || o->image) && read_at(o, offset, out, len);
}

/* An offset in the file as the address that its symbols have; ~0: it has none. */
uint64_t object_address(const struct object *o, uint64_t offset)
{
	for (unsigned i = 0; i < o->segment_count; i++) {
		const struct segment *s = &o->segments[i];

		if (offset >= s->offset && offset - s->offset < s->size)
			return s->address + (offset - s->offset);
	}
	return UINT64_MAX;
}

struct object *object_at(uint32_t id)
{
	return id < count ? objects[id] : NULL;
}

/* The file of a mapping, by name and number; HW_NONE if there are too many. */
uint32_t object_find(uint64_t device, uint64_t inode, const char *path, size_t path_len)
{
	static const char deleted[] = " (deleted)";
	uint64_t hash = device * 31 + inode;

	if (path_len > sizeof(deleted) && memcmp(path + path_len - sizeof(deleted) + 1, deleted, sizeof(deleted) - 1) == 0)
		path_len -= sizeof(deleted) - 1;
	if (path_len >= PATH_LONGEST)
		return HW_NONE;
	for (size_t i = 0; i < path_len; i++)
		hash = (hash ^ (unsigned char)path[i]) * UINT64_C(0x100000001b3);
	struct object **slot = &slots[(hash ^ hash >> 32) % SLOTS];

	for (struct object *o = *slot; o; o = o->next)
		if (o->device == device && o->inode == inode && strncmp(o->path, path, path_len) == 0 && !o->path[path_len])
			return o->id;
	if (count == OBJECTS_MAX)
		return HW_NONE;
	if (count == room) {
		uint32_t more = room ? room * 2 : 64;
		struct object **grown = realloc(objects, more * sizeof(struct object *));

		if (!grown)
			return HW_NONE;
		objects = grown;
		room = more;
	}
	struct object *o = calloc(1, sizeof(*o) + path_len + 1);

	if (!o)
		return HW_NONE;
	o->id = count;
	o->device = device;
	o->inode = inode;
	memcpy(o->path, path, path_len);
	o->next = *slot;
	*slot = o;
	objects[count++] = o;
	return o->id;
}
