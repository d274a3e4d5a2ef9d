/* The command: what can be known of it before it starts, and its start. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "monitor.h"

static const char *one_candidate[2];
static const char **candidate = one_candidate; /* ends with NULL */
static bool sigchld_was_ignored;

/* Blocks what the monitor handles. A launcher that ignores SIGCHLD would make our children vanish unwaited
 * (kernel/signal.c do_notify_parent()), so it gets its default back; the command finds it as it was. */
void signals_block(sigset_t *initial_mask, sigset_t *handled)
{
	static const int waited[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2,
				     SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGALRM, SIGWINCH};
	struct sigaction before;

	sigemptyset(handled);
	for (size_t i = 0; i < sizeof(waited) / sizeof(*waited); i++)
		sigaddset(handled, waited[i]);
	sigprocmask(SIG_BLOCK, handled, initial_mask);
	if (sigaction(SIGCHLD, NULL, &before) == 0 && before.sa_handler == SIG_IGN) {
		sigchld_was_ignored = true;
		signal(SIGCHLD, SIG_DFL);
	}
}

void signals_survive(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

/* The paths that execvp(3) would try, in its order. */
static void find_candidates(const char *command)
{
	const char *dirs = getenv("PATH");
	size_t count = 1, n = 0, used = 0, size;
	char *text;

	one_candidate[0] = command;
	if (strchr(command, '/') || !*command)
		return;
	if (!dirs)
		dirs = "/bin:/usr/bin";
	for (const char *at = dirs; *at; at++)
		count += *at == ':';
	size = strlen(dirs) + count * (strlen(command) + 2);
	text = malloc(size);
	candidate = calloc(count + 1, sizeof(*candidate));
	if (!text || !candidate)
		die("no memory", NULL);
	for (; dirs && n < count; n++) {
		int length = (int)strcspn(dirs, ":");
		int len = snprintf(text + used, size - used, "%.*s%s%s", length, dirs, length ? "/" : "", command);

		candidate[n] = text + used;
		used += (size_t)len + 1;
		dirs = strchr(dirs, ':');
		dirs = dirs ? dirs + 1 : NULL;
	}
}

/* As the kernel takes it: the C library's struct rlimit is smaller on 32-bit machines. */
struct rlimit64_raw {
	uint64_t current, maximum;
};

static int put_under_limit(void)
{
	struct rlimit64_raw data = {command_limits.data_bytes, command_limits.data_bytes};
	struct rlimit64_raw as = {command_limits.as_bytes, command_limits.as_bytes};

	/* "0" is the writer itself, with all its threads: kernel/cgroup/cgroup.c cgroup_procs_write_start(). */
	if (command_limits.procs_fd >= 0 && syscall(SYS_write, command_limits.procs_fd, "0", 1) != 1)
		return errno;
	if (data.current && syscall(SYS_prlimit64, 0, RLIMIT_DATA, &data, NULL) != 0)
		return errno;
	if (as.current && syscall(SYS_prlimit64, 0, RLIMIT_AS, &as, NULL) != 0)
		return errno;
	return 0;
}

static void refuse(int error_fd, int error)
{
	syscall(SYS_write, error_fd, &error, sizeof(error));
	syscall(SYS_exit_group, 127);
}

/* Runs in the child, in which every page that is touched is a page that the command seems to need (exec_mmap() folds
 * it into ru_maxrss): so there is nothing here but system calls, which all lie in one corner of the C library. */
static void become(char **argv, const sigset_t *mask, int release_fd, int error_fd)
{
	int error = 0, denied = 0;
	char byte;

	if (release_fd >= 0)
		while (syscall(SYS_read, release_fd, &byte, 1) < 0 && errno == EINTR)
			;
	if (sigchld_was_ignored)
		signal(SIGCHLD, SIG_IGN);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, NULL, (size_t)8);
	error = put_under_limit();
	if (error)
		refuse(error_fd, -error);
	for (int i = 0; candidate[i]; i++) {
		syscall(SYS_execve, candidate[i], argv, environ);
		error = errno;
		if (error == ENOEXEC)
			execvp(argv[0], argv); /* a script without #!: the C library asks the shell */
		if (error == EACCES)
			denied = EACCES;
		else if (error != ENOENT && error != ENOTDIR && error != ENODEV && error != ETIMEDOUT && error != ESTALE)
			break;
	}
	refuse(error_fd, denied ? denied : error);
}

/* fork, not vfork: the child's mark then begins with our few pages, not with our all-time peak (kernel/fork.c
 * dup_mm()). The plain system call leaves out the C library's own work in the child. */
static pid_t plain_fork(void)
{
#ifdef __s390__
	return (pid_t)syscall(SYS_clone, 0, SIGCHLD, 0, 0, 0);
#else
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
}

bool target_fork(char **argv, const sigset_t *mask, bool hold, struct launch *out)
{
	int error[2], release[2] = {-1, -1};

	out->error = 0;
	if (!candidate[0])
		find_candidates(argv[0]);
	if (pipe2(error, O_CLOEXEC) != 0 || (hold && pipe2(release, O_CLOEXEC) != 0))
		return false;
	out->pid = plain_fork();
	if (out->pid < 0)
		return false;
	if (out->pid == 0) {
		if (hold)
			syscall(SYS_close, release[1]);
		become(argv, mask, release[0], error[1]);
	}
	close(error[1]);
	if (hold)
		close(release[0]);
	fcntl(error[0], F_SETFL, O_NONBLOCK);
	out->error_fd = error[0];
	out->release_fd = release[1];
	return true;
}

static void close_between(int first, int last)
{
	if (first > last)
		return;
#ifdef SYS_close_range /* since Linux 5.9 */
	if (syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0) == 0)
		return;
#endif
	for (int fd = first; fd <= last && fd < (int)sysconf(_SC_OPEN_MAX) && fd < 65536; fd++)
		close(fd);
}

/* What the command closes must be closed: whoever waits at the other end of a pipe waits for us too. */
void target_let_go(struct launch *l, int keep)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), kept[] = {keep, l->error_fd, l->release_fd}, from = 3;

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		if (fd != kept[0] && fd != kept[1] && fd != kept[2])
			dup2(null, fd);
	if (null > 2)
		close(null);
	for (;;) {
		int next = INT_MAX;

		for (int i = 0; i < 3; i++)
			if (kept[i] >= from && kept[i] < next)
				next = kept[i];
		if (next == INT_MAX)
			break;
		close_between(from, next - 1);
		from = next + 1;
	}
	close_between(from, INT_MAX);
}

/* A command that is held goes on. */
void target_release(struct launch *l)
{
	if (l->release_fd >= 0)
		close(l->release_fd);
	l->release_fd = -1;
}

/* The pipe closes with a successful execve, and carries errno of a failed one. */
enum exec_state target_execed(struct launch *l, int *error)
{
	if (l->error_fd >= 0) {
		ssize_t n = read(l->error_fd, &l->error, sizeof(l->error));

		if (n < 0)
			return EXEC_PENDING;
		close(l->error_fd);
		l->error_fd = -1;
	}
	*error = l->error;
	return l->error ? EXEC_FAILED : EXEC_DONE;
}

/* The file that the command names, once its candidates are known. */
static const char *resolve(const char *command)
{
	if (!candidate[0])
		find_candidates(command);
	for (int i = 0; candidate[i]; i++)
		if (access(candidate[i], X_OK) == 0)
			return candidate[i];
	return NULL;
}

/* LeakSanitizer attaches to its own process at exit, which a traced process can not let it do. */
static bool has_leak_sanitizer(const char *path)
{
	static const char *const signs[] = {"__lsan_do_leak_check", "__asan_init", "__lsan_init", "libasan.so", "liblsan.so"};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool found = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 64 && st.st_size < INT_MAX) {
		void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (data != MAP_FAILED) {
			for (size_t i = 0; memcmp(data, "\177ELF", 4) == 0 && i < sizeof(signs) / sizeof(*signs); i++)
				found |= memmem(data, (size_t)st.st_size, signs[i], strlen(signs[i])) != NULL;
			munmap(data, (size_t)st.st_size);
		}
	}
	close(fd);
	return found;
}

/* Why the command must not be traced: a warning code, and its text; NULL if it may. */
const char *target_refuses_trace(const char *command, const char **why)
{
	static const char *const tracers[] = {"gdb", "lldb", "strace", "ltrace", "rr", "gdbserver"};
	const char *base = strrchr(command, '/') ? strrchr(command, '/') + 1 : command;
	const char *path;
	struct stat st;

	for (size_t i = 0; i < sizeof(tracers) / sizeof(*tracers); i++) {
		if (strcmp(base, tracers[i]) == 0) {
			*why = "the command traces processes itself, and a process can have one tracer only";
			return "trace-needs-ptrace";
		}
	}
	path = resolve(command);
	if (!path || stat(path, &st) != 0)
		return NULL;
	if (geteuid() != 0 && ((st.st_mode & (S_ISUID | S_ISGID)) || getxattr(path, "security.capability", NULL, 0) > 0)) {
		*why = "the command is set-user-ID or has file capabilities, which a traced process is not given";
		return "trace-setuid";
	}
	if (has_leak_sanitizer(path)) {
		*why = "the command contains LeakSanitizer, which needs to trace itself at its exit";
		return "trace-needs-ptrace";
	}
	return NULL;
}
