/* Parsers of kernel text. They take bytes and touch nothing else, so that they can be fuzzed. */
#include <string.h>

#include "monitor.h"

#define MAX_NUMBER (INT64_MAX / 2048) /* so that a value in kB still fits in bytes */
#define PF_KTHREAD 0x00200000 /* linux/sched.h: a kernel thread */

/* Reads digits at `*at`; false if there is none or the number is absurd. */
static bool digits(const char **at, const char *end, int64_t *out)
{
	const char *p = *at;
	int64_t value = 0;

	if (p >= end || *p < '0' || *p > '9')
		return false;
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (value > MAX_NUMBER / 10 - 1)
			return false;
		value = value * 10 + (*p - '0');
	}
	*at = p;
	*out = value;
	return true;
}

static void blanks(const char **at, const char *end)
{
	while (*at < end && (**at == ' ' || **at == '\t'))
		(*at)++;
}

bool parse_decimal(const char *text, int64_t *out)
{
	const char *end = text + strlen(text);

	/* Nanosecond counts may be larger than MAX_NUMBER allows: 18 digits always fit. */
	if (end - text > 18 || end == text)
		return false;
	*out = 0;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return false;
		*out = *out * 10 + (*text - '0');
	}
	return true;
}

/* size resident shared text lib data dt: pages. proc_pid_statm(5); fs/proc/array.c proc_pid_statm(). */
bool parse_statm(const char *text, size_t len, struct statm *out)
{
	const char *at = text, *end = text + len;
	int64_t size;

	if (!digits(&at, end, &size))
		return false;
	blanks(&at, end);
	if (!digits(&at, end, &out->rss))
		return false;
	blanks(&at, end);
	if (!digits(&at, end, &out->shared))
		return false;
	blanks(&at, end);
	return digits(&at, end, &out->text);
}

static bool key_is(const char *line, const char *end, const char *key, const char **value)
{
	size_t n = strlen(key);

	if ((size_t)(end - line) < n || memcmp(line, key, n) != 0)
		return false;
	*value = line + n;
	blanks(value, end);
	return true;
}

/* "Key:  N kB" in bytes: the kernel's kB are 1024 bytes. */
static bool kib(const char *line, const char *end, const char *key, int64_t *out)
{
	const char *value;
	int64_t n;

	if (!key_is(line, end, key, &value) || !digits(&value, end, &n))
		return false;
	*out = n * 1024;
	return true;
}

static bool number(const char *line, const char *end, const char *key, int64_t *out)
{
	const char *value;

	return key_is(line, end, key, &value) && digits(&value, end, out);
}

/* Bit 16 of SigIgn is SIGCHLD (signal 17) everywhere but on MIPS, Alpha and SPARC. */
static void sigchld_ignored(const char *line, const char *end, bool *out)
{
	const char *value;
	uint64_t mask = 0;

	if (!key_is(line, end, "SigIgn:", &value))
		return;
	for (; value < end; value++) {
		if (*value >= '0' && *value <= '9')
			mask = mask << 4 | (uint64_t)(*value - '0');
		else if (*value >= 'a' && *value <= 'f')
			mask = mask << 4 | (uint64_t)(*value - 'a' + 10);
		else
			break;
	}
	*out = mask >> (SIGCHLD - 1) & 1;
}

/* status writes a newline in a name as \\n and a backslash twice (fs/proc/array.c proc_task_name()); stat does not. */
static size_t unescape(const char *at, const char *end, char *out, size_t size)
{
	size_t len = 0;

	for (; at < end && len < size; at++) {
		char c = *at;

		if (c == '\\' && at + 1 < end && (at[1] == 'n' || at[1] == '\\'))
			c = *++at == 'n' ? '\n' : '\\';
		out[len++] = c;
	}
	return len;
}

static void status_line(const char *line, const char *end, struct status *out)
{
	const char *value;

	switch (*line) {
	case 'N':
		if (key_is(line, end, "Name:", &value)) {
			value = line + strlen("Name:\t"); /* the name itself may begin with blanks */
			if (value > end)
				value = end;
			out->name_len = unescape(value, end, out->name, sizeof(out->name));
		}
		break;
	case 'V':
		(void)(kib(line, end, "VmHWM:", &out->hwm) || kib(line, end, "VmRSS:", &out->rss) ||
		       kib(line, end, "VmPeak:", &out->vm_peak) || kib(line, end, "VmSwap:", &out->swap) ||
		       kib(line, end, "VmPTE:", &out->pte));
		break;
	case 'H':
		(void)kib(line, end, "HugetlbPages:", &out->hugetlb); /* since Linux 4.4 */
		break;
	case 'R':
		(void)(kib(line, end, "RssAnon:", &out->anon) || kib(line, end, "RssFile:", &out->file) ||
		       kib(line, end, "RssShmem:", &out->shmem));
		break;
	case 'T':
		(void)(number(line, end, "Tgid:", &out->tgid) || number(line, end, "Threads:", &out->threads));
		break;
	case 'P':
		number(line, end, "PPid:", &out->ppid);
		break;
	case 'S':
		if (key_is(line, end, "State:", &value) && value < end)
			out->zombie = *value == 'Z' || *value == 'X';
		sigchld_ignored(line, end, &out->ignores_sigchld);
		break;
	default:
		break;
	}
}

/* proc_pid_status(5). VmHWM and the Rss* lines (since Linux 4.5) may be missing: gVisor, old kernels, zombies. */
bool parse_status(const char *text, size_t len, struct status *out)
{
	const char *line = text, *end = text + len;

	*out = (struct status){.tgid = -1, .ppid = -1, .threads = -1, .vm_peak = -1, .hwm = -1, .rss = -1,
			       .anon = -1, .file = -1, .shmem = -1, .swap = -1, .pte = -1, .hugetlb = -1};
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		if (stop > line)
			status_line(line, stop, out);
		line = stop + 1;
	}
	return out->name_len > 0 || out->rss >= 0;
}

/* Fields 12 (major faults), 20 (threads), 22 (when the process started, in clock ticks since boot: with the pid it names a process for good)
 * and 28 (where the stack began: every execve draws another address; 0 is shown to who may not read the process's
 * memory) of stat, when `at` stands behind field 11. */
static void later_fields(const char *at, const char *end, struct stat_line *out)
{
	uint64_t value = 0;

	out->threads = out->major_faults = -1;
	out->start_time = 0;
	out->start_stack = 0;
	for (int field = 12; field <= 28; field++) {
		blanks(&at, end);
		if (at < end && *at == '-')
			at++;
		if (at >= end || *at < '0' || *at > '9')
			return;
		for (value = 0; at < end && *at >= '0' && *at <= '9'; at++)
			value = value * 10 + (uint64_t)(*at - '0');
		if (field == 12)
			out->major_faults = (int64_t)(value & INT64_MAX);
		if (field == 20)
			out->threads = (int64_t)(value & INT32_MAX);
		if (field == 22)
			out->start_time = value;
	}
	out->start_stack = value;
}

/* pid (comm) state ppid ...: comm may hold anything, so the LAST ')' ends it. proc_pid_stat(5). */
bool parse_stat(const char *text, size_t len, struct stat_line *out)
{
	const char *end = text + len;
	const char *open = memchr(text, '(', len), *close = end;
	int64_t field[11];

	while (close > text && close[-1] != ')')
		close--;
	if (!open || close <= open + 1)
		return false;
	out->comm_len = (size_t)(close - 1 - (open + 1));
	if (out->comm_len > sizeof(out->comm))
		out->comm_len = sizeof(out->comm);
	memcpy(out->comm, open + 1, out->comm_len);
	blanks(&close, end);
	if (close >= end)
		return false;
	out->state = *close++;
	/* fields 4 to 11: ppid pgrp session tty tpgid flags minflt cminflt; tpgid may be -1 */
	for (int i = 4; i <= 11; i++) {
		blanks(&close, end);
		if (close < end && *close == '-')
			close++;
		if (!digits(&close, end, &field[i - 4]))
			return false;
	}
	out->ppid = field[0];
	out->session = field[2];
	out->kernel_thread = field[5] & PF_KTHREAD;
	out->minor_faults = field[6];
	out->child_minor_faults = field[7];
	later_fields(close, end, out);
	return true;
}

/* /proc/PID/smaps_rollup (since Linux 4.14; Pss_Anon, Pss_File and Pss_Shmem since 5.4). */
bool parse_rollup(const char *text, size_t len, struct rollup *out)
{
	const char *line = text, *end = text + len;
	int64_t clean = 0, dirty = 0;

	*out = (struct rollup){.rss = -1, .pss = -1, .pss_anon = -1, .pss_file = -1, .pss_shmem = -1, .private_bytes = -1,
			       .swap = -1, .swap_pss = -1, .lazyfree = -1, .anon_huge = -1};
	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		(void)(kib(line, stop, "Rss:", &out->rss) || kib(line, stop, "Pss:", &out->pss) ||
		       kib(line, stop, "Pss_Anon:", &out->pss_anon) || kib(line, stop, "Pss_File:", &out->pss_file) ||
		       kib(line, stop, "Pss_Shmem:", &out->pss_shmem) || kib(line, stop, "Private_Clean:", &clean) ||
		       kib(line, stop, "Private_Dirty:", &dirty) || kib(line, stop, "Swap:", &out->swap) ||
		       kib(line, stop, "SwapPss:", &out->swap_pss) || kib(line, stop, "LazyFree:", &out->lazyfree) ||
		       kib(line, stop, "AnonHugePages:", &out->anon_huge));
		line = stop + 1;
	}
	out->private_bytes = clean + dirty;
	return out->rss >= 0 && out->pss >= 0;
}

/* "0.00 0.01 0.05 1/123 4567": the last pid handed out in our pid namespace (fs/proc/loadavg.c). */
int64_t parse_last_pid(const char *text, size_t len)
{
	const char *end = text + len;
	int64_t value;

	while (end > text && (end[-1] == '\n' || end[-1] == ' '))
		end--;
	const char *at = end;
	while (at > text && at[-1] != ' ')
		at--;
	if (at == text || !digits(&at, end, &value) || at != end)
		return -1;
	return value;
}

int64_t find_number(const char *text, size_t len, const char *key)
{
	const char *line = text, *end = text + len;

	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line)), *value;
		int64_t n;

		if (!stop)
			stop = end;
		if (key_is(line, stop, key, &value) && digits(&value, stop, &n))
			return n;
		line = stop + 1;
	}
	return -1;
}
