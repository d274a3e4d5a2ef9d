"""How far the kernel's resident-set counters can be from the truth.

Every peak that the kernel itself keeps (VmHWM, ru_maxrss) is taken from approximate counters, whatever reads it.
"""

from __future__ import annotations

import re

COUNTERS = 3
"""A resident set is the sum of three counters: anonymous, file-backed and shared memory."""

FAULTS_BEFORE_SYNC = 65
"""TASK_RSS_EVENTS_THRESH of mm/memory.c before Linux 6.2: a thread keeps what its page faults added to itself until
the 65th fault."""
FAULT_AROUND_BYTES = 64 << 10
"""One fault on a mapped file brings up to so much at once (fault_around_bytes, mm/memory.c)."""


def kernel_version(release: str | None) -> tuple[int, int] | None:
    """``6.18.44-amd64`` as (6, 18)."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})", release or "", re.ASCII)
    return (int(match.group(1)), int(match.group(2))) if match else None


def counter_error_bytes(release: str | None, cpus: int | None, page_size: int, threads: int | None) -> int | None:
    """The most that a mark of the kernel can differ from the truth, in either direction; ``None`` if unknown.

    Since 6.2 each CPU keeps up to a batch of each counter to itself (percpu_counter_add_batch). Before, each thread
    kept the pages of up to 64 faults: a page each for anonymous memory, more for files that are faulted around.
    """
    version = kernel_version(release)
    if version is None:
        return None
    if version >= (6, 2):
        if cpus is None:
            return None
        batch = max(32, 2 * cpus)
        return COUNTERS * cpus * (batch - 1) * page_size
    if threads is None:
        return None
    return max(1, threads) * FAULTS_BEFORE_SYNC * max(FAULT_AROUND_BYTES, page_size)
