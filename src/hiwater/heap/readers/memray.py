"""memray's files, by memray itself: their format changes with its versions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from hiwater.errors import MissingExtraError
from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Language, Point, Snapshot
from hiwater.heap.readers import memray_extract
from hiwater.heap.readers.building import Stacks, snapshot, thinned
from hiwater.heap.readers.errors import ProfileError

EVERY = 10 << 20
ARENAS = (
    "memray followed no allocators of Python's: what Python's objects hold is charged, an arena at a time, to whoever "
    "made Python take another arena. Exact, and several times slower: memray run --trace-python-allocators."
)
_EXECUTE = "import sys; exec(compile(open(sys.argv[1], encoding='utf-8').read(), sys.argv[1], 'exec'))"
"""Not as a script: its folder would be searched for modules, where this one has memray's name."""
_PYMALLOC = range(1, 5)
_MMAP = 14
"""memray.AllocatorType; its numbers are in the files."""
_ARENA_SIZES = (1 << 20, 1 << 18)
"""Of CPython from 3.10 on, and before: ARENA_SIZE in Objects/obmalloc.c, Include/internal/pycore_obmalloc.h."""
_MAGIC = b"memray\0"
_LZ4 = b"\x04\x22\x4d\x18"


def is_memray(head: bytes) -> bool:
    """By the first bytes of a file, which memray may have packed by LZ4."""
    return head.startswith(_MAGIC) or (head.startswith(_LZ4) and _MAGIC in head[:64])


def read(path: str, python: str | None = None, every: int = EVERY) -> HeapProfile:
    """A file, by the memray of this Python, or of another one: that of ``python``, a command.

    In a process of its own, in either case: on a damaged file memray may crash.
    """
    if python is None and find_spec("memray") is None:
        raise MissingExtraError("memray's files", "memray", "memray")
    try:
        done = subprocess.run(
            [python or sys.executable, "-c", _EXECUTE, memray_extract.__file__, os.path.abspath(path), str(every)],
            cwd="/",  # the current folder is searched first, and anything may be called memray
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except (OSError, ValueError) as error:
        raise ProfileError(f"{python or sys.executable} cannot be executed: {error}", path=path) from None
    if done.returncode < 0:
        raise ProfileError(f"memray broke down over it (signal {-done.returncode}): the file is damaged", path=path)
    if done.returncode > 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ProfileError(f"memray cannot read it: {words[-1] if words else done.returncode}", path=path)
    return profile(json.loads(done.stdout), path)


def profile(document: dict[str, Any], path: str) -> HeapProfile:
    """Of what ``memray_extract`` found."""
    frames = [
        Frame(name, file or None, line or None, language=Language.PYTHON if python else Language.NATIVE)
        for name, file, line, python in document["frames"]
    ]
    stacks = Stacks()
    numbers = [stacks.number(frames[number] for number in stack) for stack in document["stacks"]]
    course = [Point(max(at, 0.0), heap, rss) for at, rss, heap in document["course"]]
    arenas = document["python_allocator"].startswith("pymalloc") and not document["trace_python_allocators"]

    def made(live: list[list[int]], label: str, look: int | None) -> Snapshot:
        point = course[look] if look is not None and course else None
        return snapshot(
            _holdings(live, numbers, arenas),
            label,
            at_seconds=point.at_seconds if point else None,
            rss_bytes=point.rss_bytes if point else None,
        )

    heap = made(document["heap_peak"], "peak", None)
    peak = made(document["peak"][1], "peak", document["peak"][0]) if document["peak"] else heap
    growth = [made(live, "growth", look) for look, live in document["growth"]]
    if peak.holdings != heap.holdings and sum(held.in_use_bytes for held in heap.holdings) > sum(
        held.in_use_bytes for held in peak.holdings
    ):
        growth.append(made(document["heap_peak"], "heap peak", None))
    command = _command(document["command"])
    return HeapProfile(
        engine=Engine.MEMRAY,
        stacks=stacks.all(),
        peak=peak,
        exit=made(document["exit"], "exit", len(course) - 1 if course else None),
        growth=tuple(growth),
        course=thinned(course),
        pid=document["pid"],
        name=command[0].rpartition("/")[2] if command else None,
        command=command,
        allocations=document["allocations"],
        notes=tuple(_notes(document, arenas)),
    )


def _holdings(live: list[list[int]], numbers: list[int], arenas: bool) -> Iterator[Holding]:
    for stack, allocator, size, count in live:
        kind = Kind.MALLOC
        if allocator in _PYMALLOC:
            kind = Kind.PYTHON
        elif allocator == _MMAP:
            arena = arenas and any(size == count * each for each in _ARENA_SIZES)
            kind = Kind.PYTHON if arena else Kind.MMAP
        yield Holding(numbers[stack], kind, size, count)


def _command(line: str) -> tuple[str, ...]:
    """Without memray itself, where it was executed as a module or script: memray run [OPTIONS] before the command."""
    words = line.split()
    if len(words) > 1 and "memray" in words[0] and words[1] == "run":
        at = 2
        while at < len(words) and words[at].startswith("-") and words[at] not in ("-m", "-c"):
            at += 2 if words[at] in ("-o", "--output", "-p", "--live-port") else 1
        return tuple(words[at:])
    return tuple(words)


def _notes(document: dict[str, Any], arenas: bool) -> Iterator[str]:
    if arenas:
        yield ARENAS
    if document["aggregated"]:
        yield "The file holds sums only (memray run --aggregate): the peak is that of the heap, not of the RSS."
    elif document["peak"]:
        yield "memray looks at the RSS every 10 ms: in between, the peak is taken to be where most was in use."
    yield "memray sees the program from the start of its script to the end of that: `exit` is before Python cleans up."
