"""The story is replayed by its own script, on small libraries, and comes to the same conclusions."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")

EXAMPLE = Path(__file__).parents[2] / "examples" / "mpd-shuffle"
MIB = 1 << 20


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``run`` leaves."""
    if shutil.which("mpd", path="/usr/local/bin:/usr/bin:/bin") is None or shutil.which("g++") is None:
        pytest.skip("apt-get install mpd libmpdclient-dev g++")
    out = tmp_path_factory.mktemp("story")
    sizes = ["2000", "4000", "6000", "8000", "10000"]
    command = [sys.executable, str(EXAMPLE / "run"), "--out", str(out), "--songs", *sizes]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=out, env=os.environ)
    assert result.returncode == 0, result.stdout + result.stderr
    return out


def test_the_figures(story: Path) -> None:
    """wait4 claims what the test runner once held; the client took a hundredth of it, and the ledger says so too."""
    figures = json.loads((story / "figures.json").read_text())
    found = figures["run"]
    assert figures["songs"] == 6000
    assert figures["wait4_bytes"] > 800 * MIB
    assert found["inherited"]["wait4_would_say_bytes"] > 800 * MIB
    assert 2 * MIB < found["peak_rss_bytes"] < 12 * MIB
    assert found["peak_rss_lower_bytes"] <= found["peak_rss_bytes"] <= found["peak_rss_upper_bytes"]
    image = found["processes"][0]["images"][0]
    assert image["start"]["rss"] < image["exit"]["rss"] <= found["peak_rss_bytes"]


def test_the_heap(story: Path) -> None:
    """A line of load() holds most of it, at the peak as at the exit; it grew to that without a spike."""
    heap = json.loads((story / "figures.json").read_text())["heap"]
    peak, end = heap["peak"], heap["exit"]
    held = sum(site["in_use_bytes"] for site in peak["call_sites"] if site["function"] == "load")
    assert held > 0.7 * peak["in_use_bytes"]
    assert 0.3 * MIB < peak["in_use_bytes"] < 3 * MIB
    assert end["in_use_bytes"] > 0.9 * peak["in_use_bytes"]
    grown = [snapshot["in_use_bytes"] for snapshot in heap["growth"]]
    assert len(grown) >= 4 and grown == sorted(grown)
    assert "<svg" in (story / "heap.svg").read_text()
    text = (story / "story.md").read_text()
    assert "shuffle.cc:" in text and "here is each byte of the" in text


def test_a_song_costs_what_its_uri_costs(story: Path) -> None:
    """The law is that of what the client keeps: a string of some 70 bytes on the heap, its handle, its place in the
    order."""
    scale = json.loads((story / "figures.json").read_text())["scale"]
    sizes = {point["size"]: statistics.median(point["memory_bytes"]) for point in scale["points"]}
    assert list(sizes) == [2000, 4000, 6000, 8000, 10000]
    assert 70 < (sizes[10000] - sizes[2000]) / 8000 < 350


def test_it_works_in_less_than_its_peak(story: Path) -> None:
    """Where a cgroup can be made: the smallest memory is below the peak, as the pages of libraries are others' too."""
    figures = json.loads((story / "figures.json").read_text())
    if figures["fit"] is None:
        pytest.skip("no cgroup can be made here")
    assert MIB < figures["fit"]["smallest_limit_bytes"] < figures["run"]["peak_rss_bytes"]


def test_the_report(story: Path) -> None:
    """It tells the story by itself, without temporary folders in its commands, and has the page beside it."""
    text = (story / "story.md").read_text()
    for heading in (
        "The report",
        "The truth",
        "Where it went",
        "Which lines hold it",
        "Will it fit?",
        "The smallest memory",
    ):
        assert f"## {heading}\n" in text
    assert re.search(r"wait4 in python\S* \(pid \d+\) would have said 8\d\d\.\d MiB", text)
    assert not [line for line in text.splitlines() if line.startswith("$ ") and "/tmp" in line]
    assert "shuffle" in (story / "report.html").read_text()
