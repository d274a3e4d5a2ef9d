"""``.heap`` files: those of gperftools (its heap profiler, tcmalloc's sampling), of jemalloc, and Go's heap as text.

gperftools:  ``heap profile: N: BYTES [N: BYTES] @ heapprofile`` counted, ``@ heap_v2/RATE`` sampled; a line for each
stack, ``N: BYTES [N: BYTES] @ 0xADDRESS ...``: what lives, and in brackets what was ever allocated.
jemalloc:  ``heap_v2/RATE``; for each stack ``@ 0xADDRESS ...`` and a line for each thread, ``t*`` being their sum.
Both:  ``MAPPED_LIBRARIES:`` and a copy of /proc/PID/maps.

Of N sampled blocks of BYTES in a row, each of S = BYTES/N, a share of 1-exp(-S/RATE) was sampled: the estimate is both
divided by it. The variance of that is N (S/p)^2 (1-p).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Snapshot
from hiwater.heap.readers.building import LARGEST, Stacks, number, shown, snapshot
from hiwater.heap.readers.errors import ProfileError
from hiwater.heap.readers.mappings import FixedTest, Mappings

MOST_GROWTH = 64
_COUNTS = r" *(\d+): *(\d+) *\[ *(\d+): *(\d+) *\]"
_HEAD = re.compile(rf"heap profile:{_COUNTS} *@ *(heap[_a-z0-9]*)(?:/(\d+))?\s*", re.ASCII)
_JEMALLOC_HEAD = re.compile(r"heap_v2/(\d+)\s*", re.ASCII)
_ROW = re.compile(rf"{_COUNTS} *@((?: +0x[0-9a-f]{{1,16}})*)\s*", re.ASCII)
_STACK = re.compile(r"@((?: +0x[0-9a-f]{1,16})*)\s*", re.ASCII)
_THREAD = re.compile(rf" *t(\*|\d+):{_COUNTS}.*", re.ASCII)
_GO_FRAME = re.compile(r"#\t0x[0-9a-f]+\t([^\t]+?)(?:\+0x[0-9a-f]+)?\t+(.+?)(?::(\d+))?\s*", re.ASCII)
_GO_MEMSTATS = "# runtime.MemStats"
_SIZE_CLASSES = "jemalloc counts blocks as large as it makes them: rounded up to its size classes."


@dataclass(slots=True)
class _Row:
    """What one stack holds, as the file has it."""

    addresses: list[int]
    count: int
    size: int
    where: str
    frames: list[Frame] = field(default_factory=list)
    """Where the file names them itself."""


@dataclass(frozen=True, slots=True)
class Dump:
    """One file: one moment."""

    engine: Engine
    rate: int | None
    """Mean distance of two samples in bytes; ``None``: all is counted."""
    rows: list[_Row]
    mappings: Mappings
    allocations: int | None
    allocated_bytes: int | None
    """Ever, where that was counted."""

    @property
    def samples(self) -> int | None:
        """Blocks that live and were sampled."""
        return None if self.rate is None else sum(row.count for row in self.rows)

    def snapshot(self, stacks: Stacks, label: str) -> Snapshot:
        """With the numbers of that collection of stacks."""
        return snapshot(self._holdings(stacks), label)

    def _holdings(self, stacks: Stacks) -> Iterator[Holding]:
        for row in self.rows:
            frames = row.frames or [self.mappings.frame(address) for address in row.addresses]
            size, count, variance = _estimate(row, self.rate)
            yield Holding(stacks.number(frames), Kind.MALLOC, size, count, variance)


def is_heap(head: bytes) -> bool:
    """By the first bytes of a file."""
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    return first.startswith("heap profile:") or _JEMALLOC_HEAD.fullmatch(first) is not None


def parse(data: bytes, is_fixed: FixedTest | None = None) -> Dump:
    """One file."""
    lines = data.decode("utf-8", "replace").splitlines()
    if not lines:
        raise ProfileError("the file is empty")
    rows, maps, end = _sections(lines)
    mappings = Mappings(maps, is_fixed)
    jemalloc = _JEMALLOC_HEAD.fullmatch(lines[0])
    if jemalloc is not None:
        return Dump(Engine.JEMALLOC, _rate(jemalloc.group(1)), _jemalloc_rows(rows, end), mappings, None, None)
    head = _HEAD.fullmatch(lines[0])
    if head is None:
        raise ProfileError(f"{shown(lines[0])} is not the first line of a heap profile", "line 1")
    allocations, allocated_bytes = (number(text, "line 1") for text in head.groups()[2:4])
    form, rate = head.group(5), head.group(6)
    if form == "heapprofile":
        return Dump(Engine.GPERFTOOLS, None, _rows(rows), mappings, allocations, allocated_bytes)
    if form not in ("heap_v2", "heapz_v2", "heap") or rate is None:
        raise ProfileError(
            f"{shown(form)} without a rate or unknown: hiwater reads heapprofile and heap_v2/RATE", "line 1"
        )
    # The first line of Go's has twice the rate (runtime/pprof, writeHeapInternal).
    scale = 2 if form == "heap" else 1
    stacked = list(_rows(rows)) if not any("t*:" in line for _, line in rows[:2]) else _jemalloc_rows(rows, end)
    engine = Engine.OTHER if form == "heap" else Engine.GPERFTOOLS
    return Dump(engine, max(_rate(rate) // scale, 1), stacked, mappings, None, None)


def profile(dumps: list[tuple[str, Dump]], exit_name: str | None = None) -> HeapProfile:
    """Of the files of one execution, oldest first, each with its name; ``exit_name`` is that written at the end.

    The one with most in use is the peak: what was reached between two of them is not known.
    """
    if not dumps:
        raise ProfileError("there is no heap profile")
    stacks = Stacks()
    made = [(name, dump, dump.snapshot(stacks, name)) for name, dump in dumps]
    peak_name, peak_dump, peak = max(made, key=lambda each: each[2].in_use_bytes)
    last = made[-1][1]
    notes = [_SIZE_CLASSES] if last.engine is Engine.JEMALLOC else []
    if len(made) > 1:
        notes.append(
            f"The peak is the largest of {len(made)} moments, {peak_name}; between them it may have been higher."
        )
    if exit_name is not None and last.engine is Engine.GPERFTOOLS:
        notes.append(f"{exit_name} is taken for the end of the program: that is so unless it was killed.")
    return HeapProfile(
        engine=last.engine,
        stacks=stacks.all(),
        peak=replace(peak, label="peak"),
        exit=next((replace(each, label="exit") for name, _, each in made if name == exit_name), None),
        growth=tuple(each for _, _, each in made[:: -(-len(made) // MOST_GROWTH)]) if len(made) > 1 else (),
        sample_bytes=peak_dump.rate,
        samples=peak_dump.samples,
        allocations=last.allocations,
        allocated_bytes=last.allocated_bytes,
        notes=tuple(notes),
    )


def _sections(lines: list[str]) -> tuple[list[tuple[int, str]], list[str], int]:
    """Numbered rows between the first line and the libraries, the lines behind, and where these begin."""
    end = next((at for at, line in enumerate(lines) if line.strip() == "MAPPED_LIBRARIES:"), len(lines))
    memstats = next((at for at, line in enumerate(lines[:end]) if line.startswith(_GO_MEMSTATS)), end)
    rows = [(at + 1, lines[at]) for at in range(1, min(end, memstats)) if lines[at].strip()]
    return rows, lines[end + 1 :], end + 1


def _rows(lines: list[tuple[int, str]]) -> list[_Row]:
    rows: list[_Row] = []
    for at, line in lines:
        where = f"line {at}"
        if line.startswith("#"):
            frame = _GO_FRAME.fullmatch(line)
            if frame is not None and rows:
                name, file, text = frame.groups()
                rows[-1].frames.append(Frame(name, file, None if text is None else number(text, where)))
            continue
        match = _ROW.fullmatch(line)
        if match is None:
            raise ProfileError(f"{shown(line)} is not a row of a heap profile", where)
        rows.append(_row(match.group(1), match.group(2), match.group(5), where))
    return rows


def _jemalloc_rows(lines: list[tuple[int, str]], end: int) -> list[_Row]:
    rows: list[_Row] = []
    addresses: str | None = None
    summed = True
    for at, line in lines:
        where = f"line {at}"
        stack = _STACK.fullmatch(line)
        if stack is not None:
            if not summed:
                raise ProfileError("a stack without its row t*", where)
            addresses, summed = stack.group(1), False
            continue
        thread = _THREAD.fullmatch(line)
        if thread is None:
            raise ProfileError(f"{shown(line)} is not a row of a heap profile", where)
        if thread.group(1) == "*" and addresses is not None:
            rows.append(_row(thread.group(2), thread.group(3), addresses, where))
            summed = True
    if not summed:
        raise ProfileError("a stack without its row t*: the file is cut off", f"line {end}")
    return rows


def _row(count: str, size: str, addresses: str, where: str) -> _Row:
    row = _Row([int(word, 16) for word in addresses.split()], number(count, where), number(size, where), where)
    if (row.count == 0) != (row.size == 0) and row.count == 0:
        raise ProfileError(f"{row.size} bytes in no block at all", where)
    return row


def _rate(text: str) -> int:
    rate = number(text, "line 1", "a rate")
    if rate == 0:
        raise ProfileError("a rate of 0 bytes", "line 1")
    return rate


def _estimate(row: _Row, rate: int | None) -> tuple[int, int, float]:
    """Bytes, blocks, variance."""
    if rate is None or row.count == 0 or row.size == 0:
        return row.size, row.count, 0.0
    each = row.size / row.count
    sampled = -math.expm1(-each / rate)
    size, count = row.size / sampled, row.count / sampled
    if size > LARGEST or count > LARGEST:
        raise ProfileError(
            f"{row.count} blocks of {row.size} bytes at a rate of {rate} are beyond all memory", row.where
        )
    return round(size), round(count), row.count * (each / sampled) ** 2 * (1 - sampled)
