"""The libraries that a profile says were mapped: from an address in memory to one in a file.

Lines are those of /proc/PID/maps (proc_pid_maps(5)), which gperftools and jemalloc copy behind ``MAPPED_LIBRARIES:``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hiwater.heap.model import Frame

FixedTest = Callable[[str], "bool | None"]
"""Whether the program of that path is linked to fixed addresses (ELF type ET_EXEC); ``None`` where it is not there."""

_LINE = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16}) (\S{4}) ([0-9a-f]{1,16}) \S+ \d+ *(.*)", re.ASCII)
_FIXED_BELOW = 0x10000000
"""Linkers place programs of fixed addresses below it (x86: 0x400000, 0x8048000), kernels place others above."""
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Mapping:
    """A piece of a file in memory."""

    start: int
    end: int
    offset: int
    path: str


class Mappings:
    """All of one process, at one moment."""

    def __init__(self, lines: Iterable[str], is_fixed: FixedTest | None = None) -> None:
        """Lines that are none of maps are passed over. ``[vdso]`` and the like are kept as names without addresses."""
        found = sorted(filter(None, map(_parsed, lines)), key=lambda mapping: mapping.start)
        self._starts = [mapping.start for mapping in found]
        self._mappings = found
        self._is_fixed = is_fixed
        self._bias: dict[str, int | None] = {}
        self._bases: dict[str, int] = {}
        for mapping in found:
            if mapping.offset == 0:
                self._bases.setdefault(mapping.path, mapping.start)

    def frame(self, returns_to: int) -> Frame:
        """Of a return address: the call stands before it, at most the one byte less that every such look-up takes."""
        address = max(returns_to - 1, 0)
        at = bisect_right(self._starts, address) - 1
        mapping = self._mappings[at] if at >= 0 else None
        if mapping is None or address >= mapping.end:
            return Frame(None, address=address)
        if not mapping.path.startswith("/"):
            return Frame(None, library=mapping.path or None, address=address if not mapping.path else None)
        bias = self._bias_of(mapping.path)
        own = address - mapping.start + mapping.offset if bias is None else address - bias
        return Frame(None, library=mapping.path, address=own)

    def _bias_of(self, path: str) -> int | None:
        """What the addresses in memory are more than those in the file; ``None``: by the mapping's own offset."""
        if path not in self._bias:
            base = self._bases.get(path)
            fixed = self._is_fixed(path) if self._is_fixed else None
            if fixed is None:
                fixed = base is not None and base < _FIXED_BELOW
            self._bias[path] = 0 if fixed else base
        return self._bias[path]


def _parsed(line: str) -> Mapping | None:
    match = _LINE.match(line)
    if match is None:
        return None
    start, end, _, offset, path = match.groups()
    path = path.strip().removesuffix(_DELETED)
    return Mapping(int(start, 16), int(end, 16), int(offset, 16), path)


def fixed_program(path: str) -> bool | None:
    """The ``FixedTest`` that looks at the file itself."""
    try:
        with open(path, "rb") as file:
            head = file.read(18)
    except (OSError, ValueError):  # a name that is none
        return None
    if len(head) < 18 or head[:4] != b"\x7fELF":
        return None
    return int.from_bytes(head[16:18], "little" if head[5] == 1 else "big") == 2  # ET_EXEC, elf(5)
