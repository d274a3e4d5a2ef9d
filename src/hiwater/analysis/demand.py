"""What a command needed beside its resident set: swap, page tables, hugetlb pages."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.recording.model import Recording

MATTERS_SHARE = 0.02
MATTERS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Demand:
    """Largest sums over the process tree, each at its own moment; ``None`` where they were not recorded.

    The kernel keeps no high-water mark of any of them, so each is the largest that was read: a spike between two looks
    is not in it.
    """

    swap_bytes: int | None
    """VmSwap of /proc/PID/status: anonymous and shared pages that were swapped out."""
    page_tables_bytes: int | None
    """VmPTE: the tables that map the memory; never shared between processes."""
    hugetlb_bytes: int | None
    """HugetlbPages (since Linux 4.4): pages of hugetlbfs and MAP_HUGETLB; a shared one counts in each process."""
    total_bytes: int | None
    """The largest sum at one instant of these and of the tree's memory, shared pages counted once."""

    def matters(self, tree_bytes: int | None) -> bool:
        """Whether any of it is worth a line beside a tree of that size: swap always, the others from 2 % (and 1 MiB)
        on."""
        least = max(MATTERS_BYTES, MATTERS_SHARE * (tree_bytes or 0))
        return bool(self.swap_bytes) or max(self.page_tables_bytes or 0, self.hugetlb_bytes or 0) >= least


def demand(recording: Recording) -> Demand:
    """What the statistics of the recording say."""
    stats = recording.stats
    if stats is None:
        return Demand(None, None, None, None)
    return Demand(stats.swap_peak_bytes, stats.pte_peak_bytes, stats.hugetlb_peak_bytes, stats.demand_peak_bytes)
