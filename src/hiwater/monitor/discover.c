/* Finds the processes of the tree without tracing them.
 *
 * /proc/loadavg ends with the last pid that was handed out in our pid namespace: if it has not moved, nobody was born.
 * If it has, the pids in between are looked at one by one; whose parent is in the tree (or is us: we are the child
 * subreaper, so an orphan of the tree becomes our child) belongs to the tree. Pids that are gone already came and
 * went unseen: they are counted. Where loadavg does not tell (gVisor), all of /proc is scanned.
 *
 * Attached, we are nobody's subreaper: an orphan that was not found before its parent ended has some other parent. It is
 * still known to be of the tree if a process of the tree began its session; else attach.c says that it may be lost. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor.h"

#define LONGEST_STEP 512 /* more pids than that since the last look: scan instead */
#define PENDING 64
#define LATE 16 /* numbers that were taken for gone, and are asked for until others take their place */
#define FOREIGN_PIDS (1 << 22) /* PID_MAX_LIMIT of 64-bit kernels */
#define FORGET_FOREIGN 256

static int loadavg_fd = -1;
static int64_t last_pid;
static int32_t pending[PENDING]; /* handed out, but not there yet: alive at the next look, or gone */
static uint32_t pending_count;
static int32_t late[LATE]; /* taken for gone at a retry; 0 is none */
static uint32_t late_at;
static uint64_t foreign[FOREIGN_PIDS / 64];
static uint32_t scans;
static uint16_t flags_of_found; /* enum hw_image_flags */
static int64_t born_before; /* as it was when the present look began */
static int64_t born; /* numbers handed out since the start that are not known to be processes: threads, for all we know */

static int64_t read_last_pid(void)
{
	char buf[128];
	ssize_t n = pread(loadavg_fd, buf, sizeof(buf), 0);

	return n > 0 ? parse_last_pid(buf, (size_t)n) : -1;
}

/* How many threads can have been born since the start, in all processes together. `up_to_now`: not only up to the last
 * look. Where loadavg does not tell, it is unknown, and 0. */
int64_t threads_born(bool up_to_now)
{
	int64_t last = up_to_now && loadavg_fd >= 0 ? read_last_pid() : last_pid;

	if (last < 0 || loadavg_fd < 0)
		return born;
	return born + (last >= last_pid ? last - last_pid : LONGEST_STEP);
}

int64_t threads_born_before(void)
{
	return born_before;
}

/* `first_pid` was just forked by us: if loadavg has not reached it, loadavg can not be relied on. */
void discover_init(int32_t first_pid)
{
	loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	if (loadavg_fd < 0)
		return;
	last_pid = read_last_pid();
	if (last_pid >= first_pid) {
		last_pid = first_pid; /* what was born meanwhile is looked at with the first tick */
		return;
	}
	close(loadavg_fd);
	loadavg_fd = -1;
}

static bool is_leader(int32_t pid)
{
	return syscall(SYS_tgkill, pid, pid, 0) == 0 || errno != ESRCH;
}

/* A child of the tree; or a member of a session that a process of the tree began: sessions are only inherited, and
 * while one has members its number is given to no process (kernel/pid.c __change_pid()). */
static bool is_ours(const struct stat_line *stat)
{
	if (proc_find((int32_t)stat->ppid))
		return true;
	if (!g.attached)
		return stat->ppid == g.self;
	return stat->session > 0 && stat->ppid != g.self && stat->ppid != g.leave_out && proc_find((int32_t)stat->session);
}

enum found { FOUND_OURS, FOUND_FOREIGN, FOUND_THREAD, FOUND_GONE };

/* Looks at one pid, and adds it if it belongs to the tree. */
static enum found consider(int32_t pid, int64_t now)
{
	struct stat_line stat;
	struct proc *p;

	if (proc_find(pid))
		return FOUND_OURS;
	if (pid == g.self || pid == g.leave_out)
		return FOUND_FOREIGN;
	if (getpgid(pid) < 0 && errno == ESRCH)
		return FOUND_GONE;
	if (!is_leader(pid)) /* or it was reaped in between */
		return getpgid(pid) < 0 && errno == ESRCH ? FOUND_GONE : FOUND_THREAD;
	if (!read_stat(pid, &stat))
		return FOUND_GONE; /* gone since, or hidden from us */
	bool dead = (stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1;

	if (!is_ours(&stat)) { /* ppid 0: it is being released (do_task_stat()) */
		if (dead && stat.ppid == 0)
			return FOUND_GONE;
		if (g.attached && !dead && attach_may_have_adopted(&stat))
			epoch_stranger();
		return FOUND_FOREIGN;
	}
	if (dead) { /* its memory is gone; whoever waits for it gets its rusage */
		epoch_found_dead();
		return FOUND_GONE;
	}
	p = proc_add(pid, (int32_t)stat.ppid, now);
	if (!p)
		return FOUND_GONE;
	p->comm_len = stat.comm_len;
	memcpy(p->comm, stat.comm, stat.comm_len);
	p->minor_faults = stat.minor_faults;
	p->child_minor_faults = stat.child_minor_faults;
	p->start_time = stat.start_time;
	image_begin(p, now, flags_of_found);
	return FOUND_OURS;
}

/* Between drawing its number and being there a process may lose its processor for longer than from look to look, where
 * a machine is virtual or busy (kernel/fork.c copy_process(): alloc_pid() comes before attach_pid()). */
static void look_for_late(int64_t now)
{
	for (uint32_t i = 0; i < LATE; i++)
		if (late[i] > 0 && consider(late[i], now) != FOUND_GONE)
			late[i] = 0;
}

static void retry_pending(int64_t now)
{
	uint32_t gone = 0;

	look_for_late(now);
	for (uint32_t i = 0; i < pending_count; i++) {
		if (consider(pending[i], now) != FOUND_GONE)
			continue;
		gone++;
		late[late_at++ % LATE] = pending[i];
	}
	pending_count = 0;
	if (gone > 0)
		tree_unseen(gone);
}

void discover(int64_t now)
{
	int64_t last;
	uint32_t gone = 0;

	born_before = born;
	if (loadavg_fd < 0) {
		discover_all(now);
		return;
	}
	retry_pending(now);
	last = read_last_pid();
	if (last == last_pid || last < 0)
		return;
	if (last < last_pid || last - last_pid > LONGEST_STEP) { /* the numbers began anew, or a storm */
		int64_t step = last > last_pid ? last - last_pid : LONGEST_STEP;
		int64_t before = g.stats.processes;

		born += step;
		last_pid = last;
		discover_all(now);
		step -= g.stats.processes - before;
		if (step > 0)
			tree_unseen((uint32_t)step);
		return;
	}
	for (int64_t pid = last_pid + 1; pid <= last; pid++) {
		enum found what = consider((int32_t)pid, now);

		born += what == FOUND_THREAD || what == FOUND_GONE;
		if (what != FOUND_GONE)
			continue;
		if (pending_count < PENDING)
			pending[pending_count++] = (int32_t)pid; /* perhaps its pid is older than itself */
		else
			gone++;
	}
	last_pid = last;
	if (gone > 0)
		tree_unseen(gone);
}

static void scan(int64_t now)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)) != NULL) {
		int32_t pid = (int32_t)atoi(entry->d_name);

		if (pid <= 0 || pid >= FOREIGN_PIDS || (foreign[pid / 64] >> (pid % 64) & 1))
			continue;
		if (consider(pid, now) == FOUND_FOREIGN)
			foreign[pid / 64] |= UINT64_C(1) << (pid % 64);
	}
	closedir(dir);
}

void discover_all(int64_t now)
{
	int64_t before;

	/* A child can have a smaller pid than its parent, once the numbers have begun anew: it is foreign until its
	 * parent is found. */
	do {
		if (++scans % FORGET_FOREIGN == 0 || loadavg_fd >= 0)
			memset(foreign, 0, sizeof(foreign)); /* a pid may have been given to somebody else */
		before = g.stats.processes;
		scan(now);
	} while (loadavg_fd >= 0 && g.stats.processes > before);
}

void discover_attached(int64_t now)
{
	int64_t before;

	loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	last_pid = loadavg_fd < 0 ? -1 : read_last_pid(); /* who is born from here on is found by the next look */
	if (last_pid < g.self && loadavg_fd >= 0) {
		close(loadavg_fd);
		loadavg_fd = -1;
	}
	if (loadavg_fd < 0)
		g.stats.unseen = -1; /* nobody counts them */
	flags_of_found = HW_IMAGE_ATTACHED;
	do { /* a parent may have a larger number than its child */
		memset(foreign, 0, sizeof(foreign));
		before = g.stats.processes;
		scan(now);
	} while (g.stats.processes > before);
	flags_of_found = 0;
}
