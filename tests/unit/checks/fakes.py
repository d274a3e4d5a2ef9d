"""Checks, executions and reports without a monitor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hiwater.analysis.budget import Budget, Figure
from hiwater.analysis.reading import UNKNOWN, Method, Reading
from hiwater.checks.heap import HeapExecution
from hiwater.checks.model import Check, CheckResult, Commit, Execution, Host, Plan, Report
from hiwater.checks.verdict import conclude

MIB = 1 << 20
HOST = Host("x86_64", "6.18.44", 2, 4096)


def reading(size: float | None) -> Reading:
    """So many MiB, give or take one."""
    if size is None:
        return UNKNOWN
    value = round(size * MIB)
    return Reading(value, value - MIB, value + MIB, Method.WAIT4)


def execution(size: float | None, tree: float | None = None, failure: str | None = None) -> Execution:
    """Of a peak of so many MiB."""
    return Execution(reading(size), reading(size if tree is None else tree), 0.5, True, failure)


def check(name: str = "a", limit: float | None = 64, **changes: object) -> Check:
    """With a budget of so many MiB."""
    budgets = () if limit is None else (Budget(Figure.PEAK_RSS, round(limit * MIB)),)
    return Check(name, ("prog",), Path("/"), budgets, **changes)  # type: ignore[arg-type]


def report(*results: CheckResult, commit: Commit | None = None, warnings: tuple[str, ...] = ()) -> Report:
    """Of a file called hiwater.toml."""
    plan = Plan("hiwater.toml", tuple(result.check for result in results))
    return Report(plan, results, 1_700_000_000.0, HOST, commit, None, warnings)


def result(name: str, *sizes: float, limit: float = 64, **changes: object) -> CheckResult:
    """Judged."""
    return conclude(check(name, limit, **changes), [execution(size) for size in sizes])


class FakeExecutor:
    """Gives what it was told to give, and remembers what it was asked for."""

    def __init__(
        self,
        executions: Iterable[Execution],
        failing: Sequence[str] = (),
        followed: HeapExecution | None = None,
    ) -> None:
        self.executions = iter(executions)
        self.failing = failing
        self.followed = followed or HeapExecution(None, "no sampler")
        self.asked: list[str] = []

    def measure(self, check: Check) -> Execution:
        self.asked.append("command")
        return next(self.executions)

    def heap(self, check: Check) -> HeapExecution:
        self.asked.append("heap")
        return self.followed

    def assist(self, words: Sequence[str], check: Check) -> str | None:
        self.asked.append(words[0])
        return "exited with 3" if words[0] in self.failing else None

    def output(self) -> str:
        return "the end of it"
