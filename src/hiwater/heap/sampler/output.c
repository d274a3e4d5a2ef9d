/* The file: PID.N.heap in the folder HIWATER_HEAP_DIR.
 *
 * It is written through two shared mappings, the head and a window that moves on; what was stored there is the file's
 * whatever becomes of the process. The room for a window is reserved before it is mapped, since a store into a page that
 * the disk has no room for would be a SIGBUS. No descriptor stays open: a program may close it, or count on its number.
 * For a program that has changed its root or its user and cannot open the path any more, the window is moved on without
 * a descriptor (out_slide). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* The first window is small, since most program images of a build allocate next to nothing; each is twice as large as the
 * one before, up to the last size, which is more than any record and a page (HW_PAYLOAD_MAX). */
#define FIRST_WINDOW (UINT64_C(16) << 10)
#define WINDOW (UINT64_C(128) << 10)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum state { OFF, PENDING, ON, STOPPED };

static enum state state;
static char folder[3072], path[3200];
static struct hw_heap_head spare; /* until there is a file, and after a fork */
struct hw_heap_head *head = &spare;
static char *window;
static uint64_t window_at, window_size; /* its place in the file */
static uint64_t next_window;		/* size of the next one, as far as it holds the next record */
static uint64_t position;		/* of the next record in the file */
static uint64_t foreseen;		/* length of the file, if out_foresee has made it longer than it has room; else 0 */
static uint64_t page_size;
uint32_t sample_file_number = 1;

bool out_configure(void)
{
	const char *wanted = getenv("HIWATER_HEAP_DIR");

	page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	if (wanted == NULL || wanted[0] != '/' || strlen(wanted) >= sizeof(folder))
		return false; /* a relative one would mean another folder after a chdir */
	memcpy(folder, wanted, strlen(wanted) + 1);
	return true;
}

bool out_is_on(void)
{
	return state == ON || state == PENDING;
}

bool out_is_pending(void)
{
	return state == PENDING;
}

static char *put_number(char *at, uint32_t number)
{
	char digits[12];
	int n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

static void put_path(uint32_t pid, uint32_t number)
{
	size_t length = strlen(folder);
	char *at = path + length;

	memcpy(path, folder, length);
	*at++ = '/';
	at = put_number(at, pid);
	*at++ = '.';
	at = put_number(at, number);
	memcpy(at, ".heap", 6);
}

static int open_file(int flags)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
}

static void *map_shared(int fd, uint64_t offset, size_t bytes)
{
#ifdef SYS_mmap2
	void *address = (void *)syscall(SYS_mmap2, NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
					(unsigned long)(offset / 4096));
#else
	void *address = (void *)syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
#endif

	return address == MAP_FAILED ? NULL : address;
}

/* 0, or what is in the way. Beyond RLIMIT_FSIZE the kernel would send SIGXFSZ (fs/attr.c, inode_newsize_ok). */
static int reserve(int fd, uint64_t from, uint64_t bytes)
{
	struct rlimit limit;
	static const char zeros[4096];

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < from + bytes)
		return EFBIG;
	if (fallocate(fd, 0, (off_t)from, (off_t)bytes) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return errno;
	/* A file system without it: what is written has its room (but where writing is delayed over a network). */
	for (uint64_t done = 0; done < bytes; done += sizeof(zeros)) {
		ssize_t n = pwrite(fd, zeros, sizeof(zeros), (off_t)(from + done));

		if (n != (ssize_t)sizeof(zeros))
			return n < 0 ? errno : ENOSPC;
	}
	return 0;
}

void out_stop(int error)
{
	if (state == STOPPED || state == OFF)
		return;
	state = STOPPED;
	sampling_on = false;
	head->flags |= HW_HEAP_STOPPED;
	head->stopped_errno = error;
}

/* What a window can be moved over without a descriptor. The file only looks so long: nothing is behind what is written. */
#define AHEAD (UINT64_C(256) << 20)

/* Moves the window on to `offset` without a descriptor: a shared mapping that grows shows more of its file, as far as
 * out_foresee has made it long enough. Populating tells of a full disk by an error, from Linux 5.14 on; before that
 * nothing can be promised, so it is not done. */
static int out_slide(uint64_t offset, int why)
{
	size_t passed = offset - window_at;
	char *moved;

	if (window == NULL || offset + WINDOW > foreseen)
		return why;
	moved = (char *)syscall(SYS_mremap, window, window_size, passed + WINDOW, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED)
		return why;
	unmap(moved, passed);
	window = moved + passed;
	window_at = offset;
	window_size = WINDOW;
	if (madvise(window, WINDOW, MADV_POPULATE_WRITE) == 0)
		return 0;
	return errno == EFAULT ? ENOSPC : why;
}

/* A window that holds all up to `end`. */
static int window_open(int fd, uint64_t offset, uint64_t end)
{
	uint64_t size = next_window > page_size ? next_window : page_size;
	char *mapped;
	int error;

	while (size < end - offset)
		size *= 2;
	error = reserve(fd, offset, size);
	if (error != 0)
		return error;
	mapped = map_shared(fd, offset, size);
	if (mapped == NULL)
		return errno;
	/* All its pages at once are cheaper than one by one; and a file system that breaks its promise says so here. */
	if (madvise(mapped, size, MADV_POPULATE_WRITE) != 0 && (errno == EFAULT || errno == ENOMEM)) {
		error = errno == EFAULT ? ENOSPC : errno;
		unmap(mapped, size);
		return error;
	}
	if (window != NULL)
		unmap(window, window_size);
	window = mapped;
	window_at = offset;
	window_size = size;
	next_window = size < WINDOW / 2 ? size * 2 : WINDOW;
	return 0;
}

static int window_next(uint64_t end)
{
	uint64_t offset = position / page_size * page_size;
	int fd = open_file(0), error;

	if (fd < 0)
		return out_slide(offset, errno);
	error = window_open(fd, offset, end);
	syscall(SYS_close, fd);
	return error;
}

void out_shorten(void)
{
	struct hw_heap_head there;
	int fd;

	/* To cut a file takes some 100 us with a journal, as much as a small window costs less than a large one: a first
	 * window stays as it is. */
	if (state != ON || window == NULL || foreseen != 0 || window_at + window_size - position <= FIRST_WINDOW)
		return;
	fd = open_file(0);
	if (fd < 0)
		return;
	/* Is it ours? A program that has changed its root may find another one by this name. */
	if (syscall(SYS_read, fd, &there, sizeof(there)) == (long)sizeof(there) && there.pid == head->pid &&
	    there.number == head->number && there.start_ns == head->start_ns && there.end == position) {
		/* First: a store behind the end of the file would be a SIGBUS. Another record maps a window anew. */
		unmap(window, window_size);
		window = NULL;
		window_at = position;
		window_size = 0;
		(void)!ftruncate(fd, (off_t)position); /* or it stays as long as it is */
	}
	syscall(SYS_close, fd);
}

bool out_open(bool forked)
{
	struct hw_heap_head *mapped;
	uint32_t pid = (uint32_t)syscall(SYS_getpid), number = 0;
	int fd, error;

	do
		put_path(pid, number);
	while ((fd = open_file(O_CREAT | O_EXCL)) < 0 && errno == EEXIST && ++number < 1000000);
	if (fd < 0) {
		state = OFF;
		sampling_on = false;
		return false;
	}
	error = reserve(fd, 0, page_size > HW_HEAP_HEAD_SIZE ? page_size : HW_HEAP_HEAD_SIZE);
	mapped = error == 0 ? map_shared(fd, 0, page_size) : NULL;
	if (mapped == NULL) {
		syscall(SYS_close, fd);
		syscall(SYS_unlinkat, AT_FDCWD, path, 0);
		state = OFF;
		sampling_on = false;
		return false;
	}
	*mapped = spare;
	mapped->byte_order = HW_HEAP_BYTE_ORDER;
	mapped->version = HW_HEAP_VERSION;
	mapped->word_bytes = sizeof(void *);
	mapped->pid = pid;
	mapped->number = number;
	if (!forked)
		mapped->parent_number = HW_HEAP_NONE;
	mapped->mean_bytes = fixed_mean;
	if (mapped->start_ns == 0)
		mapped->start_ns = now_ns();
	mapped->end = HW_HEAP_HEAD_SIZE;
	head = mapped;
	position = HW_HEAP_HEAD_SIZE;
	state = ON;
	sampling_on = true;
	next_window = FIRST_WINDOW;
	error = window_open(fd, position / page_size * page_size, position);
	syscall(SYS_close, fd);
	if (error != 0)
		out_stop(error);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(head->magic, HW_HEAP_MAGIC, sizeof(head->magic)); /* last: whoever reads it finds the rest in place */
	if (error == 0)
		modules_tell();
	if (error == 0 && forked && hw_self.begun)
		tell_thread(hw_self.tid, true);
	return error == 0;
}

void out_foresee(void)
{
	struct rlimit limit;
	int fd;

	if (state == PENDING)
		out_open(true);
	if (state != ON || foreseen != 0)
		return;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < position + AHEAD)
		return;
	fd = open_file(0);
	if (fd < 0)
		return;
	if (ftruncate(fd, (off_t)(position + AHEAD)) == 0)
		foreseen = position + AHEAD;
	syscall(SYS_close, fd);
}

void out_forked(uint32_t parent_pid)
{
	struct hw_heap_head old = *head;

	if (state == OFF)
		return;
	if (head != &spare)
		unmap(head, page_size);
	if (window != NULL)
		unmap(window, window_size);
	head = &spare;
	window = NULL;
	foreseen = 0;
	spare = (struct hw_heap_head){
		.flags = (old.flags & ~(uint32_t)HW_HEAP_ENDED) | HW_HEAP_FORKED,
		.stopped_errno = old.stopped_errno,
		.start_ns = now_ns(),
		.parent_pid = parent_pid,
		.parent_number = old.number,
		.copied = position,
		.unflushed_bytes = old.unflushed_bytes,
	};
	if (state == PENDING) {
		/* The parent is a fork that has written nothing so far: what it holds stands in its own parent's file. */
		spare.parent_pid = old.parent_pid;
		spare.parent_number = old.parent_number;
		spare.copied = old.copied;
	}
	sample_file_number++;
	if (state == ON)
		state = PENDING;
}

void *out_begin(uint16_t type, uint16_t flags, size_t payload)
{
	struct hw_heap_record *record;
	uint64_t size = (sizeof(*record) + payload + 7) / 8 * 8;
	int error;

	if (state == PENDING)
		out_open(true);
	if (state != ON || payload > HW_PAYLOAD_MAX)
		return NULL;
	if (position + size > window_at + window_size) {
		error = window_next(position + size);
		if (error != 0) {
			out_stop(error);
			return NULL;
		}
	}
	record = (struct hw_heap_record *)(window + (position - window_at));
	record->size = (uint32_t)size;
	record->type = type;
	record->flags = flags;
	position += size;
	return record + 1;
}

/* What out_begin gave has been filled in. */
void out_end(void)
{
	__atomic_store_n(&head->end, position, __ATOMIC_RELEASE);
}
