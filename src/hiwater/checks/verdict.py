"""What the executions of a check come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hiwater.analysis import budget
from hiwater.analysis.budget import Judgement, judge
from hiwater.analysis.reading import UNKNOWN
from hiwater.analysis.statistics import Decision, Repeated, compare
from hiwater.checks.model import Check, CheckResult, Execution, Growth, Status, representative
from hiwater.heap.budget import Kept
from hiwater.heap.budget import judge as judge_heap
from hiwater.heap.model import HeapProfile
from hiwater.units import format_size

Compared = tuple[Growth, Decision]


def judge_budgets(check: Check, executions: Sequence[Execution]) -> tuple[Judgement, ...]:
    """Each budget, held against the reading that stands for all executions."""
    complete = all(execution.complete for execution in executions)
    return tuple(
        judge(one, representative(check.statistic, one.figure, tuple(executions)) or UNKNOWN, complete=complete)
        for one in check.budgets
    )


def growth(check: Check, old: Sequence[int], repeated: Repeated) -> Growth:
    """The ratio to the baseline and its interval."""
    found = compare([float(size) for size in old], repeated.new, confidence=repeated.confidence)
    return Growth(check.figure, tuple(old), found.ratio, found.low, found.high, found.confidence, check.tolerance)


def conclude(
    check: Check,
    executions: Sequence[Execution],
    compared: Compared | None = None,
    notes: Sequence[str] = (),
    *,
    renewing: bool = False,
) -> CheckResult:
    """The verdict: the worst of what the budgets and the comparison say.

    ``renewing``: this is to become the baseline, so what it was is told and not judged.
    """
    judgements = judge_budgets(check, executions)
    found = [_of_budgets(judgements)] if judgements else []
    if renewing:
        found.append((Status.OK, f"recorded: {describe(compared[0])}" if compared is not None else "recorded"))
    elif compared is not None:
        found.append(_of_growth(*compared))
    if not found and check.heap:
        found = [(Status.OK, "")]
    if not found:
        found = [(Status.UNDECIDABLE, "it has no budget, and the baseline does not know it")]
    status, reason = _worst(found)
    return CheckResult(
        check,
        status,
        reason,
        tuple(executions),
        judgements,
        compared[0] if compared is not None else None,
        tuple(notes),
    )


def with_heap(result: CheckResult, profile: HeapProfile | None, failure: str | None) -> CheckResult:
    """The verdict with the budgets of the heap; what cannot be told for the errors of sampling is no alarm."""
    judgements = tuple(judge_heap(one, profile) for one in result.check.heap)
    found = [(result.status, result.reason)]
    for judgement in judgements:
        because = f" ({failure})" if judgement.status is Kept.UNDECIDABLE and failure is not None else ""
        found.append((Status(judgement.status.value), judgement.reason + because))
    status, reason = _worst(found)
    return replace(result, status=status, reason=reason, heap=judgements, profile=profile)


def _worst(found: Sequence[tuple[Status, str]]) -> tuple[Status, str]:
    """Of what passes, each part is worth saying; of a failure, what is at fault."""
    order = (Status.VIOLATED, Status.UNDECIDABLE, Status.GROWN, Status.UNSURE, Status.IMPROVED, Status.OK)
    status = min((status for status, _ in found), key=order.index)
    told = [reason for each, reason in found if reason and (status.passes or not each.passes)]
    return status, "; ".join(told)


def _of_budgets(judgements: tuple[Judgement, ...]) -> tuple[Status, str]:
    status = {
        budget.Status.OK: Status.OK,
        budget.Status.VIOLATED: Status.VIOLATED,
        budget.Status.UNDECIDABLE: Status.UNDECIDABLE,
    }[budget.overall(judgements)]
    return status, budget.reason(judgements)


def _of_growth(growth: Growth, decision: Decision) -> tuple[Status, str]:
    change = describe(growth)
    if decision is Decision.SURE_YES:
        return Status.GROWN, f"grew beyond the tolerance of {growth.tolerance * 100:.3g} %: {change}"
    if growth.high is not None and growth.high < 1 - growth.tolerance:
        return Status.IMPROVED, f"improved: {change}"
    if decision is Decision.SURE_NO:
        return Status.OK, f"did not grow: {change}"
    return Status.UNSURE, f"not sure at the limit of executions: {change}"


def describe(growth: Growth) -> str:
    """``peak RSS +8.1 % (99 % CI +7.5 to +8.6 %) against 40.2 MiB``."""
    interval = ""
    if growth.low is not None and growth.high is not None:
        level = f"{growth.confidence * 100:.4g} % CI"
        interval = f" ({level} {percent(growth.low)} to {percent(growth.high)} %)"
    return f"{growth.figure.words} {percent(growth.ratio)} %{interval} against {format_size(growth.old_bytes)}"


def percent(ratio: float) -> str:
    """A ratio as a change with its sign, without the percent sign."""
    return f"{(ratio - 1) * 100:+.1f}"
