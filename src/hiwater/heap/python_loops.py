"""The interpreter's loop where it has no name: compilers put what is seldom executed into a part of its own, and of a
stripped interpreter only the name of the other part is left.

How often the loop is on a stack is known, for each evaluation ends with a Python frame that was entered from C. So the
parts of the loop are those functions without a name that make up, over all stacks, for what is missing.

What the interpreter compiled while it ran (its JIT, 3.13 and newer) has neither a name nor a file. The loop calls it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hiwater.heap.model import Frame
from hiwater.heap.python_frames import LOOP, Call, is_interpreter, is_loop

MOST_PARTS = 4
"""Of the loop, that have no name."""

Native = Sequence[Sequence[Frame]]
"""For each return address the function there, after what was inlined into it."""

_UNNAMED = re.compile(r".+\+0x[0-9a-f]+")
"""What functions without a name are called by: the file and where they begin (``symbols.resolver``)."""


def name_loops(stacks: Sequence[tuple[Native, Sequence[Call]]]) -> list[Native]:
    """The native stacks, with its name for each part of the loop, and its file for what the interpreter compiled."""
    parts = _parts(stacks)
    named = [
        [_named(group) if _key(group) in parts else group for group in native] if parts else native
        for native, _ in stacks
    ]
    return [_with_compiled(one) if python else one for one, (_, python) in zip(named, stacks, strict=True)]


def _with_compiled(native: Native) -> Native:
    """Code without a file is the interpreter's if that called it, or if the stack ends there: not all such code can be
    unwound."""
    if all(group and group[-1].library for group in native):
        return native
    library = next((group[-1].library for group in native if group and is_interpreter(group[-1].library)), None)
    made: list[Sequence[Frame]] = []
    for group in reversed(native):
        unknown = bool(group) and group[-1].function is None and group[-1].library is None
        if unknown and (not made or (made[-1] and is_interpreter(made[-1][-1].library))):
            made.append((replace(group[-1], library=library),))
        else:
            made.append(group)
    return made[::-1]


def _key(group: Sequence[Frame]) -> tuple[str, str] | None:
    """The function, if it is one of the interpreter without a name."""
    frame = group[-1] if group else None
    if frame is None or not is_interpreter(frame.library) or not _UNNAMED.fullmatch(frame.function or ""):
        return None
    return frame.library or "", frame.function or ""


def _named(group: Sequence[Frame]) -> tuple[Frame, ...]:
    return (*group[:-1], replace(group[-1], function=LOOP))


def _parts(stacks: Sequence[tuple[Native, Sequence[Call]]]) -> set[tuple[str, str]]:
    """Taken one by one, each the one after which least is missing or too much."""
    missing: list[int] = []
    unnamed: list[Counter[tuple[str, str]]] = []
    depth: Counter[tuple[str, str]] = Counter()  # of those that would do as well, the innermost
    for native, python in stacks:
        if not native or not python or not python[-1].entry:
            continue
        keys = [_key(group) for group in native]
        missing.append(sum(call.entry for call in python) - sum(map(is_loop, native)))
        unnamed.append(Counter(key for key in keys if key is not None))
        for index, key in enumerate(keys):
            if key is not None:
                depth[key] += index
    parts: set[tuple[str, str]] = set()
    while len(parts) < MOST_PARTS:
        gain: Counter[tuple[str, str]] = Counter()
        for lack, counts in zip(missing, unnamed, strict=True):
            for key, count in counts.items():
                gain[key] += abs(lack) - abs(lack - count)
        best = max(((gain[key], -depth[key], key) for key in gain if key not in parts), default=None)
        if best is None or best[0] <= 0:
            break
        parts.add(best[2])
        missing = [lack - counts[best[2]] for lack, counts in zip(missing, unnamed, strict=True)]
    return parts
