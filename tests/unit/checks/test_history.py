"""The history file."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.checks.fakes import MIB, report, result

from hiwater.analysis.budget import Figure
from hiwater.checks.history import read, record
from hiwater.checks.model import Commit
from hiwater.errors import MisuseError

OLD, NEW = Commit("a" * 40, 1_000, False), Commit("b" * 40, 2_000, False)


def test_by_commit(tmp_path: Path) -> None:
    """Points are in the order of the commits, whatever order they were measured in; executions of one are merged."""
    path = tmp_path / "h"
    for commit, sizes in ((NEW, (30, 31)), (OLD, (20,)), (NEW, (32,))):
        record(path, report(result("a", *sizes), result("b", 5), commit=commit))
    points = read(path)
    assert [(p.commit, p.sizes) for p in points["a"]] == [
        ("a" * 40, (20 * MIB,)),
        ("b" * 40, (30 * MIB, 31 * MIB, 32 * MIB)),
    ]
    assert points["a"][1].size == 31 * MIB
    assert list(read(path, Figure.TREE_PEAK, ["b"])) == ["b"]


def test_what_is_not_committed_stands_alone(tmp_path: Path) -> None:
    """Changed files are a state of their own each time, and so is what is outside of git."""
    path = tmp_path / "h"
    for started, commit in enumerate((OLD, replace(OLD, dirty=True), replace(OLD, dirty=True), None, None)):
        record(path, replace(report(result("a", 20), commit=commit), started_at=float(started)))
    assert [(p.commit is None, p.dirty) for p in read(path)["a"]] == [
        (True, False),
        (True, False),
        (False, False),
        (False, True),
        (False, True),
    ]


WRITER = """
import sys
from tests.unit.checks.fakes import report, result
from hiwater.checks.history import record
sys.stdin.readline()
for number in range(20):
    record(sys.argv[1], report(result(sys.argv[2], float(number + 1))))
"""


def test_parallel_writers(tmp_path: Path) -> None:
    """Eight processes that write at once, into a file that none of them has made yet, lose nothing."""
    path = tmp_path / "h"
    root = str(Path(__file__).parents[3])
    writers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import sys; sys.path.insert(0, {root!r})\n{WRITER}",
                str(path),
                f"writer {number}",
            ],
            stdin=subprocess.PIPE,
        )
        for number in range(8)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
        assert writer.wait(60) == 0
    points = read(path)
    assert len(points) == 8
    for series in points.values():
        # The same instant, no commit: all of one writer is one point.
        assert sorted(size for point in series for size in point.sizes) == [n * MIB for n in range(1, 21)]


def test_all_results_or_none(tmp_path: Path) -> None:
    """A report whose last result cannot be written leaves no other behind."""
    path = tmp_path / "h"
    record(path, report(result("a", 20)))
    broken = replace(report(result("b", 20), result("c", 20)), started_at=None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="NOT NULL"):
        record(path, broken)
    assert list(read(path)) == ["a"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    """What is no history is neither read nor changed."""
    text = tmp_path / "text"
    text.write_text("no database at all, but long enough to be one\n" * 50)
    other = tmp_path / "other"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    newer = tmp_path / "newer"
    record(newer, report(result("a", 20)))
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for path, complaint in ((text, "no SQLite file"), (other, "no history of hiwater"), (newer, "newer hiwater")):
        before = path.read_bytes()
        with pytest.raises(MisuseError, match=complaint):
            read(path)
        with pytest.raises(MisuseError, match=complaint):
            record(path, report(result("a", 20)))
        assert path.read_bytes() == before
    with pytest.raises(MisuseError, match="does not exist; hiwater check --history"):
        read(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_unknown_names(tmp_path: Path) -> None:
    """A check that the history does not know is an error that lists those it knows."""
    record(tmp_path / "h", report(result("a", 20)))
    with pytest.raises(MisuseError, match="no check 'b'; it knows: a"):
        read(tmp_path / "h", names=["b"])


def test_layout(tmp_path: Path) -> None:
    """The table can be read by others: sizes are JSON arrays of bytes."""
    record(tmp_path / "h", report(result("a", 20, 21), commit=NEW))
    connection = sqlite3.connect(tmp_path / "h")
    row = connection.execute(
        "SELECT commit_id, commit_time, dirty, status, command, peak_rss_bytes FROM results"
    ).fetchone()
    connection.close()
    assert row[:4] == ("b" * 40, 2_000, 0, "ok")
    assert (json.loads(row[4]), json.loads(row[5])) == (["prog"], [20 * MIB, 21 * MIB])
