"""The fixture ``hiwater``: measures the commands that a test starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import pytest

from hiwater.analysis.budget import Budget, Figure, Status, judge_all
from hiwater.execute import run, run_async
from hiwater.inprocess.region import Region, region
from hiwater.pytest_plugin.failure import explain_command
from hiwater.pytest_plugin.session import commands_key
from hiwater.recording.model import Recording
from hiwater.units import parse_size

if TYPE_CHECKING:
    from hiwater.heap.model import HeapProfile


class Commands:
    """Commands start from hiwater's own small process: nothing of pytest's size is in their figures."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def run(
        self, command: Sequence[str | bytes], *, peak: str | None = None, tree: str | None = None, **options: Any
    ) -> Recording:
        """``hiwater.run`` with its options; the test fails unless the command keeps within its budget.

        ``peak``: the most that the largest of its program images may have. ``tree``: the most that all its processes
        may have at one instant.
        """
        budgets = _budgets(peak, tree)
        return self._judged(run(command, **options), budgets)

    async def run_async(
        self, command: Sequence[str | bytes], *, peak: str | None = None, tree: str | None = None, **options: Any
    ) -> Recording:
        """``run`` for asyncio."""
        budgets = _budgets(peak, tree)
        return self._judged(await run_async(command, **options), budgets)

    def heap(
        self,
        command: Sequence[str],
        budget: str | None = None,
        *,
        site: str | None = None,
        library: str | None = None,
        at: str = "peak",
        evidence: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | PathLike[str] | None = None,
    ) -> HeapProfile:
        """Executes a command with the heap sampler; the test fails unless what a call site or library holds keeps
        within the budget, as far as can be told.

        ``site``, ``library`` and ``at`` are those of ``[[check.heap]]`` in hiwater.toml. ``evidence``: where the flame
        graph goes if the budget is not surely kept. ``env``: variables that are set besides.
        """
        from hiwater.pytest_plugin import heap

        __tracebackhide__ = True
        limit = None if budget is None else heap.budget(budget, site, library, at)
        return heap.held(tuple(command), limit, evidence, env or {}, cwd)

    def region(self, *, collect: bool = False) -> Region:
        """``hiwater.region``: the peak of a block of the test."""
        return region(collect=collect)

    def assert_within(self, recording: Recording, *, peak: str | None = None, tree: str | None = None) -> None:
        """Fails the test unless the command kept within this budget."""
        __tracebackhide__ = True
        _assert(recording, _budgets(peak, tree))

    def _judged(self, recording: Recording, budgets: Sequence[Budget]) -> Recording:
        __tracebackhide__ = True
        self._item.stash.setdefault(commands_key, []).append(recording)
        _assert(recording, budgets)
        return recording


def _budgets(peak: str | None, tree: str | None) -> list[Budget]:
    """Parsed before the command starts: a misspelt size shall not cost an execution."""
    limits = ((Figure.PEAK_RSS, peak), (Figure.TREE_PEAK, tree))
    return [Budget(figure, parse_size(size)) for figure, size in limits if size is not None]


def _assert(recording: Recording, budgets: Sequence[Budget]) -> None:
    __tracebackhide__ = True
    judgements = judge_all(budgets, recording.summary, complete=recording.complete)
    broken = [judgement for judgement in judgements if judgement.status is not Status.OK]
    if broken:
        pytest.fail(explain_command(recording, broken), pytrace=False)
