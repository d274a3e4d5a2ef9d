/* Code objects: known by what they are called, where they stand and begin, not by their address, which another one gets
 * when they die. Two that agree in all of that are one for a reader, too. */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "python_walk.h"
#include "sample.h"

/* Python 3.10 to 3.15: `kind` (bytes of a character), `compact`, `ascii` of the state of a string */
#define KIND(state) ((state) >> 2 & 7)
#define COMPACT 0x20u
#define ASCII 0x40u

enum { LONGEST_NAME = 1024, LONGEST_FILE = 4096 };

struct text {
	const unsigned char *start;
	size_t length; /* in characters */
	unsigned kind; /* bytes of each; 0: it cannot be read */
	bool ascii;
};

static struct text text_of(const struct python_layout *layout, const void *object)
{
	struct text text = {.kind = 0};
	const unsigned char *base = object;
	uint32_t state;

	if (!object)
		return text;
	memcpy(&state, base + layout->text_state, sizeof state);
	memcpy(&text.length, base + layout->text_length, sizeof text.length);
	if (!(state & COMPACT) || text.length > 1u << 20)
		return text;
	text.ascii = (state & ASCII) != 0;
	text.kind = KIND(state);
	if (text.kind != 1 && text.kind != 2 && text.kind != 4)
		text.kind = 0;
	text.start = base + (text.ascii ? layout->text_ascii : layout->text_compact);
	return text;
}

static uint32_t character(const struct text *text, size_t at)
{
	uint16_t two;
	uint32_t four;

	switch (text->kind) {
	case 1:
		return text->start[at];
	case 2:
		memcpy(&two, text->start + 2 * at, sizeof two);
		return two;
	default:
		memcpy(&four, text->start + 4 * at, sizeof four);
		return four;
	}
}

static unsigned encode(uint32_t c, unsigned char *out)
{
	if (c < 0x80) {
		out[0] = (unsigned char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (unsigned char)(0xc0 | c >> 6);
		out[1] = (unsigned char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c >= 0xd800 && c < 0xe000) /* half a pair: what was a byte that is no UTF-8 in a file's name */
		c = 0xfffd;
	if (c < 0x10000) {
		out[0] = (unsigned char)(0xe0 | c >> 12);
		out[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (unsigned char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (unsigned char)(0xf0 | (c >> 18 & 7));
	out[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (unsigned char)(0x80 | (c & 0x3f));
	return 4;
}

unsigned python_text(const struct python_layout *layout, const void *object, char *utf8, unsigned room)
{
	struct text text = text_of(layout, object);
	unsigned used = 0;

	if (!text.kind)
		return 0;
	for (size_t i = 0; i < text.length && used + 4 <= room; i++)
		used += encode(character(&text, i), (unsigned char *)utf8 + used);
	return used;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 29;
}

static uint64_t hash_text(const struct python_layout *layout, const void *object, uint64_t hash)
{
	struct text text = text_of(layout, object);
	size_t bytes = text.length * text.kind, at = 0;
	uint64_t word;

	hash = mix(hash, (uint64_t)bytes << 3 | text.kind);
	for (; at + 8 <= bytes; at += 8) {
		memcpy(&word, text.start + at, 8);
		hash = mix(hash, word);
	}
	if (at < bytes) {
		word = 0;
		memcpy(&word, text.start + at, bytes - at);
		hash = mix(hash, word);
	}
	return hash;
}

/* Open addressing; 0 is no key. */
struct known {
	uint64_t key;
	uint64_t number;
};
static struct known *table;
static size_t table_size;
static uint32_t table_used;
static uint32_t table_file; /* sample_file_number that it holds for */
static uint32_t next_number; /* goes on after a fork: the child's file is read together with its parent's */

static struct known *map_table(size_t size)
{
	/* Not mmap(): that function is the sampler's, and would tell of it. */
#ifdef SYS_mmap2
	long at = syscall(SYS_mmap2, NULL, size * sizeof(struct known), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#else
	long at = syscall(SYS_mmap, NULL, size * sizeof(struct known), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#endif
	return at == -1 ? NULL : (struct known *)at;
}

static struct known *find(struct known *in, size_t size, uint64_t key)
{
	size_t at = key & (size - 1);

	while (in[at].key && in[at].key != key)
		at = (at + 1) & (size - 1);
	return &in[at];
}

static bool have_room(void)
{
	if (table && 4 * (size_t)table_used < 3 * table_size)
		return true;
	size_t size = table ? 2 * table_size : 4096;
	struct known *larger = map_table(size);
	if (!larger)
		return false;
	for (size_t i = 0; i < table_size; i++)
		if (table[i].key)
			*find(larger, size, table[i].key) = table[i];
	if (table)
		syscall(SYS_munmap, table, table_size * sizeof *table);
	table = larger;
	table_size = size;
	return true;
}

static bool tell(const struct python_layout *layout, const char *code, uint32_t number, uint32_t first_line)
{
	static char name[LONGEST_NAME], file[LONGEST_FILE]; /* python_frames() lets one thread in */
	const void *name_object, *file_object;

	memcpy(&name_object, code + layout->code_name, sizeof name_object);
	memcpy(&file_object, code + layout->code_file, sizeof file_object);
	unsigned name_length = python_text(layout, name_object, name, sizeof name);
	unsigned file_length = python_text(layout, file_object, file, sizeof file);
	struct hw_heap_code record = {
		.code = number,
		.first_line = first_line,
		.name_len = (uint16_t)name_length,
		.file_len = (uint16_t)file_length,
	};
	return sample_record(HW_HEAP_CODE, 0, &record, sizeof record, name, name_length, file, file_length);
}

static const void *pointer_at(const void *base, unsigned offset)
{
	const void *value;

	memcpy(&value, (const char *)base + offset, sizeof value);
	return value;
}

/* The code objects of late, by address. That does for another one at the same address only if it agrees in all that is
 * kept here: of the name the interpreter's own hash (names are interned, so they have one), for code that is generated
 * again and again gets the same addresses for its strings, too. */
struct recent {
	const void *code, *name, *file, *lines;
	uint64_t name_hash, file_key;
	int32_t first_line;
	uint32_t number;
};
static struct recent recents[1u << 9];

/* Its hash where it has one, or what stands in its middle and at its end. */
static uint64_t key_of_file(const struct python_layout *layout, const void *file)
{
	struct text text = text_of(layout, file);
	uint64_t hash, last = 0, middle = 0;

	memcpy(&hash, (const char *)file + layout->text_length + sizeof(intptr_t), sizeof(intptr_t));
	size_t bytes = text.length * text.kind;
	if (bytes < 16)
		return mix(hash, bytes);
	memcpy(&last, text.start + bytes - 8, 8);
	memcpy(&middle, text.start + (bytes - 8) / 2, 8);
	return mix(mix(mix(hash, bytes), last), middle);
}

uint32_t python_code(const struct python_layout *layout, const void *code)
{
	const char *at = code;
	struct recent seen = {
		.code = code,
		.name = pointer_at(code, layout->code_name),
		.file = pointer_at(code, layout->code_file),
		.lines = pointer_at(code, layout->code_lines),
	};
	struct recent *recent = &recents[((uintptr_t)code >> 4) * 0x9e3779b97f4a7c15u >> 55];

	if (sample_file_number != table_file) {
		if (table)
			memset(table, 0, table_size * sizeof *table);
		memset(recents, 0, sizeof recents);
		table_used = 0;
		table_file = sample_file_number;
	}
	if (!seen.name || !seen.file)
		return HW_HEAP_NONE;
	memcpy(&seen.first_line, at + layout->code_first_line, sizeof seen.first_line);
	seen.first_line = seen.first_line < 0 ? 0 : seen.first_line;
	memcpy(&seen.name_hash, (const char *)seen.name + layout->text_length + sizeof(intptr_t), sizeof(intptr_t));
	seen.file_key = key_of_file(layout, seen.file);
	if (recent->code == code && recent->name == seen.name && recent->file == seen.file && recent->lines == seen.lines &&
	    recent->name_hash == seen.name_hash && recent->file_key == seen.file_key &&
	    recent->first_line == seen.first_line && seen.name_hash != UINT64_MAX)
		return recent->number;

	uint64_t key = hash_text(layout, seen.file, hash_text(layout, seen.name, mix(1, (uint64_t)seen.first_line)));
	key += !key;
	if (!have_room())
		return HW_HEAP_NONE;
	struct known *known = find(table, table_size, key);
	if (!known->key) {
		if (!tell(layout, at, next_number, (uint32_t)seen.first_line))
			return HW_HEAP_NONE;
		*known = (struct known){key, next_number++};
		table_used++;
	}
	seen.number = (uint32_t)known->number;
	*recent = seen;
	return seen.number;
}
