/* The rings of the kernel's perf events: one a CPU, each with the events of the whole tree on that CPU.
 *
 * The event is opened on the command while it is held before its execve, with inherit: every descendant is covered
 * from its birth (the kernel maps rings of inherited events only where each is bound to a CPU, perf_mmap()). It is the
 * tracepoint of memory counters (--exact), or page faults, each Nth with registers and stack (--faults). Records of all rings are handed out in the order of their times (CLOCK_MONOTONIC, as ours),
 * up to a horizon: what is stamped earlier than the moment at which the first ring's head was read is in its ring. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

#define ALL_RINGS (UINT64_C(64) << 20) /* bytes of all together, at most */
#define LARGEST_RING (UINT64_C(4) << 20)
#define LARGEST_RING_OF_FAULTS (UINT64_C(8) << 20)
#define SMALLEST_RING (UINT64_C(32) << 10)
#define LONGEST_RECORD 65536
#define LONGEST_STACK (16U << 10)
#define SHORTEST_STACK (4U << 10)
#define FREQUENT 16 /* faults between two samples */
#define NEARLY_FULL 4096 /* what is missing when the next record may not fit */
#define FORMAT "events/kmem/rss_stat/format"

/* perf_event_open(2). musl's compiler does not find the kernel's headers, so what is used of them stands here. */
enum { TYPE_SOFTWARE = 1, TYPE_TRACEPOINT = 2, FLAG_CLOEXEC = 8, COUNT_PAGE_FAULTS = 2 };
enum {
	SAMPLE_TID = 1 << 1,
	SAMPLE_TIME = 1 << 2,
	SAMPLE_ADDR = 1 << 3,
	SAMPLE_CALLCHAIN = 1 << 5,
	SAMPLE_CPU = 1 << 7,
	SAMPLE_RAW = 1 << 10,
	SAMPLE_REGS_USER = 1 << 12,
	SAMPLE_STACK_USER = 1 << 13
};
enum { FORMAT_LOST = 1 << 4 /* since Linux 6.0 */ };
struct perf_attr { /* struct perf_event_attr, PERF_ATTR_SIZE_VER4 */
	uint32_t type, size;
	uint64_t config, sample_period, sample_type, read_format;
	uint64_t disabled : 1, inherit : 1, pinned : 1, exclusive : 1, exclude_user : 1, exclude_kernel : 1,
		exclude_hv : 1, exclude_idle : 1, mmap : 1, comm : 1, freq : 1, inherit_stat : 1, enable_on_exec : 1,
		task : 1, watermark : 1, precise_ip : 2, mmap_data : 1, sample_id_all : 1, exclude_host : 1,
		exclude_guest : 1, exclude_callchain_kernel : 1, exclude_callchain_user : 1, mmap2 : 1, comm_exec : 1,
		use_clockid : 1, rest : 38;
	uint32_t wakeup_watermark, bp_type;
	uint64_t config1, config2, branch_sample_type, sample_regs_user;
	uint32_t sample_stack_user;
	int32_t clockid;
	uint64_t sample_regs_intr;
};
_Static_assert(sizeof(struct perf_attr) == 104, "as the kernel has it");
struct ring_head { /* struct perf_event_mmap_page, as far as it is used */
	unsigned char other[1024];
	volatile uint64_t data_head, data_tail;
};
struct record_head {
	uint32_t type;
	uint16_t misc, size;
};

struct ring {
	int fd;
	struct ring_head *page;
	const unsigned char *data;
	uint64_t head, tail;
	int64_t lost, told; /* records: as far as is known, and as records say, which come late */
	bool counts; /* read(2) tells how many, at once (PERF_FORMAT_LOST) */
	bool was_full;
	struct event next;
	bool has_next;
	uint64_t next_at;	/* where its record begins: it is kept until it was handed out */
	unsigned char *copy;    /* of a record that lies across the ring's end */
};

static struct ring *rings;
static struct pollfd *polled; /* one a ring, and one for signals */
static size_t count;
static uint64_t size;
static struct rss_format format;
static struct rings_faults *faults; /* what of faults is to be sampled; NULL: the tracepoint */
static struct ring *handed_out;

/* ---- what is to be opened ---- */

static bool read_format(int dir, const char *path)
{
	char text[4096];
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 0 && parse_rss_format(text, (size_t)n, &format);
}

/* Where tracefs is mounted nowhere, root can look into it through a mount that is attached nowhere: nobody sees it, and
 * it is gone when its descriptor is closed (fsopen(2), since Linux 5.2; the tracepoint came with 5.5). */
static bool read_format_unmounted(void)
{
#if defined(SYS_fsopen) && defined(SYS_fsconfig) && defined(SYS_fsmount)
	enum { CREATE = 6 /* FSCONFIG_CMD_CREATE */, CLOEXEC = 1 };
	int context = (int)syscall(SYS_fsopen, "tracefs", CLOEXEC), mount = -1;
	bool found = false;

	if (context < 0)
		return false;
	if (syscall(SYS_fsconfig, context, CREATE, NULL, NULL, 0) == 0)
		mount = (int)syscall(SYS_fsmount, context, CLOEXEC, 0);
	if (mount >= 0) {
		found = read_format(mount, FORMAT);
		close(mount);
	}
	close(context);
	return found;
#else
	return false;
#endif
}

static bool find_format(void)
{
	return read_format(AT_FDCWD, "/sys/kernel/tracing/" FORMAT) ||
	       read_format(AT_FDCWD, "/sys/kernel/debug/tracing/" FORMAT) || read_format_unmounted();
}

static bool may_perfmon(void)
{
	enum { SYS_ADMIN = 21, PERFMON = 38 }; /* linux/capability.h; CAP_PERFMON since Linux 5.8 */
	char text[4096];
	ssize_t n = read_file("/proc/self/status", text, sizeof(text) - 1);
	const char *at;

	text[n > 0 ? n : 0] = 0;
	at = strstr(text, "CapEff:");
	unsigned long long caps = at ? strtoull(at + strlen("CapEff:"), NULL, 16) : 0;

	return caps >> PERFMON & 1 || caps >> SYS_ADMIN & 1;
}

static int paranoid(void)
{
	char text[32];
	ssize_t n = read_file("/proc/sys/kernel/perf_event_paranoid", text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	return n > 0 ? atoi(text) : -2;
}

/* ---- opening ---- */

/* A copy of the stack in each sample: the larger the rings, the more of it. Where samples follow each other at once, as
 * many as can be must fit in until we come to read them. */
static uint32_t stack_bytes(void)
{
	uint64_t bytes = faults->period < FREQUENT ? 0 : size / 64;

	return (uint32_t)(bytes > LONGEST_STACK ? LONGEST_STACK : bytes < SHORTEST_STACK ? SHORTEST_STACK : bytes);
}

static void ask_for_faults(struct perf_attr *attr)
{
	attr->type = TYPE_SOFTWARE;
	attr->config = COUNT_PAGE_FAULTS;
	attr->sample_period = faults->period;
	attr->sample_type = SAMPLE_TID | SAMPLE_TIME | SAMPLE_ADDR | SAMPLE_CPU;
	if (faults->registers) {
		attr->sample_type |= SAMPLE_REGS_USER | SAMPLE_STACK_USER;
		attr->sample_regs_user = faults->registers;
		attr->sample_stack_user = stack_bytes();
	} else {
		attr->sample_type |= SAMPLE_CALLCHAIN;
		attr->exclude_callchain_kernel = 1;
	}
	attr->exclude_kernel = !faults->kernel;
	attr->disabled = attr->enable_on_exec = 1;
	attr->mmap = attr->mmap2 = attr->mmap_data = 1;
}

static int open_event(pid_t pid, int cpu, bool *counts)
{
	struct perf_attr attr = {
		.type = TYPE_TRACEPOINT, .size = sizeof(attr), .config = (uint64_t)format.id, .sample_period = 1,
		.sample_type = SAMPLE_TID | SAMPLE_TIME | SAMPLE_CPU | SAMPLE_RAW, .read_format = FORMAT_LOST,
		.inherit = 1, .sample_id_all = 1, .comm = 1, .comm_exec = 1, .task = 1,
		.watermark = 1, .wakeup_watermark = (uint32_t)(size / 4), .use_clockid = 1, .clockid = CLOCK_MONOTONIC};

	if (faults)
		ask_for_faults(&attr);
	int fd = (int)syscall(SYS_perf_event_open, &attr, pid, cpu, -1, FLAG_CLOEXEC);

	*counts = fd >= 0;
	if (fd < 0 && errno == EINVAL) { /* before Linux 6.0 */
		attr.read_format = 0;
		fd = (int)syscall(SYS_perf_event_open, &attr, pid, cpu, -1, FLAG_CLOEXEC);
	}
	return fd;
}

void rings_close(void)
{
	for (size_t i = 0; i < count; i++) {
		if (rings[i].page)
			munmap(rings[i].page, size + (size_t)g.page_size);
		close(rings[i].fd);
		free(rings[i].copy);
	}
	count = 0;
}

/* All rings of the present size; errno otherwise. */
static bool open_all(pid_t pid, long cpus)
{
	for (int cpu = 0; cpu < cpus; cpu++) {
		struct ring *r = &rings[count];
		bool counts;
		int fd = open_event(pid, cpu, &counts);

		if (fd < 0 && (errno == ENODEV || (errno == EINVAL && count > 0)))
			continue; /* a CPU that is off */
		if (fd < 0)
			return false;
		*r = (struct ring){.fd = fd, .counts = counts};
		count++;
		void *at = mmap(NULL, size + (size_t)g.page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (at == MAP_FAILED)
			return false;
		r->page = at;
		r->data = (const unsigned char *)at + g.page_size;
		polled[count - 1] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	if (count == 0)
		errno = ENODEV;
	return count > 0;
}

/* Why not, in words that say what to do. */
static const char *refusal(void)
{
	if (!may_perfmon() && paranoid() > -1)
		return "following every change of memory takes root (sudo hiwater run --exact ...), or CAP_PERFMON and a "
		       "readable tracefs";
	if (access("/sys/kernel/tracing/events", X_OK) == 0 || access("/sys/kernel/debug/tracing/events", X_OK) == 0)
		return "the tracepoint kmem:rss_stat can not be read (it came with Linux 5.5, and its files are root's): "
		       "execute as root";
	return "tracefs can not be read, which tells the number of the tracepoint kmem:rss_stat: execute as root "
	       "(mount -t tracefs tracefs /sys/kernel/tracing; a container needs it mounted from the host)";
}

/* The same of page faults, which are everybody's own up to perf_event_paranoid 2. Debian and Ubuntu have levels above,
 * at which they are root's (their perf_event_open() asks perf_paranoid_any()). */
static const char *refusal_of_faults(int error)
{
	if (error == EINVAL || error == EOPNOTSUPP)
		return "this kernel can not sample page faults with call stacks";
	if (!may_perfmon() && paranoid() > 2)
		return "this system keeps perf events to root: execute as root, give CAP_PERFMON, or "
		       "sysctl kernel.perf_event_paranoid=2";
	return "a seccomp filter or a security module forbids perf events (in a container: docker run "
	       "--security-opt seccomp=unconfined, or --cap-add PERFMON)";
}

/* Opens the events on `pid`: of faults if they are described, with those of the kernel's side where that may be (then
 * `wish->kernel` is set), else of every change of memory. NULL, or why that can not be. */
const char *rings_open(pid_t pid, struct rings_faults *wish)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	int error;

	faults = wish;
	if (faults)
		faults->kernel = may_perfmon() || paranoid() < 2;
	else if (!find_format())
		return refusal();
	if (cpus < g.cpus)
		cpus = g.cpus;
	rings = calloc((size_t)cpus, sizeof(*rings));
	polled = calloc((size_t)cpus + 1, sizeof(*polled));
	if (!rings || !polled)
		return "there is no memory for it";
	size = faults ? LARGEST_RING_OF_FAULTS : LARGEST_RING;
	for (; size > SMALLEST_RING && size * (uint64_t)cpus > ALL_RINGS; size /= 2)
		;
	/* perf_event_mlock_kb a CPU, and RLIMIT_MEMLOCK beyond, limit what may be locked (perf_mmap()); root's is not. */
	for (;; size /= 2) {
		if (open_all(pid, cpus)) {
			if (faults)
				faults->stack_bytes = stack_bytes();
			return NULL;
		}
		error = errno;
		rings_close();
		if (faults && faults->kernel && error == EACCES) {
			faults->kernel = false;
			size *= 2; /* the same once more */
			continue;
		}
		if ((error != EPERM && error != ENOMEM) || size / 2 < SMALLEST_RING || size / 2 < (uint64_t)g.page_size)
			break;
	}
	if (error == EMFILE)
		return "there are not as many file descriptors allowed as there are CPUs: raise ulimit -n";
	if (error == ENOSYS || error == ENOENT)
		return "this kernel has no perf events for it, or a seccomp filter hides them";
	if (faults && (error == EACCES || error == EPERM || error == EINVAL || error == EOPNOTSUPP))
		return refusal_of_faults(error);
	if (error == EACCES || error == EPERM)
		return may_perfmon() ? "a seccomp filter or a security module forbids perf events" : refusal();
	return "the perf events could not be opened";
}

/* ---- reading ---- */

static void take_bytes(const struct ring *r, uint64_t from, unsigned char *out, size_t len)
{
	uint64_t at = from & (size - 1), first = size - at < len ? size - at : len;

	memcpy(out, r->data + at, first);
	memcpy(out + first, r->data, len - first);
}

/* Parses the record at the tail, if there is one; what can not be is skipped together with all behind it. */
static void advance(struct ring *r)
{
	r->has_next = false;
	while (!r->has_next && r->head - r->tail >= sizeof(struct record_head)) {
		struct record_head head;
		uint64_t at = r->tail & (size - 1);
		const unsigned char *record = r->data + at;

		take_bytes(r, r->tail, (unsigned char *)&head, sizeof(head));
		if (head.size < sizeof(head) || head.size > r->head - r->tail) {
			r->tail = r->head;
			return;
		}
		if (at + head.size > size) {
			if (!r->copy)
				r->copy = malloc(LONGEST_RECORD);
			if (!r->copy) {
				r->tail += head.size;
				continue;
			}
			take_bytes(r, r->tail, r->copy, head.size);
			record = r->copy;
		}
		r->next_at = r->tail;
		r->tail += head.size;
		r->has_next = parse_event(record, head.size, faults ? NULL : &format, &r->next) &&
			      r->next.kind != EVENT_OTHER;
	}
}

/* What was handed out last is done with. */
static void go_on(void)
{
	if (handed_out)
		advance(handed_out);
	handed_out = NULL;
}

/* How many records did not fit in, beyond those that are known already. */
static int64_t newly_lost(struct ring *r)
{
	uint64_t values[2] = {0, 0}; /* the count of events, and the loss */
	int64_t lost = r->was_full ? r->lost + 1 : 0, more;

	if (r->counts && read(r->fd, values, sizeof(values)) == sizeof(values))
		lost = (int64_t)values[1];
	more = lost > r->lost ? lost - r->lost : 0;
	r->lost += more;
	r->was_full = false;
	return more;
}

/* Looks how far each ring is filled. Returns how many records were lost because it was full; the record that tells it
 * comes only with the next one that fits in. */
int64_t rings_begin(void)
{
	int64_t lost = 0;

	go_on();
	for (size_t i = 0; i < count; i++) {
		struct ring *r = &rings[i];

		r->head = r->page->data_head;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (r->head - r->page->data_tail > size - NEARLY_FULL) {
			if (r->counts)
				lost += newly_lost(r);
			else
				r->was_full = true;
		}
		if (!r->has_next)
			advance(r);
	}
	return lost;
}

/* The earliest event up to the horizon (a time of CLOCK_MONOTONIC). Its record stays until the next call. */
bool rings_next(int64_t horizon, struct event *out)
{
	struct ring *first = NULL;

	go_on();

	for (size_t i = 0; i < count; i++)
		if (rings[i].has_next && (!first || rings[i].next.t_ns < first->next.t_ns))
			first = &rings[i];
	if (!first || first->next.t_ns > horizon)
		return false;
	*out = first->next;
	if (out->kind == EVENT_LOST) {
		first->told += out->lost;
		out->lost = first->told > first->lost ? first->told - first->lost : 0;
		first->lost += out->lost;
		first->was_full = false;
	}
	handed_out = first;
	return true;
}

/* Gives the room of what was read back to the kernel. */
void rings_end(void)
{
	go_on();
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* all is read by now */
	for (size_t i = 0; i < count; i++)
		rings[i].page->data_tail = rings[i].has_next ? rings[i].next_at : rings[i].tail;
}

/* How many events came, sampled or not. */
int64_t rings_count(void)
{
	int64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t values[2] = {0, 0};

		if (read(rings[i].fd, values, rings[i].counts ? 16 : 8) >= 8)
			sum += (int64_t)values[0];
	}
	return sum;
}

/* What was lost so late that no record could tell: nothing more came. */
int64_t rings_lost_silently(void)
{
	int64_t lost = 0;

	for (size_t i = 0; i < count; i++)
		lost += newly_lost(&rings[i]);
	return lost;
}

/* Sleeps until a ring is filled to its watermark, a signal is pending, or it is time. */
void rings_sleep(const sigset_t *signals, const struct timespec *left)
{
	static int signal_fd = -1;

	if (signal_fd < 0) {
		signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
		polled[count] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
	}
	if (ppoll(polled, count + 1, left, NULL) <= 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (polled[i].revents & (POLLHUP | POLLERR))
			polled[i].fd = -1; /* nobody is left who could write to it: it would wake us for ever */
}
