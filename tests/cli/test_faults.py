"""``hiwater faults``, as a user and a script see it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND, Hiwater

from hiwater.recording.reader import load

MIB = 1 << 20
GROWER = """
#include <stdlib.h>
#include <string.h>
#define NOINLINE __attribute__((noinline))
static char *volatile kept;
NOINLINE void fill_cache(void) { kept = malloc(40 << 20); memset(kept, 1, 40 << 20); __asm__ volatile(""); }
NOINLINE void fill_index(void)
{
	for (int i = 0; i < 20 << 14; i++) {
		kept = malloc(48);
		*kept = 1;
	}
	__asm__ volatile("");
}
int main(int argc, char **argv) { fill_cache(); if (argc == 1) fill_index(); return argc > 2 ? atoi(argv[2]) : 0; }
"""


@pytest.fixture(scope="module")
def grower() -> Iterator[str]:
    """A program that touches 40 MiB in one function and 20 MiB in another, where everybody can execute it."""
    with tempfile.TemporaryDirectory(prefix="hiwater-faults-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "grower.c").write_text(GROWER)
        subprocess.run(["cc", "-g", "-O2", "grower.c", "-o", "grower"], cwd=folder, check=True)
        yield str(folder / "grower")


def _sizes(document: dict[str, object], when: str = "peak") -> dict[str, float]:
    heap = document["heap"]
    assert isinstance(heap, dict)
    return {site["function"]: site["in_use_bytes"] / MIB for site in heap[when]["call_sites"]}


def _executed(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode == 125 and "page faults cannot be sampled" in done.stderr:
        pytest.skip(done.stderr)
    return done


def test_who_touched_it(hiwater: Hiwater, tmp_path: Path, grower: str) -> None:
    """The summary is that of run, then the calls with their sizes; stdout is the command's; the recording reads the
    same without the program."""
    done = _executed(hiwater("faults", "-o", "a.hiw", "--json", "a.json", "--flame", "a.svg", "--", grower))
    assert (done.returncode, done.stdout) == (0, "")
    assert "peak RSS" in done.stderr and "touched for the first time" in done.stderr
    assert done.stderr.index("fill_cache") < done.stderr.index("fill_index")
    sizes = _sizes(json.loads((tmp_path / "a.json").read_text()))
    assert sizes["fill_cache"] == pytest.approx(40, abs=1)
    assert sizes["fill_index"] == pytest.approx(20, abs=1.5)
    assert "fill_cache" in (tmp_path / "a.svg").read_text()
    shutil.move(grower, grower + ".away")
    try:
        again = hiwater("faults", "--read", "a.hiw", "--json", "-")
    finally:
        shutil.move(grower + ".away", grower)
    assert _sizes(json.loads(again.stdout)) == sizes
    heap = load(tmp_path / "a.hiw").heap
    assert heap is not None and str(heap.engine) == "faults"


def test_lines_and_libraries(hiwater: Hiwater, tmp_path: Path, grower: str) -> None:
    """Rows are functions, lines or libraries, from a recording too."""
    _executed(hiwater("faults", "-q", "-o", "a.hiw", "--", grower))
    by_line = hiwater("faults", "--read", "a.hiw", "--by", "line")
    assert (by_line.returncode, by_line.stderr) == (0, "")
    assert "grower.c:6" in by_line.stdout
    by_library = hiwater("faults", "--read", "a.hiw", "--by", "library", "--at", "exit")
    assert "grower" in by_library.stdout and "fill_cache" not in by_library.stdout.split("growth")[0]


def test_exit_status(hiwater: Hiwater, grower: str) -> None:
    """It is the command's own; 127 if it is not there."""
    assert _executed(hiwater("faults", "--", grower, "x", "7")).returncode == 7
    assert hiwater("faults", "--", "/nonexistent/program").returncode == 127


def test_as_nobody(tmp_path: Path, grower: str) -> None:
    """It takes no privilege up to perf_event_paranoid 2."""
    paranoid = int(Path("/proc/sys/kernel/perf_event_paranoid").read_text())
    if os.geteuid() != 0 or shutil.which("setpriv") is None or paranoid > 2:
        pytest.skip("needs root, setpriv and perf_event_paranoid 2 or less")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    if subprocess.run([*user, *COMMAND, "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this installation is not readable for everybody")
    done = subprocess.run(
        [*user, *COMMAND, "faults", "--json", "-", "-q", "--", grower], cwd="/", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert _sizes(json.loads(done.stdout))["fill_cache"] == pytest.approx(40, abs=1)


def test_a_program_too_small_to_be_sampled(hiwater: Hiwater, grower: str) -> None:
    """A profile of nothing is no result: it says how to get one, and with more samples there is one."""
    done = _executed(hiwater("faults", "--sample", "1GiB", "--", grower))
    assert done.returncode == 125
    assert "none was sampled: ask for more with --sample 4KiB" in done.stderr
    done = hiwater("faults", "--sample", "64KiB", "--json", "-", "-q", "--", grower, "little")
    assert _sizes(json.loads(done.stdout))["fill_cache"] == pytest.approx(40, abs=1)


def test_processes(hiwater: Hiwater, tmp_path: Path, grower: str) -> None:
    """Every process of the tree can be asked for; one that made no fault is refused, with those that did."""
    _executed(hiwater("faults", "-q", "-o", "a.hiw", "--", "sh", "-c", f"{grower}; {grower} little; exit 0"))
    recording = load(tmp_path / "a.hiw")
    pids = [process.pid for process in recording.observed_processes if process.images[-1].name == "grower"]
    assert len(pids) == 2
    sizes = [
        _sizes(json.loads(hiwater("faults", "--read", "a.hiw", "--process", str(pid), "--json", "-").stdout))
        for pid in pids
    ]
    assert sizes[0]["fill_index"] == pytest.approx(20, abs=1.5)
    assert sizes[1].get("fill_index", 0) == 0
    refused = hiwater("faults", "--read", "a.hiw", "--process", "1")
    assert refused.returncode == 125
    assert str(pids[0]) in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "either COMMAND or --read FILE"),
        (("--read", "a.hiw", "--", "true"), "either COMMAND or --read FILE"),
        (("--sample", "2TiB", "true"), "1 byte to 1 TiB"),
        (("--sample", "many", "true"), "--sample"),
        (("--rows", "0", "true"), "is not a number of rows"),
        (("--at", "never", "true"), "neither peak nor exit"),
        (("--timeout", "0s", "true"), "--timeout"),
        (("--read", "nothing.hiw"), "nothing.hiw"),
    ],
)
def test_misuse(hiwater: Hiwater, words: tuple[str, ...], said: str) -> None:
    """It is told before anything is executed, and its status is 125."""
    done = hiwater("faults", *words)
    assert done.returncode == 125
    assert said in done.stderr


def test_a_recording_without_faults(hiwater: Hiwater) -> None:
    """It is refused with the command that makes one."""
    hiwater("run", "-q", "-o", "a.hiw", "--", "true")
    done = hiwater("faults", "--read", "a.hiw")
    assert done.returncode == 125
    assert "hiwater faults -o FILE" in done.stderr
