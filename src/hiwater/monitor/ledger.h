/* The parts of the ledger: how one process's smaps becomes the rows of HW_LEDGER. See ledger.c for when. */
#ifndef HW_LEDGER_H
#define HW_LEDGER_H

#include "monitor.h"

/* ---- smaps.c: parsers of kernel text; no I/O, bounded ---- */
#define LINE_ROOM (4096 + 256) /* the longest path, and what stands before it */
struct lines {
	char text[LINE_ROOM];
	size_t used; /* the end of a longer line is dropped */
};
typedef void line_taker(void *context, const char *line, size_t len);
void lines_feed(struct lines *l, const char *text, size_t len, line_taker *each, void *context);
void lines_end(struct lines *l, line_taker *each, void *context); /* the last one, without a newline */

enum vma_value { /* in the order of struct hw_ledger_row */
	VMA_SIZE,
	VMA_RSS,
	VMA_PSS,
	VMA_PRIVATE,
	VMA_SHARED,
	VMA_ANON,
	VMA_LAZYFREE,
	VMA_ANON_HUGE,
	VMA_SWAP,
	VMA_SWAP_PSS,
	VMA_LOCKED,
	VMA_VALUES
};
struct extent { /* a mapping without its name */
	uint64_t start, end, inode;
	uint32_t major, minor;
	uint16_t flags;		    /* enum hw_map_flags */
	bool guarded;		    /* has guard pages within itself (VmFlags gu) */
	int64_t value[VMA_VALUES]; /* bytes; -1: the kernel does not show it */
};
struct vma {
	struct extent is;
	size_t name_len; /* without " (deleted)" */
	char name[LINE_ROOM];
};
typedef void vma_taker(void *context, const struct vma *v);
struct smaps {
	struct lines lines;
	struct vma vma;
	bool open; /* `vma` has begun */
	uint32_t count;
	vma_taker *each;
	void *context;
};
void smaps_feed(struct smaps *s, const char *text, size_t len);
void smaps_end(struct smaps *s);
struct mount_line {
	int64_t id;
	uint32_t major, minor;
	bool tmpfs;
};
bool parse_mount(const char *line, size_t len, struct mount_line *out);
uint64_t parse_stack_pointer(const char *text, size_t len); /* of /proc/PID/syscall; 0 unknown */
int64_t parse_stack_limit(const char *text, size_t len);    /* of /proc/PID/limits; -1 unlimited or unknown */
size_t without_deleted(const char *name, size_t len);	    /* its length without " (deleted)" */

/* ---- rows.c: mappings by what they are; no I/O, bounded ---- */
#define ROWS_NAMED 1024
#define ROWS_ANON 256
#define ROWS_FILES 256
#define ROWS_NAMES (64 * 1024)
#define ROWS_BUCKETS 2048
#define STACK_SIZES 8
struct row {
	struct hw_ledger_row is;
	uint32_t name_at, next;
	uint64_t guard; /* size of the inaccessible mapping directly below; 0: none */
};
struct mapped_file { /* of tmpfs */
	uint64_t inode;
	uint32_t major, minor;
	int64_t rss;
};
struct rows {
	/* what must be known before */
	const uint64_t *stack_pointers; /* of its threads, in ascending order */
	size_t stack_pointer_count;
	int64_t stack_limit; /* RLIMIT_STACK; -1 unknown */
	int64_t page_size;
	bool (*on_tmpfs)(uint32_t major, uint32_t minor);
	/* what is gathered */
	struct row named[ROWS_NAMED];
	uint32_t named_count;
	uint32_t bucket[ROWS_BUCKETS]; /* index + 1 */
	char names[ROWS_NAMES];
	uint32_t names_used;
	struct row anon[ROWS_ANON]; /* the largest */
	uint32_t anon_count;
	struct row rest[HW_MAP_KINDS]; /* what has no row of its own */
	struct mapped_file file[ROWS_FILES];
	uint32_t file_count;
	bool merged;
	/* the mapping that waits for the one above it, and the one below it */
	struct extent held;
	bool holds;
	uint64_t held_guard, below_end, below_size;
	bool below_bare;
	int64_t stack_size[STACK_SIZES]; /* of threads whose stack pointers are known */
	uint32_t stack_sizes;
};
void rows_begin(struct rows *r); /* clears what is gathered */
void rows_add(struct rows *r, const struct vma *v);
void rows_add_unmapped(struct rows *r, const char *name, size_t len, int64_t size); /* blocks that no mapping shows */
int64_t rows_mapped(const struct rows *r, uint32_t major, uint32_t minor, uint64_t inode);
/* Writes the rows, largest first; returns how many bytes. */
size_t rows_write(struct rows *r, unsigned char *out, size_t room, uint32_t *count);

/* ---- shmem.c: which devices and descriptors are tmpfs ---- */
void mounts_of(int32_t pid);
bool mounted_tmpfs(uint32_t major, uint32_t minor);
void unmapped_shmem(int32_t pid, struct rows *r);

/* ---- detail.c: reads one process ---- */
enum detail { DETAIL_READ, DETAIL_GONE, DETAIL_REFUSED, DETAIL_TOO_COSTLY };
struct reading {
	struct hw_ledger head;
	uint16_t flags; /* enum hw_ledger_flags */
	const unsigned char *rows;
	size_t size;
	int64_t cost_ns; /* of CPU time, whatever came of it */
	int error;	 /* why it is refused */
};
/* Gives up when it has taken `limit_ns` of CPU time. */
enum detail read_detail(struct proc *p, int64_t limit_ns, struct reading *out);

#endif
