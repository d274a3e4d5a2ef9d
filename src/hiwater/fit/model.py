"""Executions under limits, and the answer. Sizes in bytes, times in seconds, unknown is ``None``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median

from hiwater.analysis.edge import Interval

TOO_SLOW = "too slow"
"""How an execution ended that took longer than it was given."""


class Stop(str, Enum):
    """Why the search ended."""

    DONE = "done"
    EXHAUSTED = "exhausted"
    """As many executions as are allowed; the answer is as good as they make it."""
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    """There is no answer: the command fails without a limit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked for."""

    precision: float = 0.02
    """Relative: how far apart the ends of the answer's interval may be."""
    max_slowdown: float = 1.2
    """How much longer than without a limit it may take, to be comfortable."""
    probability: float = 0.95
    """The share of executions that are to go well at the answer."""
    repeat: int = 5
    """Executions at the answer itself, at least."""
    at_most: int = 80
    """Executions in all."""
    unlimited: int = 3
    """Executions without a limit, before anything else."""
    lowest: int = 1 << 20
    """No smaller limit is tried: the kernel's own share of a process is of that order."""
    highest: int | None = None
    """No larger one; ``None``: as far as is needed, up to the memory of the machine."""
    swap_bytes: int | None = 0
    comfortable: bool = True
    """Whether the comfortable limit is looked for, too."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One execution."""

    limit_bytes: int | None
    """``None``: without a limit."""
    success: bool
    wall_seconds: float | None
    how: str
    """The verdict of the limit, or how it ended."""
    peak_bytes: int | None = None
    """Of its cgroup."""
    peak_rss_bytes: int | None = None
    tree_peak_bytes: int | None = None
    anon_bytes: int | None = None
    """Of the cgroup, at its maximum; likewise the next three."""
    file_bytes: int | None = None
    shmem_bytes: int | None = None
    kernel_bytes: int | None = None
    major_faults: int | None = None
    refaulted_bytes: int | None = None
    limit_hits: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """All executions at one limit."""

    limit_bytes: int
    trials: tuple[Trial, ...]

    @property
    def successes(self) -> int:
        """How many succeeded."""
        return sum(trial.success for trial in self.trials)

    @property
    def wall_seconds(self) -> float | None:
        """Median over the successful ones."""
        return _median([trial.wall_seconds for trial in self.trials if trial.success])

    @property
    def major_faults(self) -> float | None:
        """Median over all."""
        return _median([trial.major_faults for trial in self.trials])

    @property
    def refaulted_bytes(self) -> float | None:
        """Median over all."""
        return _median([trial.refaulted_bytes for trial in self.trials])

    @property
    def failures(self) -> dict[str, int]:
        """How the others ended, and how often."""
        found: dict[str, int] = {}
        for trial in self.trials:
            if not trial.success:
                found[trial.how] = found.get(trial.how, 0) + 1
        return found


@dataclass(frozen=True, slots=True)
class Found:
    """An answer."""

    limit: Interval
    """``value`` is a limit that was tried itself, if ``successes`` says how often."""
    half: Interval
    """Where half of the executions go well: far from the answer if the edge is not sharp."""
    precise: bool
    """Whether the interval is as narrow as was asked for."""
    tried: int
    successes: int


@dataclass(frozen=True, slots=True)
class FitReport:
    """What is known, at any time of the search."""

    command: tuple[str, ...]
    settings: Settings
    trials: tuple[Trial, ...] = ()
    smallest: Found | None = None
    comfortable: Found | None = None
    stop: Stop | None = None
    """``None`` while it goes on."""
    message: str | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
    chances: tuple[tuple[int, Interval], ...] = ()
    """For a picture: the chance to succeed by limit, as the executions tell it."""

    @property
    def unlimited(self) -> tuple[Trial, ...]:
        """Those without a limit."""
        return tuple(trial for trial in self.trials if trial.limit_bytes is None)

    @property
    def unlimited_seconds(self) -> float | None:
        """How long it takes without a limit: the median."""
        return _median([trial.wall_seconds for trial in self.unlimited if trial.success])

    @property
    def curve(self) -> tuple[Point, ...]:
        """By limit, the smallest first."""
        by: dict[int, list[Trial]] = {}
        for trial in self.trials:
            if trial.limit_bytes is not None:
                by.setdefault(trial.limit_bytes, []).append(trial)
        return tuple(Point(limit, tuple(by[limit])) for limit in sorted(by))

    def slowdown(self, seconds: float | None) -> float | None:
        """How many times as long as without a limit."""
        base = self.unlimited_seconds
        return None if seconds is None or not base else seconds / base


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
