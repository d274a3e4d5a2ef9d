"""Rows of tables: call sites, each once whichever of the allocators gave its memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hiwater.heap.model import HeapProfile, Kind, Language, Snapshot
from hiwater.heap.sites import By as By
from hiwater.heap.sites import CallSite, call_sites

LEAST_SAMPLES = 10
"""Fewer than these tell little: a third of the estimate is its standard error."""


@dataclass(frozen=True, slots=True)
class Key:
    """Whose memory a row is. What a row does not tell apart is ``None``; so is what is unknown."""

    function: str | None = None
    file: str | None = None
    line: int | None = None
    library: str | None = None
    """``None`` of Python, and where it is unknown."""
    address: int | None = None
    """Only where there is no name."""
    mapped: bool = False
    """Mapped by the program itself: not part of the heap."""
    native: bool = False
    """No Python, though its library is unknown: some formats of other tools tell none."""

    @property
    def python(self) -> bool:
        """Whether it is a place in a program of Python."""
        return self.library is None and self.file is not None and not self.native


@dataclass(frozen=True, slots=True)
class HeapRow:
    """What one place held."""

    key: Key
    in_use_bytes: int
    variance: float
    """In bytes squared; 0: counted."""

    @property
    def standard_error_bytes(self) -> int:
        """Of ``in_use_bytes``; 0: counted."""
        return round(math.sqrt(self.variance))

    @property
    def told(self) -> bool:
        """Whether it rests on enough samples (or is counted) to be told apart from others."""
        return is_told(self.in_use_bytes, self.variance)


def is_told(size: float, variance: float) -> bool:
    """``size`` squared over its variance is about the number of samples it rests on."""
    return size * size >= LEAST_SAMPLES * variance


def rows(profile: HeapProfile, snapshot: Snapshot, by: By = By.LINE) -> tuple[HeapRow, ...]:
    """The rows of a snapshot, the largest first, what the program mapped itself behind them."""
    return merged((key_of(site), site.in_use_bytes, float(site.standard_error_bytes) ** 2)
                  for site in call_sites(profile, snapshot, by))  # fmt: skip


def merged(parts: Iterable[tuple[Key, int, float]]) -> tuple[HeapRow, ...]:
    """Sizes and variances summed by key; the largest first, those of one size by their names."""
    found: dict[Key, tuple[int, float]] = {}
    for key, size, variance in parts:
        have = found.get(key, (0, 0.0))
        found[key] = have[0] + size, have[1] + variance
    rows = (HeapRow(key, *sums) for key, sums in found.items())
    return tuple(sorted(rows, key=lambda row: (row.key.mapped, -row.in_use_bytes, str(row.key))))


def key_of(site: CallSite) -> Key:
    """The place without its sizes."""
    native = site.library is None and site.file is not None and site.language is Language.NATIVE
    return Key(site.function, site.file, site.line, site.library, site.address, site.kind is Kind.MMAP, native)
