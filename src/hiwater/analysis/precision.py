"""How far the kernel's resident-set counters can be from the truth.

Every peak that the kernel itself keeps (VmHWM, ru_maxrss) is taken from approximate counters, whatever reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

COUNTERS = 3
"""A resident set is the sum of three counters: anonymous, file-backed and shared memory."""

FAULTS_HELD_BACK = 66
"""Before Linux 6.2 a thread keeps what its page faults added to itself: check_sync_rss_stat() of mm/memory.c hands in
when more than 64 (TASK_RSS_EVENTS_THRESH) were counted before the present fault, whose own pages come after that."""
FAULT_AROUND_BYTES = 64 << 10
"""One fault on a mapped file brings up to so much at once (fault_around_bytes, do_fault_around() of mm/memory.c)."""


@dataclass(frozen=True, slots=True)
class CounterError:
    """The most that a mark of the kernel can differ from the truth, in bytes."""

    above: int
    """By so much the mark can be larger than the truth."""
    below: int
    """By so much it can be smaller."""

    @property
    def either_way(self) -> int:
        return max(self.above, self.below)


def kernel_version(release: str | None) -> tuple[int, int] | None:
    """``6.18.44-amd64`` as (6, 18)."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})", release or "", re.ASCII)
    return (int(match.group(1)), int(match.group(2))) if match else None


def counter_error(
    release: str | None, cpus: int | None, page_size: int, threads: int | None, faults: int | None = None
) -> CounterError | None:
    """``None`` if unknown. ``faults``: page faults of the process, if nobody else can have been the largest.

    Since 6.2 each CPU keeps up to a batch of each counter to itself, more or less (percpu_counter_add_batch). Before,
    each thread keeps what its last page faults added. That is never less than nothing: a fault brings pages, or copies
    one of a file, which moves it from one counter to the other; pages that go are handed in at once
    (add_mm_rss_vec() of mm/memory.c). So a mark is too low, never too high; except that the counters are not read at
    the same instant, between which a page for each fault that was held back may move.
    """
    version = kernel_version(release)
    if version is None:
        return None
    if version >= (6, 2):
        if cpus is None:
            return None
        batch = max(32, 2 * cpus)
        error = COUNTERS * cpus * (batch - 1) * page_size
        return CounterError(error, error)
    if threads is None:
        return None
    held_back = max(1, threads) * FAULTS_HELD_BACK
    below = held_back if faults is None else min(held_back, faults)
    return CounterError(held_back * page_size, below * max(FAULT_AROUND_BYTES, page_size))


def counter_error_bytes(release: str | None, cpus: int | None, page_size: int, threads: int | None) -> int | None:
    """The same in either direction."""
    error = counter_error(release, cpus, page_size, threads)
    return None if error is None else error.either_way
