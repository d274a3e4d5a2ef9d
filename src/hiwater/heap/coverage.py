"""Whether a heap profile says anything about the memory that the program had.

A profiler that the program slipped past (static, with an allocator of its own, memory mapped by itself) still writes a
file, and the file looks like that of a program with a tiny heap. Held against the anonymous memory that the kernel
counted, it is found out.
"""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.errors import HiwaterError
from hiwater.heap.model import HeapProfile, Snapshot
from hiwater.units import format_size

LEAST_SHARE = 0.01
"""Of the anonymous memory: a profile that explains less explains nothing."""
JUDGED_FROM = 4 << 20
"""Bytes of anonymous memory. Below it stacks, relocations and the allocator's own first pages may outweigh any heap."""


class CoverageError(HiwaterError):
    """The profile covers next to nothing of the memory."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the anonymous memory a profile explains."""

    covered_bytes: int
    """The most that any of its snapshots held, mapped memory included."""
    anon_bytes: int | None
    """The largest anonymous RSS of the process. ``None``: unknown, nothing can be judged."""

    @property
    def share(self) -> float | None:
        """Above 1 where memory was asked for and never touched."""
        return None if not self.anon_bytes else self.covered_bytes / self.anon_bytes

    @property
    def is_next_to_nothing(self) -> bool:
        """Too little to be shown as an explanation."""
        share = self.share
        return share is not None and (self.anon_bytes or 0) >= JUDGED_FROM and share < LEAST_SHARE


def coverage(profile: HeapProfile, anon_bytes: int | None) -> Coverage:
    """Of all moments that the profile knows, the one that holds most."""
    snapshots = [*profile.growth, *(snapshot for snapshot in (profile.peak, profile.exit) if snapshot is not None)]
    seen = [point.in_use_bytes for point in profile.course]
    return Coverage(max([0, *seen, *(_held(snapshot) for snapshot in snapshots)]), anon_bytes)


def check(profile: HeapProfile, anon_bytes: int | None, instead: str | None = None) -> Coverage:
    """Raises CoverageError where the profile covers next to nothing. ``instead``: what to try, a whole command or
    option; what fits always is ``hiwater faults``."""
    found = coverage(profile, anon_bytes)
    if found.is_next_to_nothing:
        raise CoverageError(words(found, str(profile.engine), instead))
    return found


def words(found: Coverage, engine: str, instead: str | None = None) -> str:
    """The sentence for a profile that is no result."""
    share = found.share or 0.0
    return (
        f"the profile of {engine} covers {format_size(found.covered_bytes)} of {format_size(found.anon_bytes or 0)} "
        f"anonymous memory ({share:.2%}): the program has its own allocator, maps its memory itself, or is not the "
        f"process that was profiled. Try {instead or 'hiwater faults -- COMMAND, which sees memory whoever gave it'}"
    )


def _held(snapshot: Snapshot) -> int:
    return max(snapshot.in_use_bytes, sum(holding.in_use_bytes for holding in snapshot.holdings))
