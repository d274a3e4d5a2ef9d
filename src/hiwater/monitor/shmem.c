/* Memory that files of tmpfs hold: which devices are tmpfs, and what a process holds through descriptors only. Nothing
 * here asks a file system that is not tmpfs: one whose server is gone would not answer. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ledger.h"

#define MOUNTS 128
#define FORGET_NS (10 * NS_PER_S)
#define DESCRIPTORS 256 /* of one process that are looked at */

static struct mount_line mounts[MOUNTS]; /* of tmpfs */
static uint32_t mount_count;
static char known_namespace[64];
static int64_t known_at;

static void take_mount(void *context, const char *line, size_t len)
{
	struct mount_line m;

	(void)context;
	if (mount_count < MOUNTS && parse_mount(line, len, &m) && m.tmpfs)
		mounts[mount_count++] = m;
}

/* Learns the tmpfs mounts that a process sees, unless they are known from a neighbour. */
void mounts_of(int32_t pid)
{
	static struct lines lines;
	static char buf[4096];
	char path[48], namespace[64] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	n = readlink(path, namespace, sizeof(namespace) - 1);
	if (n > 0 && memcmp(namespace, known_namespace, sizeof(namespace)) == 0 && now_ns() - known_at < FORGET_NS)
		return;
	mount_count = 0;
	memcpy(known_namespace, namespace, sizeof(known_namespace));
	known_at = now_ns();
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	lines.used = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		lines_feed(&lines, buf, (size_t)n, take_mount, NULL);
	lines_end(&lines, take_mount, NULL);
	close(fd);
}

bool mounted_tmpfs(uint32_t major, uint32_t minor)
{
	for (uint32_t i = 0; i < mount_count; i++)
		if (mounts[i].major == major && mounts[i].minor == minor)
			return true;
	return false;
}

/* fdinfo names the mount of a descriptor without asking its file system. */
static bool on_known_mount(int32_t pid, const char *fd)
{
	char path[64], buf[1024];
	ssize_t n;
	int64_t id;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.12s", (int)pid, fd);
	n = read_file(path, buf, sizeof(buf));
	id = n > 0 ? find_number(buf, (size_t)n, "mnt_id:") : -1;
	for (uint32_t i = 0; id >= 0 && i < mount_count; i++)
		if (mounts[i].id == id)
			return true;
	return false;
}

static bool is_memfd(const char *name, size_t len)
{
	return len > 7 && memcmp(name, "/memfd:", 7) == 0;
}

/* One descriptor: adds what its file holds beyond what is mapped of it. */
static void look_at(int32_t pid, const char *fd, struct rows *r, struct stat *seen, uint32_t *seen_count)
{
	char path[48], name[LINE_ROOM];
	struct stat st;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.12s", (int)pid, fd);
	len = readlink(path, name, sizeof(name));
	if (len <= 0 || *name != '/' || (!is_memfd(name, (size_t)len) && !on_known_mount(pid, fd)))
		return;
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	/* A memfd of huge pages is one of hugetlbfs: the kernel accounts for it elsewhere (HugetlbPages). */
	if (st.st_blocks == 0 || st.st_blksize > 4 * g.page_size)
		return;
	for (uint32_t i = 0; i < *seen_count; i++)
		if (seen[i].st_ino == st.st_ino && seen[i].st_dev == st.st_dev)
			return;
	seen[(*seen_count)++] = st;

	int64_t held = (int64_t)st.st_blocks * 512;
	int64_t mapped = rows_mapped(r, major(st.st_dev), minor(st.st_dev), st.st_ino);

	if (held - mapped >= g.page_size)
		rows_add_unmapped(r, name, (size_t)len, held - mapped);
}

void unmapped_shmem(int32_t pid, struct rows *r)
{
	static struct stat seen[DESCRIPTORS];
	uint32_t seen_count = 0, looked = 0;
	char path[32];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return;
	while (looked < DESCRIPTORS && (entry = readdir(dir)) != NULL) {
		if (*entry->d_name == '.')
			continue;
		look_at(pid, entry->d_name, r, seen, &seen_count);
		looked++;
	}
	closedir(dir);
}
