/* identity [ARG...]: prints everything that a process is given at its start, one `name value` a line, bytes escaped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void text(const char *name, const char *value)
{
	printf("%s ", name);
	for (const unsigned char *at = (const unsigned char *)value; *at; at++)
		if (*at > 32 && *at < 127 && *at != '\\')
			putchar(*at);
		else
			printf("\\x%02x", *at);
	putchar('\n');
}

static void number(const char *name, long long value)
{
	printf("%s %lld\n", name, value);
}

static void list(const char *name, char **values)
{
	for (; *values; values++)
		text(name, *values);
}

static void signals(void)
{
	sigset_t mask, pending;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	sigpending(&pending);
	for (int sig = 1; sig <= 64; sig++) {
		struct sigaction act;

		/* 32 and 33 are hidden by the C library; the mask and the disposition of each other one counts */
		if (sigaction(sig, NULL, &act) != 0)
			continue;
		printf("signal%d blocked=%d pending=%d ignored=%d\n", sig, sigismember(&mask, sig),
		       sigismember(&pending, sig), act.sa_handler == SIG_IGN);
	}
}

static void limits(void)
{
	for (int i = 0; i < 16; i++) {
		struct rlimit limit;

		if (getrlimit((__rlimit_resource_t)i, &limit) == 0)
			printf("rlimit%d %llu %llu\n", i, (unsigned long long)limit.rlim_cur,
			       (unsigned long long)limit.rlim_max);
	}
}

static void files(void)
{
	for (int fd = 0; fd < 256; fd++) {
		char path[32], target[512];
		struct stat st;
		ssize_t n;

		if (fstat(fd, &st) != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = 0;
		printf("fd%d flags=%d fdflags=%d ", fd, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
		text("", target);
	}
}

static void file(const char *name, const char *path)
{
	char buf[512];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : -1;

	buf[n > 0 ? n : 0] = 0;
	text(name, buf);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	char cwd[4096] = "";
	cpu_set_t cpus;
	mode_t mask = umask(0);
	int tty;

	(void)argc;
	files(); /* before anything else is opened */
	list("argv", argv);
	list("environ", environ);
	text("cwd", getcwd(cwd, sizeof(cwd)) ? cwd : "none");
	signals();
	limits();
	number("umask", mask);
	number("nice", getpriority(PRIO_PROCESS, 0));
	number("scheduler", sched_getscheduler(0));
	number("cpus", sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : -1);
	number("pgid", getpgrp());
	number("sid", getsid(0));
	number("uid", getuid());
	number("euid", geteuid());
	number("gid", getgid());
	number("egid", getegid());
	number("groups", getgroups(0, NULL));
	number("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	number("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	number("securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	number("timerslack", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	number("thp_disable", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	int subreaper = -1, death = -1;

	prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
	prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	number("subreaper", subreaper);
	number("death_signal", death);
	tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	number("tty", tty >= 0 ? 1 : -errno);
	number("tty_pgrp", tty >= 0 ? tcgetpgrp(tty) : -1);
	file("oom_score_adj", "/proc/self/oom_score_adj");
	file("coredump_filter", "/proc/self/coredump_filter");
	file("personality", "/proc/self/personality");
	return 0;
}
