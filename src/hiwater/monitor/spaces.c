/* What is mapped where in a process, as PERF_RECORD_MMAP2 tells of each mmap, execve and brk.
 *
 * There is no record of munmap or mremap: what is mapped later replaces what lay there, and what is found missing is
 * read anew from /proc/PID/maps, as after a loss. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor.h"

#define MAPPINGS_MAX 65536 /* of a process: vm.max_map_count is 65530 */
#define READ_MAX (4U << 20)

static bool begins(const struct mapped *m, const char *with)
{
	size_t n = strlen(with);

	return m->name_len >= n && memcmp(m->name, with, n) == 0;
}

static uint16_t kind_of(const struct mapped *m)
{
	enum { HUGETLB = 0x40000 /* MAP_HUGETLB */ };

	if (m->flags & HUGETLB || begins(m, "/anon_hugepage"))
		return HW_FAULT_HUGETLB;
	if (m->name_len == 0 || begins(m, "//anon") || begins(m, "[anon"))
		return HW_FAULT_ANON;
	if (begins(m, "[heap]"))
		return HW_FAULT_HEAP;
	if (begins(m, "[stack]"))
		return HW_FAULT_STACK_MEMORY;
	if (m->name[0] == '[')
		return HW_FAULT_SPECIAL;
	if (begins(m, "/memfd:") || begins(m, "/SYSV") || begins(m, "/dev/zero") || begins(m, "/dev/shm/"))
		return HW_FAULT_SHMEM;
	return HW_FAULT_FILE;
}

/* The first mapping that ends behind `address`. */
static size_t place(const struct space *s, uint64_t address)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->mappings[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct mapping *space_find(const struct space *s, uint64_t address)
{
	size_t at = place(s, address);

	return at < s->count && s->mappings[at].start <= address ? &s->mappings[at] : NULL;
}

static bool has_room(struct space *s, size_t more)
{
	if (s->count + more <= s->room)
		return true;
	size_t room = s->room ? s->room * 2 : 64;
	struct mapping *grown = s->count + more <= MAPPINGS_MAX ? realloc(s->mappings, room * sizeof(*grown)) : NULL;

	if (!grown)
		return false;
	s->mappings = grown;
	s->room = room;
	return true;
}

static void insert(struct space *s, const struct mapping *new)
{
	size_t at = place(s, new->start), last = at;
	struct mapping pieces[3];
	size_t n = 0;

	if (!has_room(s, 2))
		return;
	while (last < s->count && s->mappings[last].start < new->end)
		last++;
	if (last > at && s->mappings[at].start < new->start) {
		pieces[n] = s->mappings[at];
		pieces[n++].end = new->start;
	}
	pieces[n++] = *new;
	if (last > at && s->mappings[last - 1].end > new->end) {
		pieces[n] = s->mappings[last - 1];
		pieces[n].offset += new->end - pieces[n].start;
		pieces[n++].start = new->end;
	}
	memmove(s->mappings + at + n, s->mappings + last, (s->count - last) * sizeof(*s->mappings));
	memcpy(s->mappings + at, pieces, n * sizeof(*pieces));
	s->count += n - (last - at);
}

void space_map(struct space *s, const struct mapped *m)
{
	enum { EXEC = 4 /* PROT_EXEC */ };
	struct mapping new = {.start = m->start, .end = m->start + m->len, .offset = m->offset, .object = HW_NONE,
			      .kind = kind_of(m), .executable = (m->protection & EXEC) != 0};

	if (new.kind == HW_FAULT_FILE || new.kind == HW_FAULT_SHMEM || (new.kind == HW_FAULT_SPECIAL && begins(m, "[vdso]")))
		new.object = object_find(m->device, m->inode, m->name, m->name_len);
	insert(s, &new);
}

void space_clear(struct space *s)
{
	free(s->mappings);
	*s = (struct space){0};
}

void space_copy(struct space *to, const struct space *from)
{
	space_clear(to);
	if (from->count == 0)
		return;
	to->mappings = malloc(from->count * sizeof(*to->mappings));
	if (!to->mappings)
		return;
	memcpy(to->mappings, from->mappings, from->count * sizeof(*to->mappings));
	to->count = to->room = from->count;
}

/* "start-end rwxp offset major:minor inode     path" */
bool space_read(struct space *s, int32_t pid)
{
	char path[64], *text = malloc(READ_MAX);
	unsigned long long start, end, offset, inode;
	unsigned major, minor;
	char mode[5];
	bool any = false;

	if (!text)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	ssize_t n = read_file(path, text, READ_MAX - 1);

	text[n > 0 ? n : 0] = 0;
	if (n > 0)
		space_clear(s);
	for (char *line = text, *stop; n > 0 && (stop = strchr(line, '\n')) != NULL; line = stop + 1) {
		int name = 0;

		*stop = 0;
		if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end, mode, &offset, &major, &minor, &inode,
			   &name) < 7 || end <= start)
			continue;
		struct mapped m = {.start = start, .len = end - start, .offset = offset,
				   .device = (uint64_t)major << 32 | minor, .inode = inode,
				   .protection = mode[2] == 'x' ? 4 : 0, .name = line + name, .name_len = strlen(line + name)};

		space_map(s, &m);
		any = true;
	}
	free(text);
	return any;
}
