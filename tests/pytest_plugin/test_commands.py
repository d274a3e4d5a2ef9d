"""The fixture: commands that a test starts, measured without anything of pytest in them."""

from __future__ import annotations

import pytest
from tests.pytest_plugin.conftest import Run

pytest_plugins = ["pytester"]

GROW = 'import sys\nPY = [sys.executable, "-c"]\nGROW = "x = b\'1\' * (100 << 20)"\n'


def test_a_command_within_its_budget(run: Run) -> None:
    """The recording comes back; what pytest itself holds is not in it."""
    text = (
        GROW
        + """
def test_a(hiwater, request):
    request.config.kept = take(300)
    recording = hiwater.run([*PY, "pass"], peak="64 MiB", tree="64 MiB", capture_output=True)
    assert recording.exit_code == 0 and recording.peak_rss.bytes < 64 << 20
    hiwater.assert_within(recording, peak="64MiB", tree="1GiB")
"""
    )
    run(text).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "call",
    [
        'hiwater.run([*PY, GROW], peak="64MiB")',
        'hiwater.run([*PY, GROW], tree="64MiB")',
        'hiwater.assert_within(hiwater.run([*PY, GROW]), peak="64MiB")',
        'hiwater.assert_within(hiwater.run([*PY, GROW]), tree="64MiB")',
        'asyncio.run(hiwater.run_async([*PY, GROW], peak="64MiB"))',
    ],
)
def test_a_command_over_its_budget(run: Run, call: str) -> None:
    """The test fails, and says budget, reading, by how much, command, parts, and what to type next."""
    result = run(GROW + f"import asyncio\ndef test_a(hiwater): {call}\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "hiwater: * 1*.? MiB (*) broke the budget of 64.0 MiB",
            "  by * MiB (* %) over the budget",
            "  command * -c *",
            "  at peak *anon * MiB*",
            "  next *hiwater run --trace -- * -c *",
        ]
    )


def test_misuse(run: Run) -> None:
    """A size that is not understood is an error before the command starts; so is an option that does not exist."""
    text = """
import hiwater as hw
def test_a(hiwater, tmp_path):
    with pytest.raises(hw.MisuseError, match="not a size"):
        hiwater.run(["touch", str(tmp_path / "x")], peak="64")
    with pytest.raises(TypeError):
        hiwater.run(["touch", str(tmp_path / "x")], peek="64 MiB")
    assert not (tmp_path / "x").exists()
"""
    run(text).assert_outcomes(passed=1)


def test_no_number_is_no_pass(run: Run) -> None:
    """A command that has no figure breaks its budget."""
    text = """
import dataclasses
from hiwater.analysis.reading import UNKNOWN
def test_a(hiwater):
    recording = hiwater.run(["true"])
    recording.__dict__["summary"] = dataclasses.replace(recording.summary, peak_rss=UNKNOWN)
    hiwater.assert_within(recording, peak="1 TiB")
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["hiwater: *could not be measured*no number is no pass*"])
