"""Reading a recording while it is written."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.streams import MIB, MS, Stream, simple, split
from tests.timelines import family, row

from hiwater.errors import NotARecordingError
from hiwater.recording import follow, wire
from hiwater.recording.follow import Follower
from hiwater.recording.model import Image, Process, Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import RecordType


class Growing:
    """A file, and who follows it."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb", buffering=0)
        self.fd = os.open(path, os.O_RDONLY)
        self.follower = Follower(self.fd)
        self.parts: list[Recording] = []

    def write(self, data: bytes) -> list[Recording]:
        """Appends; the parts that it gives."""
        self.file.write(data)
        parts = list(iter(self.follower.poll, None))
        self.parts += parts
        return parts

    def close(self) -> None:
        self.file.close()
        os.close(self.fd)


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    found = Growing(tmp_path / "growing.hiw")
    yield found
    found.close()


def processes(parts: list[Recording]) -> dict[int, Process]:
    """As each was last seen, without its images."""
    return {p.number: p for part in parts for p in part.observed_processes}


def images(parts: list[Recording]) -> dict[int, Image]:
    """As each was last seen."""
    return {image.number: image for part in parts for image in part.images}


def rows(recording: Recording) -> list[tuple[int, ...]]:
    line = recording.timeline
    columns = (line.time_ns, line.image, line.rss_pages, line.anon_pages, line.shmem_pages, line.swap_pages)
    return list(zip(*columns, line.hwm_pages, strict=True))


def same(parts: list[Recording], whole: Recording) -> bool:
    """Whether the parts say together what the whole says."""
    last = parts[-1]
    return (
        images(parts) == {image.number: image for image in whole.images}
        and {n: (p.pid, p.parent, p.end) for n, p in processes(parts).items()}
        == {p.number: (p.pid, p.parent, p.end) for p in whole.observed_processes}
        and [found for part in parts for found in rows(part)] == rows(whole)
        and [found for part in parts for found in part.tree_timeline.estimate_pages]
        == list(whole.tree_timeline.estimate_pages)
        and [told for part in parts for told in part.told_warnings] == list(whole.told_warnings)
        and (last.arguments, last.facts, last.stats, last.end, last.last_tree_peak, last.tree_upper)
        == (whole.arguments, whole.facts, whole.stats, whole.end, whole.last_tree_peak, whole.tree_upper)
    )


def test_torn_anywhere(tmp_path: Path) -> None:
    """Wherever a look falls into the writing, nothing is lost, doubled or changed."""
    data = family().data
    whole = parse(data)
    for at in range(len(data) + 1):
        growing = Growing(tmp_path / "growing.hiw")
        growing.write(data[:at])
        growing.write(data[at:])
        assert same(growing.parts, whole), f"torn at byte {at}"
        assert growing.follower.finished
        growing.close()


def test_byte_by_byte(growing: Growing) -> None:
    """A record is told when its last byte is there, and not before."""
    data = family().data
    told = [len(growing.write(data[at : at + 1])) for at in range(len(data))]
    assert max(told) == 1
    assert same(growing.parts, parse(data))


def test_in_pieces(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long file is read in pieces of bounded size; a record that is longer is read all the same."""
    monkeypatch.setattr(follow, "PIECE", 64)
    growing.write(family().data)
    assert len(growing.parts) > 5
    assert same(growing.parts, parse(family().data))


def test_other_byte_order(growing: Growing) -> None:
    """A recording of another machine is followed as well."""
    data = Stream(">").facts().command(b"a").process(pid=7).image().samples([row(1, 0, 10, 8)]).end(MIB).data
    growing.write(data[:-30])
    growing.write(data[-30:])
    assert same(growing.parts, parse(data))


def test_a_part_holds_only_what_is_new(growing: Growing) -> None:
    """Who ended is told once; who lives is in every part, so that an hour takes no more memory than a minute."""
    stream = Stream().facts().command(b"a").process().image().process(1, 0).image(1, 1)
    stream.samples([row(1, 0, 10), row(1, 1, 5)]).warning("w", "text")
    growing.write(stream.data)
    done = len(stream.data)
    stream.image_end(1, hwm=6 * MIB).process_end(1)
    growing.write(stream.data[done:])
    done = len(stream.data)
    stream.samples([row(5, 0, 11)])
    growing.write(stream.data[done:])
    first, second, third = growing.parts
    assert [p.number for p in first.observed_processes] == [0, 1]
    assert [p.end is not None for p in second.observed_processes] == [False, True]
    assert [p.number for p in third.observed_processes] == [0]
    assert [image.number for image in third.images] == [0]
    assert (len(first.timeline), len(second.timeline), len(third.timeline)) == (2, 0, 1)
    assert (first.told_warnings != (), third.told_warnings) == (True, ())
    assert growing.follower.finished is False


def test_an_image_that_was_replaced_is_told_once(growing: Growing) -> None:
    """So it is with the images of a process that goes on."""
    stream = Stream().process().image().image_end(0).image(1, 0, comm=b"next")
    growing.write(stream.data)
    growing.write(Stream().samples([row(1, 1, 3)]).data[len(Stream().data) :])
    assert [image.number for image in growing.parts[0].images] == [0, 1]
    assert [image.name for image in growing.parts[1].images] == ["next"]


def test_damaged(growing: Growing) -> None:
    """A record that cannot be true ends it, and it is said where."""
    good = Stream().process().image(start=split(MIB))
    growing.write(good.data + bytes(16))
    assert [part.cut is not None and part.cut.reason for part in growing.parts] == [
        f"the record at byte {len(good.data)} is damaged"
    ]
    assert growing.follower.finished
    assert growing.write(simple().data) == []


def test_shortened(growing: Growing) -> None:
    """A file that gets shorter (the monitor takes half a record back when the disk is full) is waited for."""
    data = family().data
    growing.write(data[:400])
    growing.file.truncate(100)
    growing.file.seek(100)
    assert growing.follower.poll() is None
    growing.write(data[100:])
    assert growing.follower.finished


def test_no_recording(growing: Growing) -> None:
    """What is no recording is refused as the reader refuses it."""
    with pytest.raises(NotARecordingError):
        growing.write(b"x" * 100)


def test_full_disk(growing: Growing) -> None:
    """What is written behind the mark of a full disk is read: the end of the command."""
    data = Stream().process().record(RecordType.CUT, struct.pack("<" + wire.CUT, 5 * MS, 28, 0)).end(MIB).data
    end = len(data) - struct.calcsize("<" + wire.RECORD) - struct.calcsize("<" + wire.END)
    growing.write(data[:end])
    assert growing.parts[-1].cut is not None
    growing.write(data[end:])
    assert growing.parts[-1].end is not None
    assert growing.follower.finished
