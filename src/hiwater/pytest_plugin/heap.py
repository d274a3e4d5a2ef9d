"""The fixture ``hiwater``: budgets of call sites and libraries of the commands that a test starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pytest

from hiwater.checks.heap import follow
from hiwater.checks.model import Check
from hiwater.heap.budget import At, HeapBudget, HeapJudgement, Kept, judge
from hiwater.heap.model import HeapProfile, Snapshot
from hiwater.output import write_whole
from hiwater.views import flame_svg, heap_text
from hiwater.views.names import command_line, valid

ROWS = 5
"""Call sites that a failure shows."""


Place = Callable[[], "Path | None"]
"""Asked when there is something to put there; ``None``: nowhere."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One budget."""

    budget: HeapBudget
    evidence: Place
    """Where the flame graph goes if it is not surely kept."""


@dataclass(frozen=True, slots=True)
class Heap:
    """A command that was followed, and what came of it."""

    command: tuple[str, ...]
    profile: HeapProfile | None
    judgements: tuple[HeapJudgement, ...]
    failure: str | None
    """What the test says; ``None`` where all budgets were kept, or nothing tells that they were not."""

    def plain(self) -> list[dict[str, Any]]:
        """For reports: one for each budget."""
        return [
            {
                "command": [valid(word) for word in self.command],
                "site": _valid(one.budget.site),
                "file": _valid(one.budget.file),
                "library": _valid(one.budget.library),
                "at": str(one.budget.at),
                "limit_bytes": one.budget.limit_bytes,
                "in_use_bytes": one.in_use_bytes,
                "standard_error_bytes": one.standard_error_bytes,
                "status": str(one.status),
            }
            for one in self.judgements
        ]


def execute(
    command: tuple[str, ...],
    limits: Sequence[Limit],
    environment: Mapping[str, str],
    cwd: str | PathLike[str] | None,
) -> Heap:
    """Executes it once, with the sampler, and holds it to all budgets; evidence is written."""
    output = os.open(os.devnull, os.O_WRONLY)
    try:
        found = follow(Check("", command, Path(cwd or "."), environment=environment), output)
    finally:
        os.close(output)
    profile = found.profile
    if profile is None:
        failure = f"hiwater: the heap of {command_line(command)} cannot be told: {found.failure}"
        return Heap(command, None, tuple(judge(limit.budget, None) for limit in limits), failure)
    judgements = tuple(judge(limit.budget, profile) for limit in limits)
    drawn: dict[Path, At] = {}
    for limit, judgement in zip(limits, judgements, strict=True):
        snapshot = _snapshot(profile, limit.budget.at)
        path = None if judgement.status is Kept.OK or snapshot is None else limit.evidence()
        if path is not None and snapshot is not None and path not in drawn:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, flame_svg.render(profile, snapshot).encode(), force=True)
            drawn[path] = limit.budget.at
    broken = [one for one in judgements if one.status in (Kept.VIOLATED, Kept.UNDECIDABLE)]
    return Heap(command, profile, judgements, _told(profile, broken, drawn) if broken else None)


def held(heap: Heap) -> HeapProfile:
    """The profile; without one, or with a budget that is broken, the test fails."""
    __tracebackhide__ = True
    if heap.failure is not None or heap.profile is None:
        pytest.fail(heap.failure or "", pytrace=False)
    return heap.profile


def _snapshot(profile: HeapProfile, at: At) -> Snapshot | None:
    return profile.peak if at is At.PEAK else profile.exit


def _told(profile: HeapProfile, broken: Sequence[HeapJudgement], drawn: Mapping[Path, At]) -> str:
    """Each budget that is broken, and for each moment who held what then."""
    lines = [f"hiwater: {one.reason}" for one in broken]
    for at in At:
        if _snapshot(profile, at) is not None and any(one.budget.at is at for one in broken):
            lines.append(heap_text.render(profile, at=str(at), limit=ROWS).rstrip())
    lines += [f"  evidence   {path} (flame graph at {at})" for path, at in drawn.items()]
    return "\n".join(lines)


def _valid(name: str | None) -> str | None:
    return None if name is None else valid(name)
