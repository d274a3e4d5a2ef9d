/* Compares python_layout.c with the headers of an interpreter; prints what differs. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <stddef.h>
#include "internal/pycore_runtime.h"
#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_interpframe.h"
#include "internal/pycore_code.h"
#define FRAME_WITHOUT_CODE FRAME_OWNED_BY_INTERPRETER
#elif PY_VERSION_HEX >= 0x030b0000
#include "internal/pycore_frame.h"
#define FRAME_WITHOUT_CODE FRAME_OWNED_BY_CSTACK
#include "internal/pycore_code.h"
#else
#include <frameobject.h>
#endif
#include "python_layout.h"

static int wrong;

static void same(const char *name, size_t theirs, size_t ours)
{
	if (theirs != ours) {
		printf("%s: %zu in the headers, %zu here\n", name, theirs, ours);
		wrong = 1;
	}
}
#define SAME(type, member, ours) same(#type "." #member, offsetof(type, member), layout.ours)

int main(void)
{
	struct python_layout layout;
	PyASCIIObject text;
	unsigned state;

	if (!python_layout(PY_VERSION_HEX, &_PyRuntime, &layout)) {
		puts("no layout");
		return 1;
	}
	SAME(PyObject, ob_type, object_type);
	SAME(PyVarObject, ob_size, object_size);
	SAME(PyCodeObject, co_filename, code_file);
	SAME(PyCodeObject, co_firstlineno, code_first_line);
	SAME(PyCodeObject, co_linetable, code_lines);
	SAME(PyASCIIObject, length, text_length);
	SAME(PyASCIIObject, state, text_state);
	same("hash", offsetof(PyASCIIObject, hash), layout.text_length + sizeof(Py_ssize_t));
	same("ASCII", sizeof(PyASCIIObject), layout.text_ascii);
	same("compact", sizeof(PyCompactUnicodeObject), layout.text_compact);
	memset(&text, 0, sizeof text);
	text.state.kind = 7;
	memcpy(&state, &text.state, sizeof state);
	same("kind", state, 7 << 2);
	memset(&text, 0, sizeof text);
	text.state.compact = 1;
	memcpy(&state, &text.state, sizeof state);
	same("compact", state, 0x20);
	memset(&text, 0, sizeof text);
	text.state.ascii = 1;
	memcpy(&state, &text.state, sizeof state);
	same("ascii", state, 0x40);
#if PY_VERSION_HEX < 0x030b0000
	SAME(PyThreadState, frame, state_frame);
	SAME(PyFrameObject, f_back, frame_previous);
	SAME(PyFrameObject, f_code, frame_code);
	SAME(PyFrameObject, f_lasti, frame_last);
	SAME(PyFrameObject, f_lineno, frame_line);
	SAME(PyCodeObject, co_name, code_name);
	SAME(PyCodeObject, co_code, code_bytes);
#else
	SAME(PyCodeObject, co_qualname, code_name);
	SAME(PyCodeObject, co_code_adaptive, code_instructions);
	SAME(PyCodeObject, _co_firsttraceable, code_first_traceable);
	SAME(struct _PyInterpreterFrame, previous, frame_previous);
#if PY_VERSION_HEX < 0x030d0000
	SAME(PyThreadState, cframe, state_frame);
	SAME(_PyCFrame, current_frame, cframe_frame);
	SAME(struct _PyInterpreterFrame, f_code, frame_code);
	SAME(struct _PyInterpreterFrame, prev_instr, frame_instruction);
#else
	SAME(PyThreadState, current_frame, state_frame);
	SAME(struct _PyInterpreterFrame, f_executable, frame_code);
	SAME(struct _PyInterpreterFrame, instr_ptr, frame_instruction);
#endif
#if PY_VERSION_HEX < 0x030c0000
	SAME(struct _PyInterpreterFrame, is_entry, frame_is_entry);
#else
	SAME(struct _PyInterpreterFrame, owner, frame_owner);
	same("frames without code", FRAME_WITHOUT_CODE, layout.owner_c_stack);
#endif
#if PY_VERSION_HEX >= 0x030e0000
	same("tags", Py_TAG_BITS, layout.frame_code_tags);
#else
	same("tags", 0, layout.frame_code_tags);
#endif
#endif
#if PY_VERSION_HEX >= 0x030d0000
	/* Before a release the debug offsets are not yet what they will be. */
	static char candidate[4096];
	unsigned long long version = (PY_VERSION_HEX & ~0xf0ull) | 0xc0;

	memcpy(candidate, &_PyRuntime, sizeof candidate);
	memcpy(candidate + 8, &version, 8);
	same("layout of a candidate", 0, python_layout((uint32_t)version, candidate, &layout));
#endif
	return wrong;
}
