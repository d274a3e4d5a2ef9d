"""The table of ``hiwater methods``, as people and as machines get it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hiwater.methods import Comparison, Interface, Launcher, Method, Outcome, Start, compare
from hiwater.views import methods_json, methods_text
from hiwater.views.paint import Paint

GOLDEN = Path(__file__).parent / "golden"
MIB = 1 << 20


def wait4(reported: int, left_mib: int) -> Outcome:
    return Outcome(reported, exit_code=0, launcher_rss_bytes=left_mib * MIB, launcher_hwm_bytes=801 * MIB)


def comparison() -> Comparison:
    spawn, fork = Start.SPAWN, Start.FORK
    return compare(
        ["./prog", "a b"],
        800 * MIB,
        [
            (Method("wait4 after fork", Launcher.HOLDS, fork, Interface.WAIT4), wait4(800 * MIB, 801)),
            (
                Method("wait4 after fork", Launcher.FREED, fork, Interface.WAIT4),
                wait4(12 * MIB // 10, 1),
            ),
            (
                Method("RSS, 10 times a second", Launcher.HOLDS, fork, Interface.POLLED),
                Outcome(None, problem="it had ended before there was anything to see", exit_code=0),
            ),
            (
                Method("hiwater run", Launcher.HOLDS, spawn, Interface.HIWATER_QUIET),
                Outcome(13 * MIB // 10, low_bytes=MIB, high_bytes=2 * MIB, source="wait4", exit_code=0),
            ),
        ],
        MIB // 2,
    )


@pytest.mark.parametrize("width", [80, 120])
def test_text(width: int) -> None:
    """Wide, the reasons stand beside the figures; narrow, below them. No line is wider than asked for."""
    text = methods_text.render(comparison(), width, Paint())
    assert text == (GOLDEN / f"methods-{width}.txt").read_text("utf-8")
    assert max(map(len, text.splitlines())) <= width


def test_colours_add_nothing_but_colour() -> None:
    """The coloured text without its colours is the plain one."""
    import re

    coloured = methods_text.render(comparison(), 80, Paint(color=True))
    assert re.sub(r"\x1b\[\d+m", "", coloured) == methods_text.render(comparison(), 80, Paint())


def test_failures_are_reported_below_the_table() -> None:
    """How often, how it ended, and what it said last."""
    table = comparison()
    failed = replace(table.rows[0].outcome, exit_code=3, errors="first\nno such luck \x1b[31m")
    killed = replace(table.rows[1].outcome, exit_code=None, term_signal=9)
    rows = (replace(table.rows[0], outcome=failed), replace(table.rows[1], outcome=killed), *table.rows[2:])
    last = methods_text.render(replace(table, rows=rows), 200, Paint()).splitlines()[-1]
    assert last == (
        "The command failed in 2 of 4 executions (exit status 3, signal 9). It said: no such luck \\x1b[31m"
    )


def test_without_hiwaters_reading() -> None:
    """It is said on top that nothing can be judged."""
    table = compare(["prog"], MIB, [(comparison().rows[0].method, wait4(MIB, 1))], None)
    assert "hiwater could not measure it" in methods_text.render(table, 80, Paint())


def test_json() -> None:
    """Sizes in bytes, unknown is null, and the schema has its name."""
    document = json.loads(json.dumps(methods_json.render(comparison())))
    assert (document["schema"], document["command"], document["ballast_bytes"]) == (
        "hiwater.methods/1",
        ["./prog", "a b"],
        800 * MIB,
    )
    assert (document["peak_rss_lower_bytes"], document["peak_rss_upper_bytes"]) == (MIB, 2 * MIB)
    first, _, polled, _ = document["methods"]
    assert (first["key"], first["verdict"], first["reported_bytes"]) == ("wait4.fork.holds", "high", 800 * MIB)
    assert first["off_by_bytes"] == 800 * MIB - document["peak_rss_bytes"]
    assert (polled["reported_bytes"], polled["off_by_bytes"], polled["verdict"]) == (None, None, "unknown")
