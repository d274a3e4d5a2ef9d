"""Calls as valgrind's tools write them: ``0x109227: small_strings (holds.c:7)``, ``0x48417B4: malloc (in /lib/x.so)``.

dhat of Rust writes the column as well: ``(src/main.rs:12:5)``.
"""

from __future__ import annotations

import re

from hiwater.heap.model import Frame
from hiwater.heap.readers.building import LARGEST
from hiwater.heap.symbols.names import without_arguments

_ADDRESS = re.compile(r"0x([0-9A-Fa-f]{1,16}): (.*)", re.ASCII | re.DOTALL)
_LIBRARY = re.compile(r"(.*) \(in ([^()]*(?:\([^()]*\)[^()]*)*)\)", re.DOTALL)
_SOURCE = re.compile(r"(.*) \(([^()]*?):(\d{1,9})(?::\d{1,9})?\)", re.ASCII | re.DOTALL)
_LONGEST = 1 << 14
_OWN_LIBRARY = "/vgpreload_"
"""Of valgrind itself: its malloc, which stands in for the program's."""


def frame(text: str) -> Frame:
    """Addresses are those in memory, of use to nobody, where the file tells name or place."""
    text = text[:_LONGEST]
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return Frame(text)
    address, rest = int(match.group(1), 16), match.group(2)
    library, file, line = None, None, None
    found = _LIBRARY.fullmatch(rest)
    if found is not None:
        rest, library = found.groups()
    else:
        found = _SOURCE.fullmatch(rest)
        if found is not None:
            rest, file, line = found.group(1), found.group(2), int(found.group(3))
    name = None if rest in ("???", "") else without_arguments(rest)
    unknown = name is None and file is None and address <= LARGEST
    return Frame(name, file, line, library, address if unknown and library is None else None)


def is_own(call: Frame) -> bool:
    """The profiler's own malloc, at the top of each of its stacks."""
    return call.library is not None and _OWN_LIBRARY in call.library
