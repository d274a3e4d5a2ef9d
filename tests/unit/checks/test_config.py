"""hiwater.toml is read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from hiwater.analysis.budget import Budget, Figure
from hiwater.checks.config import load_plan, parse_plan
from hiwater.checks.model import Plan, Statistic
from hiwater.errors import MisuseError
from hiwater.heap.budget import At, HeapBudget
from hiwater.launch import Mode

MIB = 1 << 20
CHECK = "[[check]]\nname = 'a'\ncommand = ['true']\n"


def parse(text: str, directory: Path | None = None) -> Plan:
    return parse_plan(text, str((directory or Path("/")) / "hiwater.toml"))


def test_every_key(tmp_path: Path) -> None:
    """Each key arrives, by its name or as what it means."""
    (tmp_path / "sub").mkdir()
    text = """
confidence = "95%"
history = "h.sqlite"

[[check]]
name = "all"
command = ["prog", "--flag"]
budget = "64MiB"
budget-tree = "1 GB"
repeats = 3
max-repeats = 40
statistic = "median"
figure = "tree_peak"
tolerance = "2.5%"
environment = { A = "b", EMPTY = "" }
directory = "sub"
timeout = "1.5s"
trace = true
setup = "make data"
teardown = ["rm", "data"]
"""
    plan = parse(text, tmp_path)
    assert (plan.confidence, plan.history) == (0.95, tmp_path / "h.sqlite")
    (check,) = plan.checks
    assert (check.name, check.command, check.line) == ("all", ("prog", "--flag"), 5)
    assert check.budgets == (Budget(Figure.PEAK_RSS, 64 * MIB), Budget(Figure.TREE_PEAK, 10**9))
    assert (check.repeats, check.max_repeats) == (3, 40)
    assert (check.statistic, check.figure, check.tolerance) == (Statistic.MEDIAN, Figure.TREE_PEAK, 0.025)
    assert check.environment == {"A": "b", "EMPTY": ""}
    assert (check.directory, check.timeout_seconds, check.mode) == (tmp_path / "sub", 1.5, Mode.TRACE)
    assert (check.setup, check.teardown) == (("/bin/sh", "-c", "make data"), ("rm", "data"))


def test_defaults() -> None:
    """What [defaults] says holds where a check says nothing; variables of both are set."""
    text = (
        "[defaults]\nbudget = '10MiB'\nrepeats = 4\nenvironment = { A = '1', B = '1' }\n"
        + CHECK
        + "[[check]]\nname = 'b'\ncommand = 'true'\nrepeats = 2\nbudget = '1MiB'\nenvironment = { B = '2' }\n"
    )
    first, second = parse(text).checks
    assert (first.budgets[0].limit_bytes, first.repeats) == (10 * MIB, 4)
    assert (second.budgets[0].limit_bytes, second.repeats) == (MIB, 2)
    assert (first.environment, second.environment) == ({"A": "1", "B": "1"}, {"A": "1", "B": "2"})


def test_more_repeats_than_the_default_limit() -> None:
    """The limit of executions that nobody gave follows the repeats."""
    assert parse(CHECK + "repeats = 100").checks[0].max_repeats == 100


MISTAKES = [
    ("", "there is no [[check]]"),
    ("checks = 1\n", "unknown key 'checks'; did you mean 'check'?"),
    ("[check]\nname = 'a'\n", "key 'check': checks are written [[check]]"),
    ("[defaults]\nname = 'a'\n" + CHECK, "[defaults]: unknown key 'name'"),
    (CHECK + "budgte = '1MiB'\n", ":1: check 1 ('a'): unknown key 'budgte'; did you mean 'budget'?"),
    ("\n\n" + CHECK + "zzz = 1\n", ":3: check 1 ('a'): unknown key 'zzz'; known are name, command, "),
    (CHECK + "budget = 64\n", "key 'budget': a size is a string with a unit"),
    (CHECK + "budget = '64'\n", "key 'budget': '64' is not a size"),
    (CHECK + "budget = '10 MBananas'\n", "key 'budget': '10 MBananas' is not a size"),
    (CHECK + "budget-tree = true\n", "key 'budget-tree': a size is a string"),
    (CHECK + "repeats = 0\n", "key 'repeats': a whole number from 1"),
    (CHECK + "repeats = true\n", "key 'repeats': a whole number from 1"),
    (CHECK + "repeats = 2.0\n", "key 'repeats': a whole number from 1"),
    (CHECK + "repeats = 5\nmax-repeats = 3\n", "'max-repeats' 3 is less than 'repeats' 5"),
    (CHECK + "statistic = 'mean'\n", "key 'statistic': 'max' or 'median', not 'mean'"),
    (CHECK + "figure = 'rss'\n", "key 'figure': 'peak_rss' or 'tree_peak', not 'rss'"),
    (CHECK + "tolerance = 0.05\n", "key 'tolerance': a share is a string with a percent sign"),
    (CHECK + "tolerance = '5'\n", "key 'tolerance': '5' is not a share"),
    (CHECK + "environment = { A = 1 }\n", "key 'environment': A is a string, not 1"),
    (CHECK + "environment = { 'A=B' = '1' }\n", "'A=B' cannot be the name of a variable"),
    (CHECK + "environment = 'A=1'\n", "key 'environment': a table, not 'A=1'"),
    (CHECK + "directory = 'nowhere'\n", "key 'directory': /nowhere is no directory"),
    (CHECK + "timeout = 30\n", "key 'timeout': a duration is a string with a unit"),
    (CHECK + "timeout = '0s'\n", "key 'timeout': a duration of more than 0"),
    (CHECK + "trace = 'yes'\n", "key 'trace': true or false, not 'yes'"),
    (CHECK + "setup = 3\n", "key 'setup': an array of words, or a string for the shell"),
    (CHECK + "teardown = []\n", "key 'teardown': an array of words, or a string for the shell"),
    ("[[check]]\nname = 'a'\n", "check 1 ('a'): there is no 'command'"),
    ("[[check]]\ncommand = 'a'\n", "check 1: there is no 'name'"),
    ("[[check]]\nname = ' a'\ncommand = 'a'\n", "key 'name': one line of printable characters"),
    ("[[check]]\nname = 'a'\ncommand = ['', 'x']\n", "key 'command': an array of words"),
    ("[[check]]\nname = 'a'\ncommand = ['x', 1]\n", "key 'command': an array of words"),
    (CHECK + CHECK, "two checks have the name 'a'"),
    ("confidence = '100%'\n" + CHECK, "key 'confidence': at least 50% and less than 100%"),
    ("history = ''\n" + CHECK, "key 'history': a string that is not empty"),
    ("[[check\n", "at line 1"),
]


@pytest.mark.parametrize(("text", "complaint"), MISTAKES)
def test_mistakes_are_errors_that_name_their_place(text: str, complaint: str) -> None:
    """Whatever is not understood is refused; the message begins with the file and names check and key."""
    with pytest.raises(MisuseError) as caught:
        parse(text)
    assert str(caught.value).startswith("/hiwater.toml")
    assert complaint in str(caught.value)


def test_a_line_is_named_only_if_it_is_certain() -> None:
    """A string that looks like a header makes the lines uncertain: none is named, rather than a wrong one."""
    text = CHECK + 'setup = """\n[[check]]\n"""\n'
    assert parse(text).checks[0].line is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """The message names the file and, where there is none, the option that names another."""
    with pytest.raises(MisuseError, match=r"cannot read .*none\.toml: No such file.*--config"):
        load_plan(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MisuseError, match="UTF-8"):
        load_plan(tmp_path / "bytes.toml")


def test_budgets_of_the_heap() -> None:
    """Any number of them, of a site, a library, both, or all of the heap."""
    (check,) = parse(
        CHECK
        + """
[[check.heap]]
site = "Library::load"
budget = "40MiB"

[[check.heap]]
site = "*"
library = "libz.so"
at = "exit"
budget = "1MiB"
"""
    ).checks
    assert check.heap == (
        HeapBudget(40 * MIB, "Library::load"),
        HeapBudget(MIB, "*", "libz.so", At.EXIT),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[check.heap]]\nsite = 'f'", "check 1 ('a'): heap budget 1: there is no 'budget'"),
        ("[[check.heap]]\nbudget = '1MiB'\nsight = 'f'", "heap budget 1: unknown key 'sight'; did you mean 'site'?"),
        ("[[check.heap]]\nbudget = '1MiB'\nat = 'noon'", "key 'at': 'peak' or 'exit', not 'noon'"),
        ("[[check.heap]]\nbudget = '1'", "key 'budget'"),
        ("[check.heap]\nbudget = '1MiB'", "budgets of the heap are written [[check.heap]], with two brackets"),
        ("heap = ['f']", "with two brackets"),
    ],
)
def test_mistakes_in_budgets_of_the_heap(text: str, complaint: str) -> None:
    """Each names its place."""
    with pytest.raises(MisuseError) as error:
        parse(CHECK + text)
    assert complaint in str(error.value)
