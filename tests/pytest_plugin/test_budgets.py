"""The budget of a test: marker, verdict and what a failure says."""

from __future__ import annotations

import sys

import pytest
from tests.pytest_plugin.conftest import Run

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("marker", "body", "passes"),
    [
        ('"4 GiB"', "spike(60)", True),
        ('"60 MiB"', "spike(60)", False),
        ('peak="60 MiB"', "spike(60)", False),
        ('growth="70 MiB"', "spike(60)", True),
        ('growth="50 MiB"', "spike(60)", False),
        ('left="10 MiB"', "spike(60)", True),
        ('left="10 MiB"', "request.config.kept = take(20)", False),
        ('growth="70 MiB", left="10 MiB"', "request.config.kept = take(20)", False),
        ('"4 GiB", growth="10 MiB"', "spike(60)", False),
        ('growth="0 B"', "spike(60)", False),
        ("None, growth='1 GiB'", "spike(60)", True),
    ],
)
def test_marker(run: Run, marker: str, body: str, passes: bool) -> None:
    """A test that needs more than its budget fails; by the kernel's mark, so that no spike goes unseen."""
    result = run(f"@pytest.mark.hiwater({marker})\ndef test_a(request):\n    {body}\n")
    result.assert_outcomes(passed=int(passes), failed=int(not passes))


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ('peek="1 MiB"', "*unknown key 'peek'*"),
        ("64", "*peak is a size in quotes*"),
        ('"64"', "*'64' is not a size*"),
        ('"64 MBananas"', "*is not a size*"),
        ('"1 MiB", peak="2 MiB"', "*peak is given twice*"),
        ('"1 MiB", "2 MiB"', "*one budget by position*"),
        ("", "*has no budget*"),
        ('"1 MiB", include_setup=3', "*include_setup is yes or no*"),
    ],
)
def test_marker_misused(run: Run, marker: str, complaint: str) -> None:
    """What is not understood in a marker is an error of that test, and only of that."""
    result = run(f"@pytest.mark.hiwater({marker})\ndef test_a(): pass\ndef test_b(): pass\n")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([complaint])
    assert "Traceback" not in result.stdout.str()


def test_failure_says_all(run: Run) -> None:
    """Budget, reading with bounds, by how much, baseline, parts, and the command to type next."""
    result = run("@pytest.mark.hiwater(growth='10 MiB')\ndef test_a(): spike(60)\n")
    result.stdout.fnmatch_lines(
        [
            "hiwater: growth of RSS * MiB (* ? 6?.?) broke the budget of 10.0 MiB",
            "  by * MiB (* %) over the budget",
            "  baseline * MiB when the call began",
            "  peak * MiB (*)",
            "  left * MiB at the end",
            "  at entry *anon * MiB * file * MiB * shmem * MiB",
            "  method *the kernel's mark (VmHWM), reset when the block began",
            "  next *pytest test_it.py::test_a --hiwater *",
        ]
    )


def test_the_next_command_works_elsewhere(run: Run, pytester: pytest.Pytester) -> None:
    """The command to type next names the test as seen from where pytest was called."""
    run("@pytest.mark.hiwater('1 MiB')\n@pytest.mark.parametrize('x', ['a b'])\ndef test_a(x): pass\n")
    pytester.makeini("[pytest]")
    pytester.mkdir("below")
    result = pytester.run("sh", "-c", f"cd below && {sys.executable} -m pytest ../test_it.py")
    result.stdout.fnmatch_lines(["  next *pytest '../test_it.py::test_a?a b?' --hiwater*"])


def test_baseline_above_the_budget(run: Run) -> None:
    """Where the test is not to blame, the failure says so."""
    result = run("@pytest.mark.hiwater('1 MiB')\ndef test_a(): pass\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  hint *the baseline alone is above the budget*", "*hiwater(growth=...)"])


def test_setup_and_teardown_are_excluded(run: Run) -> None:
    """What fixtures take is not the test's, unless that is asked for."""
    text = """
@pytest.fixture
def big():
    spike(60)
    yield
    spike(60)

@pytest.mark.hiwater(growth="10 MiB")
def test_without(big): pass

@pytest.mark.hiwater(growth="10 MiB", include_setup=True)
def test_with(big): pass
"""
    result = run(text, "-rA")
    result.stdout.fnmatch_lines(["PASSED *::test_without", "FAILED *::test_with *"])
    result.stdout.fnmatch_lines(["  baseline * when the setup began"])


def test_fixtures_of_wider_scope(run: Run) -> None:
    """What a module's or a class's fixture holds is in the baseline, not in the growth, of every test that uses it."""
    text = """
@pytest.fixture(scope="module")
def module(): return take(60)

@pytest.fixture(scope="class")
def shared(): return take(60)

@pytest.mark.hiwater(growth="10 MiB")
class TestAll:
    def test_a(self, module, shared): pass
    def test_b(self, module, shared): spike(5)
    def test_c(self, module, shared): spike(20)
"""
    result = run(text, "-rA")
    result.stdout.fnmatch_lines(["PASSED *::test_a", "PASSED *::test_b", "FAILED *::test_c *"])


def test_the_closest_marker_wins_key_by_key(run: Run) -> None:
    """A test's own marker over its class's over its module's; None lifts a budget."""
    text = """
pytestmark = pytest.mark.hiwater(growth="10 MiB", left="1 GiB")

@pytest.mark.hiwater(growth="30 MiB")
class TestA:
    def test_class(self): spike(20)
    @pytest.mark.hiwater(growth="100 MiB")
    def test_own(self): spike(60)
    @pytest.mark.hiwater(growth=None)
    def test_lifted(self): spike(60)

def test_module(): spike(20)
"""
    result = run(text, "-rA")
    result.stdout.fnmatch_lines_random(
        ["PASSED *::test_class", "PASSED *::test_own", "PASSED *::test_lifted", "FAILED *::test_module *"]
    )


def test_parametrised(run: Run) -> None:
    """Each case has its own figures, and may have its own budget."""
    text = """
@pytest.mark.parametrize("mib", [5, 40, pytest.param(41, marks=pytest.mark.hiwater(growth="100 MiB"))])
@pytest.mark.hiwater(growth="10 MiB")
def test_a(mib): spike(mib)
"""
    result = run(text, "-rA")
    result.stdout.fnmatch_lines(["PASSED *test_a[[]5]", "PASSED *test_a[[]41]", "FAILED *test_a[[]40] *"])


def test_marker_added_by_a_fixture(run: Run) -> None:
    """A marker that comes during the setup counts."""
    text = """
@pytest.fixture(autouse=True)
def add(request): request.node.add_marker(pytest.mark.hiwater(growth="10 MiB"))
def test_a(): spike(40)
"""
    run(text).assert_outcomes(failed=1)


def test_a_test_that_fails_by_itself(run: Run) -> None:
    """Its own failure is shown; that it broke its budget as well is said beside it."""
    result = run("@pytest.mark.hiwater(growth='10 MiB')\ndef test_a():\n    spike(40)\n    assert 1 == 2\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*", "*hiwater: growth of RSS *broke the budget*"])


def test_skipped_and_expected(run: Run) -> None:
    """A skipped test has no verdict; an expected failure covers a broken budget."""
    text = """
@pytest.mark.hiwater("1 MiB")
def test_skip(): pytest.skip("no")

@pytest.mark.xfail
@pytest.mark.hiwater("1 MiB")
def test_xfail(): pass
"""
    run(text).assert_outcomes(skipped=1, xfailed=1)


def test_no_number_is_no_pass(run: Run) -> None:
    """A test whose peak cannot be measured fails its budget."""
    text = """
@pytest.fixture(autouse=True)
def no_proc(monkeypatch):
    from hiwater.inprocess.mark import MARK
    monkeypatch.setattr(MARK.proc, "root", "/nowhere")

@pytest.mark.hiwater("1 TiB")
def test_a(): pass
def test_b(): pass
"""
    result = run(text)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["hiwater: the peak RSS could not be measured*", "  why *"])


def test_sampled(run: Run) -> None:
    """Where the kernel refuses, the failure says that samples stand in."""
    text = """
@pytest.fixture(autouse=True)
def refused(monkeypatch, tmp_path):
    from hiwater.inprocess.mark import MARK
    spike(200)
    for name in ("status", "statm"):
        (tmp_path / name).symlink_to("/proc/self/" + name)
    monkeypatch.setattr(MARK.proc, "root", str(tmp_path))

@pytest.mark.hiwater("1 MiB")
def test_a(): pass
"""
    result = run(text, "--hiwater")
    result.stdout.fnmatch_lines(["  method *RSS looked up every ms, spikes can be missed: *clear_refs*"])
    result.stdout.fnmatch_lines(["sampled, spikes can be missed: *"])


def test_regions_inside(run: Run) -> None:
    """A test that measures regions itself loses nothing of its own peak."""
    text = """
import hiwater as hw
@pytest.mark.hiwater(growth="50 MiB")
def test_a(hiwater):
    spike(60)
    with hiwater.region() as r, hw.region():
        spike(5)
    assert r.growth.bytes < 10 << 20
"""
    run(text).assert_outcomes(failed=1)


def test_unittest(run: Run) -> None:
    """Methods of unittest's classes are tests like others."""
    text = """
import unittest
@pytest.mark.hiwater(growth="10 MiB")
class TestA(unittest.TestCase):
    def test_small(self): pass
    def test_big(self): spike(40)
"""
    run(text).assert_outcomes(passed=1, failed=1)
