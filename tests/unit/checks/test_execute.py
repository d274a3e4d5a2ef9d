"""A check from setup to verdict, with an executor that only pretends."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from tests.heapprofiles import shuffle
from tests.unit.checks.fakes import MIB, FakeExecutor, check, execution

from hiwater.analysis.budget import Budget, Figure
from hiwater.checks.execute import Terms, run_check
from hiwater.checks.heap import HeapExecution
from hiwater.checks.model import Execution, Statistic, Status
from hiwater.heap.budget import HeapBudget


def around(middle: float, seed: int = 1) -> list[Execution]:
    """Executions that vary by 1 %, without an end."""
    noise = random.Random(seed)
    return [execution(noise.gauss(middle, middle / 100)) for _ in range(200)]


OLD = tuple(each.peak_rss.bytes or 0 for each in around(40, seed=7)[:10])


@pytest.mark.parametrize(
    ("statistic", "sizes", "status"),
    [
        (Statistic.MAX, [20, 70, 20], Status.VIOLATED),
        (Statistic.MEDIAN, [20, 70, 20], Status.OK),
        (Statistic.MEDIAN, [20, 70], Status.VIOLATED),
        (Statistic.MAX, [20, None, 20], Status.UNDECIDABLE),
        (Statistic.MEDIAN, [20, None, 20], Status.UNDECIDABLE),
        (Statistic.MAX, [20, 64, 20], Status.OK),
    ],
)
def test_repeats(statistic: Statistic, sizes: list[float | None], status: Status) -> None:
    """A budget judges the largest execution, or the middle one if that is asked for; none may be unknown."""
    executor = FakeExecutor(execution(size) for size in sizes)
    done = run_check(check(repeats=len(sizes), statistic=statistic), executor, Terms())
    assert (done.status, len(done.executions)) == (status, len(sizes))


def test_setup_and_teardown() -> None:
    """Once before all executions, and once behind them."""
    executor = FakeExecutor([execution(20)] * 3)
    run_check(check(repeats=3, setup=("set up",), teardown=("tear down",)), executor, Terms())
    assert executor.asked == ["set up", "command", "command", "command", "tear down"]


@pytest.mark.parametrize(
    ("failing", "asked", "reason"),
    [
        (["set up"], ["set up", "tear down"], "setup exited with 3"),
        (["tear down"], ["set up", "command", "tear down"], "teardown exited with 3"),
        (["set up", "tear down"], ["set up", "tear down"], "setup exited with 3; teardown exited with 3"),
    ],
)
def test_what_fails_around_the_command_fails_the_check(failing: list[str], asked: list[str], reason: str) -> None:
    """Without its setup the command is not executed; the teardown is, whatever happened."""
    executor = FakeExecutor([execution(20)], failing)
    done = run_check(check(setup=("set up",), teardown=("tear down",)), executor, Terms())
    assert (executor.asked, done.status, done.reason) == (asked, Status.FAILED, reason)
    assert done.output == "the end of it"


def test_teardown_after_an_interruption() -> None:
    """Ctrl-C leaves nothing behind either."""

    class Interrupted(FakeExecutor):
        def measure(self, check: object) -> Execution:
            raise KeyboardInterrupt

    executor = Interrupted([])
    with pytest.raises(KeyboardInterrupt):
        run_check(check(teardown=("tear down",)), executor, Terms())
    assert executor.asked == ["tear down"]


def test_a_command_that_fails_is_not_repeated() -> None:
    """Its peak says nothing about one that succeeds, however small it was."""
    executor = FakeExecutor([execution(20), execution(1, failure="exited with 7"), execution(20)])
    done = run_check(check(repeats=3), executor, Terms())
    assert (done.status, done.reason, done.output) == (Status.FAILED, "exited with 7", "the end of it")
    assert executor.asked == ["command"] * 2


@pytest.mark.parametrize(
    ("size", "status"), [(40, Status.OK), (44, Status.GROWN), (36, Status.IMPROVED), (40.5, Status.OK)]
)
def test_comparison(size: float, status: Status) -> None:
    """Growth and improvement are told where they are sure, and larger than the tolerance."""
    done = run_check(check(tolerance=0.05), FakeExecutor(around(size)), Terms(OLD))
    assert done.status is status
    assert 5 <= len(done.executions) <= 30
    assert done.growth is not None
    assert abs(done.growth.ratio - size / 40) < 0.02


def test_a_comparison_repeats_until_it_is_sure() -> None:
    """What is close to the tolerance takes more executions than what is not; the limit is never passed."""
    counts = [
        len(run_check(check(tolerance=0.05, max_repeats=50), FakeExecutor(around(size)), Terms(OLD)).executions)
        for size in (60, 42.4, 42)
    ]
    assert counts[0] == 5 < counts[1] <= counts[2] == 50


def test_no_certainty_is_no_alarm() -> None:
    """A verdict that is not sure at the limit passes, and says that it is not sure."""
    done = run_check(check(max_repeats=2), FakeExecutor(around(60)), Terms(OLD))
    assert (done.status, len(done.executions)) == (Status.UNSURE, 2)
    assert "not sure at the limit" in done.reason
    assert done.status.passes


def test_the_first_executions_count() -> None:
    """Those that the repeats ask for are part of the comparison."""
    executor = FakeExecutor(around(40))
    done = run_check(check(repeats=7), executor, Terms(OLD))
    assert len(done.executions) == len(executor.asked) == 7


def test_what_cannot_be_measured_cannot_be_compared() -> None:
    """No number is no pass."""
    done = run_check(check(limit=None), FakeExecutor([execution(None)]), Terms(OLD))
    assert done.status is Status.UNDECIDABLE


def test_a_check_that_nothing_judges_does_not_pass() -> None:
    """Neither a budget nor an entry in the baseline: undecidable; with a budget, that one decides."""
    note = ("the baseline does not know it",)
    assert run_check(check(limit=None), FakeExecutor([execution(1)]), Terms(notes=note)).status is Status.UNDECIDABLE
    done = run_check(check(), FakeExecutor([execution(1)]), Terms(notes=note))
    assert (done.status, done.notes) == (Status.OK, note)


def test_a_budget_outweighs_the_comparison() -> None:
    """Within the baseline and over budget is over budget."""
    assert run_check(check(limit=30), FakeExecutor(around(40)), Terms(OLD)).status is Status.VIOLATED


def test_renewing_tells_and_does_not_judge() -> None:
    """A new baseline takes ten executions; growth is told, and no failure."""
    done = run_check(check(limit=None), FakeExecutor(around(80)), Terms(OLD, renewing=True))
    assert (done.status, len(done.executions)) == (Status.OK, 10)
    assert done.reason.startswith("recorded: peak RSS +9")


def test_the_tree_can_be_compared() -> None:
    """``figure`` chooses what is compared."""
    executions = itertools.repeat(execution(40, tree=90))
    done = run_check(check(limit=None, figure=Figure.TREE_PEAK), FakeExecutor(executions), Terms((80 * MIB,) * 10))
    assert (done.status, done.reason[:30]) == (Status.GROWN, "grew beyond the tolerance of 5")


def test_unchanged_programs_raise_no_alarm() -> None:
    """Of 300 comparisons of a program with itself, no more are alarms than the confidence allows."""
    alarms = 0
    for seed in range(300):
        sizes = around(40, seed)
        old = tuple(each.peak_rss.bytes or 0 for each in sizes[:10])
        done = run_check(check(tolerance=0.0, max_repeats=20), FakeExecutor(sizes[10:]), Terms(old, confidence=0.95))
        alarms += done.status is Status.GROWN
    assert alarms <= 25  # 15 expected at most; the probability of more than 25 is below 1 %


def test_both_budgets() -> None:
    """The tree's budget is judged by the tree."""
    budgets = (Budget(Figure.PEAK_RSS, 64 * MIB), Budget(Figure.TREE_PEAK, 100 * MIB))
    done = run_check(replace(check(), budgets=budgets), FakeExecutor([execution(40, tree=120)]), Terms())
    assert (done.status, done.reason) == (
        Status.VIOLATED,
        "tree peak 120.0 MiB exceeds its budget 100.0 MiB by 20.0 MiB (20%)",
    )


@pytest.mark.parametrize(
    ("budget", "status", "reason"),
    [
        (HeapBudget(60 * MIB, "Library::load"), Status.OK, "keeps its budget 60.0 MiB"),
        (HeapBudget(54 * MIB, "Library::load"), Status.UNSURE, "cannot be told"),
        (HeapBudget(40 * MIB, "Library::load"), Status.VIOLATED, "exceeds its budget 40.0 MiB by 14.0 MiB (35%)"),
        (HeapBudget(40 * MIB, "Library::save"), Status.UNDECIDABLE, "no call site is 'Library::save'"),
    ],
)
def test_budgets_of_the_heap(budget: HeapBudget, status: Status, reason: str) -> None:
    """One more execution, with the sampler, behind the others and before the teardown; its verdict joins theirs."""
    executor = FakeExecutor([execution(20)] * 2, followed=HeapExecution(shuffle()))
    done = run_check(check(repeats=2, heap=(budget,), teardown=("tear down",)), executor, Terms())
    assert executor.asked == ["command", "command", "heap", "tear down"]
    assert (done.status, len(done.executions)) == (status, 2)
    assert reason in done.reason
    assert done.profile is not None and [one.budget for one in done.heap] == [budget]


def test_budgets_of_the_heap_alone() -> None:
    """A check needs no other; the worst decides; why there is no profile is said."""
    budgets = (HeapBudget(60 * MIB), HeapBudget(MIB, "Library::load"))
    alone = check(limit=None, heap=budgets)
    done = run_check(alone, FakeExecutor([execution(20)], followed=HeapExecution(shuffle())), Terms())
    assert done.status is Status.VIOLATED and "keeps" not in done.reason
    done = run_check(alone, FakeExecutor([execution(20)], followed=HeapExecution(None, "it is static")), Terms())
    assert done.status is Status.UNDECIDABLE and done.reason.endswith("there is no heap profile (it is static)")


def test_a_command_that_fails_is_not_followed() -> None:
    """What it held then says nothing."""
    executor = FakeExecutor([execution(20, failure="exited with 1")])
    done = run_check(check(heap=(HeapBudget(MIB),)), executor, Terms())
    assert done.status is Status.FAILED and executor.asked == ["command"]
