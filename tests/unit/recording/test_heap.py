"""The heap in a recording: appended behind its end, and read when somebody asks."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from tests.heaplogs import MS, START_NS, Log
from tests.streams import MIB, Stream, simple

from hiwater.errors import OutputError
from hiwater.heap.log import HeapLog, parse
from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Snapshot
from hiwater.recording import wire
from hiwater.recording.follow import Follower
from hiwater.recording.heap import append_heap, stored, unpack_symbols, with_heap
from hiwater.recording.reader import load
from hiwater.recording.reader import parse as parse_recording
from hiwater.recording.wire import RecordType

FRAMES = (
    Frame("inner", "a.c", 7, "/bin/prog", 0x10, inlined=True, first_line=5),
    Frame("é\udcff", library="/bin/prog"),
)
SYMBOLS = {("/bin/prog", "0a", 0x10): FRAMES, ("/bin/prog", "", 0x99): ()}


def log(number: int = 0, blocks: int = 3) -> HeapLog:
    made = Log(4242, number).module("/bin/prog", 0x1000, 0x9000, build_id=b"\x0a").stack(1, 0x1011)
    for at in range(blocks):
        made.alloc(MS * (at + 1), 0x1000000 * (at + 1), MIB)
    return parse(made.data)


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    """By path and by descriptor; as often as one likes: the last one counts."""
    path = tmp_path / "a.hiw"
    path.write_bytes(simple().data)
    append_heap(path, [log(1)], {})
    fd = os.open(path, os.O_RDWR)
    append_heap(fd, [log(), log(1)], SYMBOLS)
    os.close(fd)
    recording = load(path)
    assert recording.complete
    assert [found.pid for found in recording.heap_profiles] == [4242, 4242]
    heap = recording.heap
    assert heap is not None
    assert heap.peak is not None
    assert heap.peak.in_use_bytes == 3 * MIB
    assert heap.stacks == (FRAMES,)
    assert recording.heap_execution is recording


def test_a_profile_of_another_tool(tmp_path: Path) -> None:
    """Stands there whole, with the execution that it is of."""
    held = Snapshot(1.0, None, 5 * MIB, (Holding(0, Kind.MALLOC, 5 * MIB, 7),), label="peak")
    profile = HeapProfile(Engine.HEAPTRACK, (FRAMES,), peak=held, exit=None, pid=7)
    path = tmp_path / "a.hiw"
    path.write_bytes(simple().data)
    other = parse_recording(simple().data)
    append_heap(path, [], {}, profile=profile, execution=other)
    recording = load(path)
    assert recording.heap == profile
    assert recording.heap_profiles == (profile,)
    assert recording.heap_execution is not recording
    assert recording.summary.peak_rss == parse_recording(simple().data).summary.peak_rss


def test_a_recording_without_a_heap() -> None:
    """Has none."""
    recording = parse_recording(simple().data)
    assert (recording.heap, recording.heap_profiles) == (None, ())
    assert stored(b"junk") is None


def test_the_other_figures_are_what_they_were() -> None:
    """Whoever knows nothing of heaps reads a recording with one as one without."""
    plain, with_one = simple().data, with_heap(simple().data, [log()], SYMBOLS)
    assert parse_recording(with_one).summary == parse_recording(plain).summary
    assert parse_recording(with_one).cut is None


def test_whoever_follows_stops_at_the_end(tmp_path: Path) -> None:
    """The live view is done when the monitor is."""
    path = tmp_path / "a.hiw"
    path.write_bytes(with_heap(simple().data, [log()], SYMBOLS))
    with path.open("rb") as file:
        follower = Follower(file.fileno())
        while follower.poll() is not None:
            pass
        assert follower.finished


def test_a_recording_that_was_cut(tmp_path: Path) -> None:
    """The monitor was killed while it wrote: the beginning of a record goes, the heap comes behind the last whole
    one."""
    path = tmp_path / "a.hiw"
    path.write_bytes(simple().data[:-20])
    append_heap(path, [log()], SYMBOLS)
    recording = load(path)
    assert not recording.complete
    assert recording.heap is not None
    assert recording.heap.stacks == (FRAMES,)


def test_the_execution_that_the_heap_is_of() -> None:
    """The number is of one execution, the heap of another: both are there."""
    start = {"monotonic_start_ns": str(START_NS)}
    other = parse_recording(Stream().facts(**start).command(b"prog").process().image(comm=b"second").end().data)
    recording = parse_recording(with_heap(simple().data, [log()], SYMBOLS, execution=other))
    assert recording.heap_execution.data == other.data
    assert recording.heap is not None
    assert recording.heap.name == "second"


def test_many_pieces() -> None:
    """A file of several MiB is cut into records of one; in the byte order of the recording."""
    big = log(blocks=30_000)
    assert len(big.data) > 1 << 20
    data = with_heap(simple().data, [big], {})
    again = stored(data)
    assert again is not None
    assert again.files == (big.data,)
    other = Stream(">").facts().command(b"x").end().data
    again = stored(with_heap(other, [big], SYMBOLS))
    assert again is not None
    assert again.files == (big.data,)
    assert unpack_symbols(again.symbols) == SYMBOLS


def test_damage_is_no_error() -> None:
    """Whatever becomes of the records: the recording loads, and the heap is what is left of it."""
    plain = simple().data
    data = with_heap(plain, [log()], SYMBOLS)
    for at in range(len(plain), len(data), 29):
        for changed in (data[:at], data[:at] + b"\xff" + data[at + 1 :]):
            recording = parse_recording(changed)
            assert recording.complete
            assert recording.heap is None or recording.heap.pid is not None


def test_a_piece_is_no_larger_than_a_piece() -> None:
    """A few bytes that would become gigabytes stay 1 MiB."""
    bomb = zlib.compress(bytes(50 << 20))
    payload = struct.pack("<" + wire.HEAP_PIECE, 1, 0, 0, 50 << 20, len(bomb), 0) + bomb
    found = stored(simple().record(RecordType.HEAP_LOG, payload, 1).data)
    assert found is not None
    assert len(found.files[0]) == 1 << 20


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b'{"strings":[{}],"addresses":[[0,0,1]]}', b'{"strings":["a"],"addresses":[[0,0,"x"]]}',
     b'{"strings":["a"],"addresses":[[0,9,1]]}', b'{"strings":["a"],"addresses":[[0,0,1,[0,0,"x",1,1,0,1]]]}'],
)  # fmt: skip
def test_symbols_that_are_none(text: bytes) -> None:
    """What does not have their shape is left out."""
    assert unpack_symbols(text) == {}


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """It is said; a full disk leaves the recording as it was."""
    with pytest.raises(OutputError):
        append_heap(tmp_path / "none.hiw", [], {})
    if Path("/dev/full").exists():
        path = tmp_path / "a.hiw"
        path.write_bytes(simple().data)
        fd = os.open(path, os.O_RDONLY)
        with pytest.raises(OutputError):
            append_heap(fd, [log()], {})
        os.close(fd)
        assert path.read_bytes() == simple().data


@pytest.mark.parametrize("order", ["<", ">"])
def test_who_has_no_heap_does_not_pay_for_one(order: str) -> None:
    """Where the end is the last record, the module that reads heaps is not even loaded."""
    data = Stream(order).facts().command(b"prog").end().data
    code = (
        "import sys; from hiwater.recording.reader import parse; r = parse(sys.stdin.buffer.read()); "
        "assert r.heap is None; assert 'hiwater.recording.heap' not in sys.modules; assert 'zlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], input=data, check=True)
