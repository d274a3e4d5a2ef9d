/* act VERB [ARG] VERB [ARG] ...: does what it is told, one verb after the other, and exits 0 behind the last.
 *
 * Verbs that make a process, a thread or a new program image let that one do all verbs behind them, so a command line
 * reads as the story of a tree: `act fork exec grow 20 say ready read exit 3`. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **rest; /* the verbs that are still to be done */
static char *self, path_of_self[4096];

static void check(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "act: %s: %s\n", what, strerror(errno));
		_exit(99);
	}
}

static char *next(void)
{
	check(*rest != NULL, "a verb lacks its argument");
	return *rest++;
}

static int next_number(void)
{
	return atoi(next());
}

static void run(void);

static void grow(size_t mib)
{
	char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(memory != MAP_FAILED, "mmap");
	for (size_t at = 0; at < mib << 20; at += 4096)
		((volatile char *)memory)[at] = 1;
}

/* Taken and given back: only the mark tells. */
static void spike(size_t mib)
{
	char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(memory != MAP_FAILED, "mmap");
	for (size_t at = 0; at < mib << 20; at += 4096)
		((volatile char *)memory)[at] = 1;
	munmap(memory, mib << 20);
}

/* Anything that comes, or the end of the input. */
static void read_byte(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
}

static void end_as(int status)
{
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

/* The parent's part: waits for one child, and ends as it did. */
static void wait_for(pid_t pid)
{
	int status;

	check(pid > 0, "no child");
	while (waitpid(pid, &status, 0) < 0) {
		if (errno == ECHILD)
			_exit(0); /* SIGCHLD is ignored: it ended, nobody knows how */
		check(errno == EINTR, "waitpid");
	}
	end_as(status);
}

static char **again(void)
{
	char **argv = rest - 1;

	argv[0] = self;
	return argv;
}

static void exec_again(void)
{
	execv(path_of_self, again());
	check(0, "execv");
}

static void vfork_again(void)
{
	char **argv = again();
	pid_t pid = vfork();

	if (pid == 0) {
		execv(path_of_self, argv);
		_exit(98);
	}
	wait_for(pid);
}

static void spawn_again(void)
{
	pid_t pid;

	check(posix_spawn(&pid, path_of_self, NULL, NULL, again(), environ) == 0, "posix_spawn");
	wait_for(pid);
}

static void fork_on(void)
{
	pid_t pid = fork();

	if (pid != 0)
		wait_for(pid);
}

/* A child does the next N words and ends; then the parent does what follows them. */
static void sub(int words)
{
	pid_t pid = fork();

	check(pid >= 0, "fork");
	if (pid == 0) {
		rest[words] = NULL;
		run();
		_exit(0);
	}
	check(waitpid(pid, NULL, 0) == pid || errno == ECHILD, "waitpid");
	rest += words;
}

/* A child does the next N words and ends; the parent does what follows them, and never waits for it. */
static void leave(int words)
{
	pid_t pid = fork();

	check(pid >= 0, "fork");
	if (pid == 0) {
		rest[words] = NULL;
		run();
		_exit(0);
	}
	rest += words;
}

/* N children that do the rest at once; the parent waits for all of them. */
static void crowd(int n)
{
	int status, worst = 0;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (pid == 0)
			return;
	}
	for (int i = 0; i < n; i++) {
		check(wait(&status) > 0, "wait");
		if (status != 0)
			worst = status;
	}
	end_as(worst);
}

/* N children, one after another, each gone at once. Where SIGCHLD is ignored waitpid finds none, which is fine. */
static void burst(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (pid == 0)
			_exit(0);
		if (waitpid(pid, NULL, 0) < 0)
			check(errno == ECHILD, "waitpid");
	}
}

/* Leaves the session and the parent behind: the rest is done by an orphan. */
static void daemonise(void)
{
	int ready[2];

	check(pipe(ready) == 0, "pipe");
	if (fork() != 0) {
		close(ready[1]);
		read_byte(ready[0]); /* an orphan that is to be seen must be one before we end */
		_exit(0);
	}
	check(setsid() > 0, "setsid");
	if (fork() != 0)
		_exit(0);
	close(ready[0]);
	close(ready[1]);
}

static pthread_barrier_t all_here;

static void *meet(void *unused)
{
	pthread_barrier_wait(&all_here);
	for (;;)
		pause();
	return unused;
}

static pthread_t start_thread(void *(*body)(void *))
{
	pthread_t thread;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	errno = pthread_create(&thread, &attr, body, NULL);
	check(errno == 0, "pthread_create");
	return thread;
}

/* N threads besides this one, all alive from here to the end of the process. */
static void threads(int n)
{
	pthread_barrier_init(&all_here, NULL, (unsigned)n + 1);
	for (int i = 0; i < n; i++)
		start_thread(meet);
	pthread_barrier_wait(&all_here);
}

static void *rest_in_thread(void *unused)
{
	run();
	_exit(0);
	return unused;
}

static void wait_until_gone(pid_t leader)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)leader);
	for (;;) { /* there is no event for a leader that became a zombie */
		FILE *file = fopen(path, "r");
		char *state = NULL;

		check(file != NULL, path);
		if (fgets(text, sizeof(text), file))
			state = strrchr(text, ')');
		fclose(file);
		if (state && state[2] == 'Z')
			return;
		nanosleep(&(struct timespec){0, 200000}, NULL);
	}
}

static void *rest_after_leader(void *unused)
{
	wait_until_gone(getpid());
	run();
	_exit(0);
	return unused;
}

static void burn(int ms)
{
	struct timespec t;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
}

static void say(const char *text)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	check(write(1, line, (size_t)n) == n, "write");
}

static void say_number(const char *name, long value)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %ld", name, value);
	say(line);
}

static void do_signal(int sig, void (*how)(int))
{
	check(signal(sig, how) != SIG_ERR, "signal");
}

static void note(int sig)
{
	(void)sig; /* only to be interrupted */
}

static void said(int sig)
{
	char text[] = "got SIG00\n";

	text[7] = (char)('0' + sig / 10);
	text[8] = (char)('0' + sig % 10);
	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(97);
}

/* The pid that the next process of this pid namespace gets. */
static void next_pid(int pid)
{
	FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");

	check(file && fprintf(file, "%d", pid - 1) > 0 && fclose(file) == 0, "ns_last_pid");
}

static int making(const char *verb)
{
	if (strcmp(verb, "fork") == 0)
		fork_on();
	else if (strcmp(verb, "vfork") == 0)
		vfork_again();
	else if (strcmp(verb, "spawn") == 0)
		spawn_again();
	else if (strcmp(verb, "exec") == 0)
		exec_again();
	else if (strcmp(verb, "crowd") == 0)
		crowd(next_number());
	else if (strcmp(verb, "sub") == 0)
		sub(next_number());
	else if (strcmp(verb, "leave") == 0)
		leave(next_number());
	else if (strcmp(verb, "burst") == 0)
		burst(next_number());
	else if (strcmp(verb, "daemon") == 0)
		daemonise();
	else if (strcmp(verb, "threads") == 0)
		threads(next_number());
	else if (strcmp(verb, "thread") == 0)
		pthread_join(start_thread(rest_in_thread), NULL);
	else if (strcmp(verb, "leaderexit") == 0) {
		start_thread(rest_after_leader);
		syscall(SYS_exit, 0);
	} else
		return 0;
	return 1;
}

static int signalling(const char *verb)
{
	if (strcmp(verb, "raise") == 0)
		raise(next_number());
	else if (strcmp(verb, "kill3") == 0) { /* three times in a row, from outside of the victim */
		pid_t pid = fork();

		if (pid == 0)
			for (;;)
				pause();
		for (int i = 0; i < 3; i++)
			kill(pid, SIGKILL);
		wait_for(pid);
	} else if (strcmp(verb, "ignore") == 0)
		do_signal(next_number(), SIG_IGN);
	else if (strcmp(verb, "default") == 0)
		do_signal(next_number(), SIG_DFL);
	else if (strcmp(verb, "catch") == 0)
		do_signal(next_number(), note);
	else if (strcmp(verb, "report") == 0)
		do_signal(next_number(), said);
	else if (strcmp(verb, "pause") == 0)
		pause();
	else
		return 0;
	return 1;
}

static int other(const char *verb)
{
	if (strcmp(verb, "grow") == 0)
		grow((size_t)next_number());
	else if (strcmp(verb, "spike") == 0)
		spike((size_t)next_number());
	else if (strcmp(verb, "burn") == 0)
		burn(next_number());
	else if (strcmp(verb, "say") == 0)
		say(next());
	else if (strcmp(verb, "pid") == 0)
		say_number("pid", getpid());
	else if (strcmp(verb, "ppid") == 0)
		say_number("ppid", getppid());
	else if (strcmp(verb, "euid") == 0)
		say_number("euid", geteuid());
	else if (strcmp(verb, "read") == 0)
		read_byte(0);
	else if (strcmp(verb, "readfd") == 0)
		read_byte(next_number());
	else if (strcmp(verb, "close") == 0)
		close(next_number());
	else if (strcmp(verb, "closeall") == 0) {
		for (int fd = 0; fd < 4096; fd++)
			close(fd);
	} else if (strcmp(verb, "setsid") == 0)
		check(setsid() > 0, "setsid");
	else if (strcmp(verb, "undumpable") == 0)
		check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "prctl");
	else if (strcmp(verb, "name") == 0)
		check(prctl(PR_SET_NAME, next(), 0, 0, 0) == 0, "prctl");
	else if (strcmp(verb, "nextpid") == 0)
		next_pid(next_number());
	else if (strcmp(verb, "exit") == 0)
		_exit(next_number());
	else
		return 0;
	return 1;
}

static void run(void)
{
	while (*rest) {
		char *verb = next();

		if (!making(verb) && !signalling(verb) && !other(verb)) {
			fprintf(stderr, "act: unknown verb %s\n", verb);
			_exit(99);
		}
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	self = argv[0];
	/* now: it can not be read of a process whose leader is gone */
	check(readlink("/proc/self/exe", path_of_self, sizeof(path_of_self) - 1) > 0, "readlink");
	rest = argv + 1;
	run();
	return 0;
}
