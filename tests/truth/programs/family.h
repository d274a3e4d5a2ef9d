/* Processes that reach a common peak, hold it, and count it: shared pages once.
 *
 * Every member of a family stands on a page that all share. At the peak all but one have said family_ready() and
 * sleep in family_wait(); the one that counts has heard all of them (family_hear()), so that nothing moves while it
 * counts:
 *
 * - anonymous pages: the sum of Pss_Anon. An anonymous page is mapped by forks of one another only, all of them in
 *   the family, so that the shares of a page add up to one page. The kernel rounds each sum down to 1 KiB; the
 *   total is a whole number of pages, so it is rounded up to one. It can not come out too high, and with more than
 *   four members at most one page low.
 * - all other pages, of files and of shared memory, have an identity that needs no privilege: device, inode, offset.
 *   The pages of the vDSO have none, and are the kernel's own, the same for all: they count once.
 *
 * The counting's own memory is static; it is done until two counts agree. */
#ifndef HW_FAMILY_H
#define HW_FAMILY_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"

enum { FAMILY_MAX = 32, FAMILY_SLOTS = 1 << 16, PAGEMAP_CHUNK = 512 };

struct family_board {
	_Atomic int count;
	pid_t pids[FAMILY_MAX];
};

struct family {
	struct family_board *board;
	int ready[2];
	int go[2];
};

struct family_page {
	uint64_t file;
	uint64_t index;
};

static struct family family;
static struct family_page family_pages[FAMILY_SLOTS];
static uint64_t family_pagemap[PAGEMAP_CHUNK];
static char family_maps[1 << 16];

static inline void family_join(void)
{
	family.board->pids[atomic_fetch_add(&family.board->count, 1)] = getpid();
}

static inline void family_begin(void)
{
	family.board = (struct family_board *)truth_map(4096, MAP_SHARED | MAP_ANONYMOUS, -1);
	if (pipe(family.ready) != 0 || pipe(family.go) != 0)
		truth_leave(94);
	family_join();
}

/* fork; the child is a member. Only the first of the family keeps the end of the pipe that releases the others. */
static inline pid_t family_fork(void)
{
	pid_t pid = fork();

	if (pid < 0)
		truth_leave(95);
	if (pid == 0) {
		truth_most = (struct truth_walk){0};
		close(family.go[1]);
		family_join();
	}
	return pid;
}

static inline void family_ready(void)
{
	truth_call(SYS_WRITE, family.ready[1], (long)"", 1, 0, 0, 0);
}

static inline void family_hear(int members)
{
	while (members-- > 0)
		if (truth_read_byte(family.ready[0]) != 1)
			truth_leave(96);
}

/* Sleeps until family_release(), or until the one that would call it is gone. */
static inline void family_wait(void)
{
	truth_read_byte(family.go[0]);
}

static inline void family_release(void)
{
	truth_close(family.go[1]);
}

/* 1 if this page was not there before. */
static inline int family_is_new(uint64_t file, uint64_t index)
{
	uint64_t slot = (file * 0x9e3779b97f4a7c15u + index) * 0x9e3779b97f4a7c15u >> 40;

	for (;; slot++) {
		struct family_page *page = &family_pages[slot % FAMILY_SLOTS];

		if (page->file == file && page->index == index + 1)
			return 0;
		if (page->index == 0) {
			page->file = file;
			page->index = index + 1;
			return 1;
		}
	}
}

/* New pages in one mapping: present (bit 63) and of a file or shared memory (bit 61). */
static inline size_t family_count_range(int pagemap, uint64_t start, uint64_t end, uint64_t file, uint64_t index)
{
	size_t pages = 0;

	for (uint64_t at = start; at < end; at += PAGEMAP_CHUNK * 4096) {
		uint64_t wanted = (end - at) / 4096 < PAGEMAP_CHUNK ? (end - at) / 4096 : PAGEMAP_CHUNK;

		if (pread(pagemap, family_pagemap, wanted * 8, (off_t)(at / 4096 * 8)) != (ssize_t)(wanted * 8))
			truth_leave(97);
		for (uint64_t page = 0; page < wanted; page++)
			if ((family_pagemap[page] >> 61 & 5) == 5)
				pages += (size_t)family_is_new(file, index + (at - start) / 4096 + page);
	}
	return pages;
}

static inline const char *family_path(pid_t pid, const char *name)
{
	static char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return path;
}

/* Bytes of pages that are not anonymous and that no member counted so far has. */
static inline size_t family_count_files(pid_t pid)
{
	int maps = open(family_path(pid, "maps"), O_RDONLY);
	int pagemap = open(family_path(pid, "pagemap"), O_RDONLY);
	size_t length = 0;
	size_t pages = 0;
	ssize_t count;

	while ((count = read(maps, family_maps + length, sizeof family_maps - 1 - length)) > 0)
		length += (size_t)count;
	if (maps < 0 || pagemap < 0 || count < 0 || length == sizeof family_maps - 1)
		truth_leave(98);
	family_maps[length] = '\0';
	for (char *line = family_maps; *line != '\0'; line = strchr(line, '\n') + 1) {
		unsigned long start, end, offset, inode;
		unsigned int major, minor;

		if (sscanf(line, "%lx-%lx %*s %lx %x:%x %lu", &start, &end, &offset, &major, &minor, &inode) != 6)
			truth_leave(99);
		if (inode != 0)
			pages += family_count_range(pagemap, start, end,
						    (uint64_t)inode << 20 | major << 8 | minor, offset / 4096);
		else if (strncmp(strchr(line, '\n') - 6, "[vdso]", 6) == 0)
			pages += family_count_range(pagemap, start, end, 0, 0);
	}
	close(maps);
	close(pagemap);
	return pages * 4096;
}

/* The largest count so far, as truth_say() has the largest walk. */
static inline size_t family_count(int really)
{
	static size_t most, anon_of_most;
	int members = atomic_load(&family.board->count);
	size_t anon = 0;
	size_t files = 0;

	truth_settle(really);
	memset(family_pages, 0, sizeof family_pages);
	for (int member = 0; member < members; member++) {
		anon += truth_walk_of(family_path(family.board->pids[member], "smaps_rollup")).pss_anon_bytes;
		files += family_count_files(family.board->pids[member]);
	}
	anon = (anon + 4095) / 4096 * 4096;
	if (anon + files > most) {
		most = anon + files;
		anon_of_most = anon;
	}
	snprintf(truth_line, sizeof truth_line, "tree pid=%d tree_peak_bytes=%zu processes=%d anon_bytes=%zu\n",
		 (int)family.board->pids[0], most, members, anon_of_most);
	truth_append(really ? strlen(truth_line) : 0);
	return most;
}

/* The tree peak, by the one that counts; it then reports its own peak too, for the counting needs memory. */
static inline void family_settled(const char *name)
{
	size_t before;
	size_t now = 0;

	truth_settle(1);
	do {
		before = now;
		now = family_count(0);
		truth_warm(name);
	} while (now != before);
	family_count(1);
	truth_peak_once(name);
}

static inline void family_peak(const char *name)
{
	family_settled(name);
	truth_linger(1);
}

/* A member's own peak, which it keeps while the family is at its peak, then gives back. */
static inline void family_stay(const char *name, char *memory, size_t bytes)
{
	truth_settle(1);
	truth_warm(name);
	truth_say(name, 1);
	family_ready();
	family_wait();
	truth_drop(memory, bytes);
	_exit(0);
}

static inline void family_bury(void)
{
	while (wait(NULL) > 0)
		;
}

#endif
