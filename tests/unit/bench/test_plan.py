"""From the words of a user to commands."""

from collections.abc import Callable

import pytest

from hiwater.bench.plan import Parameter, Plan, combinations, fill_in, listed, scan, shell_of, words
from hiwater.errors import MisuseError


@pytest.mark.parametrize(
    ("first", "last", "step", "values"),
    [
        ("1", "4", None, ("1", "2", "3", "4")),
        ("10", "50", "20", ("10", "30", "50")),
        ("0.1", "0.4", "0.1", ("0.1", "0.2", "0.3", "0.4")),
        ("5", "1", "-2", ("5", "3", "1")),
        ("7", "7", None, ("7",)),
    ],
)
def test_scan(first: str, last: str, step: str | None, values: tuple[str, ...]) -> None:
    """A scan has every number up to the last, and no rounding of a machine in it."""
    assert scan("n", first, last, step) == Parameter("n", values)


def test_list() -> None:
    """Commas separate the values, a backslash keeps one."""
    assert listed("n", "a,b\\,c,,d\\e").values == ("a", "b,c", "", "d\\e")


def test_combinations() -> None:
    """Every value of each parameter with every one of the others."""
    found = list(combinations([listed("a", "1,2"), listed("b", "x,y")]))
    assert found == [{"a": "1", "b": "x"}, {"a": "1", "b": "y"}, {"a": "2", "b": "x"}, {"a": "2", "b": "y"}]


def test_fill_in() -> None:
    """Known names are replaced, everything else stays, and a value is not searched for names again."""
    assert fill_in("{a} {b} {} {a", {"a": "{b}", "b": "2"}) == "{b} 2 {} {a"
    assert fill_in("awk '{print $1}' {a}", {"a": "1"}) == "awk '{print $1}' 1"


def test_words() -> None:
    """A command is split as a shell splits words; with a shell it stays whole."""
    assert words("a 'b c' d\\ e \"$f\"", None) == ["a", "b c", "d e", "$f"]
    assert words("a | b", "bash --norc") == ["bash", "--norc", "-c", "a | b"]
    assert [shell_of(choice) for choice in (None, "none", "default", "zsh")] == [None, None, "/bin/sh", "zsh"]


def test_expansion() -> None:
    """Each command comes with every value, its own preparation, and a name."""
    plan = Plan(
        commands=["a {n}", "b {n}"],
        parameters=[scan("n", "1", "2")],
        names=["A{n}", "B{n}"],
        setup="mk {n}",
        prepare=["pa", "pb {n}"],
        cleanup="rm {n}",
    )
    found = [(c.name, c.arguments, c.setup, c.prepare, c.cleanup) for c in plan.expand()]
    assert found == [
        ("A1", ("a", "1"), "mk 1", "pa", "rm 1"),
        ("A2", ("a", "2"), "mk 2", "pa", "rm 2"),
        ("B1", ("b", "1"), "mk 1", "pb 1", "rm 1"),
        ("B2", ("b", "2"), "mk 2", "pb 2", "rm 2"),
    ]
    names = Plan(commands=["a {n}"], parameters=[scan("n", "1", "2")], names=["x", "y"]).expand()
    assert [command.name for command in names] == ["x", "y"]


@pytest.mark.parametrize(
    "call",
    [
        lambda: Plan([]).expand(),
        lambda: Plan(["  "]).expand(),
        lambda: Plan(["a 'b"]).expand(),
        lambda: Plan(["a"], prepare=["x", "y"]).expand(),
        lambda: Plan(["a"], names=["x", "y"]).expand(),
        lambda: Plan(["a"], [listed("n", "1")]).expand(),
        lambda: Plan(["a {n}"], [listed("n", "1"), listed("n", "2")]).expand(),
        lambda: Plan(["a"], [listed("n", "1,2")], setup="make {n}").expand(),
        lambda: scan("n", "1", "9", "-1"),
        lambda: scan("n", "1", "9", "0"),
        lambda: scan("n", "1", "x"),
        lambda: scan("n", "1", "inf"),
        lambda: scan("n", "nan", "3"),
        lambda: scan("n", "1", "1000000"),
        lambda: listed("{n}", "1"),
        lambda: shell_of(" "),
    ],
)
def test_misuse_is_told(call: Callable[[], object]) -> None:
    """What makes no sense is told before anything is executed."""
    with pytest.raises(MisuseError):
        call()
