"""Recordings whose heap was followed, for the tests of what shows it."""

from __future__ import annotations

from tests.heaplogs import MS, START_NS, Log
from tests.ledgers import mapping, snapshot, stream, with_ledgers
from tests.streams import MIB

from hiwater.heap.log import parse
from hiwater.heap.model import Frame
from hiwater.heap.wire import AllocKind, HeadFlags
from hiwater.recording.heap import Symbols, with_heap
from hiwater.recording.model import Recording
from hiwater.recording.wire import MapKind

BIG = 0x7F2863E96000
"""Where the large block's mapping begins."""
CLOCK = {"monotonic_start_ns": str(START_NS)}
SYMBOLS: Symbols = {
    ("/usr/bin/python3.11", "", 0x10): (Frame("load", "app.c", 12, "/usr/bin/python3.11", 0x10),),
    ("/usr/bin/python3.11", "", 0x20): (Frame("index\x1b[1m", "app.c", 40, "/usr/bin/python3.11", 0x20),),
}


def log(*, account: bool = True, account_ns: int = 40 * MS, late: int = 0) -> Log:
    """80 blocks of 1 MiB and one of 24; at 30 ms 20 more were freed. ``late``: blocks that are freed at 43 ms."""
    made = Log(flags=HeadFlags.ENDED | HeadFlags.PROBE, end_ns=99 * MS).module("/usr/bin/python3.11", 0x1000, 0x9000)
    made.stack(1, 0x1011).stack(2, 0x1021)
    for at in range(100):
        made.alloc(10 * MS + at, (at + 1) << 24, MIB, mean=MIB // 4, stack=2)
    for at in range(80, 100):
        made.free(30 * MS, (at + 1) << 24)
    made.alloc(20 * MS, BIG + 16, 24 * MIB, mean=MIB // 4, stack=1)
    if account:
        made.mallinfo(account_ns, 104 * MIB, 24 * MIB + 4096, 83 * MIB, 21 * MIB, 2 * MIB, 1)
    for at in range(late):
        made.free(43 * MS, (at + 1) << 24)
    return made


def recording(made: Log | None = None, *, size: int = 104 * MIB, ledger: bool = True) -> Recording:
    """A peak of 210 MiB; the mappings were read at 45 ms."""
    written = stream(facts=CLOCK)
    written.data = with_heap(written.data, [parse((made or log()).data)], SYMBOLS)
    rows = [
        mapping(MapKind.HEAP, rss=100 * MIB, size=size),
        mapping(MapKind.ANON, rss=20 * MIB, size=24 * MIB + 4096, start=BIG),
        mapping(MapKind.ANON, rss=5 * MIB, size=7 * MIB, start=0x7F0000000000),
        mapping(MapKind.STACK, rss=MIB // 8),
        mapping(MapKind.FILE, "/usr/lib/libc.so.6", 84 * MIB),
    ]
    return with_ledgers(written, *([snapshot(rows)] if ledger else []))


def python_log() -> Log:
    """Small objects in Python's own arenas, large ones from malloc."""
    made = Log(flags=HeadFlags.ENDED | HeadFlags.PYTHON, end_ns=99 * MS).module("/usr/bin/python3.11", 0x1000, 0x9000)
    made.stack(1, 0x1011)
    for at in range(100):
        made.alloc(10 * MS, (at + 1) << 24, 500, kind=AllocKind.PY_OBJ)
        made.alloc(10 * MS, (at + 201) << 24, MIB, kind=AllocKind.PY_MEM)  # as with its debug hooks
    made.map(5 * MS, 0x7E0000000000, MIB, stack=1)  # an arena
    return made.mallinfo(45 * MS, 104 * MIB, 0, 101 * MIB, 3 * MIB, 0, 0)
