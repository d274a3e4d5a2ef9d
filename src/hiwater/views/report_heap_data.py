"""What the script of the report needs of a heap profile: calls once, stacks that share their beginnings, and of each
moment the numbers of its stacks with their sizes, packed as the timelines are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, sqrt
from typing import TypeVar

from hiwater.heap.choose import moments
from hiwater.heap.model import Frame, HeapProfile, Holding, Kind, Language, Snapshot
from hiwater.heap.plumbing import Plumbing
from hiwater.heap.sites import label as named
from hiwater.views import heap_words as words
from hiwater.views.names import shorten, visible
from hiwater.views.report_data import packed

MOST_HOLDINGS = 200_000
"""Of all moments together: a page of more opens slowly. Of each moment the largest are kept."""
MOST_POINTS = 1500
"""Of the course; of each stretch the largest is kept."""
_NAME, _PATH = 300, 300
_INLINED, _PYTHON = 1, 2
_One = TypeVar("_One")


def payload(profile: HeapProfile) -> dict[str, object]:
    """Times in microseconds, sizes in KiB. How far an estimate may be off is one number from 0 (counted) to 127: the
    root of its standard error over the estimate."""
    strings: dict[str, int] = {}
    frames: dict[tuple[int, ...], int] = {}
    nodes: dict[tuple[int, int], int] = {}
    leaves, sites = [], []
    plumbing = Plumbing()

    def text(value: str) -> int:
        return strings.setdefault(value, len(strings))

    def frame(one: Frame) -> int:
        name = shorten(visible(named(one)), _NAME)
        path = shorten(visible(one.file or ""), _PATH)
        flags = _INLINED * one.inlined | _PYTHON * (one.language is Language.PYTHON)
        columns = (text(name), text(path), one.line or 0, text(shorten(visible(one.library or ""), _PATH)), flags)
        return frames.setdefault(columns, len(frames))

    for stack in profile.stacks:
        calls = stack or (Frame(None),)
        at, path = 0, []
        for call in reversed(calls):
            at = nodes.setdefault((at, frame(call)), len(nodes) + 1)
            path.append(at)
        leaves.append(at)
        sites.append(path[len(calls) - 1 - (plumbing.site(calls) or 0)])
    shown = moments(profile)
    most = max(200, MOST_HOLDINGS // max(1, len(shown)))
    return {
        "strings": list(strings),
        "frames": [packed(column) for column in _columns(list(frames), 5)],
        "nodes": [packed(column) for column in _columns(list(nodes), 2)],
        "leaves": packed(leaves),
        "sites": packed(sites),
        "held": words.held(profile),
        "moments": [_moment(profile, snapshot, most) for snapshot in shown],
        "chosen": next((at for at, one in enumerate(shown) if one is profile.peak), len(shown) - 1),
        "course": _course(profile),
    }


def _columns(table: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    return [[row[at] for row in table] for at in range(count)]


def _moment(profile: HeapProfile, snapshot: Snapshot, most: int) -> dict[str, object]:
    kind = "peak" if snapshot is profile.peak else "exit" if snapshot is profile.exit else "growth"
    kept = snapshot.holdings
    if kind == "growth" and len(kept) > most:
        kept = tuple(sorted(kept, key=lambda held: -held.in_use_bytes)[:most])
    heap = sorted((held for held in kept if held.kind is not Kind.MMAP), key=lambda held: held.stack)
    mapped = sorted((held for held in kept if held.kind is Kind.MMAP), key=lambda held: held.stack)
    t = snapshot.at_seconds
    return {
        "kind": kind,
        "label": words.moment(profile, snapshot),
        "t": None if t is None else round(t * 1e6),
        "sizes": words.sizes(profile, snapshot),
        "bytes": snapshot.in_use_bytes,
        "left": sum(held.in_use_bytes for held in snapshot.holdings if held.kind is not Kind.MMAP)
        - sum(held.in_use_bytes for held in heap),
        "stacks": packed(held.stack for held in heap),
        "kib": packed(_kib(heap)),
        "off": packed(_off(held) for held in heap),
        "mapped": [packed(held.stack for held in mapped), packed(_kib(mapped))],
    }


def _kib(holdings: Sequence[Holding]) -> list[int]:
    """Rounded so that their sum is: what one lost the next one gets."""
    found, done, told = [], 0, 0
    for held in holdings:
        done += held.in_use_bytes
        found.append((done + 512) // 1024 - told)
        told += found[-1]
    return found


def _off(held: Holding) -> int:
    if held.variance <= 0 or held.in_use_bytes <= 0:
        return 0
    return min(127, max(1, round(127 * sqrt(sqrt(held.variance) / held.in_use_bytes))))


def _course(profile: HeapProfile) -> dict[str, str] | None:
    points = thinned(profile.course, MOST_POINTS, lambda point: point.in_use_bytes)
    if len(points) < 2:
        return None
    rss = [-1 if point.rss_bytes is None else point.rss_bytes // 1024 for point in points]
    return {
        "times": packed(round(point.at_seconds * 1e6) for point in points),
        "kib": packed(point.in_use_bytes // 1024 for point in points),
        "rss": packed(rss) if any(size >= 0 for size in rss) else "",
    }


def thinned(points: Sequence[_One], most: int, size: Callable[[_One], int]) -> list[_One]:
    """The largest of each stretch, and both ends."""
    if len(points) <= most:
        return list(points)
    step = ceil(len(points) / (most - 2))
    kept = [max(points[at : at + step], key=size) for at in range(1, len(points) - 1, step)]
    return [points[0], *kept, points[-1]]
