"""dhat.out of valgrind (and of the Rust crate dhat): JSON, file version 2. Each stack with what it held when all held
most, in bytes ``gb`` and blocks ``gbk``, at the end, ``eb`` and ``ebk``, and ever, ``tb`` and ``tbk``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind
from hiwater.heap.readers.building import DEEPEST, LARGEST, Stacks, shown, snapshot
from hiwater.heap.readers.errors import ProfileError
from hiwater.heap.readers.valgrind_frames import frame, is_own

_PER_SECOND = {"µs": 1e6, "us": 1e6, "ms": 1e3}


def is_dhat(head: bytes) -> bool:
    """By the first bytes of a file."""
    return head.lstrip()[:1] == b"{" and b'"dhatFileVersion"' in head[:4096]


def parse(data: bytes) -> HeapProfile:
    """A whole file."""
    document = _document(data)
    frames = [frame(text) for text in _list(document, "ftbl", str, "")]
    stacks = Stacks()
    peak, at_end = [], []
    blocks, size = 0, 0
    for at, point in enumerate(_list(document, "pps", dict, "")):
        where = f"pps[{at}]"
        stack = stacks.number(_stack(point, frames, where))
        if "gb" in point:
            peak.append(Holding(stack, Kind.MALLOC, _count(point, "gb", where), _count(point, "gbk", where)))
            at_end.append(Holding(stack, Kind.MALLOC, _count(point, "eb", where), _count(point, "ebk", where)))
        blocks += _count(point, "tbk", where)
        size += _count(point, "tb", where)
    per_second = _PER_SECOND.get(str(document.get("tu")))
    notes = []
    if document.get("bklt") is not True:
        raise ProfileError(
            'it does not follow the lives of blocks ("bklt" is not true): nothing is known of what lived'
        )
    if per_second is None:
        notes.append("Its times are instructions, not seconds.")
    command = tuple(str(document.get("cmd") or "").split())
    return HeapProfile(
        engine=Engine.DHAT,
        stacks=stacks.all(),
        peak=snapshot(peak, "peak", at_seconds=_time(document, "tg", per_second)),
        exit=snapshot(at_end, "exit", at_seconds=_time(document, "te", per_second)),
        pid=_count(document, "pid", "") if "pid" in document else None,
        name=command[0].rpartition("/")[2] if command else None,
        command=command,
        allocations=blocks,
        allocated_bytes=size,
        notes=tuple(notes),
    )


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else None
        raise ProfileError("not the JSON that dhat writes, or cut off", place) from None
    if not isinstance(document, dict) or document.get("dhatFileVersion") != 2:
        raise ProfileError(f"dhatFileVersion is not 2, which hiwater reads, in {shown(data[:200])}")
    if document.get("mode") not in ("heap", "rust-heap"):
        raise ProfileError(f"dhat's mode {shown(str(document.get('mode')))} profiles no heap: use --mode=heap")
    return document


def _list(document: dict[str, Any], key: str, kind: type, where: str) -> list[Any]:
    values = document.get(key)
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise ProfileError(f"{key} is not a list of {kind.__name__}", where or None)
    return values


def _count(document: dict[str, Any], key: str, where: str) -> int:
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        raise ProfileError(f"{key} is not a count", where or None)
    return value


def _stack(point: dict[str, Any], frames: list[Frame], where: str) -> Iterator[Frame]:
    numbers = point.get("fs")
    if not isinstance(numbers, list):
        raise ProfileError("fs is not a list", where)
    for number in numbers[:DEEPEST]:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(frames):
            raise ProfileError(f"fs names frame {shown(str(number))} of {len(frames)}", where)
        if not is_own(frames[number]):
            yield frames[number]


def _time(document: dict[str, Any], key: str, per_second: float | None) -> float | None:
    return None if per_second is None or key not in document else _count(document, key, "") / per_second
