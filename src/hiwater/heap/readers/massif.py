"""massif.out of valgrind: snapshots with the sum in use; the detailed ones, and the peak, with a tree of calls.

A line of the tree, deeper by a blank for each call further out: ``n2: 8388608 0x109284: big_buffers (holds.c:8)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Point, Snapshot
from hiwater.heap.readers.building import DEEPEST, Stacks, number, shown, snapshot, thinned
from hiwater.heap.readers.errors import ProfileError
from hiwater.heap.readers.valgrind_frames import frame

_NODE = re.compile(r"( *)n(\d{1,9}): (\d{1,19}) (.*)", re.ASCII)
_HEAD = re.compile(r"(desc|cmd|time_unit): ?(.*)", re.ASCII)
_FIELD = re.compile(r"(time|mem_heap_B|mem_heap_extra_B|mem_stacks_B|heap_tree)=(.*)", re.ASCII)
_BELOW = re.compile(r"in (\d+) places?, (?:all )?below massif's threshold", re.ASCII)
_PER_SECOND = {"ms": 1e3}


@dataclass(slots=True)
class _Taken:
    """One snapshot."""

    where: str
    values: dict[str, int] = field(default_factory=dict)
    tree: str = "empty"
    nodes: list[tuple[int, int, str]] = field(default_factory=list)
    """Depth, bytes, text."""


def is_massif(head: bytes) -> bool:
    """By the first bytes of a file."""
    return head.startswith(b"desc:") and b"\ncmd:" in head and b"\ntime_unit:" in head


def parse(data: bytes) -> HeapProfile:
    """A whole file."""
    head, taken = _read(data.decode("utf-8", "replace").split("\n"))
    if not taken:
        raise ProfileError("massif took no snapshot")
    unit = head.get("time_unit", "i")
    stacks = Stacks()
    made = {id(each): _snapshot(each, stacks, unit) for each in taken if each.tree in ("detailed", "peak")}
    peak = next((each for each in reversed(taken) if each.tree == "peak"), None)
    if peak is None:
        peak = max((each for each in taken if id(each) in made), key=_in_use, default=None)
    command = tuple(head.get("cmd", "").split())
    return HeapProfile(
        engine=Engine.MASSIF,
        stacks=stacks.all(),
        peak=_nothing(taken) if peak is None else made[id(peak)],
        exit=None,
        growth=tuple(made[id(each)] for each in taken if id(each) in made and each is not peak),
        course=thinned([Point(at, _in_use(each)) for each in taken if (at := _seconds(each, unit)) is not None]),
        name=command[0].rpartition("/")[2] if command else None,
        command=command,
        notes=tuple(_notes(taken, peak, unit, head.get("desc", ""))),
    )


def _read(lines: list[str]) -> tuple[dict[str, str], list[_Taken]]:
    head: dict[str, str] = {}
    taken: list[_Taken] = []
    for at, line in enumerate(lines, 1):
        where = f"line {at}"
        if line.startswith("#") or not line:
            continue
        if line.startswith("snapshot="):
            taken.append(_Taken(where))
            continue
        if not taken:
            found = _HEAD.fullmatch(line)
            if found is None:
                raise ProfileError(f"{shown(line)} is not of the head of a massif file", where)
            head[found.group(1)] = found.group(2)
            continue
        node = _NODE.fullmatch(line)
        if node is not None:
            depth = len(node.group(1))
            if depth > (taken[-1].nodes[-1][0] + 1 if taken[-1].nodes else 0):
                raise ProfileError("a call that belongs to none before it", where)
            taken[-1].nodes.append((depth, number(node.group(3), where), node.group(4)))
            continue
        value = _FIELD.fullmatch(line)
        if value is None:
            raise ProfileError(f"{shown(line)} is not of a massif file", where)
        if value.group(1) == "heap_tree":
            taken[-1].tree = value.group(2)
        else:
            taken[-1].values[value.group(1)] = number(value.group(2), where)
    return head, taken


def _snapshot(taken: _Taken, stacks: Stacks, unit: str) -> Snapshot:
    if "mem_heap_B" not in taken.values:
        raise ProfileError("a snapshot without mem_heap_B", taken.where)
    if not taken.nodes:
        raise ProfileError("a snapshot without its tree: the file is cut off", taken.where)
    made = snapshot(
        _holdings(taken, stacks), "peak" if taken.tree == "peak" else "growth", at_seconds=_seconds(taken, unit)
    )
    if made.in_use_bytes > _in_use(taken):
        raise ProfileError(f"its tree holds {made.in_use_bytes} bytes, the snapshot {_in_use(taken)}", taken.where)
    return made


def _nothing(taken: list[_Taken]) -> Snapshot | None:
    """A program that allocated nothing has no tree."""
    return None if any(_in_use(each) for each in taken) else snapshot((), "peak")


def _holdings(taken: _Taken, stacks: Stacks) -> Iterator[Holding]:
    """Of each node what its children do not hold: all of a leaf; else what lies deeper than massif kept."""
    own = [size for _, size, _ in taken.nodes]
    above: list[int] = []
    path: list[Frame] = []
    where: list[int] = []
    for at, (depth, size, text) in enumerate(taken.nodes):
        del above[depth:], path[max(depth - 1, 0) :]
        if above:
            own[above[-1]] -= size
        above.append(at)
        if depth and len(path) < DEEPEST:
            below = _BELOW.match(text)
            path.append(frame(text) if below is None else Frame(f"({below.group(1)} places below massif's threshold)"))
        where.append(stacks.number(path))
    for (_, _, text), rest, stack in zip(taken.nodes, own, where, strict=True):
        if rest < 0:
            raise ProfileError(f"{shown(text)} holds less than its callers together", taken.where)
        yield Holding(stack, Kind.MALLOC, rest, 0)


def _in_use(taken: _Taken) -> int:
    return taken.values.get("mem_heap_B", 0)


def _seconds(taken: _Taken, unit: str) -> float | None:
    time, per_second = taken.values.get("time"), _PER_SECOND.get(unit)
    return None if time is None or per_second is None else time / per_second


def _notes(taken: list[_Taken], peak: _Taken | None, unit: str, options: str) -> Iterator[str]:
    if "--pages-as-heap=yes" in options:
        yield "massif counted pages as the program mapped them (--pages-as-heap), not blocks of a heap."
    if peak is not None:
        largest = max(_in_use(each) for each in taken)
        extra = peak.values.get("mem_heap_extra_B", 0)
        if extra:
            yield f"Headers and rounding by valgrind's own allocator take {extra} bytes more at the peak."
        if _in_use(peak) < largest:
            yield f"The largest snapshot, {largest} bytes, has no tree: the peak shown is the largest that has one."
    if unit not in _PER_SECOND:
        yield "Its times are no seconds: valgrind --tool=massif --time-unit=ms has them."
    yield "massif counts bytes, not blocks, and does not say what lives at the end."
