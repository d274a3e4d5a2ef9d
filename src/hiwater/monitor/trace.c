/* Trace mode: the kernel tells of every fork, exec and exit, and holds the process meanwhile, so that its figures can
 * be read at those instants. No system call is stopped. PTRACE_SEIZE leaves signals and job control as they are:
 * a group-stop is left to be one (PTRACE_LISTEN). When the monitor dies, the kernel lets the tracees go on. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor.h"

#define OPTIONS                                                                                                \
	(PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT)

bool trace_seize(pid_t pid)
{
	return ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) == 0;
}

static bool is_process(pid_t tid)
{
	return syscall(SYS_tgkill, tid, tid, 0) == 0;
}

static bool read_status_of(pid_t tid, struct status *st)
{
	static char buf[8192];
	char path[48];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	n = read_file(path, buf, sizeof(buf));
	return n > 0 && parse_status(buf, (size_t)n, st);
}

static struct proc *born(pid_t pid, pid_t ppid, uint16_t flags, int64_t now)
{
	struct proc *parent = proc_find(ppid), *p;
	char comm[64];
	size_t comm_len = parent ? parent->comm_len : 0;

	if (parent)
		memcpy(comm, parent->comm, comm_len);
	p = proc_add(pid, ppid, now);
	if (!p)
		return NULL;
	memcpy(p->comm, comm, comm_len);
	p->comm_len = comm_len;
	proc_announce(p, HW_SEEN_EVENT);
	image_begin(p, now, flags);
	return p;
}

/* The parent is held just after fork, vfork or clone. */
static void on_birth(pid_t parent_tid, int event, int64_t now)
{
	unsigned long message;
	pid_t child;
	struct proc *p, *parent = proc_find(parent_tid);
	uint16_t flags = HW_IMAGE_FORKED | (event == PTRACE_EVENT_VFORK ? HW_IMAGE_SAME_MAP : 0);

	if (ptrace(PTRACE_GETEVENTMSG, parent_tid, 0, &message) != 0)
		return;
	child = (pid_t)message;
	if (event == PTRACE_EVENT_CLONE && !is_process(child))
		return; /* a thread */
	p = proc_find(child);
	if (!p) {
		struct status st;
		pid_t ppid = parent_tid;

		if (!parent && read_status_of(parent_tid, &st) && st.tgid > 0)
			ppid = (pid_t)st.tgid; /* forked by a thread */
		p = born(child, ppid, flags, now);
	}
	if (p)
		p->image.flags |= flags;
}

static void read_marks(struct proc *p, pid_t tid, int64_t now)
{
	struct status st;

	if (tid == p->tid) {
		(void)look_status(p, now);
		return;
	}
	if (read_status_of(tid, &st)) {
		if (p->image.samples == 0)
			p->image.start = (struct hw_rss){st.rss, st.anon, st.file, st.shmem};
		image_note(p, now, &st);
	}
}

/* The image as execve left it. statm is read, which costs a seventh of status; no image is born with shared memory. */
static void first_instant(struct proc *p, int64_t now)
{
	struct statm st;

	if (look_statm(p, &st) != LOOK_OK)
		return;
	int64_t rss = st.rss * g.page_size, file = st.shared * g.page_size;
	struct status as_status = {.rss = rss, .anon = rss - file, .file = file, .shmem = 0, .hwm = -1, .vm_peak = -1,
				   .swap = -1, .threads = 1, .ignores_sigchld = p->ignored_sigchld};

	p->text = st.text;
	p->image.start = (struct hw_rss){rss, rss - file, file, 0};
	image_note(p, now, &as_status);
}

static void read_name(struct proc *p)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", p->pid);
	ssize_t n = read_file(path, p->comm, sizeof(p->comm));

	while (n > 0 && p->comm[n - 1] == '\n')
		n--;
	p->comm_len = n > 0 ? (size_t)n : 0;
}

static bool lost_privilege(pid_t pid)
{
	char path[32], self[32];
	struct stat st, proc;

	if (geteuid() == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	snprintf(self, sizeof(self), "/proc/%d", (int)pid);
	return stat(path, &st) == 0 && (st.st_mode & S_ISUID) && stat(self, &proc) == 0 && proc.st_uid != st.st_uid;
}

static void on_exec(pid_t pid, const struct rusage *ru, int64_t now)
{
	struct proc *p = proc_find(pid);

	if (!p)
		return;
	bool same_map = p->image.flags & HW_IMAGE_SAME_MAP;
	/* exec_mmap() has folded the old map's mark into ru_maxrss, and a wait for a stopped process reports it
	 * (kernel/exit.c wait_task_stopped()). A vfork child ran in its parent's map, whose mark that is. */
	int64_t folded = same_map ? -1 : (int64_t)ru->ru_maxrss * 1024;

	p->exit_read = false; /* of threads that execve ended */
	if (!(p->image.flags & HW_IMAGE_GUESSED)) {
		image_end(p, now, HW_ENDED_EXEC, folded);
		tree_proc_left(p);
		if (folded > p->image.hwm)
			p->image.hwm = folded;
		tree_image_ended(&p->image, !same_map);
	}
	if (pid == g.command)
		command_has_execed();
	if (p->image.flags & HW_IMAGE_GUESSED)
		p->image.flags = HW_IMAGE_EVENT; /* what stood there was our own copy */
	else
		image_begin(p, now, HW_IMAGE_EVENT);
	p->image.t_ns = now;
	if (p->tid != p->pid)
		forget_files(p);
	p->tid = p->pid;
	first_instant(p, now);
	read_name(p);
	if (lost_privilege(pid)) {
		p->image.flags |= HW_IMAGE_LOST_SETUID;
		stream_warning("lost-setuid", "a set-user-ID program ran without its privilege because it was traced; "
					      "execute without --trace");
	}
	image_announce(p, true);
}

/* A thread is held at its exit, its memory map still whole (kernel/exit.c do_exit(): ptrace_event() comes first). */
static void on_exit_stop(pid_t tid, int64_t now)
{
	struct proc *p = proc_find(tid);
	struct status st;

	if (!p && read_status_of(tid, &st) && st.tgid > 0) {
		p = proc_find((pid_t)st.tgid);
		if (p) {
			image_note(p, now, &st);
			count_pages(p, tid, now, true);
		}
	} else if (p) {
		if (p->image.flags & HW_IMAGE_GUESSED)
			return; /* it never got as far as execve */
		read_marks(p, tid, now);
		count_pages(p, tid, now, true);
	}
	if (!p)
		return;
	p->exit_read = true; /* so far: a later thread's exit reads again */
	ledger_exit(p, now, p->image.threads);
}

static bool is_stop_signal(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

bool trace_is_group_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP && is_stop_signal(WSTOPSIG(status));
}

/* The first stop of a process that the parent's event has not told of yet. */
static void on_first_stop(pid_t tid, int64_t now)
{
	struct status st;
	struct proc *p = proc_find(tid);

	if (!p) {
		if (!is_process(tid) || !read_status_of(tid, &st))
			return;
		p = born(tid, (pid_t)st.ppid, HW_IMAGE_FORKED, now);
	}
	if (p && p->image.samples == 0 && !(p->image.flags & (HW_IMAGE_GUESSED | HW_IMAGE_EVENT | HW_IMAGE_SAME_MAP))) {
		first_instant(p, now);
		tree_forked(p);
	}
}

void trace_stop(pid_t tid, int status, const struct rusage *ru, int64_t now)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	bool listen = false;
	long deliver = 0;

	switch (event) {
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_birth(tid, event, now);
		break;
	case PTRACE_EVENT_EXEC:
		on_exec(tid, ru, now);
		break;
	case PTRACE_EVENT_EXIT:
		on_exit_stop(tid, now);
		break;
	case PTRACE_EVENT_STOP:
		if (is_stop_signal(sig))
			listen = true;
		else
			on_first_stop(tid, now);
		break;
	default:
		deliver = sig;
		break;
	}
	if (listen)
		ptrace(PTRACE_LISTEN, tid, 0, 0);
	else
		ptrace(PTRACE_CONT, tid, 0, deliver);
}

/* A tracee is gone: its status and rusage are told to us first, its parent can wait for it afterwards. */
void trace_gone(pid_t tid, int status, const struct rusage *ru, int64_t now)
{
	struct proc *p = proc_find(tid);

	if (p)
		proc_end(p, now, tid == g.command ? HW_PROC_REAPED : HW_PROC_TRACED_WAIT, status, ru);
}
