/* How a truth program learns its own exact memory, and reports it.
 *
 * A program that reaches its peak calls truth_peak(). That walks the program's own page tables
 * (/proc/thread-self/smaps_rollup: the kernel adds up what is mapped, page by page, and touches none of its
 * approximate counters) and appends one line to the file that HW_TRUTH names:
 *
 *     image pid=17 name=grow peak_rss_bytes=68157440 anon_bytes=67272704
 *
 * The walk must not change what it measures. So nothing here allocates, every buffer is static, and truth_warm()
 * does the whole walk and report, with a write of no bytes, until two walks in a row agree: by then every page that
 * the report needs is mapped. What a program does after its peak (freeing, leaving) goes on after memory was given
 * back, or by truth_leave() or truth_exec(), which need no page that is not mapped yet.
 *
 * Nobody else adds to a peak that was stated: khugepaged, which fills up huge pages of others where they are allowed
 * (/sys/kernel/mm/transparent_hugepage/enabled), is kept out from the statement on, until the next image begins.
 * The memory that was taken before keeps the huge pages that it has.
 *
 * There is no libc in here, only system calls: the same header serves programs linked with glibc, with musl, with
 * nothing, and 32-bit ones for which the machine has no libc.
 *
 * thread-self, not self: when the first thread has ended, /proc/self leads to a process without memory. */
#ifndef HW_TRUTH_H
#define HW_TRUTH_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
enum { SYS_READ = 0, SYS_WRITE = 1, SYS_CLOSE = 3, SYS_MUNMAP = 11, SYS_NANOSLEEP = 35, SYS_GETPID = 39,
       SYS_EXECVE = 59, SYS_PRCTL = 157, SYS_EXIT_GROUP = 231, SYS_OPENAT = 257, SYS_MMAP = 9 };
static inline long truth_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__i386__)
/* mmap is the old call that takes its six arguments in memory: the sixth register is the frame pointer. */
enum { SYS_READ = 3, SYS_WRITE = 4, SYS_CLOSE = 6, SYS_MUNMAP = 91, SYS_NANOSLEEP = 162, SYS_GETPID = 20,
       SYS_EXECVE = 11, SYS_PRCTL = 172, SYS_EXIT_GROUP = 252, SYS_OPENAT = 295, SYS_MMAP = 90 };
static inline long truth_call(long number, long a, long b, long c, long d, long e, long f)
{
	long six[6] = {a, b, c, d, e, f};
	long result;

	if (number == SYS_MMAP)
		a = (long)six;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return result;
}
#elif defined(__aarch64__)
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_CLOSE = 57, SYS_MUNMAP = 215, SYS_NANOSLEEP = 101, SYS_GETPID = 172,
       SYS_EXECVE = 221, SYS_PRCTL = 167, SYS_EXIT_GROUP = 94, SYS_OPENAT = 56, SYS_MMAP = 222 };
static inline long truth_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#elif defined(__arm__)
/* mmap is mmap2, which counts its offset in pages: it is 0 here. */
enum { SYS_READ = 3, SYS_WRITE = 4, SYS_CLOSE = 6, SYS_MUNMAP = 91, SYS_NANOSLEEP = 162, SYS_GETPID = 20,
       SYS_EXECVE = 11, SYS_PRCTL = 172, SYS_EXIT_GROUP = 248, SYS_OPENAT = 322, SYS_MMAP = 192 };
static inline long truth_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r7 __asm__("r7") = number;
	register long r0 __asm__("r0") = a;
	register long r1 __asm__("r1") = b;
	register long r2 __asm__("r2") = c;
	register long r3 __asm__("r3") = d;
	register long r4 __asm__("r4") = e;
	register long r5 __asm__("r5") = f;

	__asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5) : "memory");
	return r0;
}
#else
#error "the truth programs know the system calls of x86-64, i386, aarch64 and 32-bit Arm"
#endif

enum { TRUTH_AT_FDCWD = -100, TRUTH_APPEND = 02000 | 0100 | 01, TRUTH_MIB = 1 << 20, TRUTH_ARGUMENTS = 1 << 17,
       TRUTH_SET_THP_DISABLE = 41, TRUTH_GET_THP_DISABLE = 42 };

/* What one walk saw. */
struct truth_walk {
	size_t rss_bytes;
	size_t anon_bytes;     /* anonymous pages, also those shared with a forked process */
	size_t pss_anon_bytes; /* the same, each divided by the number of processes that map it */
};

static const char *truth_file;	  /* HW_TRUTH: where to report; standard output without it */
static char **truth_environment;
static const char *truth_hold_at; /* HW_TRUTH_HOLD: a pipe to read from before the peak is left */
static const char *truth_watcher; /* HW_TRUTH_WATCHER: a process that looks on, whose looks to wait for at the peak */
static struct truth_walk truth_most; /* of this image so far */
static char truth_text[8192];
static char truth_line[512];

static inline void truth_leave(int status)
{
	for (;;)
		truth_call(SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0);
}

/* The same program again, with these arguments: libc's execve would bring in a page of libc, above the peak. */
static inline void truth_exec(char **arguments)
{
	truth_call(SYS_EXECVE, (long)"/proc/self/exe", (long)arguments, (long)truth_environment, 0, 0, 0);
	truth_leave(127);
}

static inline int truth_open(const char *path, int flags)
{
	return (int)truth_call(SYS_OPENAT, TRUTH_AT_FDCWD, (long)path, flags, 0666, 0, 0);
}

static inline void truth_close(int fd)
{
	truth_call(SYS_CLOSE, fd, 0, 0, 0, 0, 0);
}

static inline const char *truth_after(const char *text, const char *prefix)
{
	while (*prefix != '\0')
		if (*text++ != *prefix++)
			return NULL;
	return text;
}

/* Room for a number that comes from the command line. */
static inline size_t truth_number(const char *digits)
{
	size_t number = 0;

	while (*digits >= '0' && *digits <= '9')
		number = 10 * number + (size_t)(*digits++ - '0');
	return number;
}

/* From here on no fault and no khugepaged makes huge pages of this memory map. prctl waits for who is about to make
 * one, and who comes later asks again once the map is its own (hugepage_vma_revalidate() of mm/khugepaged.c). When not
 * `really`, only the way is gone. */
static inline void truth_settle(int really)
{
	truth_call(SYS_PRCTL, really ? TRUTH_SET_THP_DISABLE : TRUTH_GET_THP_DISABLE, really, 0, 0, 0, 0);
}

static inline void truth_begin(char **environment)
{
	const char *value;

	truth_call(SYS_PRCTL, TRUTH_SET_THP_DISABLE, 0, 0, 0, 0, 0); /* execve hands it on */
	truth_environment = environment;
	for (; *environment != NULL; environment++) {
		value = truth_after(*environment, "HW_TRUTH=");
		if (value != NULL)
			truth_file = value;
		value = truth_after(*environment, "HW_TRUTH_HOLD=");
		if (value != NULL)
			truth_hold_at = value;
		value = truth_after(*environment, "HW_TRUTH_WATCHER=");
		if (value != NULL)
			truth_watcher = value;
	}
}

static inline char *truth_put(char *at, const char *text)
{
	while (*text != '\0')
		*at++ = *text++;
	return at;
}

static inline char *truth_put_number(char *at, size_t number)
{
	char digits[24];
	int count = 0;

	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

/* The bytes of one field of smaps_rollup; leaves with status 90 where the kernel has no such field, because a
 * program that does not know its truth must not be taken for one that does. */
static inline size_t truth_field(const char *text, const char *name)
{
	const char *value = NULL;

	while (*text != '\0' && value == NULL) {
		value = truth_after(text, name);
		while (*text != '\0' && *text++ != '\n')
			;
	}
	if (value == NULL)
		truth_leave(90);
	while (*value == ' ')
		value++;
	return truth_number(value) * 1024;
}

static inline struct truth_walk truth_walk_of(const char *smaps_rollup)
{
	struct truth_walk walk;
	int fd = truth_open(smaps_rollup, 0);
	long count = truth_call(SYS_READ, fd, (long)truth_text, sizeof truth_text - 1, 0, 0, 0);

	if (fd < 0 || count <= 0)
		truth_leave(91);
	truth_close(fd);
	truth_text[count] = '\0';
	walk.rss_bytes = truth_field(truth_text, "Rss:");
	walk.anon_bytes = truth_field(truth_text, "Anonymous:");
	walk.pss_anon_bytes = truth_field(truth_text, "Pss_Anon:");
	return walk;
}

static inline struct truth_walk truth_walk(void)
{
	return truth_walk_of("/proc/thread-self/smaps_rollup");
}

/* The same resident set, mapping by mapping. In Linux 6.1 to 6.9 the walk of smaps_rollup leaves mappings out as long as
 * somebody waits for the map, which khugepaged may for many milliseconds: it hands the map over between two of them, and
 * goes on behind the next one (show_smaps_rollup() of fs/proc/task_mmu.c; 6.1 has that still). Here all have their lines.
 */
static inline size_t truth_rss_of_mappings(void)
{
	int fd = truth_open("/proc/thread-self/smaps", 0);
	size_t sum = 0;
	long count;

	while ((count = truth_call(SYS_READ, fd, (long)truth_text, sizeof truth_text - 1, 0, 0, 0)) > 0) {
		truth_text[count] = '\0';
		for (const char *at = truth_text; *at != '\0';) {
			const char *value = truth_after(at, "Rss:");

			while (value != NULL && *value == ' ')
				value++;
			if (value != NULL)
				sum += truth_number(value) * 1024;
			while (*at != '\0' && *at++ != '\n')
				;
		}
	}
	if (fd < 0 || count < 0)
		truth_leave(86);
	truth_close(fd);
	return sum;
}

/* Appends `length` bytes of truth_line in one write, so that lines of several processes never mix. */
static inline void truth_append(size_t length)
{
	int fd = truth_file == NULL ? 1 : truth_open(truth_file, TRUTH_APPEND);

	if (truth_call(SYS_WRITE, fd, (long)truth_line, (long)length, 0, 0, 0) != (long)length)
		truth_leave(92);
	if (fd != 1)
		truth_close(fd);
}

/* Blocks until the pipe of HW_TRUTH_HOLD ends: time for somebody else to count the same pages. */
static inline void truth_hold(int really)
{
	char byte;
	int fd;

	if (truth_hold_at == NULL)
		return;
	fd = truth_open(really ? truth_hold_at : "/dev/null", 0);
	truth_call(SYS_READ, fd, (long)&byte, 1, 0, 0, 0);
	truth_close(fd);
}

static inline void truth_sleep(long milliseconds)
{
	long time[2] = {milliseconds / 1000, milliseconds % 1000 * 1000000};

	while (truth_call(SYS_NANOSLEEP, (long)time, (long)time, 0, 0, 0, 0) == -4)
		;
}

/* How often the watcher fell asleep so far; no more than that once it is gone. */
static inline size_t truth_looks(size_t before)
{
	char path[64];
	char *end = truth_put(path, "/proc/");
	long count;
	int fd;

	end = truth_put(end, truth_watcher);
	end = truth_put(end, "/status");
	*end = '\0';
	fd = truth_open(path, 0);
	count = fd < 0 ? 0 : truth_call(SYS_READ, fd, (long)truth_text, sizeof truth_text - 1, 0, 0, 0);
	truth_close(fd);
	if (count <= 0)
		return before;
	truth_text[count] = '\0';
	return truth_field(truth_text, "voluntary_ctxt_switches:\t") / 1024;
}

/* Stays at the peak until the watcher has fallen asleep so often that it must have looked some times meanwhile: on a
 * machine that is emulated this takes a time that nobody can tell beforehand. Not for ever. */
static __attribute__((noinline, unused)) void truth_linger(int really) /* one copy: warm is warm */
{
	size_t at_first = 0;

	if (truth_watcher == NULL)
		return;
	at_first = truth_looks(0);
	for (int tries = 0; tries < (really ? 2000 : 1); tries++) {
		truth_sleep(really ? 5 : 0);
		if (truth_looks(at_first) >= at_first + 80)
			break;
	}
}

/* States the largest walk of the image: one that left something out (truth_rss_of_mappings()) never was the peak. */
static inline struct truth_walk truth_say(const char *name, int really)
{
	struct truth_walk walk;
	char *end = truth_line;

	truth_settle(really);
	walk = truth_walk();
	if (walk.rss_bytes > truth_most.rss_bytes)
		truth_most = walk;
	else
		walk = truth_most;
	end = truth_put(end, "image pid=");
	end = truth_put_number(end, (size_t)truth_call(SYS_GETPID, 0, 0, 0, 0, 0, 0));
	end = truth_put(end, " name=");
	end = truth_put(end, name);
	end = truth_put(end, " peak_rss_bytes=");
	end = truth_put_number(end, walk.rss_bytes);
	end = truth_put(end, " anon_bytes=");
	end = truth_put_number(end, walk.anon_bytes);
	end = truth_put(end, "\n");
	truth_append(really ? (size_t)(end - truth_line) : 0);
	return walk;
}

static inline void truth_warm(const char *name)
{
	size_t before;
	size_t now = 0;
	int tries = 0;

	do {
		before = now;
		truth_sleep(tries > 2 ? 1 : 0); /* who waits for the map may need this CPU */
		now = truth_say(name, 0).rss_bytes;
		truth_hold(0);
		truth_linger(0);
		if (tries++ > 1000)
			truth_leave(87);
	} while (now != before || now < truth_rss_of_mappings());
}

/* One walk and its report, for a peak that must stay short: truth_warm() was called before it. */
static inline void truth_peak_once(const char *name)
{
	truth_say(name, 1);
	truth_hold(1);
}

static inline void truth_peak(const char *name)
{
	truth_settle(1);
	truth_warm(name);
	truth_peak_once(name);
	truth_linger(1);
}

/* Memory of its own: `flags` is 0x22 for private anonymous memory, or what mmap takes. */
static inline char *truth_map(size_t bytes, int flags, int fd)
{
	long address = truth_call(SYS_MMAP, 0, (long)bytes, 3, flags, fd, 0);

	if (address < 0 && address > -4096)
		truth_leave(93);
	return (char *)address;
}

static inline void truth_touch(char *memory, size_t bytes, int value)
{
	volatile char *at = memory;

	for (size_t offset = 0; offset < bytes; offset += 4096)
		at[offset] = (char)value;
}

static inline char *truth_take(size_t bytes)
{
	char *memory = truth_map(bytes, 0x22, -1);

	truth_touch(memory, bytes, 1);
	return memory;
}

/* The same in one call, which is faster than a fault for each page: MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE. */
static inline char *truth_take_at_once(size_t bytes)
{
	return truth_map(bytes, 0x8022, -1);
}

static inline void truth_drop(char *memory, size_t bytes)
{
	truth_call(SYS_MUNMAP, (long)memory, (long)bytes, 0, 0, 0, 0);
}

/* One byte from a pipe, or its end. */
static inline int truth_read_byte(int fd)
{
	char byte;
	long count;

	do
		count = truth_call(SYS_READ, fd, (long)&byte, 1, 0, 0, 0);
	while (count == -4);
	return (int)count;
}

#endif
