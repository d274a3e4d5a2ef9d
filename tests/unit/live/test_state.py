"""What is known of an execution while it goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.streams import MIB, MS, Stream, split
from tests.timelines import family, row

from hiwater.live import state as module
from hiwater.live.rows import Order, rows
from hiwater.live.state import LiveState
from hiwater.recording.follow import Follower
from hiwater.recording.reader import parse
from hiwater.recording.wire import ImageEndedBy, ImageFlags


def fed(stream: Stream, path: Path, *cuts: int) -> LiveState:
    """The state after a stream that was read in pieces."""
    state = LiveState()
    with path.open("wb", buffering=0) as file:
        fd = os.open(path, os.O_RDONLY)
        follower = Follower(fd)
        begin = 0
        for end in (*cuts, len(stream.data)):
            file.write(stream.data[begin:end])
            begin = end
            for part in iter(follower.poll, None):
                state.apply(part)
        os.close(fd)
    return state


def two() -> Stream:
    """A parent and its child, which is the larger one; both live."""
    stream = Stream().facts().command(b"boss", b"-x").process(pid=10).image(comm=b"boss", arguments=(b"boss", b"-x"))
    stream.process(1, 0, pid=11, t_ns=20 * MS).image(1, 1, comm=b"worker", arguments=(b"worker",), t_ns=20 * MS)
    return stream.samples([row(1, 0, 10, 8), row(20, 1, 30, 25), row(50, 1, 60, 55), row(51, 1, 40, 35, 2)])


def test_now_and_peak(tmp_path: Path) -> None:
    """Each process's memory now and at most, and what the tree consists of."""
    state = fed(two(), tmp_path / "a.hiw")
    boss, worker = state.processes.values()
    assert (boss.rss_bytes, boss.peak_bytes, boss.name) == (10 * MIB, 10 * MIB, "boss")
    assert (worker.rss_bytes, worker.peak_bytes, worker.parent) == (40 * MIB, 60 * MIB, 0)
    now = state.now
    assert (now.rss_bytes, now.anon_bytes, now.file_bytes) == (50 * MIB, 43 * MIB, 7 * MIB)
    assert now.swap_bytes == 2 * MIB
    assert state.largest() is worker
    assert (state.alive, state.command) == (2, ("boss", "-x"))
    assert not state.counted_once


def test_in_pieces(tmp_path: Path) -> None:
    """It makes no difference how much is read at a time."""
    whole = fed(family(), tmp_path / "a.hiw")
    for step in (1, 7, 100):
        state = fed(family(), tmp_path / "b.hiw", *range(step, len(family().data), step))
        assert state.tree.outline(20) == whole.tree.outline(20)
        assert [p.history.outline(20) for p in state.processes.values()] == [
            p.history.outline(20) for p in whole.processes.values()
        ]
        assert (state.now, state.tree_peak, state.warnings) == (whole.now, whole.tree_peak, whole.warnings)


def test_ended(tmp_path: Path) -> None:
    """Who ended holds nothing; its peak is the mark that was read at its end, and its status is known."""
    state = fed(family(), tmp_path / "a.hiw")
    worker = state.processes[1]
    assert (worker.ended, worker.rss_bytes, worker.peak_bytes) == (True, None, 60 * MIB)
    assert (worker.status, worker.end_ns) == (3 << 8, 80 * MS)
    assert state.end is not None
    assert state.alive == 0


def test_another_image(tmp_path: Path) -> None:
    """After execve a process has another name and another memory; its peak is that of all its images."""
    stream = Stream().process().image(start=split(50 * MIB, 50 * MIB, 0, 0))
    stream.image_end(0, how=ImageEndedBy.EXEC, hwm=70 * MIB, t_ns=10 * MS)
    stream.image(1, 0, comm=b"next", exe=b"/bin/next", start=split(2 * MIB, MIB, MIB, 0), t_ns=10 * MS)
    state = fed(stream, tmp_path / "a.hiw")
    process = state.processes[0]
    assert (process.name, process.rss_bytes, process.peak_bytes) == ("next", 2 * MIB, 70 * MIB)
    assert state.now.rss_bytes == 2 * MIB


def test_borrowed_memory(tmp_path: Path) -> None:
    """A child between vfork and execve shows its parent's memory: it counts once."""
    stream = Stream().process().image(start=split(50 * MIB, 50 * MIB, 0, 0)).process(1, 0)
    stream.image(1, 1, flags=ImageFlags.FORKED | ImageFlags.SAME_MAP, start=split(50 * MIB, 50 * MIB, 0, 0))
    state = fed(stream.samples([row(5, 1, 50, 50)]), tmp_path / "a.hiw")
    assert state.now.rss_bytes == 50 * MIB
    assert state.processes[1].peak_bytes is None


def test_shared_pages_counted_once(tmp_path: Path) -> None:
    """Where the monitor knows the sum with shared pages counted once, that is what the tree holds."""
    stream = two().tree_samples([(52_000, 2, *(size * 256 for size in (44, 40, 1, 2)), 0, 0)])
    state = fed(stream, tmp_path / "a.hiw")
    assert state.counted_once
    assert (state.now.rss_bytes, state.now.anon_bytes, state.now.file_bytes) == (44 * MIB, 40 * MIB, 3 * MIB)
    assert state.tree.value == 44 * MIB


def test_unknown_split(tmp_path: Path) -> None:
    """A row without a size changes nothing; one without its parts is no anonymous memory."""
    stream = two()
    state = fed(stream.samples([(60_000, 1, 0xFFFFFFFF, 1, 1, 1, 1)]), tmp_path / "a.hiw")
    assert state.processes[1].rss_bytes == 40 * MIB


def test_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a build of thousands of processes the largest are remembered, and the ancestors of those that are shown."""
    monkeypatch.setattr(module, "KEPT", 10)
    stream = Stream().process(pid=1).image().process(1, 0, pid=2).image(1, 1).process(2, 1, pid=3).image(2, 2)
    stream.image_end(1, hwm=MIB).process_end(1)  # the parent of one that lives on
    for number in range(3, 103):
        stream.process(number, 2, pid=number + 1).image(number, number)
        stream.image_end(number, hwm=number * MIB).process_end(number)
    state = fed(stream, tmp_path / "a.hiw", *range(0, len(stream.data), 500))
    assert len(state.processes) <= 3 + 15 + 10
    assert {0, 1, 2, 102, 101} <= set(state.processes)
    assert state.forgotten + len(state.processes) == 103
    assert state.alive == 2
    assert len(state._images) == 2


@pytest.mark.parametrize(
    ("order", "pids"), [(Order.TREE, [10, 11, 12]), (Order.RSS, [12, 10, 11]), (Order.PEAK, [11, 12, 10])]
)
def test_orders(tmp_path: Path, order: Order, pids: list[int]) -> None:
    """By tree, by what they hold, by their peaks."""
    stream = two().process(2, 0, pid=12).image(2, 2).samples([row(60, 1, 1), row(60, 2, 50)])
    state = fed(stream, tmp_path / "a.hiw")
    assert [found.process.pid for found in rows(state, order, ended=True)] == pids


def test_who_is_listed(tmp_path: Path) -> None:
    """Without those that have ended, and only who matches; a child then stands below the nearest shown ancestor."""
    stream = Stream().process(pid=1).image(comm=b"top").process(1, 0, pid=2).image(1, 1, comm=b"middle")
    stream.process(2, 1, pid=3).image(2, 2, comm=b"low", arguments=(b"low", b"--Flag")).image_end(1).process_end(1)
    state = fed(stream, tmp_path / "a.hiw")

    def listed(*, ended: bool, pattern: str = "") -> list[tuple[int, int]]:
        return [(row.process.pid, row.depth) for row in rows(state, Order.TREE, ended=ended, pattern=pattern)]

    assert listed(ended=True) == [(1, 0), (2, 1), (3, 2)]
    assert listed(ended=False) == [(1, 0), (3, 1)]
    assert listed(ended=True, pattern="flag") == [(3, 0)]
    assert listed(ended=True, pattern="2") == [(2, 0)]


def test_as_the_recording_says(tmp_path: Path) -> None:
    """At the end the view agrees with what is worked out from the whole recording."""
    recording = parse(family().data)
    state = fed(family(), tmp_path / "a.hiw", 300, 500, 700)
    assert state.tree_peak == recording.last_tree_peak
    largest = state.largest()
    assert largest is not None
    assert largest.peak_bytes == recording.peak_rss.bytes
