/* Reads what a process's memory consists of: smaps, and what is needed to tell what each mapping is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ledger.h"

#define PIECE (32 * 1024) /* the kernel gives a page's worth of text at a time */
#define ASK_THE_TIME 8	  /* pieces */
#define THREADS 1024

static struct rows rows;
static uint64_t stack_pointers[THREADS];

static int larger(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Where the threads have their stacks: a thread that is blocked shows its stack pointer to who may trace it. */
static size_t read_stack_pointers(int32_t pid)
{
	char path[64], buf[512];
	struct dirent *entry;
	size_t count = 0;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (count < THREADS && (entry = readdir(dir)) != NULL) {
		if (*entry->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.12s/syscall", (int)pid, entry->d_name);
		n = read_file(path, buf, sizeof(buf));
		if (n < 0)
			break; /* forbidden, or this kernel has no such file: it is not there for the others either */
		stack_pointers[count] = parse_stack_pointer(buf, (size_t)n);
		count += stack_pointers[count] != 0;
	}
	closedir(dir);
	qsort(stack_pointers, count, sizeof(*stack_pointers), larger);
	return count;
}

static int64_t read_stack_limit(int32_t pid)
{
	char path[32], buf[4096];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	n = read_file(path, buf, sizeof(buf));
	return n > 0 ? parse_stack_limit(buf, (size_t)n) : -1;
}

static void prepare(struct proc *p)
{
	rows_begin(&rows);
	rows.stack_pointers = stack_pointers;
	rows.page_size = g.page_size;
	rows.on_tmpfs = mounted_tmpfs;
	/* The stacks of threads that have ended stay mapped for those that follow: even a single thread may have some. */
	rows.stack_pointer_count = p->image.threads > 1 ? read_stack_pointers(p->pid) : 0;
	rows.stack_limit = p->image.threads > 1 ? read_stack_limit(p->pid) : -1;
	mounts_of(p->pid);
}

static void take_vma(void *context, const struct vma *v)
{
	rows_add(context, v);
}

static enum detail why_not(int error, struct reading *out)
{
	out->error = error;
	return error == EACCES || error == EPERM ? DETAIL_REFUSED : DETAIL_GONE;
}

static enum detail read_smaps(struct proc *p, int64_t stop_cpu_ns, struct reading *out)
{
	static struct smaps smaps;
	static char buf[PIECE];
	char path[48];
	enum detail how = DETAIL_READ;
	uint32_t pieces = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)p->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return why_not(errno, out);
	smaps.lines.used = 0;
	smaps.open = false;
	smaps.count = 0;
	smaps.each = take_vma;
	smaps.context = &rows;
	while (how == DETAIL_READ && (n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			how = why_not(errno, out);
		else
			smaps_feed(&smaps, buf, (size_t)n);
		if (how == DETAIL_READ && ++pieces % ASK_THE_TIME == 0 && cpu_ns() > stop_cpu_ns)
			how = DETAIL_TOO_COSTLY;
	}
	close(fd);
	smaps_end(&smaps);
	out->head.mappings = smaps.count;
	return how == DETAIL_READ && smaps.count == 0 ? DETAIL_GONE : how; /* a zombie has an empty one */
}

static int64_t kib(const char *text, size_t len, const char *key)
{
	int64_t n = find_number(text, len, key);

	return n < 0 ? -1 : n * 1024;
}

static void read_rest(struct proc *p, struct hw_ledger *head)
{
	static char buf[8192];
	ssize_t n = read_kept(p, "status", &p->status_fd, buf, sizeof(buf));

	head->swap_bytes = head->pte_bytes = head->hugetlb_bytes = -1;
	if (n <= 0)
		return;
	head->swap_bytes = kib(buf, (size_t)n, "VmSwap:");
	head->pte_bytes = kib(buf, (size_t)n, "VmPTE:");
	head->hugetlb_bytes = kib(buf, (size_t)n, "HugetlbPages:");
}

static int64_t rss_now(struct proc *p)
{
	struct statm st;

	return look_statm(p, &st) == LOOK_OK ? st.rss * g.page_size : -1;
}

enum detail read_detail(struct proc *p, int64_t limit_ns, struct reading *out)
{
	static unsigned char bytes[HW_LEDGER_ROWS_MAX * sizeof(struct hw_ledger_row) + 16 * 1024];
	int64_t begin = cpu_ns();
	enum detail how = DETAIL_GONE;

	out->error = 0;
	out->head = (struct hw_ledger){.t_ns = now_ns(), .image = p->image.id};
	prepare(p);
	read_rest(p, &out->head);
	out->head.rss_before_bytes = rss_now(p);
	if (out->head.rss_before_bytes > 0)
		how = read_smaps(p, begin + limit_ns, out);
	if (how == DETAIL_READ) {
		out->head.rss_after_bytes = rss_now(p);
		unmapped_shmem(p->pid, &rows);
		out->size = rows_write(&rows, bytes, sizeof(bytes), &out->head.rows);
		out->rows = bytes;
		out->flags = rows.merged ? HW_LEDGER_MERGED : 0;
	}
	/* The process is there, its smaps is not: a kernel without CONFIG_PROC_PAGE_MONITOR. */
	if (how == DETAIL_GONE && out->error == ENOENT && rss_now(p) > 0)
		how = DETAIL_REFUSED;
	out->cost_ns = cpu_ns() - begin;
	out->head.cost_us = (uint32_t)(out->cost_ns / 1000);
	return how;
}
