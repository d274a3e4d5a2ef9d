/* Writes events. Records are gathered in one buffer.
 *
 * A disk that fills up must cost the recording its tail, not the target its life, and the recording must say so:
 * before each write a page is set aside behind it (fallocate), so that HW_CUT still fits when the disk is full. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"

#define BUFFER (128 * 1024) /* the largest record is a ledger: 61 KiB */
#define RESERVE 4096
#define TAIL 256 /* HW_CUT and HW_END */

static int out_fd = -1;
static int cut_errno;
static int64_t cut_ns;
static bool can_reserve = true;
static off_t written;
static size_t used;
static uint64_t size_limit = UINT64_MAX;
static struct hw_header header;
static unsigned char buffer[BUFFER];

static char facts[8192];
static size_t facts_len;

static bool write_all(const unsigned char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(out_fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			cut_errno = n < 0 ? errno : EIO;
			return false;
		}
		data += n;
		len -= (size_t)n;
		written += n;
	}
	return true;
}

/* Sets the next write's space and a reserve aside. False: the disk is full (the reserve of before is still ours). */
static bool reserve(size_t len)
{
	/* fallocate does not ask for RLIMIT_FSIZE when it keeps the size. */
	if ((uint64_t)written + len + TAIL > size_limit) {
		cut_errno = EFBIG;
		return false;
	}
	if (!can_reserve)
		return true;
	if (fallocate(out_fd, FALLOC_FL_KEEP_SIZE, written, (off_t)(len + RESERVE)) == 0)
		return true;
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
		cut_errno = errno;
		return false;
	}
	can_reserve = false; /* a pipe, or a file system without fallocate */
	return true;
}

static void write_cut(void)
{
	struct {
		struct hw_record head;
		struct hw_cut body;
	} cut = {{sizeof(cut), HW_CUT, 0}, {cut_ns, cut_errno, 0}};
	int keep = cut_errno;

	if (written == 0)
		(void)write_all((const unsigned char *)&header, sizeof(header));
	(void)write_all((const unsigned char *)&cut, sizeof(cut));
	cut_errno = keep;
}

/* Writes one piece, or nothing of it. */
static bool write_whole(const unsigned char *data, size_t len)
{
	off_t begin = written;

	if (reserve(len) && write_all(data, len))
		return true;
	if (written != begin && ftruncate(out_fd, begin) == 0 && lseek(out_fd, begin, SEEK_SET) == begin)
		written = begin;
	return false;
}

/* The disk is full: writes the records that still fit, one by one, and then that the rest is missing. */
static void write_what_fits(void)
{
	size_t at = written == 0 ? sizeof(header) : 0;
	struct hw_record head;

	if (at == 0 || write_whole(buffer, at)) {
		for (; at + sizeof(head) <= used; at += head.size) {
			memcpy(&head, buffer + at, sizeof(head));
			if (!write_whole(buffer + at, head.size))
				break;
		}
	}
	cut_ns = now_ns();
	write_cut();
}

static void drain(void)
{
	if (out_fd >= 0 && used > 0 && !cut_errno && !write_whole(buffer, used))
		write_what_fits();
	used = 0;
}

bool stream_open(int fd, int64_t started_realtime_ns)
{
	header = (struct hw_header){.byte_order = HW_BYTE_ORDER, .version = HW_VERSION, .header_size = sizeof(header),
				    .page_size = (uint32_t)g.page_size, .started_realtime_ns = started_realtime_ns};
	struct rlimit limit;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY)
		size_limit = limit.rlim_cur;
	out_fd = fd;
	memcpy(header.magic, HW_MAGIC, sizeof(header.magic));
	memcpy(buffer, &header, sizeof(header));
	used = sizeof(header);
	return true;
}

int stream_fd(void)
{
	return out_fd;
}

static void put(const void *data, size_t len)
{
	if (len > 0)
		memcpy(buffer + used, data, len);
	used += len;
}

/* One record: a fixed part, and up to two runs of bytes behind it. Too long ones lose the end of their last run. */
void stream_record(uint16_t type, uint16_t flags, const void *fixed, size_t fixed_len, const void *tail,
		   size_t tail_len, size_t tail2_len, const void *tail2)
{
	static const char zeros[8];
	size_t payload = fixed_len + tail_len + tail2_len;
	size_t size = (sizeof(struct hw_record) + payload + 7) & ~(size_t)7;
	struct hw_record head = {(uint32_t)size, type, flags};

	if (out_fd < 0 || size > BUFFER)
		return;
	if (used + size > BUFFER)
		drain();
	put(&head, sizeof(head));
	put(fixed, fixed_len);
	put(tail, tail_len);
	put(tail2, tail2_len);
	put(zeros, size - sizeof(head) - payload);
}

void stream_event(uint16_t type, uint16_t flags, const void *fixed, size_t len)
{
	if (cut_errno && type == HW_END) { /* behind HW_CUT, in what is left of the reserve */
		struct hw_record head = {(uint32_t)(sizeof(head) + len), type, flags};
		int keep = cut_errno;

		(void)(write_all((const unsigned char *)&head, sizeof(head)) && write_all(fixed, len));
		cut_errno = keep;
		return;
	}
	stream_record(type, flags, fixed, len, NULL, 0, 0, NULL);
}

void stream_warning(const char *code, const char *text)
{
	stream_record(HW_WARNING, 0, code, strlen(code) + 1, text, strlen(text) + 1, 0, NULL);
}

void stream_fact(const char *key, const char *value)
{
	size_t k = strlen(key) + 1, v = strlen(value) + 1;

	if (facts_len + k + v > sizeof(facts))
		return;
	memcpy(facts + facts_len, key, k);
	memcpy(facts + facts_len + k, value, v);
	facts_len += k + v;
}

void stream_fact_number(const char *key, int64_t value)
{
	char text[24], *at = text + sizeof(text);
	uint64_t n = value < 0 ? (uint64_t)-value : (uint64_t)value;

	*--at = 0;
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	if (value < 0)
		*--at = '-';
	stream_fact(key, at);
}

void stream_facts_done(void)
{
	stream_record(HW_FACTS, 0, facts, facts_len, NULL, 0, 0, NULL);
	facts_len = 0;
}

void stream_flush(void)
{
	samples_out();
	drain();
}
