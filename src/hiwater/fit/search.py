"""The search for the smallest limit: which one is executed next, and what is concluded.

Two edges of the same executions: that of success, and that of being fast enough. Each begins with a bracket (halving
and doubling), goes on where an execution tells most (:mod:`hiwater.analysis.edge`), and ends with executions at the
answer itself.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from math import exp, log
from typing import Protocol

from hiwater.analysis.edge import FINENESS, Edge, Interval
from hiwater.errors import HiwaterError
from hiwater.fit.model import FitReport, Found, Settings, Stop, Trial
from hiwater.units import format_size

_PAGE = resource.getpagesize()
_LAPSE = 0.005
"""The share of executions that fail whatever the memory; how many are slow is seen without a limit."""
_SLOW_LEAST, _SLOW_MOST = 0.03, 0.3
_HALF = 0.5
"""Where half of the executions are fast enough, the median is: noise in the time is no reason for more memory."""
_AGAIN = 3
_CHANCES = 60
_SHARE = 0.7
"""Of all executions, for the smallest limit at most."""
_FRESH = 8
"""After so many executions another one without a limit: the machine may have become faster or slower."""


class Executor(Protocol):
    """Who executes."""

    def execute(self, limit: int | None, typical_seconds: float | None) -> Trial:
        """Once, under that limit; ``None``: without one. ``typical_seconds``: how long it takes without."""

    def memory(self) -> int:
        """Of the machine: no limit beyond it means anything."""


class _Enough(Exception):
    """No more executions are allowed."""


class Search:
    """One search, from the first execution to the answer."""

    def __init__(
        self,
        command: tuple[str, ...],
        settings: Settings,
        executor: Executor,
        before_each: Callable[[FitReport, int | None], None] = lambda report, limit: None,
        after_each: Callable[[FitReport], None] = lambda report: None,
    ) -> None:
        """``before_each`` is told the limit that comes next, ``after_each`` what is known then."""
        self.report = FitReport(command, settings)
        self._settings = settings
        self._executor = executor
        self._before, self._after = before_each, after_each
        self._allowed = settings.at_most
        self._largest = settings.highest or executor.memory()

    def execute(self) -> FitReport:
        """All of it. What was found until an interruption, or the end of patience, is in the report."""
        stop = Stop.DONE
        try:
            if not self._unlimited():
                stop = Stop.FAILED
            else:
                stages = [(1.0, self._smallest)]
                if self._settings.comfortable:
                    stages = [(_SHARE, self._smallest), (1.0, self._comfortable)]
                for share, stage in stages:
                    self._allowed = max(len(self.report.trials), round(share * self._settings.at_most))
                    try:
                        stage()
                    except _Enough:
                        stop = Stop.EXHAUSTED
        except _Enough:
            stop = Stop.EXHAUSTED
        except KeyboardInterrupt:
            stop = Stop.INTERRUPTED
        except HiwaterError as error:
            stop = Stop.FAILED
            self.report = replace(self.report, message=str(error))
        self.report = replace(self.report, stop=stop)
        return self.report

    # ---- executions

    def _try(self, limit: int | None) -> Trial:
        if len(self.report.trials) >= self._allowed:
            raise _Enough
        done = len(self.report.trials)
        if limit is not None and self.report.curve and done % _FRESH == _FRESH - 1 and done + 1 < self._allowed:
            self._once(None)
        return self._once(limit)

    def _once(self, limit: int | None) -> Trial:
        self._before(self.report, limit)
        trial = self._executor.execute(limit, self.report.unlimited_seconds)
        self.report = replace(self.report, trials=(*self.report.trials, trial))
        self._after(self.report)
        return trial

    def _note(self, text: str) -> None:
        if text not in self.report.notes:
            self.report = replace(self.report, notes=(*self.report.notes, text))

    # ---- the stages

    def _unlimited(self) -> bool:
        for _ in range(self._settings.unlimited):
            trial = self._try(None)
            if not trial.success:
                message = f"without any limit it fails already: {trial.how}"
                self.report = replace(self.report, message=message)
                return False
        walls = [trial.wall_seconds for trial in self.report.unlimited if trial.wall_seconds]
        if walls and max(walls) > self._settings.max_slowdown * min(walls):
            self._note(
                f"without a limit it took from {min(walls):.2f} to {max(walls):.2f} s: what is comfortable is uncertain"
            )
        return True

    def _smallest(self) -> None:
        high = self._ceiling()
        low = self._floor(high)
        if low is None:
            least = float(self._settings.lowest)
            point = next(point for point in self.report.curve if point.limit_bytes <= self._settings.lowest)
            found = Found(
                Interval(least, least, least), Interval(least, least, least), False, len(point.trials), point.successes
            )
            self._note(f"it still succeeds with {format_size(self._settings.lowest)}: --from asks for less")
            self.report = replace(self.report, smallest=found)
            return
        self._narrow(low, high, _LAPSE, self._settings.probability, lambda trial: trial.success, smallest=True)

    def _ceiling(self) -> int:
        """A limit that is large enough."""
        need = max((trial.peak_bytes or trial.tree_peak_bytes or 0 for trial in self.report.unlimited), default=0)
        limit = min(self._largest, max(self._settings.lowest, self._near(1.02 * need + (1 << 20))))
        while not self._try(limit).success:
            if limit >= self._largest:
                raise HiwaterError(f"it fails under the largest limit as well, {format_size(limit)}")
            limit = min(self._largest, 2 * limit)
        return limit

    def _floor(self, high: int) -> int | None:
        """One that is too small, or ``None``."""
        limit = high
        while limit > self._settings.lowest:
            limit = max(self._settings.lowest, self._near(limit / 2))
            if not self._try(limit).success:
                return limit
        return None

    def _comfortable(self) -> None:
        found = self.report.smallest
        if found is None or self.report.unlimited_seconds is None:
            return
        high = max(point.limit_bytes for point in self.report.curve)
        while not self._is_mostly_fast(high):
            if high >= self._largest or high > 4 * found.limit.high:
                self._note(
                    f"even with {format_size(high)} it takes more than {self._settings.max_slowdown:g} times as long: "
                    "either the measurements are too noisy, or what it reads from elsewhere costs more under a limit"
                )
                return
            high = min(self._largest, _pages(1.25 * high))
        low = min(_pages(found.limit.low / 1.5), high // 2)
        slow = sum(not self._is_fast(trial) for trial in self.report.unlimited)
        lapse = min(_SLOW_MOST, max(_SLOW_LEAST, (slow + 0.5) / (len(self.report.unlimited) + 1)))
        self._narrow(low, high, lapse, _HALF, self._is_fast, smallest=False)

    def _is_mostly_fast(self, limit: int) -> bool:
        """By a majority: one slow execution may be the machine's doing."""
        fast = 0
        for done in range(_AGAIN):
            fast += self._is_fast(self._try(limit))
            if 2 * fast > _AGAIN or 2 * (done + 1 - fast) > _AGAIN:
                break
        return 2 * fast > _AGAIN

    def _is_fast(self, trial: Trial) -> bool:
        base = self.report.unlimited_seconds
        if not trial.success or trial.wall_seconds is None or base is None:
            return False
        if trial.limit_bytes is not None and trial.limit_hits == 0:
            return True  # a limit that was never met has not slowed it down, whatever else has
        return trial.wall_seconds <= self._settings.max_slowdown * base

    def _near(self, limit: float) -> int:
        """The place of the grid that is nearest."""
        step = log(1 + self._settings.precision) / FINENESS
        return _pages(exp(round(log(limit) / step) * step))

    # ---- one edge

    def _narrow(
        self, low: int, high: int, lapse: float, target: float, good: Callable[[Trial], bool], *, smallest: bool
    ) -> None:
        edge = self._edge(low, high, lapse, target, good)
        try:
            while True:
                if edge.answer().high > high and high < self._largest:
                    # It goes wrong at what seemed enough: the edge may lie beyond.
                    high = min(self._largest, _pages(1.4 * high))
                    edge = self._edge(low, high, lapse, target, good)
                limit = self._next(edge, low, high)
                if limit is None:
                    break
                edge.add(limit, good(self._try(limit)))
                self._conclude(edge, high, good, smallest=smallest)
        finally:
            self._conclude(edge, high, good, smallest=smallest)
            if smallest:
                self.report = replace(self.report, chances=_chances(edge))

    def _edge(self, low: int, high: int, lapse: float, target: float, good: Callable[[Trial], bool]) -> Edge:
        """With all that was executed so far."""
        edge = Edge(low / 1.2, high * 1.2, self._settings.precision, target, lapse)
        for trial in self.report.trials:
            if trial.limit_bytes is not None:
                edge.add(trial.limit_bytes, good(trial))
        return edge

    def _next(self, edge: Edge, low: int, high: int) -> int | None:
        """What tells most, until the answer is precise; then what is just below it and the answer, until both were
        tried often enough: an edge that only seems sharp by good luck gives itself away there."""
        answer = self._answer(edge, high)
        if not edge.is_precise():
            return min(high, max(low, self._settings.lowest, _pages(edge.next())))
        least, repeat = edge.answer().low, self._settings.repeat
        tried = [trial.limit_bytes for trial in self.report.trials if trial.limit_bytes is not None]
        if sum(least / (1 + 2 * self._settings.precision) <= limit <= least for limit in tried) < repeat:
            return max(self._settings.lowest, self._near(least / (1 + self._settings.precision / 2)))
        return answer if tried.count(answer) < repeat else None

    @staticmethod
    def _answer(edge: Edge, high: int) -> int:
        """A limit of the grid, so that what was tried is what is told; on the upper side, for a sharp edge lies between
        two places."""
        return min(high, _pages(edge.limit(edge.place_above(edge.answer().value))))

    def _conclude(self, edge: Edge, high: int, good: Callable[[Trial], bool], *, smallest: bool) -> None:
        told = edge.answer()
        limit = self._answer(edge, high)
        tried = [trial for trial in self.report.trials if trial.limit_bytes == limit]
        successes = sum(good(trial) for trial in tried)
        found = Found(
            Interval(limit, min(limit, told.low), max(limit, told.high)),
            edge.middle(),
            edge.is_precise() and 2 * successes >= len(tried),
            len(tried),
            successes,
        )
        if not smallest:
            least = self.report.smallest
            if least is not None and found.limit.value < least.limit.value:
                at = [trial for trial in self.report.trials if trial.limit_bytes == round(least.limit.value)]
                found = replace(found, limit=least.limit, tried=len(at), successes=sum(map(good, at)))
                found = replace(found, precise=edge.is_precise() and least.precise)
            self.report = replace(self.report, comfortable=found)
            return
        self.report = replace(self.report, smallest=found)


def _chances(edge: Edge) -> tuple[tuple[int, Interval], ...]:
    """For the picture: a little beyond the answer on both sides."""
    told, half = edge.answer(), edge.middle()
    first, last = edge.place(half.low / 1.5), edge.place(told.high * 1.5)
    stride = max(1, (last - first) // _CHANCES)
    limits = [edge.limit(place) for place in range(first, last + 1, stride)]
    return tuple((round(limit), edge.chance(limit)) for limit in limits)


def _pages(size: float) -> int:
    """The kernel rounds a limit down to whole pages (mm/page_counter.c page_counter_memparse())."""
    return max(_PAGE, round(size / _PAGE) * _PAGE)
