"""Python's frames in the place of the interpreter's own, on one stack.

The sampler takes two stacks of one moment: the return addresses, and the Python frames. Each call of the interpreter's
loop, ``_PyEval_EvalFrameDefault``, ran one or more of the Python frames: those up to the next one that was entered from
C (``entry``). These frames take the loop's place; functions written in C that stand between stay between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import chain
from typing import Protocol

from hiwater.heap.model import Frame, Stack


class Call(Protocol):
    """A Python frame of a stack."""

    @property
    def frame(self) -> Frame:
        """What ran."""

    @property
    def entry(self) -> bool:
        """It was entered from C: the next one belongs to an evaluation further out."""


class Interpreter(str, Enum):
    """What becomes of the interpreter's own functions on stacks that have Python frames."""

    FOLDED = "folded"
    """They are left out: how a call is made, an object built, a module imported is no news."""
    SHOWN = "shown"

    def __str__(self) -> str:
        return self.value


LOOP = "_PyEval_EvalFrameDefault"
"""The function that runs Python code."""

_EVALUATION = re.compile(LOOP + r"(\..*)?")
"""With what compilers append to parts of a function: ``.cold``, ``.part.0``, ``.localalias``."""

_LIBRARY = re.compile(r"(.*/)?(libpython\d[\w.]*\.so[\w.]*|python(\d[\w.]*)?(-dbg)?)")

_OWN = re.compile(
    r"_?Py(?!Array)[A-Z]\w*|_Py_\w+|_TAIL_CALL_\w+|"
    r"pymain_\w+|\w*_(vectorcall|tp_call|tp_new|tp_init)\w*|slot_\w+|type_(call|new)\w*|"
    r"object_vacall|gen_(send|iternext|close|throw)\w*|builtin_\w+|thread_run|pythread_wrapper|import_find_and_load|"
    r"pymalloc_\w+|(list|dict|set|tuple|unicode|bytes|bytearray|long)_\w+|run_(mod|eval_code_obj)|do_call_core|method_\w+"
)
"""Names of functions of CPython, for programs that have it linked in."""

_MODULES = re.compile(r"(.*/)?Modules/(?!(gcmodule|main|getpath|config)\.c)[^/]+(/.*)?\.c")
"""Sources of modules that are built into the interpreter: ``_json`` allocates for whoever calls it."""

_START = re.compile(r"_start|main|__libc_start_\w+|start_thread|clone3?|__clone\w*|libc[.-][\w.]+\+0x[0-9a-f]+")
"""How processes and threads begin; of a C library that was stripped, where."""


def merge(
    native: Sequence[Sequence[Frame]], python: Sequence[Call], interpreter: Interpreter = Interpreter.FOLDED
) -> Stack:
    """One stack, innermost first.

    ``native`` holds for each return address, innermost first, the function there with what was inlined into it;
    ``python`` the Python frames. Where they do not agree on how often the interpreter was entered (a deep stack of
    which the outermost frames are missing, an interpreter without symbols), the innermost ones are put together, and
    what is left of Python's comes last: no Python frame is ever lost.
    """
    if not python:
        return tuple(chain.from_iterable(native))
    evaluations = list(_evaluations(python))
    loops = [index for index, group in enumerate(native) if is_loop(group)]
    home = _library(native[loops[0]]) if loops else None
    if not loops:
        loops = [next((i for i, group in enumerate(native) if _is_own(group[-1:], None)), len(native))]
    placed = dict(zip(loops, evaluations, strict=False))
    placed[loops[min(len(loops), len(evaluations)) - 1]] = list(chain.from_iterable(evaluations[len(placed) - 1 :]))
    last = max(placed)
    found: list[Frame] = []
    for index, group in enumerate(native):
        if index in placed:
            found += placed[index]
        elif interpreter is Interpreter.SHOWN or not _is_own(group, home):
            found += group
        if index == last and interpreter is Interpreter.FOLDED:
            found += _outside(native[index + 1 :], home)
            break
    return tuple(found if last < len(native) else [*found, *placed[last]])


def _evaluations(python: Sequence[Call]) -> Iterator[list[Frame]]:
    """The Python frames that one call of the loop ran, innermost first."""
    run: list[Frame] = []
    for call in python:
        run.append(call.frame)
        if call.entry:
            yield run
            run = []
    if run:
        yield run


def is_interpreter(library: str | None) -> bool:
    """Whether a file is CPython, and nothing else."""
    return bool(_LIBRARY.fullmatch(library or ""))


def is_loop(group: Sequence[Frame]) -> bool:
    """A group is one return address; the function itself is its last frame."""
    return bool(group) and bool(_EVALUATION.fullmatch(group[-1].function or ""))


def _library(group: Sequence[Frame]) -> str | None:
    return group[-1].library


def _is_own(group: Sequence[Frame], home: str | None) -> bool:
    """Whether this is the interpreter itself. ``home``: the program or library that its loop is in."""
    if not group:
        return False
    frame = group[-1]
    if _MODULES.fullmatch(frame.file or ""):
        return False
    if is_interpreter(frame.library):
        return True
    return frame.library is not None and frame.library == home and bool(_OWN.fullmatch(frame.function or ""))


def _outside(native: Sequence[Sequence[Frame]], home: str | None) -> Iterable[Frame]:
    """What called the outermost Python frame: nothing, where that is only how the process or the thread began."""
    rest = [group for group in native if group and not is_loop(group) and not _is_own(group, home)]
    if all(_START.fullmatch(group[-1].function or "") for group in rest):
        return ()
    return chain.from_iterable(rest)
