"""Python's and native frames on one stack."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hiwater.heap.model import Frame, Language
from hiwater.heap.python_frames import Interpreter, merge

LIB = "/usr/lib/libpython3.11.so.1.0"
LOOP = "_PyEval_EvalFrameDefault"


@dataclass(frozen=True)
class Call:
    frame: Frame
    entry: bool = False


def native(text: str) -> list[list[Frame]]:
    """``name`` of the interpreter, ``name@library`` of another; ``inlined+name``; ``file~0x12`` has no name."""
    groups = []
    for word in text.split():
        names, _, library = word.partition("@")
        words = [name.replace("~", "+") for name in names.split("+")]
        group = [Frame(name, library=library or LIB, inlined=True) for name in words]
        groups.append([*group[:-1], Frame(group[-1].function, library=library or LIB)])
    return groups


def python(text: str) -> list[Call]:
    """``name`` or ``name^`` of one that was entered from C."""
    return [
        Call(Frame(word.rstrip("^"), "app.py", 3, language=Language.PYTHON), word.endswith("^"))
        for word in text.split()
    ]


def shown(stack: tuple[Frame, ...]) -> str:
    return " ".join(frame.function or "?" for frame in stack)


@pytest.mark.parametrize(
    ("case", "native_frames", "python_frames", "folded", "all_shown"),
    [
        ("pure", f"list_append {LOOP} PyEval_EvalCode main _start", "f <module>^", "f <module>", ""),
        (
            "an extension calls back",
            f"PyList_New {LOOP} PyObject_Call apply@/x/_ext.so meth_call {LOOP} Py_RunMain main "
            "__libc_start_main@/lib/libc.so.6",
            "inner key^ outer <module>^",
            "inner key apply outer <module>",
            "PyList_New inner key PyObject_Call apply meth_call outer <module> Py_RunMain main __libc_start_main",
        ),
        (
            "numpy allocates",
            f"PyArray_NewFromDescr@/x/_multiarray_umath.so array_zeros@/x/_multiarray_umath.so cfunction_call {LOOP}",
            "load^",
            "PyArray_NewFromDescr array_zeros load",
            "",
        ),
        ("the cold part", f"long_new {LOOP}.cold main _start", "f^", "f", ""),
        ("inlined", f"a+b {LOOP} x+{LOOP} main", "f^ g^", "f g", "a b f g main"),
        ("cut", f"a {LOOP} b", "f^ g^ h", "f g h", "a f g h b"),
        ("more loops than frames", f"a {LOOP} b {LOOP} c {LOOP}", "f^ g^", "f g", ""),
        ("no symbols", "?@/x/_ext.so ?@/usr/bin/python3.11 ?@/usr/bin/python3.11", "f^ g^", "? f g", ""),
        ("no native frames", "", "f^ g^", "f g", "f g"),
        ("no Python frames", f"a {LOOP} main", "", f"a {LOOP} main", f"a {LOOP} main"),
        (
            "a thread",
            f"{LOOP} thread_run pythread_wrapper start_thread@/lib/libc.so.6 clone3@/lib/libc.so.6",
            "f^",
            "f",
            "",
        ),
        (
            "a C library without names",
            f"PyList_New {LOOP} Py_RunMain libc.so.6~0x29f40@/lib/libc.so.6 __libc_start_main@/lib/libc.so.6 _start",
            "f^",
            "f",
            "",
        ),
        (
            "tail calls, in a program",
            f"_TAIL_CALL_BUILD_LIST@/x/game {LOOP}@/x/game PyRun_StringFlags@/x/game script@/x/game main@/x/game",
            "f^",
            "f script main",
            "",
        ),
        (
            "embedded in a program",
            f"PyList_New@/x/game {LOOP}@/x/game PyRun_StringFlags@/x/game script@/x/game main@/x/game",
            "f^",
            "f script main",
            "PyList_New f PyRun_StringFlags script main",
        ),
    ],
)
def test_merge(case: str, native_frames: str, python_frames: str, folded: str, all_shown: str) -> None:
    """Python frames take the place of the interpreter's loop, each evaluation's in its own; what was written in C by
    others stays between; the interpreter's own functions are left out, or kept if asked for."""
    assert shown(merge(native(native_frames), python(python_frames))) == folded, case
    if all_shown:
        assert shown(merge(native(native_frames), python(python_frames), Interpreter.SHOWN)) == all_shown, case


def test_builtin_module() -> None:
    """A module that is built into the interpreter is told by its source, and stays."""
    encoder = Frame("encoder_call", "/build/Modules/_json.c", 7, LIB)
    stack = merge([[encoder], [Frame(LOOP, library=LIB)]], python("dump^"))
    assert shown(stack) == "encoder_call dump"


def test_nothing_is_lost() -> None:
    """However many loops are seen, each Python frame appears once, in its order."""
    calls = python("a^ b c^ d^ e f^ g^")
    for loops in range(9):
        groups = native(" ".join(f"x {LOOP}" for _ in range(loops)))
        for policy in Interpreter:
            stack = merge(groups, calls, policy)
            assert [f.function for f in stack if f.language is Language.PYTHON] == list("abcdefg"), (loops, policy)
