"""From the executions of a benchmark to its figures: medians, intervals, and which command needs more. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from statistics import median

from hiwater.analysis.statistics import Comparison, Spread, compare, summary
from hiwater.bench.model import Benchmark, Command, Result


@dataclass(frozen=True, slots=True)
class Row:
    """One command."""

    number: int
    """As the views name it; the first is 1."""
    command: Command
    memory: Spread | None
    """``None``: not measured yet, or it could not be."""
    wall: Spread | None
    user_seconds: float | None
    """Median."""
    system_seconds: float | None
    """Median."""
    executions: int
    failures: tuple[str, ...]
    """How executions ended that were unsuccessful."""
    unmeasured: int
    """Executions without a figure: left out of it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two commands."""

    first: int
    second: int
    """Numbers of the rows: the one that needs less comes first."""
    memory: Comparison
    """second / first."""


@dataclass(frozen=True, slots=True)
class Report:
    """All there is to show of a benchmark."""

    benchmark: Benchmark
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    """All of them."""
    pair_confidence: float
    """That of each comparison, so that all together keep the confidence of the benchmark."""
    smallest: int | None
    """The row with the smallest median."""

    @property
    def sound(self) -> bool:
        """Whether every command has a figure from every one of its executions."""
        return all(row.memory is not None and row.unmeasured == 0 for row in self.rows)


def report(benchmark: Benchmark) -> Report:
    """The figures of what was measured so far."""
    rows = tuple(_row(number, result, benchmark) for number, result in enumerate(benchmark.results, 1))
    measured = [row for row in rows if row.memory is not None]
    smallest = min(measured, key=_median, default=None)
    count = max(1, len(rows) * (len(rows) - 1) // 2)
    confidence = 1 - (1 - benchmark.confidence) / count
    pairs = tuple(
        _pair(min(couple, key=_median), max(reversed(couple), key=_median), benchmark, confidence)
        for couple in combinations(measured, 2)
    )
    return Report(benchmark, rows, pairs, confidence, None if smallest is None else smallest.number)


def _row(number: int, result: Result, benchmark: Benchmark) -> Row:
    executions = result.executions
    memory = _memory(result, benchmark)
    return Row(
        number=number,
        command=result.command,
        memory=_spread(memory, benchmark.confidence),
        wall=_spread([e.wall_seconds for e in executions if e.wall_seconds is not None], benchmark.confidence),
        user_seconds=_middle([e.user_seconds for e in executions if e.user_seconds is not None]),
        system_seconds=_middle([e.system_seconds for e in executions if e.system_seconds is not None]),
        executions=len(executions),
        failures=tuple(execution.ending for execution in executions if execution.failed),
        unmeasured=len(executions) - len(memory),
    )


def _pair(less: Row, more: Row, benchmark: Benchmark, confidence: float) -> Pair:
    first, second = (benchmark.results[row.number - 1] for row in (less, more))
    return Pair(
        less.number,
        more.number,
        compare(_memory(first, benchmark), _memory(second, benchmark), confidence=confidence),
    )


def _memory(result: Result, benchmark: Benchmark) -> list[float]:
    figures = (execution.memory(benchmark.metric) for execution in result.executions)
    return [float(figure) for figure in figures if figure]


def _median(row: Row) -> float:
    return row.memory.median if row.memory is not None else 0.0


def _spread(values: list[float], confidence: float) -> Spread | None:
    return summary(values, confidence=confidence) if values else None


def _middle(values: list[float]) -> float | None:
    return median(values) if values else None
