"""Puts a profile together: stacks that are equal get one number, holdings of one stack become one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hiwater.heap.model import Frame, Holding, Kind, Point, Snapshot, Stack
from hiwater.heap.readers.errors import ProfileError

DEEPEST = 512
"""Frames of a stack that are kept, from the innermost out. Endless recursion is told as well by these."""
LARGEST = (1 << 63) - 1
MOST_POINTS = 4096
"""Of a course: more than a screen has columns, few enough for a page."""

_DECIMAL = re.compile(r"[0-9]{1,19}", re.ASCII)


class Stacks:
    """Stacks and their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[Stack, int] = {}

    def number(self, frames: Iterable[Frame]) -> int:
        """Innermost first."""
        stack = tuple(frames)[:DEEPEST]
        return self._numbers.setdefault(stack, len(self._numbers))

    def all(self) -> tuple[Stack, ...]:
        """In the order of their numbers."""
        return tuple(self._numbers)


def snapshot(
    held: Iterable[Holding],
    label: str,
    *,
    at_seconds: float | None = None,
    rss_bytes: int | None = None,
    in_use_bytes: int | None = None,
) -> Snapshot:
    """Holdings of one stack and kind are added up, empty ones left out. ``in_use_bytes`` is the sum unless it is given
    as what the file itself says it is."""
    merged: dict[tuple[int, Kind], Holding] = {}
    for holding in held:
        if holding.in_use_bytes <= 0 and holding.allocations <= 0:
            continue
        key = (holding.stack, holding.kind)
        before = merged.get(key)
        if before is not None:
            holding = Holding(
                holding.stack,
                holding.kind,
                before.in_use_bytes + holding.in_use_bytes,
                before.allocations + holding.allocations,
                before.variance + holding.variance,
            )
        merged[key] = holding
    holdings = tuple(sorted(merged.values(), key=lambda holding: (-holding.in_use_bytes, holding.stack, holding.kind)))
    if in_use_bytes is None:
        in_use_bytes = sum(holding.in_use_bytes for holding in holdings if holding.kind is not Kind.MMAP)
    return Snapshot(at_seconds, rss_bytes, in_use_bytes, holdings, label=label)


def number(text: str, where: str, what: str = "a number") -> int:
    """Of decimal digits; raises where it is something else or beyond 63 bits."""
    if _DECIMAL.fullmatch(text) is None or int(text) > LARGEST:
        raise ProfileError(f"{shown(text)} is not {what}", where)
    return int(text)


def shown(text: str | bytes, longest: int = 60) -> str:
    """Of a file nobody has vetted: short, printable, in quotation marks."""
    if isinstance(text, bytes):
        text = text[: longest * 4].decode("utf-8", "replace")
    return repr(text if len(text) <= longest else text[:longest] + "...")


def thinned(points: list[Point]) -> tuple[Point, ...]:
    """At most MOST_POINTS: neighbours become one, that with more memory."""
    while len(points) > MOST_POINTS:
        pairs = zip(points[::2], points[1::2], strict=False)
        last = points[-1:] if len(points) % 2 else []
        points = [max(pair, key=lambda point: (point.rss_bytes or 0, point.in_use_bytes)) for pair in pairs] + last
    return tuple(points)
