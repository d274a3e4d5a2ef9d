"""``hiwater export`` and ``hiwater report`` of a recording with a heap profile."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Hiwater
from tests.heapprofiles import shuffle
from tests.streams import MIB
from tests.timelines import family

from hiwater.recording.heap import append_heap


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path) -> None:
    """a.hiw with a heap, plain.hiw without one."""
    (tmp_path / "plain.hiw").write_bytes(family().data)
    (tmp_path / "a.hiw").write_bytes(family().data)
    append_heap(tmp_path / "a.hiw", [], {}, profile=shuffle(20))


def test_collapsed_at_each_moment(hiwater: Hiwater) -> None:
    """The peak, unless another moment is asked for; a time means the last snapshot until then."""

    def sizes(*words: str) -> dict[str, int]:
        done = hiwater("export", "a.hiw", "--format", "collapsed", *words)
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.rpartition(" ") for line in done.stdout.splitlines()]
        return {stack.rpartition(";")[2]: int(size) for stack, _, size in lines}

    assert sizes() == sizes("--at", "peak")
    assert sizes()["sort_all"] == 20 * MIB
    assert "sort_all" not in sizes("--at", "exit")
    assert sizes("--at", "0.6")["mpd_pair_dup"] == 2 * MIB
    assert sizes("--process", "4242") == sizes()


def test_the_formats(hiwater: Hiwater, tmp_path: Path) -> None:
    """Each is what it is called."""

    def written(name: str, *words: str) -> bytes:
        done = hiwater("export", "a.hiw", "--format", name, "-f", "-o", "out", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return (tmp_path / "out").read_bytes()

    assert b"inuse_space" in gzip.decompress(written("pprof"))
    document = json.loads(written("heap-speedscope", "--at", "exit"))
    assert len(document["profiles"]) == 8 and document["activeProfileIndex"] == 7
    assert written("flamegraph").startswith(b"<svg") and b"library.cc:88" in written("flamegraph", "--by", "line")
    assert written("dot").startswith(b"digraph")
    if shutil.which("dot") is not None or os.environ.get("CI") == "true":
        assert b"<svg" in written("callgraph")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a.hiw", "--format", "pprof", "--at", "noon"), "'noon' is no moment"),
        (("a.hiw", "--format", "pprof", "--at", "0.001"), "no snapshot at or before 0.001 s"),
        (("a.hiw", "--format", "pprof", "--process", "7"), "no heap profile of process 7; there are those of 4242"),
        (("a.hiw", "--format", "csv", "--at", "exit"), "--at is for heap profiles"),
        (("a.hiw", "--format", "pprof", "--by", "line"), "--by is for pictures"),
        (("plain.hiw", "--format", "pprof"), "holds no heap profile: hiwater heap -o FILE -- COMMAND"),
    ],
)
def test_what_cannot_be_written(hiwater: Hiwater, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Status 2, the reason, no file."""
    done = hiwater("export", *words, "-o", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_without_graphviz(hiwater: Hiwater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is named before anything is read."""
    monkeypatch.setenv("PATH", str(tmp_path))
    done = hiwater("export", "missing.hiw", "--format", "callgraph", "-o", "out.svg")
    assert done.returncode == 2 and "apt-get install graphviz" in done.stderr


def test_the_report_has_a_section(hiwater: Hiwater, tmp_path: Path) -> None:
    """Of recordings with a heap, and of no others."""
    assert hiwater("report", "a.hiw", "-o", "a.html").returncode == 0
    assert hiwater("report", "plain.hiw", "-o", "plain.html").returncode == 0
    assert 'data-heap="0"' in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "data-heap=" not in (tmp_path / "plain.html").read_text(encoding="utf-8").partition("<script")[0]
