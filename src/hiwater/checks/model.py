"""What a check is, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from statistics import median

from hiwater.analysis.budget import Budget, Figure, Judgement
from hiwater.analysis.reading import Reading
from hiwater.heap.budget import HeapBudget, HeapJudgement
from hiwater.heap.model import HeapProfile
from hiwater.launch import Mode

DEFAULT_TOLERANCE = 0.05
DEFAULT_CONFIDENCE = 0.99
DEFAULT_MAX_REPEATS = 30


class Statistic(str, Enum):
    """Which of several executions a budget judges."""

    MAX = "max"
    """All of them: the largest."""
    MEDIAN = "median"
    """The middle one; of an even number the larger of the two."""

    def __str__(self) -> str:
        return self.value


class Status(str, Enum):
    """The verdict on a check."""

    OK = "ok"
    IMPROVED = "improved"
    """Surely less than the baseline, by more than the tolerance."""
    UNSURE = "unsure"
    """Within its budgets; whether it grew was not decided when the limit of executions was reached. No alarm."""
    GROWN = "grown"
    """Surely more than the baseline, by more than the tolerance."""
    VIOLATED = "violated"
    """Over a budget."""
    UNDECIDABLE = "undecidable"
    """There is no figure to judge."""
    FAILED = "failed"
    """The command, its setup or its teardown failed."""

    def __str__(self) -> str:
        return self.value

    @property
    def passes(self) -> bool:
        """Whether it leaves the exit status alone."""
        return self in (Status.OK, Status.IMPROVED, Status.UNSURE)


@dataclass(frozen=True, slots=True)
class Check:
    """One ``[[check]]`` of hiwater.toml, with all defaults filled in."""

    name: str
    command: tuple[str, ...]
    directory: Path
    """Where it is executed."""
    budgets: tuple[Budget, ...] = ()
    heap: tuple[HeapBudget, ...] = ()
    """Budgets of call sites and libraries: they take one more execution, with the heap sampler."""
    repeats: int = 1
    max_repeats: int = DEFAULT_MAX_REPEATS
    """The limit of executions where a comparison takes more than ``repeats``."""
    statistic: Statistic = Statistic.MAX
    figure: Figure = Figure.PEAK_RSS
    """What is compared with the baseline."""
    tolerance: float = DEFAULT_TOLERANCE
    environment: Mapping[str, str] = field(default_factory=dict)
    """Set beside what hiwater was started with."""
    setup: tuple[str, ...] | None = None
    teardown: tuple[str, ...] | None = None
    timeout_seconds: float | None = None
    mode: Mode = Mode.QUIET
    line: int | None = None
    """Where it begins in the file; ``None`` if that is not certain."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A hiwater.toml."""

    path: str
    checks: tuple[Check, ...]
    confidence: float = DEFAULT_CONFIDENCE
    history: Path | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a check's command."""

    peak_rss: Reading
    tree_peak: Reading
    wall_seconds: float | None
    complete: bool
    failure: str | None = None
    """How the command failed; ``None`` if it exited with 0."""

    def reading(self, figure: Figure) -> Reading:
        """One of its figures."""
        return self.peak_rss if figure is Figure.PEAK_RSS else self.tree_peak


@dataclass(frozen=True, slots=True)
class Growth:
    """How a check compares with its baseline."""

    figure: Figure
    old: tuple[int, ...]
    """What the baseline holds, in bytes."""
    ratio: float
    low: float | None
    high: float | None
    confidence: float
    """Of the interval of the ratio."""
    tolerance: float

    @property
    def old_bytes(self) -> int:
        """The middle of the baseline."""
        return round(median(self.old))


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of a check."""

    check: Check
    status: Status
    reason: str
    executions: tuple[Execution, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    growth: Growth | None = None
    notes: tuple[str, ...] = ()
    """What a reader has to know beside the verdict."""
    output: str = ""
    """The end of what a command printed that failed."""
    heap: tuple[HeapJudgement, ...] = ()
    profile: HeapProfile | None = field(default=None, repr=False, compare=False)
    """What the budgets of the heap were judged by."""

    def samples(self, figure: Figure) -> tuple[int, ...]:
        """The figure of each execution in which it is known."""
        sizes = (execution.reading(figure).bytes for execution in self.executions)
        return tuple(size for size in sizes if size is not None)

    def shown(self, figure: Figure) -> Reading | None:
        """The reading that stands for all executions: the one that budgets judge."""
        return representative(self.check.statistic, figure, self.executions)

    def limit(self, figure: Figure) -> int | None:
        """Its budget in bytes."""
        return next((b.limit_bytes for b in self.check.budgets if b.figure is figure), None)


@dataclass(frozen=True, slots=True)
class Host:
    """What a figure may depend on beside the command."""

    machine: str
    kernel: str
    cpus: int | None
    page_size: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The state of the sources."""

    id: str
    time: int | None
    """Seconds since 1970."""
    dirty: bool
    """Files differ from it."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the views of ``hiwater check`` show."""

    plan: Plan
    results: tuple[CheckResult, ...]
    started_at: float
    host: Host
    commit: Commit | None = None
    against: str | None = None
    """Path of the baseline."""
    warnings: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether all checks pass; none at all are no pass."""
        return bool(self.results) and all(result.status.passes for result in self.results)


def representative(statistic: Statistic, figure: Figure, executions: tuple[Execution, ...]) -> Reading | None:
    """The largest or the middle reading; one that is unknown is none to go by."""
    readings = [execution.reading(figure) for execution in executions]
    unknown = next((reading for reading in readings if reading.bytes is None), None)
    if not readings or unknown is not None:
        return unknown
    ordered = sorted(readings, key=lambda reading: reading.bytes or 0)
    return ordered[-1] if statistic is Statistic.MAX else ordered[len(ordered) // 2]
