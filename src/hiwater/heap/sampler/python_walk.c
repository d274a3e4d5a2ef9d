/* Reading the frames. */
#include "python_walk.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stream.h"

static struct python_api api;
static struct python_layout layout;

/* The first stacks are read with care, until so many frames were what they should be. */
enum { TRUSTED = 64, DEEPEST_CHECK = 32 };
static unsigned trusted;

bool python_walk_init(const struct python_api *found)
{
	api = *found;
	return api.current_state && api.own_state && api.line && api.code_type && api.text_type &&
	       python_layout(api.version, api.runtime, &layout);
}

/* The state that is current is ours if it is this thread's own. Up to 3.11 `current` is the GIL holder's, and may go
 * away while we look, so the two are compared and nothing is read. Since 3.12 it is the calling thread's, or NULL. */
void *python_walk_thread(void)
{
	if (!api.current_state || !api.own_state)
		return NULL;
	void *current = api.current_state();
	if (!current || (api.version < 0x030c0000 && current != api.own_state()))
		return NULL;
	return current;
}

/* Whether these bytes can be read, without reading them: the kernel copies the set before it looks at `how`, which is no
 * valid one (kernel/signal.c, rt_sigprocmask(), Linux 2.2 to 6.18): EFAULT or EINVAL. */
static bool readable_word(uintptr_t address)
{
	int before = errno;
	bool good = syscall(SYS_rt_sigprocmask, -1, address & ~(uintptr_t)7, NULL, 8) < 0 && errno == EINVAL;

	errno = before;
	return good;
}

static bool readable(const void *start, size_t size)
{
	uintptr_t address = (uintptr_t)start;

	return address % sizeof(void *) == 0 && address >= 4096 && readable_word(address) &&
	       readable_word(address + size - 1);
}

static inline void *pointer_at(const void *base, unsigned offset)
{
	void *value;

	memcpy(&value, (const char *)base + offset, sizeof value);
	return value;
}

static inline int int_at(const void *base, unsigned offset)
{
	int value;

	memcpy(&value, (const char *)base + offset, sizeof value);
	return value;
}

static inline intptr_t size_at(const void *base, unsigned offset)
{
	return (intptr_t)pointer_at(base, offset);
}

static inline uint8_t byte_at(const void *base, unsigned offset)
{
	return ((const uint8_t *)base)[offset];
}

static const void *first_frame(const void *thread)
{
	const void *at = pointer_at(thread, layout.state_frame);

	return at && layout.cframe_frame != PYTHON_ABSENT ? pointer_at(at, layout.cframe_frame) : at;
}

static inline void *code_of(const void *frame)
{
	return (void *)((uintptr_t)pointer_at(frame, layout.frame_code) & ~(uintptr_t)layout.frame_code_tags);
}

/* In 3.12 and newer: a frame without code, on the C stack, that marks an entry. */
static inline bool is_mark(const void *frame)
{
	return layout.owner_c_stack != 0xff && byte_at(frame, layout.frame_owner) == layout.owner_c_stack;
}

/* 3.10: each call of a Python function enters from C. */
static inline bool is_entry(const void *frame, const void *next)
{
	if (layout.frame_is_entry != PYTHON_ABSENT)
		return byte_at(frame, layout.frame_is_entry);
	return layout.frame_owner == PYTHON_ABSENT || !next || is_mark(next);
}

static inline bool is_code(const void *code)
{
	return code && ((uintptr_t)code & (sizeof(void *) - 1)) == 0 &&
	       pointer_at(code, layout.object_type) == api.code_type;
}

/* Byte of the code object's instructions at which a frame is; -1: before the first one. */
static inline intptr_t byte_of(const void *frame, const void *code)
{
	if (layout.frame_last != PYTHON_ABSENT)
		return int_at(frame, layout.frame_last) < 0 ? -1 : 2 * (intptr_t)int_at(frame, layout.frame_last);
	return (intptr_t)((uintptr_t)pointer_at(frame, layout.frame_instruction) -
			  ((uintptr_t)code + layout.code_instructions));
}

static inline intptr_t bytes_of(const void *code)
{
	if (layout.code_bytes != PYTHON_ABSENT)
		return size_at(pointer_at(code, layout.code_bytes), layout.object_size);
	return 2 * size_at(code, layout.object_size);
}

/* Being set up still: not yet to be seen, says the interpreter (_PyFrame_IsIncomplete). Generators are never. */
static inline bool is_incomplete(intptr_t byte, const void *code)
{
	return layout.code_first_traceable != PYTHON_ABSENT && byte < 2 * (intptr_t)int_at(code, layout.code_first_traceable);
}

static bool is_text(const void *text)
{
	return readable(text, layout.text_compact) && pointer_at(text, layout.object_type) == api.text_type &&
	       size_at(text, layout.text_length) >= 0 && size_at(text, layout.text_length) < 1 << 20;
}

/* Everything that a walk would follow, without following it blindly. */
static bool is_sound(const void *thread)
{
	unsigned depth = 0, codes = 0;

	if (!readable(thread, layout.state_frame + sizeof(void *)))
		return false;
	const void *at = pointer_at(thread, layout.state_frame);
	if (!at)
		return true;
	if (layout.cframe_frame != PYTHON_ABSENT && !readable(at, layout.cframe_frame + sizeof(void *)))
		return false;
	for (const void *frame = first_frame(thread); frame && depth < DEEPEST_CHECK; depth++) {
		if (!readable(frame, 104))
			return false;
		if (!is_mark(frame)) {
			const void *code = code_of(frame);

			if (!readable(code, 208) || !is_code(code) || !is_text(pointer_at(code, layout.code_file)) ||
			    !is_text(pointer_at(code, layout.code_name)) || int_at(code, layout.code_first_line) < 0 ||
			    !readable(pointer_at(code, layout.code_lines), 32))
				return false;
			if (layout.code_bytes != PYTHON_ABSENT && !readable(pointer_at(code, layout.code_bytes), 32))
				return false;
			intptr_t byte = byte_of(frame, code);
			/* 3.11 and 3.12 begin one instruction before the first. */
			if (byte < -2 || byte >= bytes_of(code) || bytes_of(code) > 1 << 28)
				return false;
			codes++;
		}
		frame = pointer_at(frame, layout.frame_previous);
	}
	trusted += codes;
	return true;
}

/* Lines of the places that samples come from again and again: the table of a big module is long, and read from its
 * beginning. A place is a code object (by number: name, file, first line) at this address with these lines. Code that is
 * generated and dies may get the same address for all of that, so a small table is known by what stands in it, too. */
struct place {
	const void *code, *lines;
	uint64_t key;
	uint32_t number;
	int32_t byte;
	int line;
};
static struct place places[1u << 10];

static uint64_t key_of(const void *lines)
{
	enum { HALF = 32 };
	uint64_t size = (uint64_t)size_at(lines, layout.object_size), key = size, word;
	const char *start = (const char *)lines + layout.object_size + 2 * sizeof(void *);

	for (uint64_t at = 0; at + 8 <= size; at += 8) {
		if (at == HALF && size > 2 * HALF)
			at = size - HALF;
		memcpy(&word, start + at, 8);
		key = (key ^ word) * 0x9e3779b97f4a7c15u;
		key ^= key >> 29;
	}
	if (size % 8) {
		word = 0;
		memcpy(&word, start + size - size % 8, size % 8);
		key = (key ^ word) * 0x9e3779b97f4a7c15u;
	}
	return key;
}

static int line_of(void *code, uint32_t number, intptr_t byte)
{
	const void *lines = pointer_at(code, layout.code_lines);
	uint64_t key = key_of(lines);
	uint64_t hash = ((uint64_t)(uintptr_t)code >> 4) * 0x9e3779b97f4a7c15u + (uint64_t)byte * 0xff51afd7ed558ccdu;
	struct place *place = &places[hash >> 54];

	if (place->code != code || place->lines != lines || place->number != number || place->byte != byte ||
	    place->key != key) {
		int line = api.line(code, (int)byte);

		*place = (struct place){code, lines, key, number, (int32_t)byte, line};
	}
	return place->line;
}

unsigned python_walk(void *thread, struct python_frame *frames, unsigned max, bool *cut, bool *sound)
{
	unsigned count = 0, kept = 0; /* kept: of the evaluation that we are in */

	if (trusted < TRUSTED && !is_sound(thread)) {
		*sound = false;
		return 0;
	}
	for (const void *frame = first_frame(thread), *next; frame; frame = next) {
		next = pointer_at(frame, layout.frame_previous);
		if (is_mark(frame))
			continue;
		void *code = code_of(frame);
		if (!is_code(code) || count == max) {
			*cut = true;
			break;
		}
		bool entry = is_entry(frame, next);
		intptr_t byte = byte_of(frame, code);
		/* A frame that is being set up is left out: what is allocated for it is the caller's. But each evaluation
		 * keeps one, or those further out would be taken for it. */
		if (is_incomplete(byte, code) && !(entry && !kept)) {
			if (entry)
				frames[count - 1].entry = 1;
			kept = entry ? 0 : kept;
			continue;
		}
		uint32_t number = python_code(&layout, code);
		if (number == HW_HEAP_NONE) {
			*cut = true;
			break;
		}
		int line = layout.frame_line != PYTHON_ABSENT ? int_at(frame, layout.frame_line) : 0;
		if (line <= 0)
			line = byte < bytes_of(code) ? line_of(code, number, byte) : 0;
		frames[count++] = (struct python_frame){number, line > 0 ? (uint32_t)line : 0, entry};
		kept = entry ? 0 : kept + 1;
	}
	return count;
}
