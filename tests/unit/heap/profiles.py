"""Profiles for tests, written as stacks in a line: ``main > load > malloc: 300``."""

from __future__ import annotations

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Language, Snapshot, Stack


def frame(text: str) -> Frame:
    """``function``, ``function@file:line``, ``function!library``; in front ``py:`` for Python, ``in:`` for inlined."""
    language = Language.PYTHON if text.startswith("py:") else Language.NATIVE
    inlined = text.startswith("in:")
    name, _, library = text.removeprefix("py:").removeprefix("in:").partition("!")
    name, _, place = name.partition("@")
    file, _, line = place.rpartition(":")
    return Frame(
        name or None, file or None, int(line) if line else None, library or None, language=language, inlined=inlined
    )


def profile(*rows: str, variance: float = 0.0) -> tuple[HeapProfile, Snapshot]:
    """A profile with one snapshot. Rows: frames from the root on, then ``: bytes`` and maybe ``mmap``."""
    stacks: list[Stack] = []
    holdings = []
    for row in rows:
        path, _, amount = row.rpartition(": ")
        size, _, kind = amount.partition(" ")
        stacks.append(tuple(frame(part) for part in reversed(path.split(" > "))) if path else ())
        holdings.append(Holding(len(stacks) - 1, Kind(kind or "malloc"), int(size), 1, variance))
    total = sum(held.in_use_bytes for held in holdings if held.kind is not Kind.MMAP)
    snapshot = Snapshot(1.0, None, total, tuple(sorted(holdings, key=lambda held: -held.in_use_bytes)))
    return HeapProfile(Engine.HIWATER, tuple(stacks), snapshot, None), snapshot
