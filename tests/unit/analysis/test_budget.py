"""Verdicts on budgets."""

from __future__ import annotations

import pytest

from hiwater.analysis.budget import Budget, Figure, Judgement, Status, judge, overall, reason
from hiwater.analysis.reading import UNKNOWN, Method, Reading

MIB = 1 << 20
LIMIT = Budget(Figure.PEAK_RSS, 64 * MIB)


def reading(size: int | None, low: int | None, high: int | None) -> Reading:
    def mib(value: int | None) -> int | None:
        return None if value is None else value * MIB

    return Reading(mib(size), mib(low), mib(high), Method.WAIT4)


@pytest.mark.parametrize(
    ("given", "status", "straddles"),
    [
        (reading(60, 59, 61), Status.OK, False),
        (reading(64, 63, 64), Status.OK, False),
        (reading(64, 63, 65), Status.OK, True),
        (reading(65, 63, 66), Status.VIOLATED, True),
        (reading(70, 69, 71), Status.VIOLATED, False),
        (reading(60, 59, None), Status.OK, True),
        (reading(None, 65, None), Status.VIOLATED, False),
        (reading(None, 10, 64), Status.OK, False),
        (reading(None, 10, 65), Status.UNDECIDABLE, True),
        (UNKNOWN, Status.UNDECIDABLE, True),
    ],
)
def test_the_best_estimate_decides(given: Reading, status: Status, straddles: bool) -> None:
    """A budget is broken when the best estimate exceeds it; bounds on both sides of it are told, and decide alone
    only where there is no estimate."""
    judgement = judge(LIMIT, given)
    assert (judgement.status, judgement.straddles) == (status, straddles)


def test_a_recording_that_was_cut_can_only_break_a_budget() -> None:
    """What was seen of it may be less than what was there."""
    assert judge(LIMIT, reading(60, 59, 61), complete=False).status is Status.UNDECIDABLE
    assert judge(LIMIT, reading(65, 59, None), complete=False).status is Status.VIOLATED


def test_over() -> None:
    """By how much: bytes above the limit, negative below, unknown for unknown."""
    overs = [judge(LIMIT, given).over_bytes for given in (reading(65, 1, 70), reading(60, 1, 70), UNKNOWN)]
    assert overs == [MIB, -4 * MIB, None]


def test_overall() -> None:
    """One violation violates all; what could not be judged outweighs what is fine; the reason is that one's."""
    fine, unknown = judge(LIMIT, reading(60, 59, 61)), judge(Budget(Figure.TREE_PEAK, MIB), UNKNOWN)
    broken = judge(LIMIT, reading(70, 69, 71))
    cases: list[tuple[list[Judgement], Status, str]] = [
        ([fine, unknown, broken], Status.VIOLATED, "peak RSS 70.0 MiB exceeds its budget 64.0 MiB by 6.0 MiB (9%)"),
        ([fine, unknown], Status.UNDECIDABLE, "tree peak could not be measured; --trace sees every process"),
        ([fine], Status.OK, "peak RSS 60.0 MiB keeps its budget 64.0 MiB"),
    ]
    for judgements, status, why in cases:
        assert (overall(judgements), reason(judgements)) == (status, why)


def test_a_small_excess_is_said_in_bytes() -> None:
    """No "64.0 MiB exceeds 64.0 MiB"."""
    judgement = judge(LIMIT, Reading(64 * MIB + 4096, None, None, None))
    assert judgement.reason.startswith("peak RSS 67112960 bytes exceeds its budget 67108864 bytes by 4096 bytes")
