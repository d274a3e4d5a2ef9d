/* Reads small files of /proc. Those of a process are opened once and read again with pread: they follow the process
 * through execve, and give ESRCH once it is reaped, so a pid that is used again is never mistaken for the old one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "monitor.h"

#define RESERVE 64 /* descriptors for everything else */

static uint32_t keep_at_most = 900;

/* Two files a process stay open while this many are allowed; beyond, each read opens its file again. */
void files_budget(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	keep_at_most = limit.rlim_cur > RESERVE ? (uint32_t)limit.rlim_cur - RESERVE : 0;
}

ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -1;
	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	return (ssize_t)len;
}

static int open_proc(const struct proc *p, const char *name)
{
	char path[96];

	if (p->tid == p->pid)
		snprintf(path, sizeof(path), "/proc/%d/%s", p->pid, name);
	else
		snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", p->pid, p->tid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Reads a small file of the process through `*kept`, which stays open as long as the budget of files allows. */
ssize_t read_kept(const struct proc *p, const char *name, int *kept, char *buf, size_t size)
{
	int fd = *kept;
	ssize_t n;

	if (fd < 0) {
		fd = open_proc(p, name);
		if (fd < 0)
			return -1;
	}
	n = pread(fd, buf, size, 0);
	if (*kept < 0) {
		if (2 * procs_alive < keep_at_most)
			*kept = fd;
		else
			close(fd);
	}
	return n;
}

void forget_files(struct proc *p)
{
	if (p->statm_fd >= 0)
		close(p->statm_fd);
	if (p->status_fd >= 0)
		close(p->status_fd);
	p->statm_fd = p->status_fd = -1;
}

bool read_stat(int32_t pid, struct stat_line *out)
{
	char path[32], buf[1024];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = read_file(path, buf, sizeof(buf));
	return n > 0 && parse_stat(buf, (size_t)n, out);
}
