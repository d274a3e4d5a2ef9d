"""``hiwater heap --engine NAME``, from outside: other profilers, the same profile."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from tests.cli.test_heap_read import heap

SCRIPT = "x = [b'x' * (1 << 20) + bytes([n]) for n in range(20)]; print('done')"


@pytest.mark.parametrize("engine", ["heaptrack", "dhat"])
def test_counted_by_somebody_else(engine: str, tmp_path: Path) -> None:
    """The command is executed under the engine and once without, and its heap is in the recording and in the JSON."""
    if shutil.which({"dhat": "valgrind"}.get(engine, engine)) is None:
        pytest.skip(f"{engine} is not installed")
    done = heap("--engine", engine, "-o", "a.hiw", "--json", "a.json", "--", sys.executable, "-c", SCRIPT, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    found = json.loads((tmp_path / "a.json").read_text())["heap"]
    assert 20 << 20 <= found["peak"]["in_use_bytes"] < 40 << 20
    assert found["plain_peak_rss_bytes"] > 20 << 20
    again = heap("--read", "a.hiw", "--json", "-", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["heap"]["peak"]["in_use_bytes"] == found["peak"]["in_use_bytes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "jemalloc", "--", sys.executable, "-c", "pass"], "does not allocate by jemalloc"),
        (["--engine", "memray", "--", "true"], "is no Python"),
        (["--engine", "perf", "--", "true"], "--engine"),
        (["--python-allocators", "--", "true"], "with --engine memray only"),
    ],
)
def test_engines_that_do_not_fit(words: list[str], message: str, tmp_path: Path) -> None:
    """Told before anything is executed."""
    done = heap(*words, cwd=tmp_path)
    assert done.returncode == 125
    assert message in done.stderr
