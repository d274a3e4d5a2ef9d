"""Whether a reading keeps within its budget: pure verdicts, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from hiwater.analysis.reading import Reading
from hiwater.analysis.summary import Summary
from hiwater.units import format_size


class Status(str, Enum):
    """How a budget was kept."""

    OK = "ok"
    VIOLATED = "violated"
    UNDECIDABLE = "undecidable"
    """There is no figure to judge. That is a failure, never a pass."""

    def __str__(self) -> str:
        return self.value


class Figure(str, Enum):
    """What a budget limits."""

    PEAK_RSS = "peak_rss"
    TREE_PEAK = "tree_peak"

    def __str__(self) -> str:
        return self.value

    @property
    def words(self) -> str:
        """As people read it."""
        return {"peak_rss": "peak RSS", "tree_peak": "tree peak"}[self.value]

    def of(self, summary: Summary) -> Reading:
        """The reading that it is judged by."""
        return summary.peak_rss if self is Figure.PEAK_RSS else summary.tree.reading


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a figure may be; exactly so much is still fine."""

    figure: Figure
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """One budget held against one reading."""

    budget: Budget
    reading: Reading
    status: Status
    straddles: bool
    """The limit lies between the bounds, so the truth may be on its other side."""
    reason: str

    @property
    def over_bytes(self) -> int | None:
        """By how much the best estimate exceeds the limit; negative: what was left."""
        return None if self.reading.bytes is None else self.reading.bytes - self.budget.limit_bytes


def judge(budget: Budget, reading: Reading, *, complete: bool = True) -> Judgement:
    """The best estimate decides; without one, the bounds where they suffice.

    ``complete``: whether the recording reaches to the end of the command. What was seen of a recording that was cut
    can break a budget, but not keep it.
    """
    limit, words = budget.limit_bytes, budget.figure.words
    low, high = reading.low, reading.high
    straddles = (low is None or low <= limit) and (high is None or high > limit)
    if reading.bytes is not None and reading.bytes > limit:
        status, reason = Status.VIOLATED, _exceeded(words, reading.bytes, limit)
    elif reading.bytes is None and low is not None and low > limit:
        status, reason = Status.VIOLATED, f"{words} at least {format_size(low)} exceeds its budget {format_size(limit)}"
    elif not complete:
        status, reason = Status.UNDECIDABLE, f"{words} is not known to the end: the recording is incomplete"
    elif reading.bytes is None and (high is None or high > limit):
        hint = "; --trace sees every process" if budget.figure is Figure.TREE_PEAK else ""
        status, reason = Status.UNDECIDABLE, f"{words} could not be measured{hint}"
    elif reading.bytes is None:
        status, reason = Status.OK, f"{words} at most {format_size(high)} keeps its budget {format_size(limit)}"
    else:
        status, reason = Status.OK, f"{words} {format_size(reading.bytes)} keeps its budget {format_size(limit)}"
    if straddles and status is not Status.UNDECIDABLE:
        upper = "unknown" if high is None else format_size(high)
        reason += f" (by the best estimate: the truth is between {format_size(low)} and {upper})"
    return Judgement(budget, reading, status, straddles, reason)


def _exceeded(words: str, size: int, limit: int) -> str:
    over = size - limit
    # What differs by less than the last digit shown is said in bytes: no "64.0 MiB exceeds 64.0 MiB".
    if over < 1 << 17:
        return f"{words} {size} bytes exceeds its budget {limit} bytes by {over} bytes"
    share = f" ({over / limit:.0%})" if limit else ""
    return f"{words} {format_size(size)} exceeds its budget {format_size(limit)} by {format_size(over)}{share}"


def judge_all(budgets: Iterable[Budget], summary: Summary, *, complete: bool) -> tuple[Judgement, ...]:
    """Each budget held against its figure."""
    return tuple(judge(budget, budget.figure.of(summary), complete=complete) for budget in budgets)


def overall(judgements: Iterable[Judgement]) -> Status:
    """A violation outweighs what could not be judged, and that outweighs what is fine."""
    found = {judgement.status for judgement in judgements}
    return next((status for status in (Status.VIOLATED, Status.UNDECIDABLE) if status in found), Status.OK)


def reason(judgements: Iterable[Judgement]) -> str:
    """The sentences behind the overall status."""
    told = tuple(judgements)
    decisive = overall(told)
    return "; ".join(judgement.reason for judgement in told if judgement.status is decisive)
