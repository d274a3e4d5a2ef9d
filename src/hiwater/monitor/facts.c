/* What must be known of the host to judge the figures later, on another machine. Written once. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "monitor.h"

#define PROBE_PAGES 8

static char text[16384];

static ssize_t slurp(const char *path)
{
	ssize_t n = read_file(path, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	return n;
}

static int64_t own_rss_pages(void)
{
	char buf[256];
	struct statm st;
	ssize_t n = read_file("/proc/self/statm", buf, sizeof(buf));

	return n > 0 && parse_statm(buf, (size_t)n, &st) ? st.rss : -1;
}

/* Is statm an exact sum? It is since Linux 6.16 (commit 82241a83cd15) and in some stable kernels before; elsewhere it
 * lags behind by up to a batch. Touching a few pages tells: fewer than a batch, they show at once only in a sum. */
static bool statm_is_exact(void)
{
	size_t size = PROBE_PAGES * (size_t)g.page_size;
	bool exact = true;

	for (int round = 0; round < 3 && exact; round++) {
		char *probe = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (probe == MAP_FAILED)
			return false;
		int64_t before = own_rss_pages();
		for (size_t at = 0; at < size; at += (size_t)g.page_size)
			((volatile char *)probe)[at] = 1;
		exact = before >= 0 && own_rss_pages() - before == PROBE_PAGES;
		munmap(probe, size);
	}
	return exact;
}

/* What the command may have inherited from us was read from statm: too little, where that is not exact. */
static void correct_floor(void)
{
	struct rollup own;
	ssize_t n = slurp("/proc/self/smaps_rollup");
	bool known = n > 0 && parse_rollup(text, (size_t)n, &own);

	stream_fact("floor_exact", known ? "1" : "0");
	if (known && own.rss > g.stats.floor_bytes)
		g.stats.floor_bytes = own.rss;
}

static void launcher_facts(pid_t launcher)
{
	char path[48];
	struct status st;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)launcher);
	n = slurp(path);
	if (n <= 0 || !parse_status(text, (size_t)n, &st))
		return;
	stream_fact_number("launcher_pid", launcher);
	st.name[st.name_len < sizeof(st.name) ? st.name_len : sizeof(st.name) - 1] = 0;
	stream_fact("launcher_name", st.name);
	if (st.hwm >= 0)
		stream_fact_number("launcher_hwm_bytes", st.hwm);
	if (st.rss >= 0)
		stream_fact_number("launcher_rss_bytes", st.rss);
}

/* The line of the memory controller (v1) or of the unified hierarchy (v2), "N:controllers:path". */
static void cgroup_fact(void)
{
	char *save = NULL;
	const char *best = "";

	char path[32] = "/proc/self/cgroup";

	if (g.attached)
		snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)g.attached);
	if (slurp(path) <= 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "0::", 3) == 0 && !*best)
			best = line;
		else if (strstr(line, ":memory:") || strstr(line, ",memory:") || strstr(line, ":memory,"))
			best = line;
	}
	stream_fact("cgroup", best);
}

static void cwd_fact(void)
{
	char path[32] = "/proc/self/cwd", cwd[4096];

	if (g.attached)
		snprintf(path, sizeof(path), "/proc/%d/cwd", (int)g.attached);
	ssize_t n = readlink(path, cwd, sizeof(cwd) - 1);

	if (n > 0) {
		cwd[n] = 0;
		stream_fact("cwd", cwd);
	}
}

static const char *container(void)
{
	const char *named = getenv("container");

	if (access("/.dockerenv", F_OK) == 0)
		return "docker";
	if (access("/run/.containerenv", F_OK) == 0)
		return "podman";
	return named ? named : "";
}

int64_t oom_kills(void)
{
	ssize_t n = slurp("/proc/vmstat");

	return n > 0 ? find_number(text, (size_t)n, "oom_kill ") : -1;
}

static int64_t kib_bytes(int64_t kib)
{
	return kib < 0 ? -1 : kib * 1024;
}

void facts_write(pid_t launcher)
{
	struct utsname uts;
	ssize_t n;
	int major = 0, minor = 0;

	if (uname(&uts) == 0) {
		stream_fact("kernel", uts.release);
		stream_fact("machine", uts.machine);
		if (sscanf(uts.release, "%d.%d", &major, &minor) == 2)
			g.batched_per_cpu = major > 6 || (major == 6 && minor >= 2);
	}
	g.statm_exact = statm_is_exact();
	if (!g.statm_exact)
		correct_floor();
	stream_fact("monitor_version", HIWATER_VERSION);
	stream_fact_number("monitor_pid", g.self);
	stream_fact_number("monotonic_start_ns", -since_start(0)); /* t = 0, for those who have the clock itself */
	stream_fact_number("cpus", g.cpus);
	stream_fact("statm_exact", g.statm_exact ? "1" : "0");
	n = slurp("/proc/meminfo");
	if (n > 0) {
		stream_fact_number("mem_total_bytes", kib_bytes(find_number(text, (size_t)n, "MemTotal:")));
		stream_fact_number("swap_total_bytes", kib_bytes(find_number(text, (size_t)n, "SwapTotal:")));
	}
	if (slurp("/sys/kernel/mm/transparent_hugepage/enabled") > 0) {
		char *begin = strchr(text, '['), *end = begin ? strchr(begin, ']') : NULL;

		if (end) {
			*end = 0;
			stream_fact("thp", begin + 1);
		}
	}
	if (launcher > 0)
		launcher_facts(launcher);
	cgroup_fact();
	stream_fact("container", container());
	cwd_fact();
	if (g.attached) {
		stream_fact_number("attached_pid", g.attached);
		stream_fact_number("duration_ns", g.duration_ns);
	}
	stream_fact("mode", g.trace ? "trace" : "quiet");
	if (g.exact)
		stream_fact("exact", "1");
	stream_fact_number("period_ns", g.period_ns);
	stream_fact_number("linger_ns", g.linger_ns);
	stream_fact_number("timeout_ns", g.timeout_ns);
	if (command_limits.data_bytes)
		stream_fact_number("rlimit_data_bytes", (int64_t)command_limits.data_bytes);
	if (command_limits.as_bytes)
		stream_fact_number("rlimit_as_bytes", (int64_t)command_limits.as_bytes);
	stream_facts_done();
}
