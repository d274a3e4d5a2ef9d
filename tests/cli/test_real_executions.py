"""The statistics on what real executions give: no alarm without a change, and none missed with one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import pytest

import hiwater
from hiwater.analysis.statistics import Decision, exceeds, repeat_until_sure

pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")


def peak(command: Sequence[str]) -> float:
    found = hiwater.run(command, check=True).peak_rss.bytes
    assert found is not None
    return float(found)


def varies(mib: float) -> list[str]:
    """A program whose peak is so large, with 1 % of noise."""
    script = f"import random; x = bytes([1]) * int(random.gauss({mib} - 9, {mib} / 100) * 1048576)"
    return [sys.executable, "-I", "-S", "-c", script]


def test_200_executions_without_a_change() -> None:
    """200 executions of one program, in turn old and new, ten against ten, at no tolerance at all: with 99 % one of a
    hundred such checks may raise an alarm, so of ten two at most."""
    alarms = 0
    for _ in range(10):
        pairs = [(peak(["true"]), peak(["true"])) for _ in range(10)]
        old, new = zip(*pairs, strict=True)
        alarms += exceeds(old, new, 0.0, 0.99) is Decision.SURE_YES
    assert alarms <= 2


def test_a_planted_regression_of_three_per_cent() -> None:
    """A program with 1 % of noise grows by 3 %: caught within 30 executions."""
    baseline = [peak(varies(60)) for _ in range(15)]
    found = repeat_until_sure(baseline, partial(peak, varies(61.8)), tolerance=0.0, confidence=0.99)
    assert found.decision is Decision.SURE_YES
