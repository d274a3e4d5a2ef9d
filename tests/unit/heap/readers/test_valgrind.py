"""massif's and dhat's files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests import heapfiles

from hiwater.heap.model import Engine, Frame
from hiwater.heap.readers import dhat, massif
from hiwater.heap.readers.errors import ProfileError
from hiwater.heap.readers.valgrind_frames import frame


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0x109227: load (app.c:7)", Frame("load", "app.c", 7)),
        ("0x109227: A::operator()(int, char) (a b/app.cc:7)", Frame("A::operator()", "a b/app.cc", 7)),
        ("0x109227: app::run (src/main.rs:12:5)", Frame("app::run", "src/main.rs", 12)),
        ("0x48417B4: malloc (in /usr/lib/x.so)", Frame("malloc", library="/usr/lib/x.so")),
        ("0x48417B4: ??? (in /opt/lib (x).so)", Frame(None, library="/opt/lib (x).so")),
        ("0x4E: ???", Frame(None, address=0x4E)),
        ("0x4E: (below main) (libc-start.c:9)", Frame("(below main)", "libc-start.c", 9)),
        ("[root]", Frame("[root]")),
    ],
)
def test_calls(text: str, expected: Frame) -> None:
    """Each way in which valgrind writes a call is understood."""
    assert frame(text) == expected


def test_massif() -> None:
    """Snapshots with trees are kept, a call holds what the calls below it do not, the others are the course."""
    profile = massif.parse(heapfiles.MASSIF.encode())
    assert profile.engine is Engine.MASSIF
    assert profile.command == ("./app", "--fast")
    assert profile.peak is not None
    assert (profile.peak.in_use_bytes, profile.peak.at_seconds, profile.peak.rss_bytes) == (1000, 1.5, None)
    load = Frame("load", "app.c", 7)
    assert [(profile.stacks[each.stack], each.in_use_bytes) for each in profile.peak.holdings] == [
        ((load, Frame("main", "app.c", 14)), 500),
        ((load, Frame(None, library="/opt/lib (x).so")), 300),
        ((load,), 100),
        ((Frame(None, address=0x10999F),), 60),
        ((Frame("(3 places below massif's threshold)"),), 40),
    ]
    assert [(each.label, each.in_use_bytes) for each in profile.growth] == [("growth", 600)]
    assert [(point.at_seconds, point.in_use_bytes) for point in profile.course] == [
        (0, 0),
        (0.5, 600),
        (1.5, 1000),
        (2, 100),
    ]
    assert profile.exit is None


def test_massif_of_pages() -> None:
    """--pages-as-heap counts something else, which is said; instructions are no seconds."""
    text = heapfiles.MASSIF.replace("--time-unit=ms", "--pages-as-heap=yes").replace("time_unit: ms", "time_unit: i")
    profile = massif.parse(text.encode())
    assert profile.course == ()
    assert any("pages as the program mapped them" in note for note in profile.notes)
    assert any("no seconds" in note for note in profile.notes)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (" n2: 900", " n2: 700", "holds less than its callers together"),
        ("  n0: 500", "   n0: 500", "line 32: a call that belongs to none"),
        ("mem_heap_B=1000", "mem_heap_B=10", "its tree holds 1000 bytes, the snapshot 10"),
        ("mem_heap_B=1000", "mem_heap_B=-1", "line 26: '-1' is not a number"),
        ("mem_heap_B=1000\n", "", "line 23: a snapshot without mem_heap_B"),
        ("mem_stacks_B=0", "what=0", "line 10: 'what=0' is not of a massif file"),
        ("time_unit: ms", "nonsense", "line 3: 'nonsense' is not of the head"),
    ],
)
def test_massif_wrong(old: str, new: str, says: str) -> None:
    """What is wrong is said, with its line."""
    with pytest.raises(ProfileError, match=says):
        massif.parse(heapfiles.MASSIF.replace(old, new).encode())


def test_massif_cut_off() -> None:
    """A file that ends before a tree, or before any snapshot, is an error."""
    with pytest.raises(ProfileError, match="without its tree"):
        massif.parse(heapfiles.MASSIF[: heapfiles.MASSIF.index("n3: 1000")].encode())
    with pytest.raises(ProfileError, match="no snapshot"):
        massif.parse(heapfiles.MASSIF[: heapfiles.MASSIF.index("snapshot=0")].encode())


def test_dhat() -> None:
    """What lived at dhat's own peak, and at the end; its own malloc is no call of the program."""
    profile = dhat.parse(heapfiles.DHAT.encode())
    assert profile.engine is Engine.DHAT
    assert (profile.pid, profile.name) == (8788, "app")
    assert profile.peak is not None and profile.exit is not None
    held = [(profile.stacks[each.stack], each.in_use_bytes, each.allocations) for each in profile.peak.holdings]
    assert held == [((Frame("load", "app.c", 7), Frame("main", "src/app.c", 14)), 600, 6)]
    assert [(each.in_use_bytes, each.allocations) for each in profile.exit.holdings] == [(100, 1)]
    assert (profile.allocations, profile.allocated_bytes) == (14, 950)
    assert profile.peak.at_seconds is None


def test_dhat_of_rust_has_times() -> None:
    """The crate dhat writes microseconds."""
    document = {**json.loads(heapfiles.DHAT), "mode": "rust-heap", "tu": "µs"}
    profile = dhat.parse(json.dumps(document, ensure_ascii=False).encode())
    assert profile.peak is not None and profile.peak.at_seconds == pytest.approx(3.66914)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dhatFileVersion": 3}, "dhatFileVersion is not 2"),
        ({"mode": "copy"}, "'copy' profiles no heap"),
        ({"bklt": False}, "lives of blocks"),
        ({"pps": 3}, "pps is not a list"),
        ({"pps": [{"fs": [9]}]}, r"pps\[0\]: fs names frame '9' of 4"),
        ({"pps": [{"fs": [1], "gb": -1}]}, r"pps\[0\]: gb is not a count"),
        ({"pps": [{"fs": [1], "gb": 1 << 63}]}, r"pps\[0\]: gb is not a count"),
        ({"ftbl": [1]}, "ftbl is not a list of str"),
        ({"tu": "ms", "tg": "x"}, "tg is not a count"),
    ],
)
def test_dhat_wrong(changes: dict[str, Any], says: str) -> None:
    """What is wrong is said, with its place."""
    with pytest.raises(ProfileError, match=says):
        dhat.parse(json.dumps({**json.loads(heapfiles.DHAT), **changes}).encode())


def test_dhat_cut_off() -> None:
    """Half a file is an error that names the line."""
    with pytest.raises(ProfileError, match="line 1: not the JSON that dhat writes"):
        dhat.parse(heapfiles.DHAT[:500].encode())
    with pytest.raises(ProfileError, match="not the JSON"):
        dhat.parse(b"[" * 100000)
