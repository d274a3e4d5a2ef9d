"""``hiwater explain`` from outside."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Hiwater
from tests.streams import MIB, Stream
from tests.timelines import family


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path) -> None:
    """a.hiw: a command of 10 MiB with a child of 60, of which no mappings were read."""
    (tmp_path / "a.hiw").write_bytes(family().data)


def test_text(hiwater: Hiwater) -> None:
    """On stdout, the sum to the byte, and the tree."""
    done = hiwater("explain", "a.hiw")
    assert (done.returncode, done.stderr) == (0, "")
    assert "peak RSS of worker, pid 4343, in MiB" in done.stdout
    assert f"{60 * MIB:,} bytes, the sum of the rows above" in done.stdout
    assert f"{70 * MIB:,} bytes, the sum of the rows above" in done.stdout
    assert "\x1b" not in done.stdout


def test_another_process(hiwater: Hiwater) -> None:
    """--process PID; one that is not there is misuse, with what lists those that are."""
    done = hiwater("explain", "a.hiw", "--process", "4242")
    assert (done.returncode, done.stderr) == (0, "")
    assert "peak RSS of boss, pid 4242, in MiB" in done.stdout
    assert "tree peak" not in done.stdout
    done = hiwater("explain", "a.hiw", "--process", "7")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no process 7" in done.stderr
    assert "hiwater show --tree" in done.stderr


def test_json_on_stdout(hiwater: Hiwater) -> None:
    """--json - writes the document, and nothing else."""
    document = json.loads(hiwater("explain", "a.hiw", "--json", "-").stdout)
    (process,) = document["processes"]
    assert (document["schema"], process["pid"], process["peak_bytes"]) == ("hiwater.explain/1", 4343, 60 * MIB)
    assert sum(section["bytes"] for section in process["sections"]) == 60 * MIB
    assert document["tree"]["peak_bytes"] == 70 * MIB


@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_a_file(hiwater: Hiwater, tmp_path: Path, option: str) -> None:
    """Whole or not at all; an existing one only with --force."""
    done = hiwater("explain", "a.hiw", option, "out")
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "out").read_text()
    assert "worker" in text
    (tmp_path / "out").write_text("mine")
    done = hiwater("explain", "a.hiw", option, "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "exists already" in done.stderr
    assert (tmp_path / "out").read_text() == "mine"
    assert hiwater("explain", "a.hiw", option, "out", "--force").returncode == 0
    assert (tmp_path / "out").read_text() == text


def test_markdown_on_stdout(hiwater: Hiwater) -> None:
    """A table."""
    assert "| **peak RSS** | **60.0** |" in hiwater("explain", "a.hiw", "--markdown", "-").stdout


@pytest.mark.parametrize(
    ("data", "said"), [(None, "No such file"), (b"junk" * 20, "not a recording"), (b"", "empty")]
)  # fmt: skip
def test_what_is_no_recording(hiwater: Hiwater, tmp_path: Path, data: bytes | None, said: str) -> None:
    """Status 2 and the reason; no document is left."""
    (tmp_path / "a.hiw").unlink()
    if data is not None:
        (tmp_path / "a.hiw").write_bytes(data)
    done = hiwater("explain", "a.hiw", "--json", "out.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("size", range(48, 700, 25))
def test_a_recording_that_was_cut(hiwater: Hiwater, tmp_path: Path, size: int) -> None:
    """Wherever it stops, what is there is explained."""
    (tmp_path / "a.hiw").write_bytes(family().data[:size])
    done = hiwater("explain", "a.hiw", "--all")
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_to_explain(hiwater: Hiwater, tmp_path: Path) -> None:
    """A command that was never started has no peak: said, and status 0, as for the other views."""
    (tmp_path / "a.hiw").write_bytes(Stream().facts().command(b"nothing").data)
    done = hiwater("explain", "a.hiw")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to break down" in done.stdout
    assert json.loads(hiwater("explain", "a.hiw", "--json", "-").stdout)["processes"] == []


def test_colour_and_ascii(hiwater: Hiwater) -> None:
    """As the other tables: --color always, NO_COLOR, and plain characters where the terminal has no others."""
    assert "\x1b[1m" in hiwater("explain", "a.hiw", "--color", "always").stdout
    forced = os.environ | {"FORCE_COLOR": "1"}
    assert "\x1b" in hiwater("explain", "a.hiw", env=forced).stdout
    assert "\x1b" not in hiwater("explain", "a.hiw", env=forced | {"NO_COLOR": "1"}).stdout
    plain = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert hiwater("explain", "a.hiw", env=plain).stdout.isascii()


@pytest.mark.parametrize("words", [(), ("a.hiw", "b.hiw"), ("a.hiw", "--process", "x"), ("a.hiw", "--json")])
def test_misuse(hiwater: Hiwater, words: tuple[str, ...]) -> None:
    """Status 2, with the usage."""
    done = hiwater("explain", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: hiwater" in done.stderr


def test_a_real_execution(hiwater: Hiwater, tmp_path: Path) -> None:
    """In trace mode the mappings are read at the exit: what the program allocated has its row, its file is there, and
    the sum is the peak, to the byte."""
    program = "import os; x = bytearray(64 << 20); x[::4096] = bytes(len(x) // 4096); os._exit(0)"
    done = hiwater("run", "-q", "-o", "r.hiw", "--trace", "--", sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    document = json.loads(hiwater("explain", "r.hiw", "--json", "-").stdout)
    summary = json.loads(hiwater("show", "r.hiw", "--json").stdout)
    process = document["processes"][0]
    rows = {row["key"]: row for section in process["sections"] for row in section["rows"]}
    assert sum(row["bytes"] for row in rows.values()) == process["peak_bytes"] == summary["peak_rss_bytes"]
    assert process["missing"] is None
    assert rows["other"]["details"][0]["bytes"] >= 64 * MIB
    assert abs(rows["remainder"]["bytes"]) <= process["peak_bytes"] // 50
    assert {"program", "libraries", "main_stack", "private_copies"} <= rows.keys()
    assert "peak RSS" in hiwater("explain", "r.hiw").stdout
    assert hiwater("report", "r.hiw").returncode == 0
    assert f"{process['peak_bytes']:,} bytes" in (tmp_path / "report.html").read_text()


OWNERS = """
import mmap, os
MIB = 1 << 20
shared = mmap.mmap(-1, 10 * MIB)
shared.write(b"x" * (10 * MIB))
freed = mmap.mmap(-1, 32 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
freed.write(b"x" * (32 * MIB))
freed.madvise(mmap.MADV_FREE)
hidden = os.memfd_create("spool")
for _ in range(25):
    os.write(hidden, bytes(MIB))
with open("data.bin", "wb") as file:
    file.write(bytes(7 * MIB))
with open("data.bin", "rb") as file:
    data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    sum(data[at] for at in range(0, 7 * MIB, 4096))
kept = mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
kept.write(bytes(64 * MIB))
os._exit(0)
"""


def test_owners_that_know_their_size(hiwater: Hiwater, tmp_path: Path) -> None:
    """Shared memory, a data file, what was freed lazily and a memfd that is not mapped: each is what the program made
    of it, and the sum is the peak."""
    done = hiwater("run", "-q", "-o", "r.hiw", "--trace", "--", sys.executable, "-c", OWNERS)
    assert done.returncode == 0, done.stderr
    process = json.loads(hiwater("explain", "r.hiw", "--json", "-").stdout)["processes"][0]
    rows = {row["key"]: row for section in process["sections"] for row in section["rows"]}
    assert sum(row["bytes"] for row in rows.values()) == process["peak_bytes"]
    assert process["snapshot"] is not None
    # Where the directory is on tmpfs, its files are shared memory.
    details = [detail for key in ("data", "shared") for detail in rows[key]["details"]]
    sizes = {Path(detail["label"]).name: detail["bytes"] for detail in details}
    assert (sizes["mmap(MAP_SHARED | MAP_ANONYMOUS)"], sizes["data.bin"]) == (10 * MIB, 7 * MIB)
    beside = {row["key"]: row["bytes"] for row in (*process["of_which"], *process["beyond_rss"])}
    # What the kernel still holds in its batches it has not marked yet (lru_lazyfree of mm/swap.c).
    assert 31 * MIB <= beside["lazily_freed"] <= 32 * MIB
    assert beside["unmapped_shmem"] == 25 * MIB
    told = {sentence["code"] for sentence in process["sentences"]}
    assert {"lazily-freed", "unmapped-shmem"} <= told
