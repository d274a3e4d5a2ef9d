"""The ledger: a peak broken down until every byte has an owner. Made by :mod:`hiwater.analysis.ledger`.

Sizes are bytes. The rows of a ledger add up to its peak exactly: what no row explains is a row itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from hiwater.analysis.inherited import Inherited
from hiwater.analysis.reading import Reading


class Known(str, Enum):
    """How it is known whose the bytes of a row are. That they are so many is the kernel's own count, but for the rows
    of a heap."""

    EXACT = "exact"
    """The kernel itself says so: a path, [heap], [stack], the name of an anonymous mapping, or that it has none."""
    SAMPLED = "sampled"
    """Estimated from samples of the heap, with a standard error."""
    INFERRED = "inferred"
    """Concluded from what the mapping looks like, or estimated."""
    REMAINDER = "remainder"
    """What is left, so that the rows add up."""

    def __str__(self) -> str:
        return self.value


class Missing(str, Enum):
    """Why the peak could not be broken down by mappings."""

    NOT_SEEN = "not_seen"
    """The process that peaked was never looked at."""
    TOO_SHORT = "too_short"
    """It ended before its mappings could be read."""
    TOO_SMALL = "too_small"
    """It had less than a tenth of what the largest process had: nobody asks."""
    REFUSED = "refused"
    """Its mappings may not be read: it belongs to another user, or is not dumpable."""
    TOO_COSTLY = "too_costly"
    """Reading its mappings would have held its memory for too long."""
    OLDER = "older"
    """The recording was written by a version that did not read mappings."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One owner of memory. Its details, if there are any, add up to it."""

    key: str
    """For programs: heap, arenas, thread_stacks, main_stack, named, other, private_copies, program, libraries, data,
    shared, special, remainder; without a snapshot anonymous, file, shmem; for details mapping, file, name, part."""
    label: str
    bytes: int
    """May be negative in a remainder and in what is counted more than once."""
    known: Known
    count: int | None = None
    """How many mappings it is; of thread stacks, how many stacks."""
    mapped_bytes: int | None = None
    """Address space that it takes: memory that may never have been touched."""
    address: int | None = None
    """Where it begins, if it is one mapping without a name."""
    details: tuple[Row, ...] = ()
    error_bytes: int | None = None
    """Standard error of a sampled row."""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one kind of memory."""

    key: str
    """anonymous, file, shmem, special, unknown or remainder."""
    label: str
    rows: tuple[Row, ...]

    @property
    def bytes(self) -> int:
        """What the rows add up to."""
        return sum(row.bytes for row in self.rows)


@dataclass(frozen=True, slots=True)
class Moment:
    """When and how the mappings were read."""

    t_ns: int
    bytes: int
    """The sum of the mappings: what the rows above the remainder add up to."""
    below_bytes: int
    """How far that lies below the peak; negative where it is above."""
    moved_bytes: int | None
    """How much the RSS changed while they were read."""
    held: bool
    """The process was stopped meanwhile, so that nothing could move."""
    merged: bool
    """There were more rows than are kept: the smallest are taken together."""
    mappings: int
    cost_us: int


@dataclass(frozen=True, slots=True)
class HeapLedger:
    """The rows ``heap``, ``arenas`` and ``other`` once more: by what the allocator and the sampler say of them. Where
    no mappings were read, all anonymous memory."""

    bytes: int
    """Their sum, which the rows here add up to."""
    rows: tuple[Row, ...]
    """in_use, python_in_use, mapped, overhead, free, free_since, untouched, executions; the last one is the
    remainder."""
    freed_bytes: int | None
    """Freed by the program and not returned to the kernel, not at the top of the heap: at most what malloc_trim would
    give back."""
    at_ns: int | None
    """The moment that the rows are of; ``None``: a profile that does not say."""
    account_ns: int | None
    """When the allocator gave its account."""
    other_execution: bool
    """The heap was followed in another execution of the command than the one that this ledger is of."""

    @property
    def in_use_bytes(self) -> int:
        """What the program had allocated and not freed, as it asked for it."""
        return sum(row.bytes for row in self.rows if row.key in ("in_use", "python_in_use"))

    @property
    def error_bytes(self) -> int:
        """Standard error of the same."""
        errors = [row.error_bytes or 0 for row in self.rows if row.key in ("in_use", "python_in_use")]
        return round(math.hypot(*errors))

    @property
    def remainder(self) -> Row:
        """What no row explains: never scaled away."""
        return self.rows[-1]


@dataclass(frozen=True, slots=True)
class ProcessLedger:
    """The peak RSS of one process, from its owners to the last byte."""

    process: int | None
    """Its number in the recording; ``None`` if the process that peaked was not seen."""
    pid: int | None
    name: str | None
    command: tuple[str, ...]
    peak_bytes: int
    peak_ns: int | None
    """When the largest RSS was read; ``None`` where only the kernel's mark tells of it."""
    uncertain_bytes: int | None
    """What the kernel's own mark can be off (see precision): a remainder below that may be no memory at all."""
    moment: Moment | None
    """``None``: no snapshot; the sections are those of the largest split that was read, if there was one."""
    missing: Missing | None
    """Why there is no snapshot."""
    sections: tuple[Section, ...]
    """The last one is the remainder. Together they are the peak, to the byte."""
    of_which: tuple[Row, ...]
    """Not to be added: memory that is in the rows above already. huge_pages, lazily_freed, shared_cow, locked."""
    beyond: tuple[Row, ...]
    """Demand that no RSS counts: swap, page_tables, hugetlb, unmapped_shmem. The largest that was read."""
    heap: HeapLedger | None = None
    """Where the heap was followed (``hiwater heap``)."""

    @property
    def bytes(self) -> int:
        """What the sections add up to, which is the peak."""
        return sum(section.bytes for section in self.sections)

    @property
    def remainder(self) -> Row:
        """Peak less what the snapshot explains."""
        return self.sections[-1].rows[0]

    def section(self, key: str) -> Section | None:
        """The section of that key, if there is one."""
        return next((section for section in self.sections if section.key == key), None)

    def row(self, key: str) -> Row | None:
        """The row of that key, if there is one."""
        return next((row for section in self.sections for row in section.rows if row.key == key), None)

    def part(self, key: str) -> int:
        """The bytes of an ``of_which`` or ``beyond``; 0 if there is none."""
        return next((row.bytes for row in (*self.of_which, *self.beyond) if row.key == key), 0)


@dataclass(frozen=True, slots=True)
class TreeProcess:
    """What one process held at the tree's peak."""

    process: int
    pid: int
    name: str
    command: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class TreeLedger:
    """The peak of the whole tree by process, at one instant: the processes, ``shared`` and ``remainder`` add up to
    ``peak.bytes``."""

    peak: Reading
    t_ns: int
    processes: tuple[TreeProcess, ...]
    """Those that held memory then, the largest first."""
    shared: Row
    """Negative: what was counted in more than one process."""
    remainder: Row
    beyond: tuple[Row, ...]
    """What all processes together had beside their RSS: swap, page_tables, hugetlb. The largest sums that were read."""

    @property
    def sum_bytes(self) -> int:
        """What the RSS of the processes adds up to."""
        return sum(process.bytes for process in self.processes)

    @property
    def bytes(self) -> int:
        """What everything adds up to, which is the peak."""
        return self.sum_bytes + self.shared.bytes + self.remainder.bytes


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the memory of one execution went."""

    inherited: Inherited
    peak: ProcessLedger | None
    """The process that peaked; ``None`` if the peak is not known."""
    processes: tuple[ProcessLedger, ...]
    """Every process whose mappings were read, and the one that peaked in any case, which comes first; then the largest
    first."""
    tree: TreeLedger | None
    """``None`` unless several processes lived at the tree's peak."""

    @property
    def inherited_bytes(self) -> int:
        """What wait4 in the launcher would have added to the peak; 0 if that is nothing or not known."""
        says = self.inherited.wait4_would_say_bytes
        return 0 if says is None or self.peak is None else max(0, says - self.peak.peak_bytes)
