/* The limit that the command runs under, and its cgroup as a source of measurement.
 *
 * Whoever starts us made the cgroup and removes it afterwards; we stay outside. Only the command's child moves itself
 * in, just before execve (target.c): a monitor inside would compete for the memory that it is to watch, and an
 * out-of-memory kill could end it (measured: it could get no memory of its own for two seconds). The files are read
 * here, as their numbers go with the directory: after rmdir an open one gives ENODEV.
 *
 * What the files say is recorded as it stands, HW_CGROUP: so nothing that a kernel tells is lost on an older reader. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"

#define TEXT (24 * 1024)	  /* of one record: memory.stat has about 3 KiB */
#define STAT (6 * 1024)
#define LEVELS 16		  /* cgroups above that are asked whether it was their limit */
#define GROWN (256 * 1024)	  /* what makes a new maximum worth another split */
#define PAUSE_NS (20 * NS_PER_MS) /* or so long after the one before */

struct command_limits command_limits = {.procs_fd = -1};

static const char *directory;
static bool is_v2;
static int usage_fd = -1;
static int64_t usage_max = -1, split_usage = -1, split_ns, kills_before;
static char text[TEXT];
static size_t text_len;
static char split[TEXT]; /* the record of the largest usage, which waits to be written */
static size_t split_len;
static bool split_is_new;

static const char *const settings[] = {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness",
				       "memory.max", "memory.high", "memory.swap.max", NULL};
static const char *const parts[] = {"memory.stat", "memory.kmem.usage_in_bytes", "memory.memsw.usage_in_bytes",
				    "memory.swap.current", NULL};
static const char *const results[] = {
	"memory.max_usage_in_bytes", "memory.failcnt", "memory.memsw.max_usage_in_bytes", "memory.memsw.failcnt",
	"memory.kmem.max_usage_in_bytes", "memory.oom_control", "memory.peak", "memory.swap.peak", "memory.events",
	"memory.events.local", "memory.swap.events", "memory.pressure", "memory.stat", NULL};
static const char *const of_those_above[] = {"memory.failcnt", "memory.memsw.failcnt", "memory.events.local", NULL};

static ssize_t read_group(const char *above, const char *name, char *buf, size_t size)
{
	char path[4096];
	int len = snprintf(path, sizeof(path), "%s/%s%s", directory, above, name);

	return len < (int)sizeof(path) ? read_file(path, buf, size) : -1;
}

static void add(const char *prefix, const char *key, const char *value, size_t len)
{
	size_t p = strlen(prefix), k = strlen(key);

	while (len > 0 && value[len - 1] == '\n')
		len--;
	if (text_len + p + k + len + 2 > sizeof(text))
		return;
	memcpy(text + text_len, prefix, p);
	memcpy(text + text_len + p, key, k + 1);
	memcpy(text + text_len + p + k + 1, value, len);
	text_len += p + k + 1 + len;
	text[text_len++] = 0;
}

static void add_number(const char *key, int64_t value)
{
	char digits[24];

	add("", key, digits, (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)value));
}

static void add_files(const char *above, const char *const *names)
{
	char buf[STAT];

	for (; *names; names++) {
		ssize_t n = read_group(above, *names, buf, sizeof(buf));

		if (n > 0)
			add(above, *names, buf, (size_t)n);
	}
}

/* How often each group above has met its own limit: whoever is killed though our limit was never met, was killed by
 * one of those, or by the machine's. */
static void add_those_above(void)
{
	char above[3 * LEVELS + 1] = "", path[4096];

	for (int level = 0; level < LEVELS; level++) {
		strcat(above, "../");
		int len = snprintf(path, sizeof(path), "%s/%scgroup.procs", directory, above);

		if (len >= (int)sizeof(path) || access(path, F_OK) != 0)
			break; /* beyond the root of what is mounted */
		add_files(above, of_those_above);
	}
}

static void write_text(enum hw_cgroup_when when)
{
	stream_record(HW_CGROUP, (uint16_t)when, text, text_len, NULL, 0, 0, NULL);
	text_len = 0;
}

/* ---- before the fork: what is counted from then on is the command's ---- */

int64_t limit_oom_kills(void)
{
	char buf[STAT];
	ssize_t n = directory ? read_group("", is_v2 ? "memory.events" : "memory.oom_control", buf, sizeof(buf) - 1) : -1;
	int64_t kills;

	if (n <= 0)
		return -1;
	buf[n] = 0;
	/* The line of its own: "oom_kill_disable" and "oom_group_kill" are others. */
	kills = find_number(buf, (size_t)n, "oom_kill ");
	return kills < 0 ? -1 : kills - kills_before;
}

void limit_group(const char *path)
{
	char name[4096];
	struct stat st;

	directory = path;
	if (snprintf(name, sizeof(name), "%s/cgroup.procs", path) >= (int)sizeof(name))
		die("--cgroup is too long", NULL);
	command_limits.procs_fd = open(name, O_WRONLY | O_CLOEXEC);
	if (command_limits.procs_fd < 0)
		die(name, strerror(errno));
	snprintf(name, sizeof(name), "%s/memory.current", path);
	is_v2 = stat(name, &st) == 0;
	kills_before = at_least_0(limit_oom_kills());
	add("", "path", directory, strlen(directory));
	add("", "version", is_v2 ? "2" : "1", 1);
	add_files("", settings);
	add_those_above();
}

/* ---- while it runs ---- */

/* Behind the fork, as target_let_go() closes what was open before. */
void limit_begin(void)
{
	char name[4096];

	if (!directory)
		return;
	snprintf(name, sizeof(name), "%s/%s", directory, is_v2 ? "memory.current" : "memory.usage_in_bytes");
	usage_fd = open(name, O_RDONLY | O_CLOEXEC);
	write_text(HW_CGROUP_BEGIN);
}

/* The parts of the largest usage: read when it has grown enough to be worth it. True if it has grown at all. */
bool limit_look(int64_t now)
{
	char buf[32];
	ssize_t n = usage_fd >= 0 ? pread(usage_fd, buf, sizeof(buf) - 1, 0) : -1;
	int64_t usage;

	if (n <= 0)
		return false;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	if (!parse_decimal(buf, &usage) || usage <= usage_max)
		return false;
	usage_max = usage;
	if (usage - split_usage < GROWN + split_usage / 64 && now - split_ns < PAUSE_NS)
		return true;
	split_usage = usage;
	split_ns = now;
	add_number("t_ns", now);
	add_number("usage", usage);
	add_files("", parts);
	memcpy(split, text, text_len);
	split_len = text_len;
	split_is_new = true;
	text_len = 0;
	return true;
}

void limit_write(void)
{
	if (!split_is_new)
		return;
	split_is_new = false;
	stream_record(HW_CGROUP, HW_CGROUP_MAXIMUM, split, split_len, NULL, 0, 0, NULL);
}

/* Before HW_END, and before the directory goes. */
void limit_finish(int64_t now)
{
	if (!directory)
		return;
	add_number("t_ns", now);
	if (usage_max >= 0)
		add_number("largest_usage_seen", usage_max);
	add_files("", results);
	add_those_above();
	write_text(HW_CGROUP_END);
}
