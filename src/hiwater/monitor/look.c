/* Reads one process, and notices when it runs another image. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor.h"

#define STATUS_SIZE 8192
#define MID_EXEC_PAGES 16
#define KCMP_VM 1 /* linux/kcmp.h, which musl's compiler does not find */

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

/* Back to the leader: a thread that calls execve becomes it. */
static void back_to_leader(struct proc *p)
{
	p->tid = p->pid;
	forget_files(p);
}

static bool read_statm(struct proc *p, struct statm *out)
{
	char buf[256];
	ssize_t n = read_kept(p, "statm", &p->statm_fd, buf, sizeof(buf));

	g.stats.reads++;
	return n > 0 && parse_statm(buf, (size_t)n, out) && out->rss > 0;
}

/* Is the pid still that of the process that we know? */
static bool same_process(const struct proc *p)
{
	struct stat_line stat;

	return !p->start_time || !read_stat(p->pid, &stat) || !stat.start_time || stat.start_time == p->start_time;
}

enum look look_statm(struct proc *p, struct statm *out)
{
	if (read_statm(p, out))
		return LOOK_OK;
	if (!same_process(p))
		return LOOK_GONE;
	if (p->tid != p->pid) {
		back_to_leader(p);
		if (read_statm(p, out))
			return LOOK_OK;
	}
	if (switch_thread(p)) {
		if (read_statm(p, out))
			return LOOK_OK;
		back_to_leader(p);
	}
	return kill(p->pid, 0) == 0 || errno == EPERM ? LOOK_ZOMBIE : LOOK_GONE;
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

	if (im->start.rss_bytes < 0)
		im->start = (struct hw_rss){st->rss, st->anon, st->file, st->shmem};
	if (g.exact)
		return; /* told by events */
	if (im->flags & (HW_IMAGE_EVENT | HW_IMAGE_GUESSED)) {
		im->flags &= (uint16_t)~HW_IMAGE_GUESSED; /* the command, and it has called execve */
		return;
	}
	if (im->flags & HW_IMAGE_ATTACHED)
		im->before_hwm = st->hwm;
	/* Found by looking: it may still be the copy of its parent that fork made. Who ran before may have given itself
	 * another name since. */
	if (parent && parent->text == p->text &&
	    ((im->flags & HW_IMAGE_ATTACHED) ||
	     (parent->comm_len == p->comm_len && memcmp(parent->comm, p->comm, p->comm_len) == 0)))
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

	if (im->hwm >= 0 && st->hwm >= 0 && st->hwm + mark_fall_bytes(st->threads) < im->hwm)
		return true;
	/* Attached, no rusage holds the peak of an image whose end was not noticed. VmPeak is exact, and never falls. */
	if (g.attached && st->vm_peak >= 0 && st->vm_peak < im->vm_peak)
		return true;
	if (!renamed && st->rss >= im->last.rss_bytes / 2 && !g.attached)
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
	if (im->samples > 0 && !births_are_told() && another_image(p, &st))
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
		if (!births_are_told() && read_stat(p->pid, &stat))
			im->start_stack = stat.start_stack;
	}
	image_note(p, now, &st);
	if (first && (im->flags & HW_IMAGE_FORKED)) {
		struct proc *parent = proc_find(p->ppid);

		if (!g.exact && parent && shares_map(p, parent))
			im->flags |= HW_IMAGE_SAME_MAP;
		tree_forked(p);
	}
	return LOOK_OK;
}

/* In Linux 6.1 to 6.9 the walk leaves mappings out as long as somebody waits to change the map: it hands the map over
 * between two mappings, and goes on behind the next one (show_smaps_rollup() of fs/proc/task_mmu.c). What is less than
 * the counters before and after allow for can not be the whole. */
static bool is_whole(struct proc *p, const struct rollup *sum)
{
	int64_t least = p->image.last.rss_bytes;
	struct statm after;

	if (!read_statm(p, &after))
		return true; /* on its way out: who reads it then knows no better */
	if (after.rss * g.page_size < least)
		least = after.rss * g.page_size;
	return sum->rss + mark_fall_bytes(p->image.threads) / 2 >= least;
}

/* Counts the pages of a process. What was not the whole of it is no snapshot, but was there. */
bool look_rollup(struct proc *p, int32_t tid, int64_t now, struct rollup *out, int64_t *cost_ns)
{
	char path[64];
	static char buf[2048];
	int64_t begin = cpu_ns();
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)tid);
	n = read_file(path, buf, sizeof(buf));
	*cost_ns = cpu_ns() - begin;
	if (n <= 0 || !parse_rollup(buf, (size_t)n, out))
		return false;
	g.stats.snapshots++;
	out->whole = is_whole(p, out);
	if (!out->whole)
		return true;

	struct hw_snapshot shot = {now, p->image.id, (uint32_t)(*cost_ns / 1000), out->rss, out->pss, out->pss_anon,
				   out->pss_file, out->pss_shmem, out->private_bytes, out->swap, out->swap_pss, out->lazyfree,
				   out->anon_huge};
	stream_event(HW_SNAPSHOT, 0, &shot, sizeof(shot));
	return true;
}
