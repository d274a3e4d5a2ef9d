"""``hiwater heap --read`` of other tools' files, from outside."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests import heapfiles
from tests.cli.eaters import HIWATER


def heap(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HIWATER, "heap", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def test_a_file_of_heaptrack(tmp_path: Path) -> None:
    """It is shown as hiwater's own are: who held how much at the peak and at the end, as JSON too."""
    (tmp_path / "old.zst").write_text(heapfiles.HEAPTRACK)
    done = heap("--read", "old.zst", "--json", "old.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "heaptrack" in done.stdout
    found = json.loads((tmp_path / "old.json").read_text())["heap"]
    assert (found["peak"]["in_use_bytes"], found["exit"]["in_use_bytes"]) == (4096 + 32, 32)
    assert found["peak"]["call_sites"][0]["function"] == "main"


def test_a_series_by_its_prefix_or_folder(tmp_path: Path) -> None:
    """What gperftools wrote one after another is one profile, named by prefix or by folder."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    for number in (1, 2):
        text = heapfiles.GPERFTOOLS.replace("2048 [", f"{number * 1000} [", 1)
        (folder / f"app.{number:04}.heap").write_text(text)
    for name in ("profiles", "profiles/app"):
        done = heap("--read", name, "--json", "-", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)["heap"]
        assert [each["in_use_bytes"] for each in found["growth"]] == [1100, 2100]


def test_two_are_compared(tmp_path: Path) -> None:
    """Files of other tools are compared as recordings are."""
    (tmp_path / "old.txt").write_text("main;load 10000000\n")
    (tmp_path / "new.txt").write_text("main;load 30000000\n")
    done = heap("--compare", "old.txt", "new.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "load" in done.stdout


def test_what_is_no_profile(tmp_path: Path) -> None:
    """Other files are refused in a sentence."""
    (tmp_path / "file").write_text("hello\n")
    done = heap("--read", "file", cwd=tmp_path)
    assert done.returncode == 125
    assert "no heap profile in a format that hiwater reads" in done.stderr
    assert "Traceback" not in done.stderr
