"""A test held to its budget: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hiwater.analysis.budget import Status
from hiwater.analysis.reading import Reading
from hiwater.inprocess.region import Block
from hiwater.pytest_plugin.limits import Limits

WORDS: Mapping[str, str] = {"peak": "peak RSS", "growth": "growth of RSS", "left": "RSS left at the end"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One limit held against one reading. The best estimate decides; without one, there is no pass."""

    figure: str
    limit_bytes: int
    reading: Reading

    @property
    def status(self) -> Status:
        """As for the budgets of commands."""
        if self.reading.bytes is None:
            return Status.UNDECIDABLE
        return Status.VIOLATED if self.reading.bytes > self.limit_bytes else Status.OK

    @property
    def straddles(self) -> bool:
        """The limit lies between the bounds: the truth may be on its other side."""
        low, high = self.reading.low, self.reading.high
        return (low is None or low <= self.limit_bytes) and (high is None or high > self.limit_bytes)


def judge(limits: Limits, block: Block) -> tuple[Verdict, ...]:
    """Every limit that there is."""
    readings = {"peak": block.peak, "growth": block.growth, "left": block.left}
    return tuple(Verdict(figure, limit, readings[figure]) for figure, limit in limits.items())
