"""What a benchmark consists of. Plain values: the statistics over them are in ``analysis.benchmark``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Metric(str, Enum):
    """Which memory is compared."""

    PEAK_RSS = "peak_rss"
    """The largest high-water mark among the program images of a command."""
    TREE_PEAK = "tree_peak"
    """The largest memory of its whole process tree at one instant."""
    SMALLEST_LIMIT = "smallest_limit"
    """The smallest limit under which it succeeds: found by many executions, not measured by one."""

    def __str__(self) -> str:
        return self.value


class Stop(str, Enum):
    """Why a benchmark ended."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    """By Ctrl-C; what was measured until then stands."""
    FAILED = "failed"
    """A command, or what prepares it, was unsuccessful."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a benchmark, with its parameters filled in."""

    name: str
    """As it is shown: the command line unless the user named it."""
    arguments: tuple[str, ...]
    """What is executed; with a shell, that shell and its options."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    setup: str | None = None
    """Shell command, executed once before all executions."""
    prepare: str | None = None
    """Shell command, executed before each execution, warm-ups too."""
    cleanup: str | None = None
    """Shell command, executed once after all executions."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution. ``None`` is what could not be measured."""

    peak_rss_bytes: int | None
    tree_peak_bytes: int | None
    wall_seconds: float | None
    user_seconds: float | None
    system_seconds: float | None
    exit_code: int | None
    term_signal: int | None = None
    ended_by: str | None = "exit"
    smallest_limit_bytes: int | None = None

    @property
    def failed(self) -> bool:
        """Whether the command was unsuccessful."""
        return self.exit_code != 0

    @property
    def ending(self) -> str:
        """``exit status 3``, ``signal 9``."""
        return f"exit status {self.exit_code}" if self.term_signal is None else f"signal {self.term_signal}"

    def memory(self, metric: Metric) -> int | None:
        """The figure that is compared."""
        if metric is Metric.SMALLEST_LIMIT:
            return self.smallest_limit_bytes
        return self.peak_rss_bytes if metric is Metric.PEAK_RSS else self.tree_peak_bytes


@dataclass(frozen=True, slots=True)
class Result:
    """A command and its executions so far, without warm-ups."""

    command: Command
    executions: tuple[Execution, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Everything measured so far."""

    results: tuple[Result, ...]
    metric: Metric
    runs: int
    """How many executions of each command were asked for."""
    confidence: float
    """That of the intervals, and of all comparisons together."""
    stop: Stop | None = None
    """``None`` while it goes on."""
    message: str | None = None
    """What failed."""
