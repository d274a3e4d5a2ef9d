/* The timeline: rows of images and of the tree, gathered in columns that are written as narrow as they can be.
 *
 * Rows have a budget, so that a recording of hours stays small: a burst at the beginning, then so many a second. Where
 * more changes than that, small changes are left out, as small as possible; the largest that was left out is told
 * (hw_stats.coarse_bytes). No maximum depends on rows: those of images and of the tree are kept apart. */
#include <string.h>

#include "monitor.h"

#define ROWS 512
#define BURST 200000
#define PER_SECOND 1000

struct table {
	uint16_t type;
	uint32_t columns, rows;
	int64_t last_us;  /* of what is written */
	int64_t us[ROWS]; /* since t = 0 */
	uint32_t values[HW_SAMPLE_COLUMNS][ROWS];
};
static struct table images = {.type = HW_SAMPLES, .columns = HW_SAMPLE_COLUMNS};
static struct table tree = {.type = HW_TREE_SAMPLES, .columns = HW_TREE_COLUMNS};

static int64_t room = BURST, room_at;
static uint32_t coarse; /* pages: smaller changes are left out */

/* Packs one column behind its head; returns the bytes used. */
static size_t pack(const uint32_t *values, uint32_t rows, unsigned char *out)
{
	uint32_t least = UINT32_MAX, most = 0;
	size_t len = sizeof(struct hw_column), begin = len;

	for (uint32_t i = 0; i < rows; i++) {
		least = values[i] < least ? values[i] : least;
		most = values[i] > most ? values[i] : most;
	}
	struct hw_column head = {least, 4};

	if (most == least) {
		head.width = 0;
	} else if (most == HW_NO_PAGES || most - least > UINT16_MAX) {
		head.base = 0;
	} else {
		head.width = most - least > UINT8_MAX ? 2 : 1;
	}
	memcpy(out, &head, sizeof(head));
	for (uint32_t i = 0; i < rows && head.width > 0; i++, len += head.width) {
		const uint32_t wide = values[i] - head.base;
		const uint16_t half = (uint16_t)wide;
		const uint8_t narrow = (uint8_t)wide;

		memcpy(out + len, head.width == 4 ? (const void *)&wide : head.width == 2 ? (const void *)&half : &narrow,
		       head.width);
	}
	for (; (len - begin) % 8 != 0; len++)
		out[len] = 0;
	return len;
}

static void table_out(struct table *t)
{
	static unsigned char packed[HW_SAMPLE_COLUMNS * (sizeof(struct hw_column) + ROWS * 4 + 8)];
	size_t len = 0;

	if (t->rows == 0)
		return;
	const struct hw_samples head = {t->us[0] * 1000, t->rows, t->columns};

	for (uint32_t i = t->rows; i-- > 0;)
		t->values[0][i] = i > 0 ? (uint32_t)(t->us[i] - t->us[i - 1]) : 0;
	t->last_us = t->us[t->rows - 1];
	for (uint32_t i = 0; i < t->columns; i++)
		len += pack(t->values[i], t->rows, packed + len);
	stream_record(t->type, 0, &head, sizeof(head), packed, len, 0, NULL);
	t->rows = 0;
}

/* Rows are written in the order of time. They come in nearly that order: those of events a little late. */
static void add(struct table *t, int64_t t_ns, uint32_t second, const uint32_t *pages)
{
	int64_t us = t_ns / 1000;
	uint32_t at;

	if (t->rows == ROWS || (t->rows > 0 && us - t->us[t->rows - 1] > UINT32_MAX))
		table_out(t);
	if (us < t->last_us)
		us = t->last_us; /* what is written is written */
	for (at = t->rows; at > 0 && t->us[at - 1] > us; at--) {
		t->us[at] = t->us[at - 1];
		for (uint32_t i = 1; i < t->columns; i++)
			t->values[i][at] = t->values[i][at - 1];
	}
	t->us[at] = us;
	t->values[1][at] = second;
	for (uint32_t i = 2; i < t->columns; i++)
		t->values[i][at] = pages[i - 2];
	t->rows++;
	room--;
}

void sample_image(int64_t t_ns, uint32_t image, const uint32_t pages[IMAGE_PAGES])
{
	add(&images, t_ns, image, pages);
}

void sample_tree(int64_t t_ns, uint32_t processes, const uint32_t pages[TREE_PAGES])
{
	add(&tree, t_ns, processes, pages);
}

bool sample_worth(const uint32_t *row, const uint32_t *before, int count)
{
	uint32_t most = 0;

	for (int i = 0; i < count; i++) {
		if ((row[i] == HW_NO_PAGES) != (before[i] == HW_NO_PAGES))
			return true; /* the first reading, or the last */
		uint32_t change = row[i] > before[i] ? row[i] - before[i] : before[i] - row[i];

		most = change > most ? change : most;
	}
	if (most == 0 || most >= coarse)
		return most > 0;
	if (most * (int64_t)g.page_size > g.stats.coarse_bytes)
		g.stats.coarse_bytes = most * (int64_t)g.page_size;
	return false;
}

void samples_make_room(int64_t now)
{
	room += (now - room_at) / (NS_PER_S / PER_SECOND);
	room_at = now;
	if (room > BURST)
		room = BURST;
	if (room < BURST / 4)
		coarse = coarse == 0 ? 2 : coarse < UINT32_MAX / 4 ? coarse * 2 : coarse;
	else if (room > BURST / 2)
		coarse /= 2;
}

void samples_out(void)
{
	table_out(&images);
	table_out(&tree);
}
