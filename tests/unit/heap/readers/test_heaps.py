"""gperftools' and jemalloc's .heap files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests import heapfiles

from hiwater.heap.model import Engine, Frame
from hiwater.heap.readers import read_profile
from hiwater.heap.readers.errors import ProfileError
from hiwater.heap.readers.heaps import parse, profile
from hiwater.heap.readers.mappings import Mappings

APP = "/opt/app"
BEYOND = heapfiles.JEMALLOC.replace("/4096", "/" + "9" * 18).replace("4: 256", "9000000000: 9000000000")


def one(text: str) -> object:
    return profile([("one.heap", parse(text.encode()))])


def test_an_exact_profile_is_what_it_says() -> None:
    """Of ``@ heapprofile`` each row is taken as it stands, a call is looked up before the address it returns to."""
    read = profile([("one.heap", parse(heapfiles.GPERFTOOLS.encode()))])
    assert read.engine is Engine.GPERFTOOLS
    assert read.peak is not None
    assert read.sample_bytes is None
    assert (read.allocations, read.allocated_bytes) == (40, 9000)
    assert [(read.stacks[held.stack], held.in_use_bytes, held.allocations) for held in read.peak.holdings] == [
        (
            (Frame(None, library="/opt/lib with blanks.so", address=0x41007), Frame(None, library=APP, address=0x10FF)),
            2048,
            1,
        ),
        (
            (
                Frame(None, library=APP, address=0x100F),
                Frame(None, library=APP, address=0x10FF),
                Frame(None, library="/opt/fixed", address=0x40100F),
            ),
            100,
            10,
        ),
    ]
    assert read.peak.in_use_bytes == 2148
    assert read.peak.standard_error_bytes == 0


def test_a_sampled_row_becomes_an_estimate_with_its_error() -> None:
    """N blocks of BYTES at a rate R become N and BYTES over 1-exp(-S/R), S = BYTES/N, with the variance of that."""
    read = profile([("one.heap", parse(heapfiles.GPERFTOOLS_SAMPLED.encode()))])
    assert read.peak is not None
    assert (read.sample_bytes, read.samples) == (524288, 3)
    share = 1 - math.exp(-256 / 524288)
    small = next(held for held in read.peak.holdings if read.stacks[held.stack][0].address == 0x100F)
    assert small.in_use_bytes == round(512 / share)
    assert small.allocations == round(2 / share)
    assert small.variance == pytest.approx(2 * (256 / share) ** 2 * (1 - share))


def test_jemalloc_threads_are_summed_by_the_file() -> None:
    """Of jemalloc the rows ``t*`` count, those of single threads are parts of them."""
    read = profile([("one.heap", parse(heapfiles.JEMALLOC.encode()))])
    assert read.engine is Engine.JEMALLOC
    assert read.peak is not None
    share = 1 - math.exp(-64 / 4096)
    large = 1 - math.exp(-2048 / 4096)
    assert [(held.in_use_bytes, held.allocations) for held in read.peak.holdings] == [
        (round(256 / share), round(4 / share)),
        (round(2048 / large), round(1 / large)),
    ]
    assert any("size classes" in note for note in read.notes)


def test_go_tells_functions_itself() -> None:
    """Go's text has twice its rate on the first line, and names with inlined calls behind each row."""
    read = profile([("one.heap", parse(heapfiles.GO.encode()))])
    assert read.sample_bytes == 524288
    assert read.stacks == (
        (
            Frame("main.inlined", "/src/main.go", 12),
            Frame("main.load", "/src/main.go", 20),
            Frame("main.main", "/src/main.go", 30),
        ),
    )


def test_addresses_are_those_of_the_file() -> None:
    """Programs linked to fixed addresses keep them; what is mapped from nowhere has its address alone."""
    maps = Mappings(heapfiles.MAPS.splitlines())
    assert maps.frame(0x401010) == Frame(None, library="/opt/fixed", address=0x40100F)
    assert maps.frame(0x55D000001001) == Frame(None, library=APP, address=0x1000)
    assert maps.frame(0x7FFD00000011) == Frame(None, library="[vdso]")
    assert maps.frame(0x7F0000008001) == Frame(None, address=0x7F0000008000)
    assert maps.frame(0x1001) == Frame(None, address=0x1000)
    assert maps.frame(0) == Frame(None, address=0)
    fixed = Mappings(heapfiles.MAPS.splitlines(), lambda path: path == APP)
    assert fixed.frame(0x55D000001001) == Frame(None, library=APP, address=0x55D000001000)
    assert fixed.frame(0x401010) == Frame(None, library="/opt/fixed", address=0x100F)


def test_a_series_is_growth(tmp_path: Path) -> None:
    """Files NAME.0001.heap and so on are the growth of one process; the largest is its peak, the last its end."""
    sizes = (100, 300, 200)
    for at, size in enumerate(sizes, 1):
        text = heapfiles.GPERFTOOLS.replace("100 [", f"{size} [", 1)
        (tmp_path / f"app.{at:04}.heap").write_text(text)
    for path in (tmp_path / "app", tmp_path):
        read = read_profile(path)
        assert [each.in_use_bytes for each in read.growth] == [2048 + size for size in sizes]
        assert read.peak is not None and read.peak.in_use_bytes == 2348
        assert read.exit is not None and read.exit.in_use_bytes == 2248
        assert read.name == "app"
    assert read_profile(tmp_path / "app.0001.heap").growth == ()


def test_jemalloc_marks_the_end(tmp_path: Path) -> None:
    """Of jemalloc's series only a file marked ``f`` is the end."""
    (tmp_path / "je.77.0.i0.heap").write_text(heapfiles.JEMALLOC)
    (tmp_path / "je.77.10.i10.heap").write_text(heapfiles.JEMALLOC)
    (tmp_path / "je.77.9.i9.heap").write_text(heapfiles.JEMALLOC)
    read = read_profile(tmp_path / "je")
    assert [each.label for each in read.growth] == ["je.77.0.i0.heap", "je.77.9.i9.heap", "je.77.10.i10.heap"]
    assert read.exit is None
    (tmp_path / "je.77.11.f.heap").write_text(heapfiles.JEMALLOC)
    assert read_profile(tmp_path / "je.77").exit is not None


def test_processes_are_not_mixed(tmp_path: Path) -> None:
    """A folder with the files of several processes is an error that names them."""
    for name in ("app.0001.heap", "app_55.0001.heap"):
        (tmp_path / name).write_text(heapfiles.GPERFTOOLS)
    with pytest.raises(ProfileError, match=r"profiles of 2 processes.*\(app, app_55\)"):
        read_profile(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("heap profile: x", "line 1: 'heap profile: x' is not the first line"),
        (heapfiles.GPERFTOOLS.replace("heapprofile", "heap_v9/1"), "line 1: 'heap_v9'"),
        (heapfiles.GPERFTOOLS_SAMPLED.replace("/524288", "/0"), "line 1: a rate of 0"),
        (heapfiles.GPERFTOOLS.replace("    10:      100", "    ten: 100"), "line 2: .* is not a row"),
        (heapfiles.GPERFTOOLS.replace("    10:      100", "     0:      100"), "line 2: 100 bytes in no block"),
        (heapfiles.GPERFTOOLS.replace("    10:      100", "10:" + "9" * 20), "line 2: .* is not a number"),
        (heapfiles.JEMALLOC.replace("  t*: 4: 256 [0: 0]\n", ""), "line 8: a stack without its row"),
        (heapfiles.JEMALLOC[: heapfiles.JEMALLOC.index("  t*: 1: 2048")], "cut off"),
        (BEYOND, "beyond all memory"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(text: str, says: str) -> None:
    """What is wrong is said, with its line."""
    with pytest.raises(ProfileError, match=says):
        one(text)
