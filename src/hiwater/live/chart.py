"""The timeline of the tree in characters: what it held, a column for each stretch of time."""

from __future__ import annotations

from collections.abc import Sequence

from hiwater.units import MIB

_PARTS, _PLAIN_PARTS = " ▁▂▃▄▅▆▇█", " ..::||##"
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8)


def ceiling(most: int) -> int:
    """A round number of bytes that the largest value fits below, so that the scale does not jump at every step."""
    tenths = 1  # of a MiB
    while True:
        for step in _STEPS:
            if most * 10 <= step * tenths * MIB:
                return int(step * tenths * MIB) // 10
        tenths *= 10


def area(values: Sequence[int | None], height: int, top: int, *, unicode: bool = True) -> list[str]:
    """``height`` lines, the highest first; ``top`` bytes fill them all."""
    parts = _PARTS if unicode else _PLAIN_PARTS
    full = len(parts) - 1
    filled = [0 if value is None else min(height * full, -(-value * height * full // top)) for value in values]
    return [
        "".join(parts[max(0, min(full, amount - full * line))] for amount in filled) for line in reversed(range(height))
    ]
