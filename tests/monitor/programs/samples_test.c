/* samples.c alone: writes what it records to standard output, as the body of a stream.
 *
 *   rows      takes rows from standard input: time in ns, image, and the pages of each column
 *   hour      an hour of fifty processes that all change at every look; says on standard error how far what was
 *             written was from what was, at most, and what it admits (hw_stats.coarse_bytes) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor.h"

struct globals g = {.page_size = 4096};

void stream_record(uint16_t type, uint16_t flags, const void *fixed, size_t fixed_len, const void *tail,
		   size_t tail_len, size_t tail2_len, const void *tail2)
{
	static const char zeros[8];
	size_t len = fixed_len + tail_len + tail2_len, padding = (8 - len % 8) % 8;
	const struct hw_record head = {(uint32_t)(sizeof(head) + len + padding), type, flags};

	fwrite(&head, sizeof(head), 1, stdout);
	fwrite(fixed, fixed_len, 1, stdout);
	fwrite(tail, tail_len, 1, stdout);
	if (tail2_len > 0)
		fwrite(tail2, tail2_len, 1, stdout);
	fwrite(zeros, padding, 1, stdout);
}

static void rows(void)
{
	long long at;
	uint32_t image, p[IMAGE_PAGES];

	while (scanf("%lld %u %u %u %u %u %u %u %u", &at, &image, &p[0], &p[1], &p[2], &p[3], &p[4], &p[5], &p[6]) == 9)
		sample_image(at, image, p);
}

static void hour(void)
{
	enum { PROCESSES = 50, LOOK_MS = 15 };
	static uint32_t written[PROCESSES][IMAGE_PAGES];
	uint32_t largest = 0, seed = 1;

	memset(written, 0xff, sizeof(written));
	for (int64_t ms = 0; ms < 3600 * 1000; ms += LOOK_MS) {
		for (uint32_t i = 0; i < PROCESSES; i++) {
			seed = seed * 1664525 + 1013904223;
			const uint32_t rss = 5000 + i * 100 + seed / 65536 % 2000;
			const uint32_t row[IMAGE_PAGES] = {rss, rss - 900, 3, 0, 8000, 20, 0};

			if (sample_worth(row, written[i], IMAGE_PAGES)) {
				memcpy(written[i], row, sizeof(row));
				sample_image(ms * NS_PER_MS, i, row);
			}
			uint32_t off = rss > written[i][0] ? rss - written[i][0] : written[i][0] - rss;

			largest = off > largest ? off : largest;
		}
		if (ms % 250 < LOOK_MS)
			samples_make_room(ms * NS_PER_MS);
	}
	fprintf(stderr, "%lld %lld\n", (long long)largest * g.page_size, (long long)g.stats.coarse_bytes);
}

int main(int count, char **arguments)
{
	if (count == 2 && strcmp(arguments[1], "rows") == 0)
		rows();
	else if (count == 2 && strcmp(arguments[1], "hour") == 0)
		hour();
	else
		return 2;
	samples_out();
	return fflush(stdout) != 0;
}
