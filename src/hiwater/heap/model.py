"""A heap profile: which calls held how much memory, at which moments. Whoever measured it, all views take this.

Sizes are bytes, times are seconds since the command began. ``None`` is unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Engine(str, Enum):
    """Who measured."""

    HIWATER = "hiwater"
    """The sampler of hiwater's own."""
    HEAPTRACK = "heaptrack"
    MASSIF = "massif"
    DHAT = "dhat"
    MEMRAY = "memray"
    GPERFTOOLS = "gperftools"
    JEMALLOC = "jemalloc"
    FAULTS = "faults"
    """Page faults: who touched memory first, not who holds it."""
    OTHER = "other"
    """A file that does not tell (collapsed stacks)."""

    def __str__(self) -> str:
        return self.value


class Kind(str, Enum):
    """Through which door the memory came."""

    MALLOC = "malloc"
    """malloc and its family, operator new."""
    PYTHON = "python"
    """Python's allocators."""
    MMAP = "mmap"
    """Mapped by the program itself."""
    FAULT = "fault"
    """Touched for the first time."""

    def __str__(self) -> str:
        return self.value


class Language(str, Enum):
    """What a frame was written in, as far as it matters for reading it."""

    NATIVE = "native"
    PYTHON = "python"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Frame:
    """One call on a stack."""

    function: str | None
    """Demangled, without arguments where the name has them beside it; of Python the qualified name."""
    file: str | None = None
    line: int | None = None
    library: str | None = None
    """Path of the program or library; of Python frames ``None``."""
    address: int | None = None
    """In the file's own terms: what ``addr2line -e library`` takes."""
    inlined: bool = False
    """Its code is part of the next frame's function."""
    language: Language = Language.NATIVE
    first_line: int | None = None
    """Where the function begins."""


ASKED = "asked"
"""Label of a snapshot of a moment that somebody asked for: it is of no growth."""

Stack = tuple[Frame, ...]
"""Innermost first."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one stack held at one moment."""

    stack: int
    """Index into ``HeapProfile.stacks``."""
    kind: Kind
    in_use_bytes: int
    """Estimated where the engine samples."""
    allocations: int
    """Blocks, estimated likewise."""
    variance: float = 0.0
    """Of the estimate, in bytes squared; 0 for exact engines. Variances of several holdings add up."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What lived at one moment."""

    at_seconds: float | None
    rss_bytes: int | None
    """Of the process, then; of the nearest look at it."""
    in_use_bytes: int
    """Sum of the holdings, those of kind ``MMAP`` left out."""
    holdings: tuple[Holding, ...]
    """The largest first."""
    label: str = ""
    """Why this moment: peak, exit, growth, or what the file that was read calls it."""

    @property
    def standard_error_bytes(self) -> int:
        """Of ``in_use_bytes``."""
        return round(math.sqrt(sum(held.variance for held in self.holdings if held.kind is not Kind.MMAP)))


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the course of the heap."""

    at_seconds: float
    in_use_bytes: int
    rss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Trim:
    """What malloc_trim(3) gave back when the program had come to its end."""

    rss_before_bytes: int
    rss_after_bytes: int
    seconds: float
    """How long it took."""

    @property
    def given_back_bytes(self) -> int:
        """Never less than nothing."""
        return max(0, self.rss_before_bytes - self.rss_after_bytes)


@dataclass(frozen=True, slots=True)
class HeapProfile:
    """The heap of one program image, or what a foreign file tells of it."""

    engine: Engine
    stacks: tuple[Stack, ...]
    peak: Snapshot | None
    """At the moment of the largest RSS, where that is known; else at the heap's own maximum."""
    exit: Snapshot | None
    """What was never freed. ``None`` where the end was not seen."""
    growth: tuple[Snapshot, ...] = ()
    """One each time the heap had grown by so much again."""
    course: tuple[Point, ...] = ()
    pid: int | None = None
    name: str | None = None
    command: tuple[str, ...] = ()
    sample_bytes: int | None = None
    """Mean distance, in allocated bytes, of the samples that most of the peak is estimated from. ``None``: nothing was
    sampled, all was counted."""
    samples: int | None = None
    lost_samples: int | None = None
    allocations: int | None = None
    """Calls that gave memory, counted."""
    allocated_bytes: int | None = None
    """All that was ever asked for, counted."""
    notes: tuple[str, ...] = ()
    """What a reader of the profile has to know: sentences."""
    trim: Trim | None = None
    """``None``: nobody asked for it, or it was not to be had."""
