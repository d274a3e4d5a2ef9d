"""Recordings with timelines, for the tests of what shows them."""

from __future__ import annotations

import struct
from array import array

from tests.streams import MIB, MS, Stream, split

from hiwater.recording import wire
from hiwater.recording.wire import ImageEndedBy, RecordType

PAGES = MIB // 4096
SPIKE_MIB = 500


def row(ms: float, image: int, rss: float, anon: float | None = None, swap: float = 0) -> tuple[int, ...]:
    """One sample, sizes in MiB."""
    pages = int(rss * PAGES)
    parts = (wire.NONE, wire.NONE) if anon is None else (int(anon * PAGES), 0)
    return int(ms * 1000), image, pages, *parts, int(swap * PAGES), pages


def family(*, extra_mib: int = 0) -> Stream:
    """A command of 10 MiB; from 20 to 80 ms its child ``worker --fast`` of 30, once of 60 and more."""
    high = 60 + extra_mib
    stream = Stream().facts().command(b"boss", b"<it>").process()
    stream.image(comm=b"boss", exe=b"/usr/bin/boss", arguments=(b"boss", b"<it>"))
    stream.process(1, 0, pid=4343, t_ns=20 * MS)
    stream.image(1, 1, comm=b"worker", exe=b"/usr/bin/worker", arguments=(b"worker", b"--fast"), t_ns=20 * MS)
    stream.samples(
        [row(1, 0, 10, 8), row(20, 1, 30, 25), row(50, 0, 10, 8), row(50, 1, high, high - 5), row(51, 1, 30, 25, 2)]
    )
    stream.image_end(1, hwm=high * MIB, max_rss=high * MIB, last=split(0, 0, 0, 0), t_ns=80 * MS)
    stream.process_end(1, maxrss=high * MIB, t_ns=80 * MS, status=3 << 8)
    stream.image_end(0, hwm=10 * MIB, max_rss=10 * MIB)
    stream.process_end(0, maxrss=high * MIB)
    stream.tree_peak((70 + extra_mib) * MIB, (70 + extra_mib) * MIB, 2)
    stream.tree_upper((0, 2, (70 + extra_mib) * MIB)).warning("left-alive", "a <test> warning")
    return stream.stats(max_alive=2, processes=2).end(maxrss=high * MIB)


def long_one(samples: int = 1_000_000, processes: int = 50) -> bytes:
    """As many samples, of a minute, each process between 20 and 44 MiB; one single sample of the command is 500 MiB."""
    head = Stream().facts().command(b"long").process().image(comm=b"long", exe=b"/usr/bin/long")
    for number in range(1, processes):
        head.process(number, 0, pid=5000 + number).image(number, number, comm=b"part", exe=b"/usr/bin/part")
    parts = [head.data]
    numbers = array("I", (at % processes for at in range(samples)))
    times = array("I", (at * 60_000_000 // samples for at in range(samples)))
    sizes = array("I", (5000 + at * 7919 % 6000 for at in range(samples)))
    spike = samples * 7 // 10 // processes * processes
    sizes[spike] = SPIKE_MIB * PAGES
    zeros = array("I", bytes(4 * samples))
    steps = array("I", (now - before for before, now in zip(array("I", [0]) + times, times, strict=False)))
    for at in range(0, samples, wire.ROWS_MAX):
        part = slice(at, at + wire.ROWS_MAX)
        columns = b"".join(
            struct.pack("=" + wire.COLUMN, 0, 4) + column[part].tobytes() + bytes(-4 * len(column[part]) % 8)
            for column in (steps, numbers, sizes, sizes, zeros, zeros, sizes, zeros, zeros)
        )
        base_ns = 1000 * times[at - 1] if at else 0
        fixed = struct.pack("=" + wire.SAMPLES, base_ns, len(times[part]), wire.SAMPLE_COLUMNS)
        parts.append(_bare(Stream().record(RecordType.SAMPLES, fixed + columns)))
    foot = Stream()
    for number in range(processes):
        most = (SPIKE_MIB if number == 0 else 44) * MIB
        foot.image_end(number, hwm=most, max_rss=most, t_ns=60_000 * MS, how=ImageEndedBy.VANISHED)
        foot.process_end(number, maxrss=most, t_ns=60_000 * MS)
    foot.stats(max_alive=processes, processes=processes).end(maxrss=SPIKE_MIB * MIB, wall_ns=60_000 * MS)
    return b"".join([*parts, _bare(foot)])


def _bare(stream: Stream) -> bytes:
    return stream.data[len(Stream().data) :]
