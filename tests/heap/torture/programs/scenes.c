/* scenes NAME [ARGUMENT]: what programs do that a library within them must survive, and must not be seen by. What a scene
 * says and how it ends does not depend on time. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static const char *argument;
static void *(*volatile take)(size_t) = malloc;
static atomic_bool done;
static atomic_long total;

static void check(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}
#define CHECK(what) check(what, #what)

/* Takes blocks and gives them back, so many times. */
static void churn(unsigned count)
{
	void *blocks[16] = {NULL};

	for (unsigned i = 0; i < count; i++) {
		free(blocks[i % 16]);
		blocks[i % 16] = take(i * 37 % 700 + 1);
		CHECK(blocks[i % 16] != NULL);
		memset(blocks[i % 16], (int)i, i * 37 % 700 + 1);
	}
	for (unsigned i = 0; i < 16; i++)
		free(blocks[i]);
}

static void *churn_on(void *unused)
{
	while (!done)
		churn(100);
	return unused;
}

static int status_of(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void forks(void)
{
	pthread_t threads[3];
	long sum = 0;

	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, churn_on, NULL) == 0);
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			pid_t grandchild = i % 4 == 0 ? fork() : -1;

			churn(300);
			if (grandchild == 0)
				exit(1);
			if (grandchild > 0)
				CHECK(status_of(grandchild) == 1 << 8);
			if (i % 3 == 0)
				execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
			if (i % 3 == 1)
				_exit(3);
			exit(4);
		}
		sum += status_of(pid);
	}
	done = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("forks %ld\n", sum);
}

/* A fork of which no pthread_atfork handler knows. */
static void raw_forks(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

		CHECK(pid >= 0);
		if (pid == 0) {
			churn(500);
			_exit(i);
		}
		printf("%d\n", status_of(pid) >> 8);
	}
}

static void vforks(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, churn_on, NULL) == 0);
	for (int i = 0; i < 60; i++) {
		pid_t pid = vfork();

		CHECK(pid >= 0);
		if (pid == 0) {
			if (i % 2)
				execl("/bin/sh", "sh", "-c", "exit 9", (char *)NULL);
			_exit(8);
		}
		CHECK(status_of(pid) == (i % 2 ? 9 : 8) << 8);
		churn(50);
	}
	done = true;
	pthread_join(thread, NULL);
	puts("vforks");
}

static pthread_key_t key;

static void farewell(void *value)
{
	free(value);
	churn(3);
	total++;
	if ((uintptr_t)pthread_getspecific(key) == 0 && total % 3 == 0)
		pthread_setspecific(key, take(30)); /* destructors go round again */
}

static void *short_thread(void *unused)
{
	pthread_setspecific(key, take(20));
	churn(20);
	return unused;
}

static void threads(void)
{
	pthread_t all[32];
	pthread_attr_t small;

	CHECK(pthread_key_create(&key, farewell) == 0);
	pthread_attr_init(&small);
	CHECK(pthread_attr_setstacksize(&small, 16384 + 8192) == 0);
	for (int wave = 0; wave < 50; wave++) {
		for (int i = 0; i < 32; i++)
			CHECK(pthread_create(&all[i], wave % 2 ? &small : NULL, short_thread, NULL) == 0);
		for (int i = 0; i < 32; i++)
			pthread_join(all[i], NULL);
	}
	printf("threads %d\n", total >= 1600);
}

static void *cancelled(void *unused)
{
	for (;;) {
		churn(50);
		pthread_testcancel();
	}
	return unused;
}

static void cancels(void)
{
	for (int i = 0; i < 100; i++) {
		pthread_t thread;
		void *result;

		CHECK(pthread_create(&thread, NULL, cancelled, NULL) == 0);
		CHECK(pthread_cancel(thread) == 0);
		pthread_join(thread, &result);
		CHECK(result == PTHREAD_CANCELED);
	}
	puts("cancels");
}

static void plugins(void)
{
	pthread_t thread;
	char path[4096];

	CHECK(pthread_create(&thread, NULL, churn_on, NULL) == 0);
	for (int i = 0; i < 200; i++) {
		void *handle, *(*allocate)(size_t);

		snprintf(path, sizeof(path), "%s/plugin%d.so", argument, i % 2);
		handle = dlopen(path, i % 3 ? RTLD_NOW : RTLD_LAZY);
		CHECK(handle != NULL);
		*(void **)&allocate = dlsym(handle, "allocate");
		for (int n = 1; n < 50; n++)
			free(allocate((size_t)n * 20));
		CHECK(dlopen("/nowhere/at/all.so", RTLD_NOW) == NULL && dlerror() != NULL);
		CHECK(dlclose(handle) == 0);
	}
	done = true;
	pthread_join(thread, NULL);
	puts("plugins");
}

static __attribute__((noinline)) int deep(int n)
{
	volatile char here[16];

	here[n % 16] = (char)n;
	if (n % 500 == 0)
		churn(2);
	return n == 0 ? here[0] : deep(n - 1) + here[n % 16] * 0 + 1;
}

static void recursion(void)
{
	printf("%d\n", deep(50000));
}

static jmp_buf back;
static sigjmp_buf back_from_signal;

static __attribute__((noinline)) void jump(int n)
{
	void *block = take(100);

	if (n == 0) {
		free(block);
		longjmp(back, 1);
	}
	jump(n - 1);
	free(block);
}

static void on_fault(int signal)
{
	churn(3);
	siglongjmp(back_from_signal, signal);
}

static void jumps(void)
{
	struct sigaction action = {.sa_handler = on_fault};
	volatile int count = 0;

	sigaction(SIGSEGV, &action, NULL);
	for (volatile int i = 0; i < 300; i++) {
		if (setjmp(back) == 0)
			jump(20);
		if (sigsetjmp(back_from_signal, 1) == 0)
			*(volatile char *volatile)NULL = 1;
		else
			count++;
		churn(10);
	}
	printf("jumps %d\n", count);
}

static ucontext_t outside, inside_of[8];

static void coroutine(int number)
{
	for (int i = 0; i < 30; i++) {
		churn(20);
		swapcontext(&inside_of[number], &outside);
	}
}

static void coroutines(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 20480;

	for (int i = 0; i < 8; i++) { /* the page below each faults */
		char *stack = mmap(NULL, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(stack != MAP_FAILED && mprotect(stack + page, size, PROT_READ | PROT_WRITE) == 0);
		getcontext(&inside_of[i]);
		inside_of[i].uc_stack.ss_sp = stack + page;
		inside_of[i].uc_stack.ss_size = size;
		inside_of[i].uc_link = &outside;
		makecontext(&inside_of[i], (void (*)(void))coroutine, 1, i);
	}
	for (int round = 0; round < 30; round++)
		for (int i = 0; i < 8; i++)
			swapcontext(&outside, &inside_of[i]);
	puts("coroutines");
}

/* Stacks that end in pages that cannot be read, frame pointers that lead nowhere. */
static void wrong_frames(void)
{
#if defined(__x86_64__)
	static const uintptr_t values[] = {0, 1, 8, 0x1000, UINTPTR_MAX, UINTPTR_MAX - 7, (uintptr_t)1 << 47, (uintptr_t)1 << 63};
	/* push %rbp; mov %rsi, %rbp; sub $16, %rsp... without any table: f(size, frame pointer, malloc) */
	static const unsigned char code[] = {0x55, 0x48, 0x89, 0xf5, 0xff, 0xd2, 0x5d, 0xc3};
	void *(*jitted)(size_t, uintptr_t, void *(*)(size_t));
	unsigned char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t here[4] = {0, 0, 0, 0};

	CHECK(at != MAP_FAILED);
	memcpy(at, code, sizeof(code));
	*(void **)&jitted = at;
	for (int round = 0; round < 100; round++) {
		for (unsigned i = 0; i < sizeof(values) / sizeof(*values); i++)
			free(jitted(50, values[i], take));
		for (int offset = -200000; offset < 200000; offset += 40001)
			free(jitted(50, (uintptr_t)here + (uintptr_t)offset, take));
		here[0] = (uintptr_t)here, here[1] = (uintptr_t)at + 6; /* a frame that is its own caller */
		free(jitted(50, (uintptr_t)here, take));
		here[0] = (uintptr_t)(here + 2), here[1] = (uintptr_t)at + 6, here[2] = (uintptr_t)here, here[3] = here[1];
		free(jitted(50, (uintptr_t)here, take));
	}
#endif
	puts("wrong frames");
}

static int descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = -1;

	if (folder == NULL)
		return -1;
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

static void files(void)
{
	int fd;

	printf("%d\n", descriptors());
	churn(3000);
	printf("%d\n", descriptors());
	fd = open("/dev/null", O_RDONLY);
	printf("%d\n", fd);
	syscall(SYS_close_range, 3, ~0u, 0);
	churn(3000);
	fd = open("/dev/null", O_RDONLY);
	printf("%d\n", fd);
	for (int i = 3; i < 1024; i++)
		close(i);
	churn(3000);
	for (int i = 0; i < 20; i++)
		printf("%d ", dup(1));
	churn(3000);
	printf("%d\n", descriptors());
}

static void places(void)
{
	CHECK(chdir("/") == 0);
	churn(3000);
	if (geteuid() == 0) {
		CHECK(chroot(argument) == 0 && chdir("/") == 0);
		churn(3000);
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	}
	churn(20000);
	puts("places");
}

static void limits(void)
{
	struct rlimit limit = {0, 0};
	void *block;

	if (strcmp(argument, "nofile") == 0) {
		CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	} else if (strcmp(argument, "fsize") == 0) {
		CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	} else {
		limit.rlim_cur = limit.rlim_max = (rlim_t)1 << 26;
		CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
		errno = 0;
		block = take((size_t)1 << 27);
		printf("%d %d\n", block == NULL, errno == ENOMEM);
	}
	churn(20000);
	if (strcmp(argument, "as") == 0) { /* to the very end, and back */
		void **list = NULL, **one;
		long count = 0;

		while ((one = take(2000)) != NULL) {
			*one = list;
			list = one;
			count++;
		}
		while (list != NULL) {
			one = *list;
			free(list);
			list = one;
		}
		printf("%d\n", count > 10000);
	}
	churn(1000);
	puts("limits");
}

/* What a careful program leaves itself. Everything else ends it, or fails. */
static void sandbox(void)
{
	static const int allowed[] = {SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_write, SYS_futex, SYS_exit_group,
				      SYS_exit, SYS_rt_sigreturn, SYS_newfstatat, SYS_fstat, SYS_madvise, SYS_getrandom};
	size_t count = sizeof(allowed) / sizeof(*allowed);
	struct sock_filter filter[40] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	struct sock_fprog program = {.filter = filter};
	unsigned short n = 1;

	for (size_t i = 0; i < count; i++) {
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(
		BPF_RET | BPF_K, strcmp(argument, "kill") == 0 ? SECCOMP_RET_KILL_PROCESS : (SECCOMP_RET_ERRNO | EPERM));
	program.len = n;
	churn(1000);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (strcmp(argument, "kill") == 0)
		CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
	else
		CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
	churn(30000);
	puts("sandbox");
	fflush(stdout);
}

static void daemon_scene(void)
{
	int tell[2];
	char byte = 0;
	pid_t pid;

	CHECK(pipe(tell) == 0);
	pid = fork();
	if (pid == 0) {
		churn(100);
		setsid();
		if (fork() != 0)
			_exit(0);
		CHECK(chdir("/") == 0);
		umask(0);
		for (int i = 0; i < 1024; i++)
			if (i != tell[1])
				close(i);
		open("/dev/null", O_RDWR);
		churn(5000);
		byte = 'd';
		exit(write(tell[1], &byte, 1) == 1 ? 0 : 1);
	}
	close(tell[1]);
	CHECK(status_of(pid) == 0);
	CHECK(read(tell[0], &byte, 1) == 1);
	printf("daemon %c\n", byte);
}

static void maps(void)
{
	char line[4096];
	long lines = 0, ours = 0;
	FILE *file = fopen("/proc/self/maps", "r");

	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL) {
		lines++;
		ours += strstr(line, "scenes") != NULL;
	}
	fclose(file);
	printf("maps %d %d\n", lines > 10, ours > 2);
}

static void late(void)
{
	churn(200);
	write(1, "late\n", 5);
}

static void endings(void)
{
	atexit(late);
	churn(100);
	if (strcmp(argument, "abort") == 0)
		abort();
	if (strcmp(argument, "segv") == 0)
		*(volatile char *volatile)NULL = 1;
	if (strcmp(argument, "kill") == 0)
		raise(SIGKILL);
	if (strcmp(argument, "quick") == 0)
		quick_exit(11);
	if (strcmp(argument, "_exit") == 0)
		_exit(12);
	if (strcmp(argument, "exit_group") == 0)
		syscall(SYS_exit_group, 13);
	if (strcmp(argument, "thread") == 0) {
		CHECK(pthread_key_create(&key, free) == 0);
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0);
		pthread_exit(NULL);
	}
	exit(14);
}

static atomic_long handled;

static void on_tick(int signal)
{
	int saved = errno;

	(void)signal;
	churn(4);
	handled++;
	errno = saved;
}

/* Linked with an allocator that may be interrupted (safe.c), so that signals come in the midst of everything else. */
static void signals(void)
{
	struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
	struct itimerval each = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
	pthread_t thread;

	sigaction(SIGALRM, &action, NULL);
	CHECK(pthread_create(&thread, NULL, churn_on, NULL) == 0);
	setitimer(ITIMER_REAL, &each, NULL);
	while (handled < 1500)
		churn(50);
	setitimer(ITIMER_REAL, &never, NULL);
	done = true;
	pthread_join(thread, NULL);
	puts("signals");
}

static const struct {
	const char *name;
	void (*play)(void);
} scenes[] = {
	{"forks", forks},
	{"raw_forks", raw_forks},
	{"vforks", vforks},
	{"threads", threads},
	{"cancels", cancels},
	{"plugins", plugins},
	{"recursion", recursion},
	{"jumps", jumps},
	{"coroutines", coroutines},
	{"wrong_frames", wrong_frames},
	{"files", files},
	{"places", places},
	{"limits", limits},
	{"sandbox", sandbox},
	{"daemon", daemon_scene},
	{"maps", maps},
	{"endings", endings},
	{"signals", signals},
};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0); /* what a scene says is not said again by its children */
	argument = argc > 2 ? argv[2] : "";
	for (size_t i = 0; argc > 1 && i < sizeof(scenes) / sizeof(*scenes); i++)
		if (strcmp(argv[1], scenes[i].name) == 0) {
			scenes[i].play();
			return 0;
		}
	return 2;
}
