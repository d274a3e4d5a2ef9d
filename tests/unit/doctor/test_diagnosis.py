"""What follows from the findings."""

from __future__ import annotations

import pytest
from tests.unit.doctor.fake import FakeHost

from hiwater.doctor import CHECKS, Check, SelfTest, State, diagnose
from hiwater.doctor.diagnose import uses
from hiwater.probing import ProbeError, Report

MIB = 1 << 20
GOOD = SelfTest("a program", "quiet", 32 * MIB, 32 * MIB, 31 * MIB, 33 * MIB)


@pytest.mark.parametrize(
    ("true", "peak", "low", "high", "passed"),
    [
        (32, 32, 31, 33, True),
        (31, 32, 31, 33, True),
        (33, 32, 31, 33, True),
        (30, 32, 31, 33, False),
        (34, 32, 31, 33, False),
        (34, 32, 31, None, True),
        (None, 32, 31, 33, False),
        (32, None, None, None, False),
    ],
)
def test_a_self_test_passes_when_the_truth_lies_between_the_bounds(
    true: int | None, peak: int | None, low: int | None, high: int | None, passed: bool
) -> None:
    """Without a number to judge it has not passed."""
    test = SelfTest("a program", "quiet", true, peak, low, high)
    assert test.passed is passed
    assert test.error_bytes == (None if true is None or peak is None else peak - true)


def test_every_check_has_its_name() -> None:
    """A check that fails in an unforeseen way is reported under the name that it has when it works."""
    assert [check(FakeHost()).name for _, check in CHECKS] == [name for name, _ in CHECKS]


class Failing(FakeHost):
    """A host whose probe does not work."""

    def probe(self, *arguments: str) -> Report:
        raise ProbeError("the probe does not run")


def test_a_check_that_cannot_be_made_is_broken_and_the_others_go_on() -> None:
    """One failure hides nothing else."""
    diagnosis = diagnose(Failing(), [GOOD])
    state = {check.name: check.state for check in diagnosis.checks}
    assert (state["ptrace"], state["swap"], diagnosis.healthy) == (State.BROKEN, State.OK, False)
    assert len(diagnosis.checks) == len(CHECKS)


def healthy_host() -> FakeHost:
    status = b"Name:\tx\nVmHWM:\t8 kB\nVmRSS:\t8 kB\nRssAnon:\t8 kB\n"
    values = {"after_walk_bytes": 9, "after_statm_bytes": 9, "freed_hwm_bytes": 9, "page_bytes": 4096}
    return FakeHost(
        files={"/proc/self/status": status, "/proc/meminfo": b"MemTotal: 4 kB\n"},
        reports={"precision": Report(values)},
    )


def test_what_is_missing_or_limited_is_no_failure() -> None:
    """No ptrace, no cgroup, no perf: hiwater does without."""
    diagnosis = diagnose(healthy_host(), [GOOD])
    assert State.MISSING in {check.state for check in diagnosis.checks}
    assert diagnosis.healthy
    assert (diagnosis.memory_bytes, diagnosis.bound_bytes, diagnosis.cpus) == (4096, 744 << 10, 2)


def test_a_failed_self_test_is_a_failure() -> None:
    """The truth outside the bounds is what hiwater promises never to happen."""
    assert not diagnose(healthy_host(), [GOOD, SelfTest("b", "trace", 40 * MIB, 32 * MIB, 31 * MIB, 33 * MIB)]).healthy


def test_uses() -> None:
    """What hiwater does follows from what was found, and is never better than that."""
    best = [Check(name, State.OK, "") for name in ("marks", "statm", "ptrace")]
    text = " ".join(uses(best, MIB))
    assert "VmHWM as sampled" in text and "exact" in text and "--trace also reads" in text and "1.0 MiB either" in text
    worst = [Check(name, State.MISSING, "") for name in ("marks", "statm", "ptrace")]
    text = " ".join(uses(worst, None))
    assert "VmHWM" not in text and "exact" not in text and "not possible" in text and "No bound" in text
