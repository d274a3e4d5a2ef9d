/* known WHAT [COUNT]: programs whose heap is known to the byte; each prints what it did, a line each. Blocks of SITE bytes
 * are told from all others by their size. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE 1777u

static void *keep(void *block)
{
	__asm__ volatile("" : : "r"(block) : "memory");
	return block;
}

/* No stdio: its buffers are blocks too. */
static void say(const char *format, uintptr_t one, uintptr_t two)
{
	char line[128];
	int length = snprintf(line, sizeof(line), format, (unsigned long)one, (unsigned long)two);

	if (write(1, line, (size_t)length) != length)
		abort();
}

static void *make(size_t bytes)
{
	return keep(malloc(bytes));
}

static int sizes(int count)
{
	for (int i = 0; i < count; i++)
		make((size_t)(100 + i % 900));
	return 0;
}

static int calls(int count)
{
	for (int i = 0; i < count; i++) {
		void *block = make(100), *aligned = NULL;

		block = keep(realloc(block, 200));	 /* allocation and free */
		block = keep(reallocarray(block, 3, 100)); /* likewise */
		free(block);
		free(keep(calloc(10, 30)));
		free(keep(memalign(64, 400)));
		free(keep(aligned_alloc(64, 512)));
		free(keep(valloc(600)));
		free(keep(pvalloc(700)));
		if (posix_memalign(&aligned, 256, 800) != 0)
			return 1;
		free(keep(aligned));
		keep(realloc(make(0), 50)); /* two blocks, one stays */
		free(NULL);
		if (keep(malloc(SIZE_MAX / 2)) != NULL || keep(calloc(SIZE_MAX, 2)) != NULL ||
		    keep(reallocarray(NULL, SIZE_MAX, 2)) != NULL)
			return 1;
	}
	return 0;
}

static int killed(int count)
{
	for (int i = 0; i < count; i++)
		make(SITE);
	return kill(getpid(), SIGKILL);
}

static int reallocs(void)
{
	char *grows = make(100), *shrinks = make(50000), *moves = make(1000), *stays = make(700), *gone = make(900);

	grows = keep(realloc(grows, 60000));
	shrinks = keep(realloc(shrinks, 300));
	make(1000); /* what is behind it is taken: it has to move */
	moves = keep(realloc(moves, 9000));
	if (keep(realloc(stays, SIZE_MAX / 2)) != NULL || errno != ENOMEM)
		return 1;
	if (keep(realloc(gone, 0)) != NULL)
		return 1;
	say("%lu %lu\n", (uintptr_t)grows, 60000);
	say("%lu %lu\n", (uintptr_t)shrinks, 300);
	say("%lu %lu\n", (uintptr_t)moves, 9000);
	say("%lu %lu\n", (uintptr_t)stays, 700);
	return 0;
}

static int forks(const char *how)
{
	void *both[10], *parents;
	pid_t child;

	for (int i = 0; i < 10; i++)
		both[i] = make(SITE);
	if (strcmp(how, "vfork") == 0) {
		child = vfork();
		if (child == 0) {
			make(SITE + 1);
			_exit(0);
		}
	} else {
		child = strcmp(how, "clone") == 0 ? (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) : fork();
		if (child == 0) {
			for (int i = 0; i < 4; i++)
				free(both[i]);
			for (int i = 0; i < 3; i++)
				make(SITE + 1);
			exit(0);
		}
	}
	if (child < 0 || waitpid(child, NULL, 0) != child)
		return 1;
	parents = make(SITE + 2);
	free(both[9]);
	say("%lu %lu\n", (uintptr_t)child, (uintptr_t)parents);
	return 0;
}

static void *threaded(void *blocks)
{
	for (int i = 0; i < 100; i++)
		((void **)blocks)[i] = make(SITE);
	return NULL;
}

static int threads(int count)
{
	static void *blocks[100];

	for (int i = 0; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, threaded, blocks) != 0 || pthread_join(thread, NULL) != 0)
			return 1;
		for (int k = 0; k < 100; k++)
			free(blocks[k]); /* by another thread than the one that made them */
	}
	return 0;
}

static volatile sig_atomic_t handled;

static void handler(int signal)
{
	(void)signal;
	/* What glibc allows by luck: only a thread that does not hold an arena's lock may come here, so it uses blocks that
	 * its own cache serves. */
	free(make(64));
	handled++;
}

/* Signals come while the sampler works: the main loop does nothing but what is always sampled. */
static int signals(int count)
{
	struct itimerval often = {{0, 200}, {0, 200}};
	long made = 0;

	free(make(64));
	signal(SIGALRM, handler);
	setitimer(ITIMER_REAL, &often, NULL);
	while (handled < count) {
		void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		munmap(mapped, 4096);
		made++;
	}
	often = (struct itimerval){{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &often, NULL);
	say("%lu %lu\n", (uintptr_t)made, (uintptr_t)handled);
	return 0;
}

static int maps(void)
{
	char *mapped = mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *old, *end;

	say("map %lu %lu\n", (uintptr_t)mapped, 8192);
	old = mapped;
	mapped = mremap(old, 8192, 64 << 20, MREMAP_MAYMOVE);
	say("moved %lu %lu\n", (uintptr_t)mapped, (uintptr_t)old);
	munmap(mapped + 4096, 4096);
	say("unmap %lu %lu\n", (uintptr_t)mapped + 4096, 4096);
	end = sbrk(12288);
	say("break %lu %lu\n", (uintptr_t)end, (uintptr_t)end + 12288);
	if (brk(end) != 0)
		return 1;
	say("break %lu %lu\n", (uintptr_t)end + 12288, (uintptr_t)end);
	return mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int plugin(const char *name)
{
	void *library = dlopen(name, RTLD_NOW);
	void *(*make_there)(size_t);

	if (library == NULL)
		return 1;
	make_there = (void *(*)(size_t))dlsym(library, "make_there");
	make_there(SITE);
	return dlclose(library);
}

/* As a server does: a child that gives up its user and its root. */
static int drops(int count)
{
	pid_t child = fork();

	if (child == 0) {
		if (chroot("/") != 0 || setresuid(65534, 65534, 65534) != 0)
			_exit(1);
		for (int i = 0; i < count; i++)
			make(SITE);
		_exit(0);
	}
	return child < 0 || waitpid(child, NULL, 0) != child;
}

static int ends(const char *how)
{
	make(SITE);
	if (strcmp(how, "_exit") == 0)
		_exit(0);
	if (strcmp(how, "_Exit") == 0)
		_Exit(0);
	if (strcmp(how, "quick_exit") == 0)
		quick_exit(0);
	if (strcmp(how, "pthread_exit") == 0)
		pthread_exit(NULL);
	if (strcmp(how, "exit") == 0)
		exit(0);
	return 0;
}

int main(int count, char **arguments)
{
	const char *what = arguments[1], *more = count > 2 ? arguments[2] : "0";

	if (strcmp(what, "sizes") == 0)
		return sizes(atoi(more));
	if (strcmp(what, "calls") == 0)
		return calls(atoi(more));
	if (strcmp(what, "killed") == 0)
		return killed(atoi(more));
	if (strcmp(what, "reallocs") == 0)
		return reallocs();
	if (strcmp(what, "forks") == 0)
		return forks(more);
	if (strcmp(what, "threads") == 0)
		return threads(atoi(more));
	if (strcmp(what, "signals") == 0)
		return signals(atoi(more));
	if (strcmp(what, "maps") == 0)
		return maps();
	if (strcmp(what, "plugin") == 0)
		return plugin(more);
	if (strcmp(what, "drops") == 0)
		return drops(atoi(more));
	if (strcmp(what, "ends") == 0)
		return ends(more);
	if (strcmp(what, "executes") == 0) {
		make(SITE);
		execl(arguments[0], arguments[0], "killed", "7", NULL);
	}
	return 2;
}
