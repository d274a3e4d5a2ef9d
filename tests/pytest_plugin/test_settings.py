"""Where budgets come from, and that nothing misspelt is passed over."""

from __future__ import annotations

import pytest
from tests.pytest_plugin.conftest import Run

pytest_plugins = ["pytester"]

THREE = "def test_5(): spike(5)\ndef test_40(): spike(40)\ndef test_80(): spike(80)\n"


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("[tool.hiwater.pytest]\ngrowth = '20 MiB'", 2),
        ("[tool.hiwater.pytest]\npeak = '1 MiB'", 3),
        ("[tool.hiwater.pytest]\nleft = '1 GiB'", 0),
        ("[[tool.hiwater.pytest.budgets]]\npath = '.'\ngrowth = '60 MiB'", 1),
        ("[[tool.hiwater.pytest.budgets]]\npath = 'test_it.py'\ngrowth = '20 MiB'", 2),
        ("[[tool.hiwater.pytest.budgets]]\nmatch = '*_80'\ngrowth = '20 MiB'", 1),
        ("[tool.hiwater.pytest]\ngrowth = '20 MiB'\n[[tool.hiwater.pytest.budgets]]\nmatch='*_80'\ngrowth='none'", 1),
        # What is more specific wins, wherever it stands: a pattern over a directory over all.
        (
            "[[tool.hiwater.pytest.budgets]]\nmatch = '*_80'\ngrowth = '1 GiB'\n"
            "[[tool.hiwater.pytest.budgets]]\npath = '.'\ngrowth = '20 MiB'",
            1,
        ),
        ("[tool.pytest.ini_options]\nhiwater_growth = '20 MiB'", 2),
        ("[tool.pytest.ini_options]\nhiwater_budgets = ['*_40: growth=20MiB', 'test_it.py: growth=60 MiB']", 2),
        # The ini file over the table.
        ("[tool.hiwater.pytest]\ngrowth = '1 MiB'\n[tool.pytest.ini_options]\nhiwater_growth = '60 MiB'", 1),
        ("[tool.other]\nhiwater = 1", 0),
    ],
)
def test_pyproject(run: Run, pytester: pytest.Pytester, text: str, failed: int) -> None:
    """Defaults for all, by directory and by pattern."""
    pytester.makepyprojecttoml(text + "\n")
    run(THREE).assert_outcomes(failed=failed, passed=3 - failed)


def test_ini(run: Run, pytester: pytest.Pytester) -> None:
    """pytest.ini has the same keys, and its own way to write lists."""
    pytester.makeini(
        "[pytest]\nhiwater_peak = 1TiB\nhiwater_budgets =\n  *_40: growth=20MiB left=1MiB\n  .: growth=60MiB"
    )
    run(THREE).assert_outcomes(failed=2, passed=1)


@pytest.mark.parametrize(
    ("arguments", "failed"),
    [
        (["--hiwater-growth=20MiB"], 2),
        (["--hiwater-growth", "20 MiB"], 2),
        (["--hiwater-peak=1MiB"], 3),
        (["--hiwater-left=1GiB"], 0),
        (["--hiwater-growth=20MiB", "--hiwater-budget=*_40: growth=1GiB"], 1),
        (["--hiwater-budget=test_it.py: growth=20MiB"], 2),
        (["--hiwater-growth=60MiB", "-c", "with.ini"], 1),
    ],
)
def test_command_line(run: Run, pytester: pytest.Pytester, arguments: list[str], failed: int) -> None:
    """Options win over files."""
    (pytester.path / "with.ini").write_text("[pytest]\nhiwater_growth = 1MiB\n")
    run(THREE, *arguments).assert_outcomes(failed=failed, passed=3 - failed)


@pytest.mark.parametrize("how", ["option", "ini", "table", "rule"])
def test_include_setup(run: Run, pytester: pytest.Pytester, how: str) -> None:
    """What the setup takes counts where that is asked for."""
    written = {
        "ini": "[tool.pytest.ini_options]\nhiwater_include_setup = 'yes'",
        "table": "[tool.hiwater.pytest]\ninclude-setup = true",
        "rule": "[[tool.hiwater.pytest.budgets]]\npath = '.'\ninclude_setup = true",
    }
    pytester.makepyprojecttoml(written.get(how, "") + "\n")
    options = ["--hiwater-include-setup"] if how == "option" else []
    text = "@pytest.fixture\ndef big(): spike(40)\ndef test_a(big): pass\n"
    run(text, "--hiwater-growth=20MiB", *options).assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[tool.hiwater.pytest]\npeek = '1 MiB'", "*unknown key 'peek'*"),
        ("[tool.hiwater.pytest]\npeak = 64", "*peak is a size in quotes*"),
        ("[tool.hiwater.pytest]\npeak = '64'", "*'64' is not a size*"),
        ("[tool.hiwater.pytest]\ninclude-setup = 'perhaps'", "*yes or no*"),
        ("[tool.hiwater.pytest]\ntop = 0", "*number above 0*"),
        ("[tool.hiwater]\npytest = 3", "*is no table*"),
        ("[tool.hiwater.pytest]\nbudgets = 3", "*list of tables*"),
        ("[[tool.hiwater.pytest.budgets]]\npath = '.'\npeek = '1 MiB'", "*budget 1 *unknown key 'peek'*"),
        ("[[tool.hiwater.pytest.budgets]]\npeak = '1 MiB'", "*needs a path or a match*"),
        ("[[tool.hiwater.pytest.budgets]]\npath = '.'\nmatch = '*'\npeak = '1 MiB'", "*needs a path or a match*"),
        ("[[tool.hiwater.pytest.budgets]]\npath = '.'", "*and a budget*"),
        ("[[tool.hiwater.pytest.budgets]]\npath = 'tsets'\npeak = '1 MiB'", "*there is no *tsets*"),
        ("[tool.pytest.ini_options]\nhiwater_peek = '1 MiB'", "*unknown key 'hiwater_peek'*"),
        ("[tool.pytest.ini_options]\nhiwater_peak = '1'", "*'1' is not a size*"),
        ("[tool.pytest.ini_options]\nhiwater_top = 'x'", "*number above 0*"),
        ("[tool.pytest.ini_options]\nhiwater_budgets = ['nonsense']", "*is no rule*"),
        ("[tool.pytest.ini_options]\nhiwater_budgets = ['*: peek=1MiB']", "*unknown key 'peek'*"),
        ("[tool.pytest.ini_options]\nhiwater_budgets = ['*: peak=1MiB peak=2MiB']", "*has a key twice*"),
    ],
)
def test_misuse_in_files(run: Run, pytester: pytest.Pytester, text: str, complaint: str) -> None:
    """Whatever is not understood is a usage error: no test is executed."""
    pytester.makepyprojecttoml(text + "\n")
    result = run("def test_a(): pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--hiwater-peak=64"], "*'64' is not a size*"),
        (["--hiwater-top=many"], "*number above 0*"),
        (["--hiwater-budget=nonsense"], "*is no rule*"),
        (["--hiwater-budget=tsets: peak=1MiB"], "*there is no *tsets*"),
        (["--hiwater-json=nowhere/there.json"], "*cannot write into*"),
        (["--hiwater-json=."], "*is a directory*"),
    ],
)
def test_misuse_of_options(run: Run, arguments: list[str], complaint: str) -> None:
    """Likewise on the command line, before anything is executed."""
    result = run("def test_a(): pass\n", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])


def test_free_when_unused(pytester: pytest.Pytester) -> None:
    """A session that asks for nothing loads nothing of hiwater beside the plugin's front."""
    pytester.makepyfile(
        """
        import sys
        def test_a():
            loaded = {name for name in sys.modules if name.startswith("hiwater")}
            assert loaded == {"hiwater", "hiwater._version", "hiwater.pytest_plugin"}
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_marker_is_registered(run: Run) -> None:
    """--strict-markers knows it, and --markers explains it."""
    run("@pytest.mark.hiwater('1 TiB')\ndef test_a(): pass\n", "--strict-markers").assert_outcomes(passed=1)
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.hiwater(*"])
