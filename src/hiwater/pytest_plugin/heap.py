"""The fixture ``hiwater``: budgets of call sites and libraries of the commands that a test starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import pytest

from hiwater.checks.heap import follow
from hiwater.checks.model import Check
from hiwater.errors import MisuseError
from hiwater.heap.budget import At, HeapBudget, Kept, judge
from hiwater.heap.model import HeapProfile
from hiwater.output import write_whole
from hiwater.units import parse_size
from hiwater.views import flame_svg, heap_text
from hiwater.views.names import command_line

ROWS = 5
"""Call sites that a failure shows."""


def budget(size: str, site: str | None, library: str | None, at: str) -> HeapBudget:
    """Parsed before the command starts: a misspelt size shall not cost an execution."""
    if at not in ("peak", "exit"):
        raise MisuseError(f"at={at!r}: a budget of the heap is for the 'peak' or for the 'exit'")
    return HeapBudget(parse_size(size), site, library, At(at))


def held(
    command: tuple[str, ...],
    limit: HeapBudget | None,
    evidence: str | PathLike[str] | None,
    environment: Mapping[str, str],
    cwd: str | PathLike[str] | None,
) -> HeapProfile:
    """The profile; without one, or with a budget that is broken, the test fails."""
    __tracebackhide__ = True
    output = os.open(os.devnull, os.O_WRONLY)
    try:
        found = follow(Check("", command, Path(cwd or "."), environment=environment), output)
    finally:
        os.close(output)
    profile = found.profile
    if profile is None:
        pytest.fail(f"hiwater: the heap of {command_line(command)} cannot be told: {found.failure}", pytrace=False)
    if limit is None:
        return profile
    judgement = judge(limit, profile)
    snapshot = profile.peak if limit.at is At.PEAK else profile.exit
    if judgement.status is not Kept.OK and evidence is not None and snapshot is not None:
        write_whole(evidence, flame_svg.render(profile, snapshot).encode(), force=True)
    if judgement.status in (Kept.VIOLATED, Kept.UNDECIDABLE):
        shown = "" if snapshot is None else heap_text.render(profile, at=str(limit.at), limit=ROWS)
        pytest.fail(f"hiwater: {judgement.reason}\n{shown}".rstrip(), pytrace=False)
    return profile
