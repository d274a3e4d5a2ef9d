/* Mappings become rows: what each is, told from its name, its neighbours and the stack pointers; those of one kind and
 * name are added up. Takes mappings in ascending order, as smaps gives them; memory is bounded. */
#include <stdlib.h>
#include <string.h>

#include "ledger.h"

#define ARENA_SIZE (UINT64_C(64) << 20)	 /* malloc/arena.c HEAP_MAX_SIZE where a long has 64 bits */
#define ARENA_SIZE_32 (UINT64_C(1) << 20) /* where it has 32 */
#define GIB_4 (UINT64_C(4) << 30)
#define ACCESS (HW_MAP_READ | HW_MAP_WRITE | HW_MAP_EXEC)

_Static_assert(offsetof(struct hw_ledger_row, locked_bytes) - offsetof(struct hw_ledger_row, size_bytes) ==
		       (VMA_VALUES - 1) * sizeof(int64_t),
	       "enum vma_value has the order of the row's fields");

void rows_begin(struct rows *r)
{
	r->named_count = r->names_used = r->anon_count = r->file_count = r->stack_sizes = 0;
	r->merged = r->holds = r->below_bare = false;
	r->below_end = r->below_size = 0;
	memset(r->bucket, 0, sizeof(r->bucket));
	memset(r->rest, 0, sizeof(r->rest));
}

/* ---- adding up ---- */

static void fill(struct hw_ledger_row *row, enum hw_map_kind kind, const struct extent *v)
{
	*row = (struct hw_ledger_row){.kind = (uint16_t)kind, .flags = v->flags, .count = 1, .start = v->start};
	memcpy(&row->size_bytes, v->value, sizeof(v->value));
	if (v->value[VMA_SIZE] < 0)
		row->size_bytes = (int64_t)(v->end - v->start);
}

static void add(struct hw_ledger_row *to, const struct hw_ledger_row *from)
{
	int64_t sum[VMA_VALUES], more[VMA_VALUES];

	if (to->count == 0) {
		*to = *from;
		to->name_len = 0;
		return;
	}
	memcpy(sum, &to->size_bytes, sizeof(sum));
	memcpy(more, &from->size_bytes, sizeof(more));
	for (int i = 0; i < VMA_VALUES; i++)
		if (more[i] >= 0)
			sum[i] = sum[i] < 0 ? more[i] : sum[i] + more[i];
	memcpy(&to->size_bytes, sum, sizeof(sum));
	to->count += from->count;
	if (from->start < to->start)
		to->start = from->start;
}

static uint32_t hash(uint32_t kind, const char *name, size_t len)
{
	uint32_t h = 2166136261u ^ kind; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 16777619u;
	return h % ROWS_BUCKETS;
}

/* The row of a kind and name, a new one if need be; NULL when there is no room. A file and the one that it replaced
 * have one name, but one of them is deleted. */
static struct row *named_row(struct rows *r, const struct hw_ledger_row *like, const char *name, size_t len)
{
	uint32_t *head = &r->bucket[hash(like->kind, name, len)];

	for (uint32_t i = *head; i != 0; i = r->named[i - 1].next) {
		struct row *row = &r->named[i - 1];

		if (row->is.kind == like->kind && row->is.name_len == len && memcmp(r->names + row->name_at, name, len) == 0 &&
		    ((row->is.flags ^ like->flags) & HW_MAP_DELETED) == 0)
			return row;
	}
	if (r->named_count == ROWS_NAMED || len > sizeof(r->names) - r->names_used)
		return NULL;
	struct row *row = &r->named[r->named_count++];

	*row = (struct row){.name_at = r->names_used, .next = *head};
	memcpy(r->names + r->names_used, name, len);
	r->names_used += (uint32_t)len;
	*head = r->named_count;
	return row;
}

static void add_named(struct rows *r, const struct hw_ledger_row *what, const char *name, size_t len)
{
	struct row *row = named_row(r, what, name, len);

	if (!row) {
		add(&r->rest[what->kind].is, what);
		r->merged = true;
		return;
	}
	add(&row->is, what);
	row->is.name_len = (uint32_t)len;
}

/* Keeps the largest; the others are added up. */
static void add_anon(struct rows *r, const struct row *what)
{
	struct row *least = r->anon;

	if (r->anon_count < ROWS_ANON) {
		r->anon[r->anon_count++] = *what;
		return;
	}
	for (uint32_t i = 1; i < ROWS_ANON; i++)
		if (r->anon[i].is.rss_bytes < least->is.rss_bytes)
			least = &r->anon[i];
	if (least->is.rss_bytes < what->is.rss_bytes) {
		add(&r->rest[HW_MAP_ANON].is, &least->is);
		*least = *what;
	} else {
		add(&r->rest[HW_MAP_ANON].is, &what->is);
	}
}

/* ---- what an unnamed anonymous mapping is ---- */

static size_t stack_pointers_in(const struct rows *r, uint64_t start, uint64_t end)
{
	size_t low = 0, high = r->stack_pointer_count, count = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (r->stack_pointers[middle] < start)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < r->stack_pointer_count && r->stack_pointers[low] < end; low++)
		count++;
	return count;
}

/* The Go runtime takes its heap in pieces of 64 MiB, at 0x..c000000000 where it can (runtime/malloc.go mallocinit()):
 * it looks like an arena of glibc, and the stacks of its threads lie in it. */
static bool is_go_heap(uint64_t start)
{
	return start >> 32 != 0 && (start >> 32 & 0xff) == 0xc0 && start >> 40 < 0x80;
}

/* A heap of malloc's arenas: reserved as a whole at a multiple of its size, and made accessible from below
 * (malloc/arena.c new_heap()). `above` begins where it ends. */
static bool is_arena(const struct extent *v, const struct extent *above)
{
	uint64_t size = v->start < GIB_4 ? ARENA_SIZE_32 : ARENA_SIZE;

	return v->start % size == 0 && v->end - v->start < size && !is_go_heap(v->start) && above && above->start == v->end &&
	       !(above->flags & (ACCESS | HW_MAP_SHARED)) && above->inode == 0 && above->end >= v->start + size;
}

static bool has_size_of_stack(const struct rows *r, int64_t size, int64_t guard)
{
	for (uint32_t i = 0; i < r->stack_sizes; i++)
		if (r->stack_size[i] == size)
			return true;
	return r->stack_limit > 0 && (size == r->stack_limit || size + guard == r->stack_limit);
}

/* Since glibc 2.42 guard pages lie within the mapping (MADV_GUARD_INSTALL), so that stacks side by side become one
 * mapping: some of the size of a stack, or of a stack and a guard page. */
static bool is_row_of_stacks(const struct rows *r, int64_t size, size_t pointers)
{
	int64_t one = r->stack_limit, guarded = one + r->page_size;

	return one > 0 && pointers > 0 && size > 0 && (size % one == 0 || size % guarded == 0);
}

static bool is_thread_stack(struct rows *r, const struct extent *v, uint64_t guard)
{
	size_t pointers = stack_pointers_in(r, v->start, v->end);
	int64_t size = (int64_t)(v->end - v->start);

	if (is_go_heap(v->start))
		return false;
	if (pointers == 0 || (guard == 0 && !v->guarded))
		return is_row_of_stacks(r, size, pointers) || (guard != 0 && has_size_of_stack(r, size, (int64_t)guard));
	if (pointers == 1 && r->stack_sizes < STACK_SIZES && !has_size_of_stack(r, size, 0))
		r->stack_size[r->stack_sizes++] = size;
	return true;
}

/* Decides on the mapping that waited for its neighbour. */
static void release(struct rows *r, const struct extent *above)
{
	struct row row = {.guard = r->held_guard};
	const struct extent *v = &r->held;

	if (!r->holds)
		return;
	r->holds = false;
	if (is_arena(v, above)) {
		fill(&row.is, HW_MAP_ARENA, v);
		add_named(r, &row.is, "", 0);
	} else if (is_thread_stack(r, v, r->held_guard)) {
		fill(&row.is, HW_MAP_THREAD_STACK, v);
		add_named(r, &row.is, "", 0);
	} else {
		fill(&row.is, HW_MAP_ANON, v);
		add_anon(r, &row);
	}
}

/* ---- what a mapping with a name is ---- */

static bool begins(const char *name, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len >= n && memcmp(name, with, n) == 0;
}

/* [anon:NAME] (fs/proc/task_mmu.c get_vma_name()). glibc 2.39 and later names its mappings on demand
 * (glibc.mem.decorate_maps), bionic always. */
static enum hw_map_kind kind_of_anon_name(const char *name, size_t len)
{
	if (begins(name, len, " glibc: pthread ") || begins(name, len, "stack_and_tls:"))
		return HW_MAP_THREAD_STACK;
	if (begins(name, len, " glibc: malloc arena"))
		return HW_MAP_ARENA;
	return HW_MAP_ANON_NAMED;
}

static enum hw_map_kind kind_of(const struct rows *r, const struct vma *v, const char **name, size_t *len)
{
	const char *n = v->name;

	*name = "";
	*len = 0;
	if (begins(n, v->name_len, "[heap]"))
		return HW_MAP_HEAP;
	if (begins(n, v->name_len, "[stack]"))
		return HW_MAP_STACK;
	if (begins(n, v->name_len, "[stack:")) /* Linux 3.4 to 4.4 */
		return HW_MAP_THREAD_STACK;
	if (begins(n, v->name_len, "[anon:") && n[v->name_len - 1] == ']') {
		enum hw_map_kind kind = kind_of_anon_name(n + 6, v->name_len - 7);

		if (kind == HW_MAP_ANON_NAMED) {
			*name = n + 6;
			*len = v->name_len - 7;
		}
		return kind;
	}
	*name = n;
	*len = v->name_len;
	/* The file system that these live in is mounted nowhere (mm/shmem.c shm_mnt). */
	if (begins(n, v->name_len, "[anon_shmem:") || begins(n, v->name_len, "/memfd:") || begins(n, v->name_len, "/SYSV") ||
	    (v->is.flags & HW_MAP_DELETED && v->name_len == 9 && memcmp(n, "/dev/zero", 9) == 0))
		return HW_MAP_SHMEM;
	if (*n == '[' || begins(n, v->name_len, "anon_inode:"))
		return HW_MAP_SPECIAL;
	return v->is.major == 0 && r->on_tmpfs && r->on_tmpfs(v->is.major, v->is.minor) ? HW_MAP_SHMEM : HW_MAP_FILE;
}

/* ---- the files behind shared memory ---- */

static void note_file(struct rows *r, const struct extent *v)
{
	int64_t rss = v->value[VMA_RSS] - (v->value[VMA_ANON] > 0 ? v->value[VMA_ANON] : 0);

	for (uint32_t i = 0; i < r->file_count; i++) {
		struct mapped_file *f = &r->file[i];

		if (f->inode == v->inode && f->major == v->major && f->minor == v->minor) {
			f->rss += rss;
			return;
		}
	}
	if (r->file_count < ROWS_FILES)
		r->file[r->file_count++] = (struct mapped_file){v->inode, v->major, v->minor, rss};
}

/* How much of a file of tmpfs the mappings show; a page that is mapped twice counts twice. */
int64_t rows_mapped(const struct rows *r, uint32_t major, uint32_t minor, uint64_t inode)
{
	for (uint32_t i = 0; i < r->file_count; i++)
		if (r->file[i].inode == inode && r->file[i].major == major && r->file[i].minor == minor)
			return r->file[i].rss;
	return 0;
}

void rows_add_unmapped(struct rows *r, const char *name, size_t len, int64_t size)
{
	size_t bare = without_deleted(name, len);
	struct hw_ledger_row row = {.kind = HW_MAP_UNMAPPED_SHMEM, .count = 1, .size_bytes = size,
				    .flags = HW_MAP_ON_TMPFS | (bare < len ? HW_MAP_DELETED : 0)};

	row.pss_bytes = row.private_bytes = row.shared_bytes = row.anon_bytes = row.lazyfree_bytes = row.anon_huge_bytes =
		row.swap_bytes = row.swap_pss_bytes = row.locked_bytes = -1;
	add_named(r, &row, name, bare);
}

/* ---- taking one mapping ---- */

void rows_add(struct rows *r, const struct vma *v)
{
	struct hw_ledger_row row;
	const char *name;
	size_t len;
	bool anonymous = v->name_len == 0 && v->is.inode == 0;
	uint64_t guard = r->below_bare && r->below_end == v->is.start ? r->below_size : 0;

	release(r, &v->is);
	r->below_end = v->is.end;
	r->below_size = v->is.end - v->is.start;
	r->below_bare = !(v->is.flags & (ACCESS | HW_MAP_SHARED)) && v->is.inode == 0;
	if (anonymous && (v->is.flags & (ACCESS | HW_MAP_SHARED)) == (HW_MAP_READ | HW_MAP_WRITE)) {
		r->held = v->is;
		r->held_guard = guard;
		r->holds = true;
		return;
	}
	if (anonymous) {
		struct row anon = {.guard = 0};

		fill(&anon.is, HW_MAP_ANON, &v->is);
		add_anon(r, &anon);
		return;
	}
	enum hw_map_kind kind = kind_of(r, v, &name, &len);

	fill(&row, kind, &v->is);
	if (kind == HW_MAP_SHMEM) {
		row.flags |= HW_MAP_ON_TMPFS;
		note_file(r, &v->is);
	}
	add_named(r, &row, name, len);
}

/* ---- writing ---- */

static int larger_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->is.rss_bytes != y->is.rss_bytes)
		return x->is.rss_bytes < y->is.rss_bytes ? 1 : -1;
	if (x->is.size_bytes != y->is.size_bytes)
		return x->is.size_bytes < y->is.size_bytes ? 1 : -1;
	return x->is.start < y->is.start ? -1 : x->is.start > y->is.start;
}

/* Unnamed ones that turned out to have the size of a stack, and then those that get no row of their own. */
static void settle_anon(struct rows *r)
{
	uint32_t kept = 0;

	release(r, NULL);
	for (uint32_t i = 0; i < r->anon_count; i++) {
		struct row *row = &r->anon[i];

		if (row->guard != 0 && !is_go_heap(row->is.start) && has_size_of_stack(r, row->is.size_bytes, 0)) {
			row->is.kind = HW_MAP_THREAD_STACK;
			add_named(r, &row->is, "", 0);
		} else {
			r->anon[kept++] = *row;
		}
	}
	qsort(r->anon, kept, sizeof(*r->anon), larger_first);
	for (uint32_t i = HW_LEDGER_ANON_MAX; i < kept; i++)
		add(&r->rest[HW_MAP_ANON].is, &r->anon[i].is);
	r->anon_count = kept < HW_LEDGER_ANON_MAX ? kept : HW_LEDGER_ANON_MAX;
}

static size_t write_row(const struct rows *r, const struct row *row, unsigned char *out)
{
	size_t len = (row->is.name_len + 7u) & ~7u;

	memcpy(out, &row->is, sizeof(row->is));
	memset(out + sizeof(row->is), 0, len);
	memcpy(out + sizeof(row->is), r->names + row->name_at, row->is.name_len);
	return sizeof(row->is) + len;
}

size_t rows_write(struct rows *r, unsigned char *out, size_t room, uint32_t *count)
{
	static struct row all[ROWS_NAMED + HW_LEDGER_ANON_MAX + HW_MAP_KINDS];
	uint32_t n, limit = HW_LEDGER_ROWS_MAX - HW_MAP_KINDS;
	size_t used = 0;

	settle_anon(r);
	memcpy(all, r->named, r->named_count * sizeof(*all));
	memcpy(all + r->named_count, r->anon, r->anon_count * sizeof(*all));
	n = r->named_count + r->anon_count;
	qsort(all, n, sizeof(*all), larger_first);
	room -= HW_MAP_KINDS * sizeof(struct hw_ledger_row);
	for (uint32_t i = 0; i < n; i++) {
		size_t need = sizeof(struct hw_ledger_row) + ((all[i].is.name_len + 7u) & ~7u);

		if (i < limit && used + need <= room) {
			used += need;
			continue;
		}
		if (i < limit)
			limit = i;
		r->merged |= all[i].is.kind != HW_MAP_ANON;
		add(&r->rest[all[i].is.kind].is, &all[i].is);
	}
	n = n < limit ? n : limit;
	for (int kind = 1; kind < HW_MAP_KINDS; kind++)
		if (r->rest[kind].is.count > 0)
			all[n++] = r->rest[kind];
	qsort(all, n, sizeof(*all), larger_first);
	used = 0;
	for (uint32_t i = 0; i < n; i++)
		used += write_row(r, &all[i], out + used);
	*count = n;
	return used;
}
