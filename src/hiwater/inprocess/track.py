"""The largest resident set since some moment, with its bounds: arithmetic on what was looked up."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.analysis.reading import UNKNOWN, Method, Reading
from hiwater.inprocess.proc import Look, Precision
from hiwater.recording.model import UNKNOWN_RSS, Rss

GROWTH_BYTES_PER_NS = 32 * (1 << 20) / 1_000_000
"""How fast other threads are taken to touch new memory at most: 32 MiB per ms, the allowance of the command's peak."""


@dataclass
class Track:
    """What one observer (a region, or the process as a whole) has seen so far."""

    reference: int | None = None
    """What the mark stood at when the observer began, or at the last reset: no higher, and it says nothing of what
    came since. A reset sets the mark to an approximation of the present RSS, which can be too high."""
    size: int | None = None
    low: int | None = None
    high: int | None = None
    unbounded: bool = False
    marked: bool = False
    """Whether the mark rose since: then it holds the peak, and nothing was missed."""
    at_max: Rss = UNKNOWN_RSS

    def fold(self, look: Look, precision: Precision) -> None:
        """Takes in a look at the status file."""
        self._fold_rss(look.rss, precision)
        mark, error = look.hwm_bytes, precision.error_bytes
        if mark is None or error is None:
            self.unbounded = True
        else:
            self.high = max(self.high or 0, mark + error)
        if mark is None or (self.reference is not None and mark <= self.reference):
            return
        self.size = max(self.size or 0, mark)
        self.marked = True
        if error is not None:
            self.low = max(self.low or 0, mark - error)

    def sampled(self, rss_bytes: int, precision: Precision) -> None:
        """Takes in an RSS that the sampling thread met; that alone bounds nothing from above."""
        self._fold_rss(Rss(rss_bytes, None, None, None), precision)

    def window(self, rss_bytes: int, precision: Precision, ns: int) -> None:
        """Other threads ran for ``ns`` around a reset: a spike in there is in no mark."""
        if precision.error_bytes is not None:
            spike = int(ns * GROWTH_BYTES_PER_NS)
            self.high = max(self.high or 0, rss_bytes + precision.error_bytes + spike)

    def _fold_rss(self, rss: Rss, precision: Precision) -> None:
        if rss.rss_bytes is None:
            return
        if self.at_max.rss_bytes is None or rss.rss_bytes > self.at_max.rss_bytes:
            self.at_max = rss
        if self.size is None or rss.rss_bytes > self.size:
            self.size = rss.rss_bytes
        if precision.rss_error_bytes is not None:
            self.low = max(self.low or 0, rss.rss_bytes - precision.rss_error_bytes)

    def reading(self, *, sampling: bool = False) -> Reading:
        """``sampling``: whether only samples stand between the estimate and the truth, unless the mark rose."""
        if self.size is None:
            return UNKNOWN
        high = None if self.unbounded or self.high is None else max(self.high, self.size)
        low = None if self.low is None else min(self.low, self.size)
        method = Method.RSS_SAMPLED if sampling and not self.marked else Method.VMHWM_SAMPLED
        return Reading(self.size, low, high, method)


def exact_reading(size: int | None, precision: Precision) -> Reading:
    """The RSS of one instant."""
    if size is None:
        return UNKNOWN
    error = precision.rss_error_bytes
    if error is None:
        return Reading(size, None, None, Method.RSS_SAMPLED)
    return Reading(size, max(0, size - error), size + error, Method.RSS_SAMPLED)


def difference(later: Reading, earlier: Reading, *, at_least: int | None = None) -> Reading:
    """``later - earlier`` with its bounds; ``at_least`` where it can not be less by its nature."""

    def minus(a: int | None, b: int | None) -> int | None:
        if a is None or b is None:
            return None
        return a - b if at_least is None else max(at_least, a - b)

    return Reading(
        minus(later.bytes, earlier.bytes), minus(later.low, earlier.high), minus(later.high, earlier.low), later.method
    )
