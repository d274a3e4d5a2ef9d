/* Reads one process, notices when it runs another image, and writes what changed.
 *
 * /proc/PID/statm and status are opened once and read again with pread: they follow the process through execve, and
 * give ESRCH once it is reaped, so a pid that is used again is never mistaken for the old process. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

#define STATUS_SIZE 8192
#define MID_EXEC_PAGES 16
#define KCMP_VM 1 /* linux/kcmp.h, which musl's compiler does not find */

static int open_files_left = 900;

/* Two files a process stay open while this many are allowed; beyond, each read opens its file again. */
void read_budget(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	open_files_left = (int)limit.rlim_cur - 64;
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
static ssize_t read_kept(const struct proc *p, const char *name, int *kept, char *buf, size_t size)
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
		uint32_t live = 2 * procs_alive;

		if (live < (uint32_t)open_files_left)
			*kept = fd;
		else
			close(fd);
	}
	return n;
}

static void forget_files(struct proc *p)
{
	if (p->statm_fd >= 0)
		close(p->statm_fd);
	if (p->status_fd >= 0)
		close(p->status_fd);
	p->statm_fd = p->status_fd = -1;
}

/* A leader that exited before its threads shows no memory: look through a thread that still lives. */
static bool switch_thread(struct proc *p)
{
	char path[48];
	struct dirent *entry;
	int32_t other = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", p->pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((entry = readdir(dir)) != NULL) {
		int32_t tid = (int32_t)atoi(entry->d_name);

		if (tid > 0 && tid != p->pid && tid != p->tid)
			other = tid;
	}
	closedir(dir);
	if (!other)
		return false;
	p->tid = other;
	forget_files(p);
	return true;
}

enum look look_statm(struct proc *p, int64_t now, struct statm *out)
{
	char buf[256];

	(void)now;
	for (int attempt = 0; attempt < 2; attempt++) {
		ssize_t n = read_kept(p, "statm", &p->statm_fd, buf, sizeof(buf));

		g.stats.reads++;
		if (n < 0 && p->tid == p->pid)
			return LOOK_GONE;
		if (n > 0 && parse_statm(buf, (size_t)n, out) && out->rss > 0)
			return LOOK_OK;
		if (!switch_thread(p))
			break;
	}
	return kill(p->pid, 0) == 0 || errno == EPERM ? LOOK_ZOMBIE : LOOK_GONE;
}

static int64_t in_pages(int64_t bytes)
{
	return bytes < 0 ? HW_NO_PAGES : bytes / g.page_size;
}

/* Takes a reading into the image's maxima, and writes a row if it differs from the last one. */
static void image_take(struct proc *p, int64_t now, const struct hw_rss *rss, int64_t hwm, int64_t swap)
{
	struct image *im = &p->image;

	im->last = *rss;
	im->samples++;
	if (swap >= 0)
		im->swap = swap;
	if (rss->rss_bytes > im->max_rss) {
		im->max_rss = rss->rss_bytes;
		im->at_max = *rss;
		im->at_max_ns = now;
	}
	/* VmHWM is read from counters that are only nearly right, and can fall: keep our own maximum. */
	if (hwm > im->hwm)
		im->hwm = hwm;
	if (rss->rss_bytes > im->hwm)
		im->hwm = rss->rss_bytes;
	if (im->swap > im->max_swap)
		im->max_swap = im->swap;

	uint32_t row[5] = {(uint32_t)in_pages(rss->rss_bytes), (uint32_t)in_pages(rss->anon_bytes),
			   (uint32_t)in_pages(rss->shmem_bytes), (uint32_t)in_pages(im->swap),
			   (uint32_t)in_pages(im->hwm)};
	if (memcmp(row, im->written, sizeof(row)) != 0) {
		memcpy(im->written, row, sizeof(row));
		stream_sample(now, im->id, row);
	}
}

void image_note(struct proc *p, int64_t now, const struct status *st)
{
	struct hw_rss rss = {st->rss, st->anon, st->file, st->shmem};
	struct image *im = &p->image;

	if (st->rss < 0)
		return;
	if (st->vm_peak > im->vm_peak)
		im->vm_peak = st->vm_peak;
	if (st->threads > im->threads)
		im->threads = st->threads;
	im->last_read_ns = now;
	p->ignores_sigchld = st->ignores_sigchld;
	if (st->ignores_sigchld)
		g.stats.uncounted = 1;
	image_take(p, now, &rss, st->hwm, st->swap);
}

bool read_stat(int32_t pid, struct stat_line *out)
{
	char path[32], buf[1024];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = read_file(path, buf, sizeof(buf));
	return n > 0 && parse_stat(buf, (size_t)n, out);
}

void image_begin(struct proc *p, int64_t now, uint16_t flags)
{
	p->image = (struct image){.id = next_image_id(), .flags = flags, .t_ns = now, .at_max_ns = now, .last_read_ns = now,
				  .start = {-1, -1, -1, -1}, .last = {-1, -1, -1, -1}, .at_max = {-1, -1, -1, -1}, .hwm = -1,
				  .max_rss = -1, .vm_peak = -1, .max_swap = -1, .swap = -1, .file_share = -1, .pss_shmem = -1};
	memset(p->image.written, 0xff, sizeof(p->image.written));
	p->due_tick = 0;
}

/* Reads the names of the image, and writes HW_IMAGE_START. Without the right to read exe, the name must do. */
void image_announce(struct proc *p)
{
	static char cmdline[HW_CMDLINE_MAX + 1];
	char path[48], exe[512];
	struct image *im = &p->image;
	struct hw_image_start start = {.t_ns = im->t_ns, .image = im->id, .proc = p->id, .start = im->start};
	ssize_t exe_len, len;

	if (im->announced)
		return;
	im->announced = true;
	proc_announce(p, HW_SEEN_SAMPLED);
	if (g.trace && (im->flags & HW_IMAGE_FORKED)) {
		exe_len = len = 0; /* the parent's, until execve */
	} else {
		snprintf(path, sizeof(path), "/proc/%d/exe", p->tid);
		exe_len = readlink(path, exe, sizeof(exe));
		snprintf(path, sizeof(path), "/proc/%d/cmdline", p->tid);
		len = read_file(path, cmdline, sizeof(cmdline));
	}
	if (len > HW_CMDLINE_MAX) {
		len = HW_CMDLINE_MAX;
		im->flags |= HW_IMAGE_CLIPPED;
	}
	start.comm_len = (uint16_t)p->comm_len;
	start.exe_len = (uint16_t)(exe_len > 0 ? exe_len : 0);
	start.cmdline_len = (uint32_t)(len > 0 ? len : 0);

	static char names[64 + 512 + HW_CMDLINE_MAX];
	memcpy(names, p->comm, p->comm_len);
	memcpy(names + p->comm_len, exe, start.exe_len);
	stream_record(HW_IMAGE_START, im->flags, &start, sizeof(start), names, p->comm_len + start.exe_len,
		      start.cmdline_len, cmdline);
}

void image_end(struct proc *p, int64_t now, uint16_t how, int64_t folded_maxrss)
{
	struct image *im = &p->image;
	struct hw_image_end end = {.t_ns = now, .image = im->id, .samples = im->samples, .last = im->last,
				   .hwm_bytes = im->hwm, .max_rss_bytes = im->max_rss, .vm_peak_bytes = im->vm_peak,
				   .folded_maxrss_bytes = folded_maxrss, .at_max = im->at_max,
				   .at_max_ns = im->at_max_ns, .max_swap_bytes = im->max_swap,
				   .last_read_ns = im->last_read_ns, .max_threads = im->threads};

	image_announce(p);
	stream_event(HW_IMAGE_END, how, &end, sizeof(end));
}

void proc_announce(struct proc *p, uint16_t seen)
{
	struct hw_proc_start start = {p->t_ns, p->id, p->parent, p->pid, p->ppid};

	if (p->announced)
		return;
	p->announced = true;
	stream_event(HW_PROC_START, seen, &start, sizeof(start));
}

void proc_write_end(const struct proc *p, int64_t now, uint16_t flags, int status, const struct rusage *ru)
{
	struct hw_proc_end end = {.t_ns = now, .proc = p->id, .status = status, .maxrss_bytes = -1, .user_ns = -1,
				  .system_ns = -1, .minor_faults = -1, .major_faults = -1};

	if (ru) {
		end.maxrss_bytes = (int64_t)ru->ru_maxrss * 1024;
		end.user_ns = ru->ru_utime.tv_sec * NS_PER_S + ru->ru_utime.tv_usec * 1000;
		end.system_ns = ru->ru_stime.tv_sec * NS_PER_S + ru->ru_stime.tv_usec * 1000;
		end.minor_faults = ru->ru_minflt;
		end.major_faults = ru->ru_majflt;
	}
	if (p->uncounted)
		flags |= HW_PROC_MAY_BE_UNCOUNTED;
	stream_event(HW_PROC_END, flags, &end, sizeof(end));
}

/* The process is gone: closes its image and its record, and forgets it. */
void proc_end(struct proc *p, int64_t now, uint16_t flags, int status, const struct rusage *ru)
{
	image_over(p, now);
	proc_write_end(p, now, flags, status, ru);
	proc_remove(p);
}

/* The process has no memory any more, whether or not its parent has waited for it. */
void image_over(struct proc *p, int64_t now)
{
	if (p->image_over)
		return;
	p->image_over = true;
	image_end(p, now, p->exit_read ? HW_ENDED_EXIT_STOP : HW_ENDED_VANISHED, -1);
	tree_proc_left(p);
	tree_image_ended(&p->image, p->exit_read);
}

/* Does the process run in its parent's memory map (vfork, or clone with CLONE_VM)? kcmp(2) knows; where it is not
 * allowed, equal RSS and equal marks say so: fork would have begun a new mark and left out most file pages. */
static bool shares_map(const struct proc *p, const struct proc *parent)
{
	long same = syscall(SYS_kcmp, p->pid, parent->pid, KCMP_VM, 0, 0);

	if (same >= 0)
		return same == 0;
	return p->image.hwm == parent->image.hwm && p->image.last.rss_bytes == parent->image.last.rss_bytes;
}

static void first_look(struct proc *p, const struct status *st)
{
	struct image *im = &p->image;
	struct proc *parent = proc_find(p->ppid);

	im->start = (struct hw_rss){st->rss, st->anon, st->file, st->shmem};
	if (im->flags & (HW_IMAGE_EVENT | HW_IMAGE_GUESSED)) {
		im->flags &= (uint16_t)~HW_IMAGE_GUESSED; /* the command, and it has called execve */
		return;
	}
	/* Found by looking: it may still be the copy of its parent that fork made. */
	if (parent && parent->comm_len == p->comm_len && memcmp(parent->comm, p->comm, p->comm_len) == 0 &&
	    parent->text == p->text)
		im->flags |= HW_IMAGE_FORKED;
}

/* The process has called execve since it was last read. */
void image_replaced(struct proc *p, int64_t now)
{
	image_end(p, now, HW_ENDED_EXEC, -1);
	tree_proc_left(p);
	tree_image_ended(&p->image, false);
	image_begin(p, now, 0);
}

/* A mark falls by the counters' error at most, unless the map is another. Otherwise execve shows in the address of the
 * stack, which is worth reading when the name has changed or most of the memory is gone. */
static bool another_image(struct proc *p, const struct status *st)
{
	struct image *im = &p->image;
	struct stat_line stat;
	bool renamed = p->tid == p->pid && (st->name_len != p->comm_len || memcmp(st->name, p->comm, p->comm_len) != 0);

	if (im->hwm >= 0 && st->hwm >= 0 && st->hwm + 2 * counter_error_bytes(st->threads) < im->hwm)
		return true;
	if (!renamed && st->rss >= im->last.rss_bytes / 2)
		return false;
	if (!im->start_stack || !read_stat(p->pid, &stat) || !stat.start_stack || stat.start_stack == im->start_stack)
		return false;
	if (im->max_rss > MID_EXEC_PAGES * g.page_size)
		return true;
	im->start_stack = stat.start_stack; /* it was read while execve was still at work */
	return false;
}

enum look look_status(struct proc *p, int64_t now)
{
	static char buf[STATUS_SIZE];
	struct status st;
	struct image *im = &p->image;
	ssize_t n = read_kept(p, "status", &p->status_fd, buf, sizeof(buf));

	if (n <= 0 || !parse_status(buf, (size_t)n, &st))
		return LOOK_GONE;
	if (st.rss < 0) /* a zombie, or a leader that went first: statm will tell at the next look */
		return LOOK_OK;
	p->status_tick = g.tick;
	p->status_epoch = g.epoch;
	if (im->samples > 0 && !g.trace && another_image(p, &st))
		image_replaced(p, now);
	if (p->tid == p->pid || p->comm_len == 0) {
		p->comm_len = st.name_len;
		memcpy(p->comm, st.name, st.name_len);
	}
	bool first = im->samples == 0;

	if (st.anon < 0 && st.rss >= 0) /* before Linux 4.5 only the sum is shown */
		st.file = st.shmem = -1;
	if (first) {
		struct stat_line stat;

		first_look(p, &st);
		if (!g.trace && read_stat(p->pid, &stat))
			im->start_stack = stat.start_stack;
	}
	image_note(p, now, &st);
	if (first && (im->flags & HW_IMAGE_FORKED)) {
		struct proc *parent = proc_find(p->ppid);

		if (parent && shares_map(p, parent))
			im->flags |= HW_IMAGE_SAME_MAP;
		tree_forked(p);
	}
	return LOOK_OK;
}

bool look_rollup(struct proc *p, int64_t now, struct rollup *out, int64_t *cost_ns)
{
	char path[64];
	static char buf[2048];
	int64_t begin = cpu_ns();
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", p->tid);
	n = read_file(path, buf, sizeof(buf));
	*cost_ns = cpu_ns() - begin;
	if (n <= 0 || !parse_rollup(buf, (size_t)n, out))
		return false;
	g.stats.snapshots++;

	struct hw_snapshot shot = {now, p->image.id, (uint32_t)(*cost_ns / 1000), out->rss, out->pss, out->pss_anon,
				   out->pss_file, out->pss_shmem, out->private_bytes, out->swap, out->swap_pss, out->lazyfree,
				   out->anon_huge};
	stream_event(HW_SNAPSHOT, 0, &shot, sizeof(shot));
	return true;
}
