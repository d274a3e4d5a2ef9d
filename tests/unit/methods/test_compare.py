"""What a figure is worth, and why."""

from __future__ import annotations

import pytest

from hiwater.methods import Comparison, Interface, Launcher, Method, Outcome, Start, Verdict, compare

MIB = 1 << 20
QUIET = Method("hiwater run", Launcher.HOLDS, Start.SPAWN, Interface.HIWATER_QUIET)
TRACE = Method("hiwater run --trace", Launcher.HOLDS, Start.SPAWN, Interface.HIWATER_TRACE)
FORK = Method("wait4 after fork", Launcher.HOLDS, Start.FORK, Interface.WAIT4)


def held(mib: int) -> Outcome:
    """A figure from a launcher that holds, or held, 801 MiB."""
    return Outcome(mib * MIB, launcher_rss_bytes=801 * MIB, launcher_hwm_bytes=801 * MIB)


def reading(estimate: int, low: int, high: int | None) -> Outcome:
    return Outcome(estimate * MIB, exit_code=0, low_bytes=low * MIB, high_bytes=high and high * MIB, source="wait4")


def table(*outcomes: tuple[Method, Outcome], hidden: int | None = MIB) -> Comparison:
    return compare(["prog"], 800 * MIB, outcomes, hidden)


def test_the_narrowest_reading_is_the_truth() -> None:
    """Of hiwater's own readings the one with the narrowest bounds gives the estimate."""
    truth = table((QUIET, reading(19, 10, 22)), (TRACE, reading(20, 20, 21))).truth
    assert truth is not None
    assert (truth.bytes, truth.low_bytes, truth.high_bytes) == (20 * MIB, 20 * MIB, 21 * MIB)
    assert truth.interface is Interface.HIWATER_TRACE


def test_what_counts_as_right() -> None:
    """Down to the lowest estimate less what counters can hide, up to the highest bound."""
    truth = table((QUIET, reading(19, 10, 22)), (TRACE, reading(20, 20, 21))).truth
    assert truth is not None
    assert (truth.right_from_bytes, truth.right_to_bytes) == (18 * MIB, 22 * MIB)


@pytest.mark.parametrize(
    ("reported", "verdict"), [(17, Verdict.LOW), (18, Verdict.WITHIN), (22, Verdict.WITHIN), (23, Verdict.HIGH)]
)
def test_verdicts(reported: int, verdict: Verdict) -> None:
    """A figure is too high, too low, or as right as the counters allow; how far it is off is said in any case."""
    row = table((FORK, held(reported)), (QUIET, reading(19, 10, 22)), (TRACE, reading(20, 20, 21))).rows[0]
    assert (row.verdict, row.off_by_bytes) == (verdict, (reported - 20) * MIB)


def test_without_an_upper_bound_nothing_is_too_high() -> None:
    """Where hiwater itself states no upper bound, it accuses nobody of exceeding it."""
    rows = table((FORK, held(900)), (QUIET, reading(19, 10, None))).rows
    assert rows[0].verdict is Verdict.WITHIN
    assert "at least 10.0 MiB" in rows[1].why


def test_without_hiwaters_reading_nothing_is_judged() -> None:
    """No number to judge by is no verdict, and never "right"."""
    comparison = table((FORK, held(900)), (QUIET, Outcome(None, problem="no monitor")))
    assert comparison.truth is None
    assert [(row.verdict, row.off_by_bytes) for row in comparison.rows] == [(Verdict.UNKNOWN, None)] * 2
    assert comparison.rows[1].why == "no monitor"


def test_a_method_without_a_figure_says_why() -> None:
    """No figure is None with a reason, not 0."""
    polled = Method("RSS", Launcher.HOLDS, Start.FORK, Interface.POLLED)
    row = table((polled, Outcome(None, problem="it had ended")), (TRACE, reading(20, 20, 21))).rows[0]
    assert (row.verdict, row.off_by_bytes, row.why) == (Verdict.UNKNOWN, None, "it had ended")


@pytest.mark.parametrize(
    ("launcher", "start", "interface", "reported", "word"),
    [
        (Launcher.HOLDS, Start.FORK, Interface.WAIT4, 800, "fork copied the launcher's 801.0 MiB"),
        (Launcher.FREED, Start.FORK, Interface.WAIT4, 20, "fork copies what the launcher holds at that instant"),
        (Launcher.HOLDS, Start.FORK, Interface.WAIT4, 20, "the command grew larger"),
        (Launcher.HOLDS, Start.FORK, Interface.WAIT4, 1, "counters back on each CPU"),
        (Launcher.HOLDS, Start.VFORK, Interface.WAIT4, 800, "lives in the launcher's memory"),
        (Launcher.FREED, Start.VFORK, Interface.WAIT4, 800, "never falls"),
        (Launcher.FREED, Start.SPAWN, Interface.WAIT4, 800, "CLONE_VM"),
        (Launcher.FREED, Start.SPAWN, Interface.WAIT4, 20, "the command grew larger"),
        (Launcher.SMALL, Start.FORK, Interface.WAIT4, 20, "this one holds 801.0 MiB"),
        (Launcher.HOLDS, Start.SPAWN, Interface.WAIT4_WRAPPED, 800, "execs in place"),
        (Launcher.HOLDS, Start.SPAWN, Interface.FIRST_LINE, 800, "before it has done anything"),
        (Launcher.AFTER_BIGGER, Start.FORK, Interface.CHILDREN, 800, "this is the one before"),
        (Launcher.AFTER_BIGGER, Start.FORK, Interface.CHILDREN, 20, "larger than the one before"),
        (Launcher.HOLDS, Start.SPAWN, Interface.GNU_TIME, 20, "forks again"),
        (Launcher.HOLDS, Start.FORK, Interface.EXIT_STOP, 20, "belongs to the program image"),
        (Launcher.HOLDS, Start.FORK, Interface.EXIT_STOP, 1, "children"),
    ],
)
def test_each_figure_is_explained_by_its_mechanism(
    launcher: Launcher, start: Start, interface: Interface, reported: int, word: str
) -> None:
    """The sentence names what happened, and differs where the same method is right."""
    method = Method("m", launcher, start, interface)
    row = table((method, held(reported)), (TRACE, reading(20, 20, 21))).rows[0]
    assert word in row.why


@pytest.mark.parametrize(
    ("looks", "reported", "word"),
    [
        (1, 1, "looked once, right after the start"),
        (5, 1, "looked 5 times: the peak came between"),
        (5, 20, "this time"),
    ],
)
def test_polling_says_how_often_it_looked(looks: int, reported: int, word: str) -> None:
    """What polling misses depends on how often it looked."""
    method = Method("RSS", Launcher.HOLDS, Start.FORK, Interface.POLLED)
    row = table((method, Outcome(reported * MIB, looks=looks)), (TRACE, reading(20, 20, 21))).rows[0]
    assert word in row.why


def test_failures_are_executions_of_the_command_that_did_not_succeed() -> None:
    """An exit status or a signal is a failure, with or without a figure; that a method cannot be tried is not."""
    comparison = table(
        (FORK, Outcome(MIB, exit_code=3)),
        (FORK, Outcome(MIB, term_signal=9)),
        (FORK, Outcome(MIB, exit_code=0)),
        (FORK, Outcome(None, problem="it had ended before there was anything to see", exit_code=4)),
        (FORK, Outcome(None, problem="ptrace is refused")),
    )
    assert [row.outcome.exit_code for row in comparison.failures] == [3, None, 4]
