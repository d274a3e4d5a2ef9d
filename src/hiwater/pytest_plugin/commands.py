"""The fixture ``hiwater``: measures the commands that a test starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hiwater.analysis.budget import Budget, Figure, Status, judge_all
from hiwater.errors import MisuseError
from hiwater.execute import run, run_async
from hiwater.inprocess.region import Region, region
from hiwater.pytest_plugin.failure import explain_command
from hiwater.pytest_plugin.session import Session, commands_key, heaps_key
from hiwater.recording.model import Recording
from hiwater.units import parse_size

if TYPE_CHECKING:
    from hiwater.heap.model import HeapProfile


class Commands:
    """Commands start from hiwater's own small process: nothing of pytest's size is in their figures."""

    def __init__(self, item: pytest.Item, session: Session) -> None:
        self._item, self._session = item, session

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
        file: str | None = None,
        library: str | None = None,
        at: str = "peak",
        evidence: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | PathLike[str] | None = None,
    ) -> HeapProfile:
        """Executes a command with the heap sampler; the test fails unless what a call site, a source file or a library
        holds keeps within the budget, and within those of the markers ``hiwater_heap``, as far as can be told.

        ``site``, ``file``, ``library`` and ``at`` are those of ``[[check.heap]]`` in hiwater.toml. ``evidence``: where
        the flame graph goes if this budget is not surely kept (default: as for markers). ``env``: variables that are
        set besides.
        """
        from hiwater.pytest_plugin import heap
        from hiwater.pytest_plugin.heap_marker import heap_budget

        __tracebackhide__ = True
        if budget is None and any(name is not None for name in (site, file, library, evidence)):
            raise MisuseError("hiwater.heap: there is no budget: write it behind the command, such as '10 MiB'")
        known = self._item.stash.setdefault(heaps_key, [])
        where = self._session.evidence(self._item, len(known))
        limits = [heap.Limit(one, where(one.at)) for one in self._session.heap_budgets(self._item)]
        if budget is not None:
            own = heap_budget(budget, site, file, library, at)
            named = None if evidence is None else Path(evidence)
            limits.append(heap.Limit(own, where(own.at) if named is None else lambda: named))
        found = heap.execute(tuple(command), limits, env or {}, cwd)
        known.append(found)
        return heap.held(found)

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
