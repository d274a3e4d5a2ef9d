"""hiwater inside another kernel: the monitor and the truth programs in a guest, the recordings opened here.

Linux 6.1 is booted by these tests: its counters work otherwise than those of today. `dev/kernels` boots all the others.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

import pytest
from tests.kernels import report
from tests.kernels.boot import MACHINES, missing
from tests.kernels.debian import UnavailableError
from tests.kernels.plan import PLANS, Result, execute
from tests.truth.rows import MEDIAN

(PLAN,) = (plan for plan in PLANS if plan.variants and plan.release == "bookworm")
MORE_EXECUTIONS = 5


@pytest.fixture(scope="module")
def result() -> Iterator[Result]:
    """One boot for all tests of this module. What is missing skips them, but not where everything must be there."""
    lack = missing(MACHINES[PLAN.machine])
    if platform.machine() != PLAN.machine:
        pytest.skip(f"the programs of the guest are built for {PLAN.machine}")
    try:
        if lack is not None:
            raise UnavailableError(lack)
        yield execute(PLAN, 1)
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no guest to boot: {error}")


@pytest.mark.timeout(3600)
def test_every_figure_is_true_in_linux_6_1(result: Result) -> None:
    """Peak and tree peak are bounded in every execution, in every mode and setting. What was not near the truth in its
    one execution is so in the median of five: how often the monitor could look is not in anybody's hand here."""
    column = report.column(result)
    surely = [fault for fault in report.red(column) if MEDIAN not in fault]
    assert not surely, "\n".join([*surely, report.markdown([column])])
    doubtful = {name.partition(";")[0] for name, cell in column.cells.items() if cell.faults}
    if doubtful:
        again = report.column(execute(PLAN, MORE_EXECUTIONS, tuple(sorted(doubtful))))
        assert not report.red(again), "\n".join([*report.red(again), report.markdown([column])])


def test_every_case_was_executed(result: Result) -> None:
    """Nothing is left out silently: both modes and both users, other settings and launchers."""
    trials = [outcome.trial for outcome in result.outcomes]
    assert len({trial.case.name for trial in trials}) >= 30
    assert {(trial.mode, trial.user) for trial in trials} == {
        (mode, user) for mode in ("quiet", "trace") for user in ("root", "nobody")
    }
    assert {trial.setting.yama for trial in trials} == {0, 1, 2, 3}
    assert {trial.setting.thp for trial in trials} == {"madvise", "always"}
    assert any(trial.launcher.fat for trial in trials)
    assert result.settings["yama"] == "3"
    assert result.settings["khugepaged"] == "100"
    assert int(result.settings["swap"]) > 500_000, "KiB"
