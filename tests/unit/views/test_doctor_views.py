"""What ``hiwater doctor`` found, as people and as machines get it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hiwater.doctor import Check, Diagnosis, SelfTest, State
from hiwater.views import doctor_json, doctor_text
from hiwater.views.paint import Paint

GOLDEN = Path(__file__).parent / "golden"
MIB = 1 << 20

DIAGNOSIS = Diagnosis(
    kernel="6.18.0",
    cpus=2,
    memory_bytes=1024 * MIB,
    bound_bytes=744 << 10,
    checks=(
        Check("statm", State.OK, "an exact sum: what hiwater samples needs no allowance"),
        Check("perf", State.LIMITED, "page faults can be counted, but not those inside the kernel", "sudo sysctl x=1"),
        Check("ptrace", State.MISSING, "refused"),
    ),
    uses=("hiwater run takes the largest of wait4 from a small process of its own and RSS as sampled.",),
    self_tests=(
        SelfTest("a program that only starts", "quiet", MIB, MIB - 104 * 1024, 0, 2 * MIB),
        SelfTest("a program that only starts", "trace", MIB, MIB, MIB, 2 * MIB),
    ),
)
UNWELL = replace(
    DIAGNOSIS,
    checks=(Check("marks", State.BROKEN, "/proc/self/status cannot be read", "mount -t proc proc /proc"),),
    self_tests=(
        SelfTest("32 MiB of shared memory", "quiet", 40 * MIB, 32 * MIB, 31 * MIB, 33 * MIB),
        SelfTest("32 MiB of shared memory", "trace", None, None, None, None, "the monitor failed"),
    ),
)


@pytest.mark.parametrize(("diagnosis", "name"), [(DIAGNOSIS, "well"), (UNWELL, "unwell")])
def test_text(diagnosis: Diagnosis, name: str) -> None:
    """Findings with what mends them, what hiwater does, the self-test and a verdict."""
    text = doctor_text.render(diagnosis, 80, Paint())
    assert text == (GOLDEN / f"doctor-{name}.txt").read_text("utf-8")
    assert max(map(len, text.splitlines())) <= 80


def test_a_remedy_is_never_broken_into_lines() -> None:
    """It is there to be copied."""
    remedy = "sudo " + "x " * 80 + "y"
    diagnosis = replace(DIAGNOSIS, checks=(Check("perf", State.MISSING, "no", remedy),))
    assert f"mend: {remedy}\n" in doctor_text.render(diagnosis, 80, Paint())


def test_json() -> None:
    """Sizes in bytes, unknown is null, states by their names."""
    document = json.loads(json.dumps(doctor_json.render(UNWELL)))
    assert (document["schema"], document["healthy"], document["counter_bound_bytes"]) == (
        "hiwater.doctor/1",
        False,
        744 << 10,
    )
    assert document["checks"][0]["state"] == "broken"
    failed, missing = document["self_tests"]
    assert (failed["passed"], failed["error_bytes"]) == (False, -8 * MIB)
    assert (missing["passed"], missing["true_bytes"], missing["error_bytes"]) == (False, None, None)
