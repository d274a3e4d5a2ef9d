/* try-ptrace, try-clear-refs, try-perf: what the kernel answers when it is asked. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Traces a child of ours up to its exit stop and reads its mark there: what `hiwater run --trace` depends on. */
int try_ptrace(int argc, char **argv)
{
	static char path[] = "/proc/self/exe", self[] = "hiwater-probe", sub[] = "known";
	static char size[] = "--anon=4194304", spike[] = "--free";
	char *command[] = {path, sub, size, spike, NULL};
	struct started started;
	struct figures last;
	int error, nothing;

	if (argc != 1)
		misuse("%s takes no argument such as '%s'", self, argv[1]);
	nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
	report_to(fcntl(1, F_DUPFD_CLOEXEC, 3), false); /* the child's own report is of no interest */
	dup2(nothing, 1);
	started = start_traced(command, &error);
	report_number("ptrace_errno", error);
	if (error)
		return EXIT_REFUSED;
	if (started.error)
		misuse("/proc/self/exe can not be executed: %s", strerror(started.error));
	wait_for_exit_stop(started.pid, &last);
	report_size("exit_stop_hwm_bytes", last.hwm);
	return last.hwm >= 0 ? 0 : EXIT_REFUSED;
}

/* Resets this process's high-water mark, and looks whether it went down. */
int try_clear_refs(int argc, char **argv)
{
	size_t bytes = 8u << 20;
	int fd, error = 0;

	if (argc != 1)
		misuse("try-clear-refs takes no argument such as '%s'", argv[1]);
	give_back(grow(ANON, bytes), bytes);
	report_size("before_hwm_bytes", figures_of(getpid()).hwm);
	fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "5", 1) != 1)
		error = errno;
	report_number("clear_refs_errno", error);
	report_size("after_hwm_bytes", figures_of(getpid()).hwm);
	return error ? EXIT_REFUSED : 0;
}

/* The first edition of struct perf_event_attr, which every kernel still takes. By hand, because musl-gcc is installed
 * without <linux/perf_event.h>. */
struct event {
	uint32_t type, size;
	uint64_t config, sample_period, sample_type, read_format, flags;
	uint32_t wakeup_events, bp_type;
	uint64_t bp_addr;
};
enum {
	TYPE_SOFTWARE = 1,
	TYPE_TRACEPOINT = 2,
	SW_PAGE_FAULTS = 2,
	SAMPLE_RAW = 1 << 10,
	EXCLUDE_KERNEL = 1 << 5,
	CLOSE_ON_EXEC = 1 << 3,
};
_Static_assert(sizeof(struct event) == 64, "PERF_ATTR_SIZE_VER0");

/* 0 if the kernel would count this event for this process, else its errno. */
static int try_event(struct event *event)
{
	long fd;

	event->size = sizeof *event;
	fd = syscall(SYS_perf_event_open, event, 0, -1, -1, CLOSE_ON_EXEC);
	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

/* Page faults with and without the kernel's own, and the tracepoint kmem:rss_stat if the caller knows its id. */
int try_perf(int argc, char **argv)
{
	struct event faults = {.type = TYPE_SOFTWARE, .config = SW_PAGE_FAULTS};
	struct event rss_stat = {.type = TYPE_TRACEPOINT, .sample_type = SAMPLE_RAW, .sample_period = 1};

	if (argc != 1 && (argc != 3 || strcmp(argv[1], "--tracepoint") != 0))
		misuse("try-perf takes: [--tracepoint ID]");
	report_number("all_faults_errno", try_event(&faults));
	faults.flags = EXCLUDE_KERNEL;
	report_number("user_faults_errno", try_event(&faults));
	if (argc == 3) {
		rss_stat.config = (uint64_t)parse_bytes("tracepoint", argv[2]);
		report_number("rss_stat_errno", try_event(&rss_stat));
	}
	return 0;
}
