"""What no resident set shows, measured on programs that know how much of it they have."""

from __future__ import annotations

import sys

import hiwater

SPARSE = """
import mmap, sys, time
memory = mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
memory.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, 4 << 30, 2 << 20):
    memory[at] = 1
time.sleep(float(sys.argv[1]))
"""
"""One page in each of 2048 times 2 MiB: each needs a page of page table of its own."""


def test_page_tables() -> None:
    """Memory that is touched here and there needs as much again for its tables, in the process and in the tree; the
    demand is more than the resident set by at least that."""
    recording = hiwater.run([sys.executable, "-I", "-S", "-c", SPARSE, "0.2"], check=True)
    figures = recording.to_json()
    tables = figures["peak_page_tables_bytes"]
    assert isinstance(tables, int)
    assert 2048 * 4096 <= tables < 2 * 2048 * 4096
    assert figures["tree_page_tables_peak_bytes"] == tables
    demand, peak = figures["demand_peak_bytes"], recording.peak_rss.bytes
    assert isinstance(demand, int)
    assert peak is not None
    assert peak < demand <= peak + 2 * tables
    assert figures["peak_hugetlb_bytes"] == 0
