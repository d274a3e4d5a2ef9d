"""``hiwater history``, from outside: every option."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.cli.eaters import hiwater
from tests.unit.checks.fakes import MIB, report, result

from hiwater.checks.history import record
from hiwater.checks.model import Commit

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Three commits of two checks, a fourth that is over budget, and a change that was not committed."""
    path = tmp_path / "hiwater-history.sqlite"
    for number, size in enumerate((20, 21, 30, 70)):
        commit = Commit(str(number) * 40, 86_400 * number, False)
        record(path, report(result("a<b", size - 1, size), result("other", 5), commit=commit))
    record(path, replace(report(result("a<b", 22), commit=Commit("3" * 40, 86_400 * 3, True)), started_at=1.0))
    return tmp_path


def test_list(filled: Path) -> None:
    """A line that shows the course, then a line for each commit: when, how much, the change, the verdict."""
    done = hiwater("history", cwd=filled)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("a<b  ")
    assert lines[0].endswith("peak RSS 19.5 MiB to 69.5 MiB")
    assert [line.split()[0] for line in lines[1:6]] == [
        "0000000000",
        "1111111111",
        "2222222222",
        "3333333333+",
        "3333333333",
    ]
    assert lines[2].split() == [
        "1111111111",
        "1970-01-02",
        "00:00",
        "20.5",
        "MiB",
        "+5.1",
        "%",
        "n=2",
        lines[2].split()[-2],
        "ok",
    ]
    assert lines[5].endswith("violated")
    assert lines[6].startswith("other  ")


def test_names_and_limit(filled: Path) -> None:
    """Only the checks that are named, only the last commits."""
    done = hiwater("history", "other", "--limit", "2", cwd=filled)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["other", "2222222222", "3333333333"]
    unknown = hiwater("history", "none", cwd=filled)
    assert (unknown.returncode, "it knows: a<b, other" in unknown.stderr) == (2, True)


def test_plot(filled: Path) -> None:
    """--plot: a line of characters each, higher for more; what hardly differs is level."""
    done = hiwater("history", "--plot", cwd=filled, env={"PYTHONIOENCODING": "utf-8"})
    first, second = done.stdout.splitlines()
    assert first.split()[1] == "▁▁▂▁█"
    assert second.split()[1] == "▁▁▁▁"
    plain = hiwater("history", "--plot", cwd=filled, env={"PYTHONIOENCODING": "ascii"})
    assert plain.stdout.split()[1] == "__._@"


def test_figure(filled: Path) -> None:
    """--figure tree_peak shows the tree."""
    assert "tree peak 19.5 MiB to 69.5 MiB" in hiwater("history", "--figure", "tree_peak", cwd=filled).stdout


def test_svg(filled: Path) -> None:
    """--svg draws a panel for each check, a point for each commit, those that did not pass in red; all in one file."""
    done = hiwater("history", "--svg", "a.svg", cwd=filled)
    assert (done.returncode, done.stdout) == (0, "")
    text = (filled / "a.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    points = list(root.iter(f"{SVG}circle"))
    assert len(points) == 5 + 4
    assert [point.get("data-commit") for point in points][:5] == [
        "0" * 10,
        "1" * 10,
        "2" * 10,
        "3" * 10 + "+",
        "3" * 10,
    ]
    fills = [point.get("fill") for point in points]
    assert len(set(fills[:4])) == 1 and fills[4] != fills[0]
    heights = [float(point.get("cy", "")) for point in points[:5]]
    assert heights[4] < heights[2] < heights[1] <= heights[0]
    assert text.count("http") == 1
    assert "--force overwrites it" in hiwater("history", "--svg", "a.svg", cwd=filled).stderr
    assert hiwater("history", "--svg", "a.svg", "--force", cwd=filled).returncode == 0
    assert ElementTree.fromstring(hiwater("history", "--svg", "-", cwd=filled).stdout).tag == f"{SVG}svg"


def test_json(filled: Path) -> None:
    """--json: each commit of each check, sizes in bytes."""
    document = json.loads(hiwater("history", "--json", "-", cwd=filled).stdout)
    assert (document["schema"], document["figure"]) == ("hiwater.history/1", "peak_rss")
    assert document["checks"]["a<b"][0] == {
        "commit": "0" * 40,
        "dirty": False,
        "time": "1970-01-01T00:00:00Z",
        "bytes": round(19.5 * MIB),
        "executions_bytes": [19 * MIB, 20 * MIB],
        "status": "ok",
    }
    assert hiwater("history", "--json", "a.json", cwd=filled).returncode == 0
    assert json.loads((filled / "a.json").read_text()) == document
    assert "only one document" in hiwater("history", "--json", "-", "--svg", "-", cwd=filled).stderr


def test_color(filled: Path) -> None:
    """--color always, whatever stdout is."""
    assert "\x1b[" in hiwater("history", "--color", "always", cwd=filled).stdout


def test_file(filled: Path) -> None:
    """--file names another; one that is not there or is no history is an error."""
    (filled / "hiwater-history.sqlite").rename(filled / "mine")
    assert hiwater("history", "--file", "mine", cwd=filled).returncode == 0
    none = hiwater("history", cwd=filled)
    assert (none.returncode, "hiwater check --history" in none.stderr) == (2, True)
    (filled / "text").write_text("no database " * 100)
    assert "no SQLite file" in hiwater("history", "--file", "text", cwd=filled).stderr
    assert "'0' is not a whole number" in hiwater("history", "--limit", "0", cwd=filled).stderr
