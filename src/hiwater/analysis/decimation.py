"""Fewer points for the same picture: what is kept of each bucket are its extremes, so that no spike is lost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise


def edges(times: Sequence[int], start: int, end: int, buckets: int) -> list[int]:
    """Cuts ``start`` .. ``end`` into buckets of equal length: the position where each begins, and the end of the last,
    which takes everything up to and including ``end``."""
    if buckets < 1:
        raise ValueError("there must be at least one bucket")
    length = max(0, end - start)
    inner = [bisect_left(times, start + length * number // buckets) for number in range(buckets)]
    return [*inner, bisect_left(times, end + 1)]


def decimate(times: Sequence[int], values: Sequence[int], start: int, end: int, buckets: int) -> list[int]:
    """The positions, in order, that draw the same picture as all of them on ``buckets`` pixels: of each bucket the
    smallest, the largest and the last value. ``times`` must not fall; a value holds until the next one.

    The work is done by ``min``, ``max`` and ``index`` on slices, so a million points take a few hundredths of a second.
    """
    kept: set[int] = set()
    cuts = edges(times, start, end, buckets)
    for begin, stop in pairwise(cuts):
        if stop - begin <= 3:
            kept.update(range(begin, stop))
            continue
        part = values[begin:stop]
        kept.add(begin + part.index(min(part)))
        kept.add(begin + part.index(max(part)))
        kept.add(stop - 1)
    return sorted(kept)
