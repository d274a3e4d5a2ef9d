"""The fixture: budgets of call sites of the commands that a test starts."""

from __future__ import annotations

from tests.pytest_plugin.conftest import Run

pytest_plugins = ["pytester"]

APP = """
import sys
def hold():
    return [bytearray(1 << 20) for _ in range(24)]
kept = hold()
"""
TOP = f"""
import sys
APP = {APP!r}
import pytest
@pytest.fixture
def command(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return [sys.executable, "-S", str(tmp_path / "app.py")]
"""


def test_a_call_site_within_its_budget(run: Run) -> None:
    """The profile comes back, and no evidence is written."""
    text = """
def test_a(hiwater, command, tmp_path):
    profile = hiwater.heap(command, "30MiB", library="app.py", evidence=tmp_path / "a.svg")
    assert 24 << 20 <= profile.peak.in_use_bytes < 40 << 20
    assert not (tmp_path / "a.svg").exists()
    assert hiwater.heap(command).engine == "hiwater"
"""
    run(TOP + text).assert_outcomes(passed=1)


def test_a_call_site_over_its_budget(run: Run) -> None:
    """The test fails, says by how much, and shows who held what; the flame graph is the evidence."""
    text = """
def test_a(hiwater, command, tmp_path):
    try:
        hiwater.heap(command, "10MiB", library="app.py", evidence=tmp_path / "a.svg")
    finally:
        assert "app.py" in (tmp_path / "a.svg").read_text()
"""
    result = run(TOP + text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "hiwater: heap of app.py at its peak 24.0* exceeds its budget 10.0 MiB by 14.0 MiB (140%)",
            "*MiB*share*",
            "*app.py:*",
        ]
    )


def test_what_cannot_be_judged(run: Run) -> None:
    """A name that is misspelt, a command that fails, a moment and a size that are none: no pass."""
    text = """
def test_a(hiwater, command): hiwater.heap(command, "10MiB", site="hodl")
def test_b(hiwater): hiwater.heap(["false"], "10MiB")
def test_c(hiwater, command): hiwater.heap(command, "10MiB", at="noon")
def test_d(hiwater, command): hiwater.heap(command, "10")
"""
    result = run(TOP + text)
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["hiwater: heap of hodl at its peak could not be judged: no call site is 'hodl'*"])
    result.stdout.fnmatch_lines(["hiwater: the heap of false cannot be told: the command failed*"])
