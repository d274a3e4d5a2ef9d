"""A profile comes back from its plain form as it was."""

from __future__ import annotations

import json

import pytest

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Language, Point, Snapshot
from hiwater.heap.plain import dumps, loads

MAIN = Frame("main", "/src/app.cc", 12, "/bin/app", 0x1234, first_line=10)
INLINE = Frame("std::vector<int>::push_back", "vector.h", 7, "/bin/app", 0x1234, inlined=True)
SCRIPT = Frame("load", "app.py", 3, language=Language.PYTHON)
PEAK = Snapshot(
    1.5,
    9 << 20,
    4 << 20,
    (Holding(0, Kind.MALLOC, 3 << 20, 40, 1e9), Holding(1, Kind.PYTHON, 1 << 20, 7, 2.5)),
    label="peak",
)
PROFILE = HeapProfile(
    Engine.HEAPTRACK,
    ((INLINE, MAIN), (SCRIPT, MAIN), ()),
    peak=PEAK,
    exit=None,
    growth=(Snapshot(None, None, 1, (Holding(2, Kind.MMAP, 5, 1),)),),
    course=(Point(0.0, 0), Point(1.5, 4 << 20, 9 << 20)),
    pid=77,
    name="app",
    command=("./app", "\udcff"),
    samples=47,
    notes=("a sentence",),
)


def test_round_trip() -> None:
    """Every field, unknown ones too, and text that is none."""
    assert loads(dumps(PROFILE)) == PROFILE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("engine", "unheard-of"),
        ("stacks", [[99]]),
        ("stacks", [[-1]]),
        ("peak", [1.0, None, "many", None, "", []]),
        ("peak", [1.0, None, 5, None, "", [[99, "malloc", 1, 1, 0.0]]]),
        ("peak", [1.0, None, 5, None, "", [[0, "malloc", 1, 1, -1.0]]]),
        ("pid", "77"),
    ],
)
def test_damaged(key: str, value: object) -> None:
    """What does not have its shape is no profile."""
    document = json.loads(dumps(PROFILE))
    assert loads(json.dumps({**document, key: value}).encode()) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 100000])
def test_no_profile(data: bytes) -> None:
    """Neither is anything else."""
    assert loads(data) is None
