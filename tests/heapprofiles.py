"""Heap profiles for the tests of what shows them."""

from __future__ import annotations

import random
from collections.abc import Iterable

from tests.streams import MIB

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Language, Point, Snapshot, Stack

APP = "/opt/radio/bin/shuffle"
LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
CPP = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30"
CLIENT = "/usr/lib/x86_64-linux-gnu/libmpdclient.so.2.20"
PYTHON = "/usr/bin/python3.11"
MEAN = 64 * 1024


def native(function: str | None, file: str | None = None, line: int | None = None, library: str = APP) -> Frame:
    """A frame of a program or library."""
    return Frame(function, file, line, library, address=0x1000 + sum(map(ord, function or "")) + (line or 0))


def python(function: str, file: str, line: int) -> Frame:
    """A frame of Python."""
    return Frame(function, file, line, language=Language.PYTHON)


MAIN = native("main", "/src/shuffle/main.cc", 41)
START = (native("__libc_start_call_main", None, None, LIBC), native("_start"))
NEW = native("operator new", None, None, CPP)
STRING = Frame("std::string::_M_create", "/usr/include/c++/12/bits/basic_string.tcc", 153, APP, 0x2222, inlined=True)
LOAD = native("Library::load", "/src/shuffle/library.cc", 88)
LOADED = native("load_library", "/src/shuffle/main.cc", 29)
URIS: Stack = (NEW, STRING, LOAD, LOADED, MAIN, *START)
VECTOR: Stack = (
    NEW,
    Frame("std::vector::push_back", "/usr/include/c++/12/bits/stl_vector.h", 1287, APP, 0x2300, inlined=True),
    native("Library::load", "/src/shuffle/library.cc", 91),
    LOADED,
    MAIN,
    *START,
)
PAIRS: Stack = (
    native("mpd_pair_dup", None, None, CLIENT),
    native("mpd_recv_pair", None, None, CLIENT),
    native("Library::load", "/src/shuffle/library.cc", 84),
    LOADED,
    MAIN,
    *START,
)
SCRATCH: Stack = (native("sort_all", "/src/shuffle/sort.c", 17), LOADED, MAIN, *START)
TINY: Stack = (native("strdup", None, None, LIBC), native("parse_options", "/src/shuffle/main.cc", 12), MAIN, *START)
MAPPED: Stack = (native("map_cache", "/src/shuffle/cache.c", 55), MAIN, *START)
STACKS = (URIS, VECTOR, PAIRS, SCRATCH, TINY, MAPPED)


def held(stack: int, size: int, block: int = 80, kind: Kind = Kind.MALLOC, mean: int = MEAN) -> Holding:
    """An estimate as of a sampler with that mean, of blocks of one size; of 0 counted, not estimated."""
    variance = float(size) * max(0, mean - block) if mean and block < mean else 0.0
    return Holding(stack, kind, size, max(1, size // block), variance)


def snapshot(rows: Iterable[Holding], at: float | None, rss: int | None = None, label: str = "") -> Snapshot:
    """What lived, the largest first."""
    rows = sorted(rows, key=lambda one: -one.in_use_bytes)
    total = sum(one.in_use_bytes for one in rows if one.kind is not Kind.MMAP)
    return Snapshot(at, rss, total, tuple(rows), label)


def shuffle(spike: int = 0, at_exit: int | None = None) -> HeapProfile:
    """A client that fills its library, 10 MiB after 10 MiB; with ``spike`` MiB more for a moment, and ``at_exit`` MiB
    left (all that it had)."""
    growth, course = [], [Point(0.01, 0, 2 * MIB)]
    for step in range(1, 7):
        done = step * 10
        at = step * 0.25
        rows = [
            held(0, done * 7 * MIB // 10),
            held(1, done * 2 * MIB // 10, 4 * MIB),
            held(2, done * MIB // 10, 40),
            held(4, 100_000, 30),
        ]
        growth.append(snapshot(rows, at, (done + 5) * MIB, "growth"))
        course.append(Point(at, growth[-1].in_use_bytes, (done + 5) * MIB))
    final = list(growth[-1].holdings)
    top = [*final, held(5, 16 * MIB, 16 * MIB, Kind.MMAP)]
    if spike:
        top.append(held(3, spike * MIB, spike * MIB))
    peak = snapshot(top, 1.6, (81 + spike) * MIB, "peak")
    course.append(Point(1.6, peak.in_use_bytes, peak.rss_bytes))
    left = final if at_exit is None else [held(0, at_exit * MIB)] if at_exit else []
    end = snapshot(left, 2.0, 66 * MIB, "exit")
    course += [Point(1.7, growth[-1].in_use_bytes, 66 * MIB), Point(2.0, end.in_use_bytes, 66 * MIB)]
    return HeapProfile(
        Engine.HIWATER, STACKS, peak, end, tuple(growth), tuple(course), pid=4242, name="shuffle",
        command=("/opt/radio/bin/shuffle", "--all"), sample_bytes=MEAN, samples=1800, lost_samples=0,
        allocations=900_000, allocated_bytes=140 * MIB,
    )  # fmt: skip


def python_app() -> HeapProfile:
    """A Python program, with a library of C beneath."""
    evaluate = native("_PyEval_EvalFrameDefault", "Python/ceval.c", 4772, PYTHON)
    module = python("<module>", "/home/ann/report.py", 31)
    records = python("Records.load", "/home/ann/report.py", 12)
    stacks: tuple[Stack, ...] = (
        (records, module),
        (native("inflate", None, None, "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13"), evaluate,
         python("decompress", "/usr/lib/python3.11/gzip.py", 570), records, module),
        (python("<listcomp>", "/home/ann/report.py", 13), records, module),
    )  # fmt: skip
    rows = [held(0, 30 * MIB, 56, Kind.PYTHON), held(1, 8 * MIB, 8 * MIB), held(2, 3 * MIB, 120, Kind.PYTHON)]
    peak = snapshot(rows, 0.8, 60 * MIB, "peak")
    return HeapProfile(
        Engine.HIWATER, stacks, peak, None, (), (Point(0.1, 5 * MIB), Point(0.8, peak.in_use_bytes, 60 * MIB)),
        name="python3", command=("python3", "report.py"), sample_bytes=MEAN, samples=700, lost_samples=3,
        notes=("The process was killed: what it held at its end is not known.",),
    )  # fmt: skip


def exact() -> HeapProfile:
    """What a file of heaptrack may tell: counted, no course, no exit."""
    peak = snapshot([held(0, 12 * MIB, mean=0), held(3, 5 * MIB, mean=0), held(4, 300, 30, mean=0)], None, None, "peak")
    return HeapProfile(Engine.HEAPTRACK, STACKS, peak, None, name="shuffle")


def faults() -> HeapProfile:
    """Page faults: who touched memory first."""
    rows = [held(0, 20 * MIB, 4096, Kind.FAULT), held(3, 9 * MIB, 4096, Kind.FAULT)]
    end = snapshot(rows, 1.0, 34 * MIB, "exit")
    return HeapProfile(Engine.FAULTS, STACKS, end, end, name="shuffle", sample_bytes=256 * 1024, samples=116)


def hostile() -> HeapProfile:
    """Names that would move a cursor, end a script, or break a line of a table."""
    stack: Stack = (
        native("evil\x1b[31m\n</script><script>alert(1)</script>;a b", 'x"<>&\udc80.c', 7, "/tmp/\x07lib & <co>.so"),
        native(None, None, None, "/tmp/stripped.so"),
        Frame(None),
        native("a" * 3000, "/" + "b" * 3000, 1),
        MAIN,
    )
    rows = [held(0, 5 * MIB), held(1, 3 * MIB)]
    peak = snapshot(rows, 1.0, 9 * MIB, "peak")
    return HeapProfile(
        Engine.HIWATER, (stack, ()), peak, peak, (), (), name="evil\x1b[2J", command=("evil\x1b[2J",),
        sample_bytes=MEAN, samples=128, lost_samples=0, notes=("A note with \x1b[31m colour.",),
    )  # fmt: skip


def nothing() -> HeapProfile:
    """Neither a stack nor a snapshot."""
    return HeapProfile(Engine.HIWATER, (), None, None)


def large(stacks: int = 5000, snapshots: int = 50, seed: int = 7) -> HeapProfile:
    """Very many stacks, all of them alive at very many moments."""
    rng = random.Random(seed)
    functions = [
        native(
            f"ns::Class{at % 97}::method_{at}", f"/src/big/file_{at % 211}.cc", 10 + at % 900, f"/opt/lib{at % 23}.so"
        )
        for at in range(1200)
    ]
    found: list[Stack] = []
    for _ in range(stacks):
        base = list(rng.choice(found)[rng.randrange(1, 4) :]) if found and rng.random() < 0.8 else [MAIN, *START]
        while len(base) < 30 and (len(base) < 8 or rng.random() < 0.7):
            base.insert(0, rng.choice(functions))
        found.append(tuple(base))
    sizes = [int(rng.paretovariate(1.1) * 20_000) for _ in range(stacks)]
    growth = tuple(
        snapshot(
            [held(at, int(size * (step + rng.random()) / snapshots) + 16) for at, size in enumerate(sizes)],
            step * 0.1, None, "growth",
        )
        for step in range(1, snapshots + 1)
    )  # fmt: skip
    peak = growth[-1]
    course = tuple(Point(one.at_seconds or 0.0, one.in_use_bytes) for one in growth)
    return HeapProfile(
        Engine.HIWATER, tuple(found), peak, growth[0], growth, course, name="big", sample_bytes=MEAN, samples=500_000,
        lost_samples=0,
    )  # fmt: skip
