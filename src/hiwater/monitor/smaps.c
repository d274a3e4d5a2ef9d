/* Parsers of what /proc says about mappings. They take bytes and touch nothing else, so that they can be fuzzed. smaps
 * of a large process is tens of MB of text: it is taken piece by piece, in memory that does not grow. */
#include <string.h>

#include "ledger.h"

#define MAX_KIB (INT64_MAX / 4096) /* so that sums of values in kB still fit in bytes */

/* ---- lines ---- */

void lines_feed(struct lines *l, const char *text, size_t len, line_taker *each, void *context)
{
	const char *end = text + len;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - text), room = sizeof(l->text) - l->used;

		if (stop && l->used == 0 && n <= room) {
			each(context, text, n); /* whole, as most are */
		} else {
			memcpy(l->text + l->used, text, n < room ? n : room);
			l->used += n < room ? n : room;
			if (stop)
				lines_end(l, each, context);
		}
		if (!stop)
			return;
		text = stop + 1;
	}
}

void lines_end(struct lines *l, line_taker *each, void *context)
{
	if (l->used > 0)
		each(context, l->text, l->used);
	l->used = 0;
}

/* ---- pieces of a line ---- */

static bool decimal(const char **at, const char *end, int64_t *out)
{
	const char *p = *at;
	int64_t value = 0;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p >= end || *p < '0' || *p > '9')
		return false;
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (value > MAX_KIB / 10 - 1)
			return false;
		value = value * 10 + (*p - '0');
	}
	*at = p;
	*out = value;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex(const char **at, const char *end, uint64_t *out)
{
	const char *p = *at;

	*out = 0;
	for (; p < end && p - *at < 16 && hex_digit(*p) >= 0; p++)
		*out = *out << 4 | (uint64_t)hex_digit(*p);
	if (p == *at)
		return false;
	*at = p;
	return true;
}

static bool skip(const char **at, const char *end, char c)
{
	if (*at >= end || **at != c)
		return false;
	(*at)++;
	return true;
}

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len >= n && memcmp(text + len - n, end, n) == 0;
}

/* fs/d_path.c adds it to the path of a file that was unlinked. */
size_t without_deleted(const char *name, size_t len)
{
	static const char deleted[] = " (deleted)";

	return ends_with(name, len, deleted) ? len - (sizeof(deleted) - 1) : len;
}

/* ---- smaps ---- */

/* "start-end rwxp offset major:minor inode   name" (fs/proc/task_mmu.c show_map_vma()). */
static bool parse_heading(const char *line, size_t len, struct vma *out)
{
	static const char letters[] = "rwxs";
	const char *at = line, *end = line + len;
	uint64_t offset, major, minor;
	int64_t inode;

	out->is = (struct extent){.flags = 0};
	out->name_len = 0;
	for (int i = 0; i < VMA_VALUES; i++)
		out->is.value[i] = -1;
	if (!hex(&at, end, &out->is.start) || !skip(&at, end, '-') || !hex(&at, end, &out->is.end) || !skip(&at, end, ' ') ||
	    end - at < 5 || out->is.end < out->is.start)
		return false;
	for (int i = 0; i < 4; i++)
		if (at[i] == letters[i])
			out->is.flags |= (uint16_t)(1 << i);
	at += 4;
	if (!skip(&at, end, ' ') || !hex(&at, end, &offset) || !skip(&at, end, ' ') || !hex(&at, end, &major) ||
	    !skip(&at, end, ':') || !hex(&at, end, &minor) || !decimal(&at, end, &inode))
		return false;
	out->is.major = (uint32_t)major;
	out->is.minor = (uint32_t)minor;
	out->is.inode = (uint64_t)inode;
	while (at < end && *at == ' ')
		at++;
	out->name_len = without_deleted(at, (size_t)(end - at));
	if (at + out->name_len < end)
		out->is.flags |= HW_MAP_DELETED;
	memcpy(out->name, at, out->name_len);
	return true;
}

static bool has_flag(const char *at, const char *end, const char *flag)
{
	for (; end - at >= 3; at++)
		if (at[0] == ' ' && at[1] == flag[0] && at[2] == flag[1] && (end - at == 3 || at[3] == ' '))
			return true;
	return false;
}

static void value_line(struct extent *v, const char *line, size_t len)
{
	static const struct {
		const char *key;
		size_t len;
		enum vma_value value;
	} keys[] = {{"Size:", 5, VMA_SIZE},
		    {"Rss:", 4, VMA_RSS},
		    {"Pss:", 4, VMA_PSS},
		    {"Shared_Clean:", 13, VMA_SHARED},
		    {"Shared_Dirty:", 13, VMA_SHARED},
		    {"Private_Clean:", 14, VMA_PRIVATE},
		    {"Private_Dirty:", 14, VMA_PRIVATE},
		    {"Anonymous:", 10, VMA_ANON},
		    {"LazyFree:", 9, VMA_LAZYFREE},
		    {"AnonHugePages:", 14, VMA_ANON_HUGE},
		    {"Swap:", 5, VMA_SWAP},
		    {"SwapPss:", 8, VMA_SWAP_PSS},
		    {"Locked:", 7, VMA_LOCKED}};
	int64_t kib;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const char *at = line + keys[i].len;

		if (len <= keys[i].len || *line != *keys[i].key || memcmp(line, keys[i].key, keys[i].len) != 0)
			continue;
		if (decimal(&at, line + len, &kib))
			v->value[keys[i].value] = (v->value[keys[i].value] < 0 ? 0 : v->value[keys[i].value]) + kib * 1024;
		return;
	}
	if (len > 8 && memcmp(line, "VmFlags:", 8) == 0)
		v->guarded = has_flag(line + 8, line + len, "gu");
}

static void close_vma(struct smaps *s)
{
	if (s->open) {
		s->count++;
		s->each(s->context, &s->vma);
	}
	s->open = false;
}

/* Keys begin with a capital letter, addresses never do. */
static void smaps_line(void *context, const char *line, size_t len)
{
	struct smaps *s = context;

	if (len == 0)
		return;
	if (hex_digit(*line) >= 0) {
		close_vma(s);
		s->open = parse_heading(line, len, &s->vma);
	} else if (s->open) {
		value_line(&s->vma.is, line, len);
	}
}

void smaps_feed(struct smaps *s, const char *text, size_t len)
{
	lines_feed(&s->lines, text, len, smaps_line, s);
}

void smaps_end(struct smaps *s)
{
	lines_end(&s->lines, smaps_line, s);
	close_vma(s);
}

/* ---- other files ---- */

/* "id parent major:minor root mountpoint options [tag]... - type source options" (proc_pid_mountinfo(5)); blanks within
 * the fields are written as \040. */
bool parse_mount(const char *line, size_t len, struct mount_line *out)
{
	const char *at = line, *end = line + len;
	int64_t parent, major, minor;

	if (!decimal(&at, end, &out->id) || !decimal(&at, end, &parent) || !decimal(&at, end, &major) || !skip(&at, end, ':') ||
	    !decimal(&at, end, &minor))
		return false;
	out->major = (uint32_t)major;
	out->minor = (uint32_t)minor;
	for (; end - at >= 3; at++) {
		if (at[0] != ' ' || at[1] != '-' || at[2] != ' ')
			continue;
		at += 3;
		size_t left = (size_t)(end - at);

		/* devtmpfs is the same in another name (drivers/base/devtmpfs.c) */
		out->tmpfs = (left > 6 && memcmp(at, "tmpfs ", 6) == 0) || (left > 9 && memcmp(at, "devtmpfs ", 9) == 0);
		return true;
	}
	return false;
}

/* "nr args... sp pc", "-1 sp pc" of one that is blocked outside of a system call, or "running" (fs/proc/base.c
 * proc_pid_syscall()): the last field but one. */
uint64_t parse_stack_pointer(const char *text, size_t len)
{
	const char *end = text + len, *at;
	uint64_t value;

	while (end > text && end[-1] == '\n')
		end--;
	for (int field = 0; field < 2; field++) {
		while (end > text && end[-1] != ' ')
			end--;
		if (end == text)
			return 0;
		if (field == 0)
			end--;
	}
	at = end;
	end = text + len;
	return skip(&at, end, '0') && skip(&at, end, 'x') && hex(&at, end, &value) ? value : 0;
}

int64_t parse_stack_limit(const char *text, size_t len)
{
	return find_number(text, len, "Max stack size");
}
