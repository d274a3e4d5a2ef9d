/* toucher VERB...: touches memory for the first time, each amount in a function of its own, and tells first where these
 * functions are: "NAME ADDRESS" a line, in the file's own terms, then "end ADDRESS" of none of them.
 *
 *   memset MIB, stores MIB, small MIB   what malloc gave, by memset; what mmap gave; blocks of 48 bytes
 *   deep MIB                            memset, 40 calls deep
 *   thread VERB MIB, fork VERB MIB      the same in a thread, in a child
 *   read MIB, populate MIB              by the kernel: read(2), MAP_POPULATE
 *   file MIB                            a file of so much that is mapped */
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define STAYS __asm__ volatile("") /* no call before it is the last thing that its function does */

static char *volatile kept;

static NOINLINE char *mapped(size_t bytes, int flags)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (at == MAP_FAILED)
		exit(9);
	kept = at;
	STAYS;
	return at;
}

static NOINLINE void by_memset(size_t bytes)
{
	kept = malloc(bytes);
	memset(kept, 1, bytes);
	STAYS;
}

static NOINLINE void by_stores(size_t bytes)
{
	char *at = mapped(bytes, 0);

	for (size_t i = 0; i < bytes; i += 4096)
		((volatile char *)at)[i] = 1;
	STAYS;
}

static NOINLINE void by_small(size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64) {
		kept = malloc(48);
		kept[0] = 1;
	}
	STAYS;
}

static NOINLINE int by_deep(size_t bytes, int depth)
{
	volatile char room[100] = {(char)depth};

	if (depth > 0)
		return by_deep(bytes, depth - 1) + room[0];
	by_memset(bytes);
	return room[0];
}

static NOINLINE void by_read(size_t bytes)
{
	int fd = open("/dev/zero", O_RDONLY);
	char *at = mapped(bytes, 0);

	for (size_t done = 0; done < bytes;) {
		ssize_t n = read(fd, at + done, bytes - done);

		if (n <= 0)
			exit(9);
		done += (size_t)n;
	}
	close(fd);
	STAYS;
}

static NOINLINE void by_populate(size_t bytes)
{
	mapped(bytes, MAP_POPULATE);
	STAYS;
}

static NOINLINE void by_file(size_t bytes)
{
	FILE *file = tmpfile();
	int sum = 0;

	if (!file || ftruncate(fileno(file), (off_t)bytes) != 0)
		exit(9);
	volatile char *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fileno(file), 0);

	for (size_t i = 0; i < bytes; i += 4096)
		sum += at[i];
	kept = (char *)(uintptr_t)(sum + 1);
	STAYS;
}

static const struct {
	const char *name;
	void (*touch)(size_t);
} verbs[] = {{"memset", by_memset}, {"stores", by_stores}, {"small", by_small},
	     {"read", by_read},	    {"populate", by_populate}, {"file", by_file}};

static void touch(const char *verb, size_t bytes)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(verb, verbs[i].name) == 0)
			verbs[i].touch(bytes);
	STAYS;
}

struct errand {
	const char *verb;
	size_t bytes;
};

static NOINLINE void *in_thread(void *arg)
{
	const struct errand *e = arg;

	touch(e->verb, e->bytes);
	STAYS;
	return NULL;
}

static NOINLINE void in_child(const struct errand *e)
{
	pid_t pid = fork();

	if (pid == 0) {
		touch(e->verb, e->bytes);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	STAYS;
}

static int first(struct dl_phdr_info *info, size_t size, void *bias)
{
	(void)size;
	*(uintptr_t *)bias = info->dlpi_addr;
	return 1;
}

/* Linkers keep the order of a file's sections. */
__attribute__((section(".text.toucher_end"), noinline)) static void after_all(void)
{
	STAYS;
}

int main(int argc, char **argv)
{
	uintptr_t bias = 0;

	dl_iterate_phdr(first, &bias);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		printf("%s %lu\n", verbs[i].name, (unsigned long)((uintptr_t)verbs[i].touch - bias));
	printf("deep %lu\nthread %lu\nfork %lu\nmapped %lu\ntouch %lu\nmain %lu\nend %lu\n", (unsigned long)((uintptr_t)by_deep - bias),
	       (unsigned long)((uintptr_t)in_thread - bias), (unsigned long)((uintptr_t)in_child - bias),
	       (unsigned long)((uintptr_t)mapped - bias), (unsigned long)((uintptr_t)touch - bias),
	       (unsigned long)((uintptr_t)main - bias), (unsigned long)((uintptr_t)after_all - bias));
	fflush(stdout);
	for (int i = 1; i + 1 < argc; i++) {
		int thread = strcmp(argv[i], "thread") == 0, child = strcmp(argv[i], "fork") == 0;

		if (thread || child)
			i++;
		struct errand e = {argv[i], (size_t)strtoul(argv[i + 1], NULL, 10) << 20};
		pthread_t id;

		i++;
		if (thread) {
			if (pthread_create(&id, NULL, in_thread, &e) != 0)
				return 9;
			pthread_join(id, NULL);
		} else if (child) {
			in_child(&e);
		} else if (strcmp(e.verb, "deep") == 0) {
			by_deep(e.bytes, 40);
		} else {
			touch(e.verb, e.bytes);
		}
	}
	return 0;
}
