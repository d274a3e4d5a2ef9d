"""A profile as plain lists and back: what a recording keeps of one that another tool made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Language, Point, Snapshot, Stack

VERSION = 1


def dumps(profile: HeapProfile) -> bytes:
    """UTF-8 JSON; frames and stacks stand there once each."""
    frames: dict[Frame, int] = {}
    stacks = [[frames.setdefault(frame, len(frames)) for frame in stack] for stack in profile.stacks]
    document = {
        "version": VERSION,
        "engine": profile.engine.value,
        "frames": [
            [f.function, f.file, f.line, f.library, f.address, f.inlined, f.language.value, f.first_line]
            for f in frames
        ],
        "stacks": stacks,
        "peak": _snapshot(profile.peak),
        "exit": _snapshot(profile.exit),
        "growth": [_snapshot(one) for one in profile.growth],
        "course": [[point.at_seconds, point.in_use_bytes, point.rss_bytes] for point in profile.course],
        "pid": profile.pid,
        "name": profile.name,
        "command": list(profile.command),
        "sample_bytes": profile.sample_bytes,
        "samples": profile.samples,
        "lost_samples": profile.lost_samples,
        "allocations": profile.allocations,
        "allocated_bytes": profile.allocated_bytes,
        "notes": list(profile.notes),
    }
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _snapshot(one: Snapshot | None) -> object:
    if one is None:
        return None
    held = [[h.stack, h.kind.value, h.in_use_bytes, h.allocations, h.variance] for h in one.holdings]
    return [one.at_seconds, one.rss_bytes, one.in_use_bytes, one.label, held]


def loads(data: bytes) -> HeapProfile | None:
    """``None`` where that is no profile of this version, or a damaged one."""
    try:
        document = json.loads(data)
        if document["version"] != VERSION:
            return None
        return _profile(document)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _profile(document: Mapping[str, Any]) -> HeapProfile:
    frames = [_frame(*fields) for fields in document["frames"]]
    stacks: tuple[Stack, ...] = tuple(tuple(frames[_number(at)] for at in stack) for stack in document["stacks"])

    def snapshot(fields: Any) -> Snapshot | None:
        if fields is None:
            return None
        at, rss, in_use, label, held = fields
        holdings = tuple(_holding(len(stacks), *one) for one in held)
        return Snapshot(_seconds(at), _maybe(rss), _number(in_use), holdings, _text(label) or "")

    growth = [snapshot(fields) for fields in document["growth"]]
    return HeapProfile(
        engine=Engine(document["engine"]),
        stacks=stacks,
        peak=snapshot(document["peak"]),
        exit=snapshot(document["exit"]),
        growth=tuple(one for one in growth if one is not None),
        course=tuple(Point(_seconds(at) or 0.0, _number(size), _maybe(rss)) for at, size, rss in document["course"]),
        pid=_maybe(document["pid"]),
        name=_text(document["name"]),
        command=tuple(_text(word) or "" for word in document["command"]),
        sample_bytes=_maybe(document["sample_bytes"]),
        samples=_maybe(document["samples"]),
        lost_samples=_maybe(document["lost_samples"]),
        allocations=_maybe(document["allocations"]),
        allocated_bytes=_maybe(document["allocated_bytes"]),
        notes=tuple(_text(note) or "" for note in document["notes"]),
    )


def _frame(*fields: Any) -> Frame:
    function, file, line, library, address, inlined, language, first = fields
    return Frame(
        _text(function), _text(file), _maybe(line), _text(library), _maybe(address), bool(inlined), Language(language),
        _maybe(first),
    )  # fmt: skip


def _holding(stacks: int, *fields: Any) -> Holding:
    stack, kind, size, count, variance = fields
    if not 0 <= _number(stack) < stacks or not math.isfinite(variance) or variance < 0:
        raise ValueError
    return Holding(stack, Kind(kind), _number(size), _number(count), float(variance))


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value


def _maybe(value: Any) -> int | None:
    return None if value is None else _number(value)


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError
