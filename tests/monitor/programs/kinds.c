/* kinds FILE: takes memory of each kind, and tells where; then, with each line that it reads, ballast. Ends with the end of its input.
 *
 * Output: "KIND ADDRESS BYTES" lines (BYTES are resident), then "ready"; "grown" after each ballast. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <unistd.h>

#define MIB (size_t)(1 << 20)
#define STACKS 8
#define STACK_SIZE (3 * MIB)

static pthread_barrier_t touched;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void tell(const char *kind, const void *at, size_t bytes)
{
	printf("%s %lx %zu\n", kind, (unsigned long)(uintptr_t)at, bytes);
}

/* A mapping that no neighbour is merged with: a page on each side is inaccessible. */
static char *apart(size_t size, int flags, int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *room = mmap(NULL, size + 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *at;

	must(room != MAP_FAILED, "mmap");
	at = mmap(room + 2 * page, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	must(at != MAP_FAILED, "mmap");
	return at;
}

static char *anonymous(size_t size, int flags)
{
	return apart(size, flags | MAP_ANONYMOUS, -1);
}

static void heap(void)
{
	char *at = sbrk((intptr_t)(50 * MIB));

	must(at != (void *)-1, "sbrk");
	memset(at, 1, 50 * MIB);
	tell("heap", at, 50 * MIB);
}

static void huge(void)
{
	char *room = anonymous(6 * MIB, MAP_PRIVATE), *at = (char *)(((uintptr_t)room + 2 * MIB - 1) & ~(uintptr_t)(2 * MIB - 1));

	madvise(room, 6 * MIB, MADV_HUGEPAGE);
	*at = 1; /* one byte, 2 MiB where the kernel has huge pages */
	tell("huge", room, 0);
}

static void named(void)
{
	char *at = anonymous(6 * MIB, MAP_PRIVATE);

	memset(at, 1, 6 * MIB);
	/* PR_SET_VMA, PR_SET_VMA_ANON_NAME: since Linux 5.17, where it is configured */
	tell(prctl(0x53564d41, 0, at, 6 * MIB, "my pool") == 0 ? "named" : "unnamed", at, 6 * MIB);
}

static void lazily_freed(void)
{
	char *at = anonymous(32 * MIB, MAP_PRIVATE);

	memset(at, 1, 32 * MIB);
	tell(madvise(at, 32 * MIB, MADV_FREE) == 0 ? "lazy" : "unnamed", at, 32 * MIB);
}

static void file(const char *path)
{
	static char piece[1 << 20];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	volatile char *at;

	must(fd >= 0, path);
	memset(piece, 1, sizeof(piece));
	for (int i = 0; i < 40; i++)
		must(write(fd, piece, sizeof(piece)) == sizeof(piece), "write");
	at = apart(40 * MIB, MAP_PRIVATE, fd);
	for (size_t i = 0; i < 40 * MIB; i += 4096)
		(void)at[i];
	for (size_t i = 0; i < 5 * MIB; i += 4096)
		at[i] = 2; /* no longer the file's */
	tell("file", (const void *)at, 40 * MIB);
	close(fd);
}

static int memfd(const char *name, size_t size)
{
	static char piece[1 << 20];
	int fd = memfd_create(name, MFD_CLOEXEC);

	must(fd >= 0, "memfd_create");
	memset(piece, 1, sizeof(piece));
	for (size_t i = 0; i < size; i += MIB)
		must(write(fd, piece, sizeof(piece)) == sizeof(piece), "write");
	return fd;
}

static void shared(void)
{
	char *at = anonymous(4 * MIB, MAP_SHARED);
	int id = shmget(IPC_PRIVATE, 2 * MIB, 0600);

	memset(at, 1, 4 * MIB);
	tell("shared", at, 4 * MIB);
	at = apart(8 * MIB, MAP_SHARED, memfd("mapped", 12 * MIB));
	for (size_t i = 0; i < 8 * MIB; i += 4096)
		(void)*(volatile char *)(at + i);
	tell("memfd", at, 8 * MIB); /* of 12 */
	memfd("written", 24 * MIB);
	if (id < 0)
		return;
	at = shmat(id, NULL, 0);
	must(at != (void *)-1, "shmat");
	shmctl(id, IPC_RMID, NULL);
	memset(at, 1, 2 * MIB);
	tell("sysv", at, 2 * MIB);
}

static void *thread(void *unused)
{
	char stack[1 << 20];

	memset(stack, 1, sizeof(stack));
	__asm__ volatile("" : : "r"(stack) : "memory");
	pthread_barrier_wait(&touched);
	pause();
	return unused;
}

static void threads(void)
{
	pthread_attr_t attr;
	pthread_t id;

	pthread_barrier_init(&touched, NULL, STACKS + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (int i = 0; i < STACKS; i++)
		must(pthread_create(&id, &attr, thread, NULL) == 0, "pthread_create");
	pthread_barrier_wait(&touched);
}

static int deeper(int depth)
{
	volatile char frame[64 * 1024];

	memset((char *)frame, depth, sizeof(frame));
	return depth == 0 ? frame[0] : deeper(depth - 1) + frame[1];
}

int main(int argc, char **argv)
{
	must(argc == 2, "usage");
	setvbuf(stdout, NULL, _IONBF, 0);
	heap();
	named();
	huge();
	lazily_freed();
	file(argv[1]);
	shared();
	threads();
	(void)deeper(48); /* 3 MiB */
	puts("ready");
	while (getchar() != EOF) {
		tell("ballast", anonymous(96 * MIB, MAP_PRIVATE | MAP_POPULATE), 96 * MIB);
		puts("grown");
	}
	_exit(0);
}
