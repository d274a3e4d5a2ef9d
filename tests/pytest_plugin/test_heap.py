"""The fixture: budgets of call sites of the commands that a test starts."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
import pytest
from tests.pytest_plugin.conftest import Run

# pytester forgets the modules that a session loaded, but packages keep them as attributes: half of each would be old.
import hiwater.pytest_plugin.heap
import hiwater.pytest_plugin.heap_marker  # noqa: F401

pytest_plugins = ["pytester"]

APP = """
import sys
def hold():
    found = []
    for _ in range(24):
        found.append(bytearray(1 << 20))
    return found
kept = hold()
"""
TOP = f"""
import sys
APP = {APP!r}
import pytest
@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("HIWATER_HEAP_SAMPLE", "16384")  # how many samples there are depends on the machine otherwise
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


def test_markers_hold_for_every_command(run: Run, pytester: pytest.Pytester) -> None:
    """By function, source file, library, and all of it; the failure says each that is broken, shows the call sites, and
    leaves the flame graph in the cache of pytest."""
    text = """
@pytest.mark.hiwater_heap("40MiB", site="hold")
@pytest.mark.hiwater_heap("40MiB", file="app.py", library="app.py")
@pytest.mark.hiwater_heap("60MiB")
def test_kept(hiwater, command):
    assert hiwater.heap(command).engine == "hiwater"
    hiwater.heap(command, "50MiB", file="app.py")

@pytest.mark.hiwater_heap("40MiB", library="app.py")
@pytest.mark.hiwater_heap("10MiB", site="hold")
@pytest.mark.hiwater_heap("9MiB", file="app.py")
def test_broken(hiwater, command):
    hiwater.heap(command)
    raise AssertionError("not reached")
"""
    result = run(TOP + text, "--strict-markers")
    result.assert_outcomes(passed=1, failed=1)
    evidence = pytester.path / ".pytest_cache" / "d" / "hiwater" / "test_it.py--test_broken-peak.svg"
    result.stdout.fnmatch_lines_random(
        [
            "hiwater: heap of hold at its peak 24.0* exceeds its budget 10.0 MiB by 14.0 MiB (140%)",
            "hiwater: heap of app.py at its peak 24.0* exceeds its budget 9.0 MiB*",
            "*24.0*hold*app.py:*",
            f"  evidence   {evidence} (flame graph at peak)",
        ]
    )
    assert "40.0 MiB" not in result.stdout.str()
    assert "app.py" in evidence.read_text()
    assert [path.name for path in evidence.parent.iterdir()] == [evidence.name]


def test_the_closest_marker_counts(run: Run) -> None:
    """Over those of the class and the module; None lifts one; another place or moment is another budget."""
    text = """
pytestmark = [pytest.mark.hiwater_heap("1MiB", site="hold"), pytest.mark.hiwater_heap("1MiB", at="exit")]

@pytest.mark.hiwater_heap(None, at="exit")
class TestIt:
    @pytest.mark.hiwater_heap("50MiB", site="hold")
    def test_raised(self, hiwater, command): hiwater.heap(command)
    @pytest.mark.hiwater_heap(None, site="hold")
    def test_lifted(self, hiwater, command): hiwater.heap(command)
    def test_of_the_module(self, hiwater, command): hiwater.heap(command)
    @pytest.mark.parametrize("_", [pytest.param(1, marks=pytest.mark.hiwater_heap("2MiB", site="hold"))])
    @pytest.mark.hiwater_heap("50MiB", site="hold")
    def test_case(self, hiwater, command, _): hiwater.heap(command)

def test_that_executes_nothing(): pass
"""
    result = run(TOP + text, "-rA")
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["*budget 1.0 MiB*", "*budget 2.0 MiB*"])
    result.stdout.fnmatch_lines_random(["FAILED *test_of_the_module*", "FAILED *test_case*"])


def test_a_marker_that_nothing_was_held_to(run: Run) -> None:
    """No pass; and neither are sizes, keys and moments that are none."""
    text = """
@pytest.mark.hiwater_heap("10MiB")
def test_a(hiwater): hiwater.run(["true"])
@pytest.mark.hiwater_heap("10")
def test_b(): pass
@pytest.mark.hiwater_heap("10MiB", function="hold")
def test_c(): pass
@pytest.mark.hiwater_heap(site="hold")
def test_d(): pass
@pytest.mark.hiwater_heap("10MiB", at="noon")
def test_e(): pass
@pytest.mark.hiwater_heap("10MiB", site="")
def test_f(): pass
def test_g(hiwater): hiwater.heap(["true"], site="main")
@pytest.mark.hiwater_heap(10)
def test_h(): pass
@pytest.mark.hiwater_heap(None)
def test_i(): pass
"""
    result = run(TOP + text)
    result.assert_outcomes(passed=1, failed=2, errors=6)
    result.stdout.fnmatch_lines_random(
        [
            "hiwater: nothing was held to the marker hiwater_heap: the test executed no command with hiwater.heap()",
            "*marker hiwater_heap of test_it.py::test_b: *unit*",
            "*unknown key 'function': there are budget, site, file, library, at",
            "*there is no budget: write hiwater_heap('10 MiB', site='load')",
            "*at='noon'*",
            "*site='': a name*",
            "*there is no budget: write it behind the command*",
            "*a budget is a size in quotes with its unit, such as '10 MiB', not 10",
        ]
    )


def test_evidence_goes_where_it_is_wanted(run: Run, pytester: pytest.Pytester) -> None:
    """By option, over the ini file; a further command of a test has a number. What is no directory is refused."""
    pytester.makeini("[pytest]\nhiwater_evidence = ini/deep\n")
    text = """
@pytest.mark.hiwater_heap("10MiB", site="hold")
def test_a(hiwater, command):
    with pytest.raises(pytest.fail.Exception):
        hiwater.heap(command)
    hiwater.heap(command)
"""
    run(TOP + text).assert_outcomes(failed=1)
    names = ["test_it.py--test_a-2-peak.svg", "test_it.py--test_a-peak.svg"]
    assert sorted(path.name for path in (pytester.path / "ini" / "deep").iterdir()) == names
    run(TOP + text, "--hiwater-evidence", "other", "-p", "no:cacheprovider").assert_outcomes(failed=1)
    assert sorted(path.name for path in (pytester.path / "other").iterdir()) == names
    result = run(TOP + text, "--hiwater-evidence", "test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--hiwater-evidence: *test_it.py is no directory"])


def test_verdicts_are_in_the_json(run: Run, pytester: pytest.Pytester) -> None:
    """One for each budget and command."""
    text = """
@pytest.mark.hiwater_heap("10MiB", site="hold")
def test_a(hiwater, command): hiwater.heap(command, "50MiB", file="app.py")
"""
    run(TOP + text, "--hiwater-json", "a.json").assert_outcomes(failed=1)
    document = json.loads((pytester.path / "a.json").read_text())
    schema = resources.files("hiwater.pytest_plugin").joinpath("hiwater.pytest-1.schema.json").read_text("utf-8")
    jsonschema.validate(document, json.loads(schema))
    (test,) = document["tests"]
    found = [(one["site"], one["file"], one["limit_bytes"], one["status"]) for one in test["heap_budgets"]]
    assert found == [("hold", None, 10 << 20, "violated"), (None, "app.py", 50 << 20, "ok")]
    assert 24 << 20 <= test["heap_budgets"][0]["in_use_bytes"] < 40 << 20
