"""A figure with its bounds and the method that gave it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Method(str, Enum):
    """How a figure was come by."""

    RSS_SAMPLED = "rss_sampled"
    """The current RSS, exact on this kernel, as it was read while the program ran."""
    RSS_EVENTS = "rss_events"
    """Every change of the RSS, told by the kernel as an event (--exact)."""
    RSS_COUNTED = "rss_counted"
    """The pages of the process counted one by one (smaps_rollup), where the kernel's sums are not exact."""
    VMHWM_AT_EXIT = "vmhwm_at_exit"
    """The kernel's high-water mark, read while the process was held at its exit."""
    VMHWM_SAMPLED = "vmhwm_sampled"
    """The kernel's high-water mark as it was read while the program ran."""
    WAIT4 = "wait4"
    """ru_maxrss of the command and all its descendants, started from the small monitor."""
    EXEC_FOLDED = "exec_folded"
    """ru_maxrss just after an execve replaced the image that peaked."""
    TREE_SNAPSHOT = "tree_snapshot"
    """All processes at one instant, the shared pages as the kernel counts them (smaps_rollup)."""
    TREE_SAMPLED = "tree_sampled"
    """All processes at one instant, the shared pages as well as is known."""
    PEAK_RSS = "peak_rss"
    """No more than one process: the tree is that process."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Reading:
    """``bytes`` is the best estimate; the truth lies between ``low`` and ``high``. ``None`` is unknown."""

    bytes: int | None
    low: int | None
    high: int | None
    method: Method | None

    @property
    def mib(self) -> float | None:
        """The estimate in MiB."""
        return None if self.bytes is None else self.bytes / (1 << 20)


UNKNOWN = Reading(None, None, None, None)
