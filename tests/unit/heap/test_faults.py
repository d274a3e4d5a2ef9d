"""Profiles from sampled page faults: what they estimate, when, and what they say of what they do not see."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from tests.streams import MIB, MS, Stream, split

from hiwater.heap.faults import asked, by_image, profile
from hiwater.heap.model import Engine, Frame, HeapProfile, Kind
from hiwater.recording import wire
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import (
    FaultFlags,
    FaultKind,
    FaultStackFlags,
    FaultTotalsFlags,
    RecordType,
)

PAGE = 4096
PERIOD = 61
SAMPLE = PERIOD * PAGE
NAMES = {0x1000: "leaf", 0x1FFF: "load", 0x2FFF: "main"}


class Resolver:
    """Knows a few functions of one program."""

    def __init__(self) -> None:
        self.prepared: list[tuple[str, str, int]] = []

    def prepare(self, wanted: Sequence[tuple[str, str, int]]) -> None:
        self.prepared += wanted

    def resolve(self, module_path: str, build_id: str, address: int) -> tuple[Frame, ...]:
        assert build_id == ("ab12" if module_path == "/usr/bin/prog" else "")
        name = "compiled" if (module_path, address) == ("/tmp/perf-4242.map", 0x6000) else NAMES.get(address)
        return () if name is None else (Frame(name, library=module_path, address=address),)


def pack(order: str, layout: str, *values: int) -> bytes:
    return struct.pack(order + layout, *values)


def fault(
    order: str,
    ms: float,
    stack: int = 0,
    image: int = 0,
    kind: int = FaultKind.ANON,
    module: int = wire.NONE,
    flags: int = 0,
    address: int = 0x7F0000000000,
) -> bytes:
    return pack(order, wire.FAULT, int(ms * MS), address, image, stack, module, 4242, kind, flags, 0)


def begun(order: str = "<", rss: int = 40 * MIB, minor_faults: int = 10_000) -> Stream:
    """A program that had its largest RSS at 50 ms, which a look saw, and three stacks."""
    stream = Stream(order).facts().command(b"prog").process().image()
    stream.record(RecordType.FAULT_IMAGE, pack(order, wire.FAULT_IMAGE, 0, 0, 4242, 4, 0) + b"prog", 1)
    stream.record(RecordType.FAULT_MODULE, pack(order, wire.FAULT_MODULE, 7, 2, 13) + b"\xab\x12/usr/bin/prog")
    stream.record(RecordType.FAULT_MODULE, pack(order, wire.FAULT_MODULE, 8, 0, 13) + b"/srv/music.db")
    frames = ((0x1000, 7, 1), (0x2000, 7, 0), (0x3000, 7, 0))
    for number, chosen in enumerate((frames, frames[1:], ((0x5555, wire.NONE, 1),))):
        payload = pack(order, wire.FAULT_STACK, number, len(chosen))
        payload += b"".join(pack(order, wire.FAULT_FRAME, *frame) for frame in chosen)
        stream.record(RecordType.FAULT_STACK, payload, FaultStackFlags.BROKEN if number == 2 else 0)
    stream.image_end(hwm=rss, at_max=split(rss), last=split(30 * MIB)).process_end(
        maxrss=rss, minor_faults=minor_faults
    )
    return stream


def ended(stream: Stream, rows: Sequence[bytes], faults: int | None = None, flags: int = 0, lost: int = 0) -> Recording:
    stream.record(RecordType.FAULTS, b"".join(rows))
    counted = len(rows) * PERIOD if faults is None else faults
    totals = (90 * MS, PERIOD, counted, len(rows), lost, 0, 16384, MS)
    stream.record(RecordType.FAULT_TOTALS, pack(stream.order, wire.FAULT_TOTALS, *totals), flags)
    return parse(stream.stats().end().data)


def made(recording: Recording, pid: int | None = None) -> HeapProfile:
    found = profile(recording, Resolver(), pid=pid)
    assert found is not None
    return found


def sums(found: HeapProfile) -> dict[tuple[str | None, ...], int]:
    """Samples by the functions on their stacks, at the peak."""
    assert found.peak is not None
    return {
        tuple(frame.function for frame in found.stacks[held.stack]): held.in_use_bytes // SAMPLE
        for held in found.peak.holdings
    }


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_sample_stands_for_its_period(order: str) -> None:
    """Each sample is a period of pages by its stack, in either byte order; a return address is looked up at the byte
    before it, what interrupted an instruction at the instruction."""
    found = made(ended(begun(order), [fault(order, 10 + i, i % 2) for i in range(30)]))
    assert (found.engine, found.pid, found.name, found.command) == (Engine.FAULTS, 4242, "prog", ("prog",))
    assert (found.samples, found.lost_samples, found.sample_bytes) == (30, 0, SAMPLE)
    assert sums(found) == {("leaf", "load", "main"): 15, ("load", "main"): 15}
    assert found.peak is not None
    assert found.peak.in_use_bytes == 30 * SAMPLE
    assert {held.kind for held in found.peak.holdings} == {Kind.FAULT}
    assert [held.allocations for held in found.peak.holdings] == [15 * PERIOD, 15 * PERIOD]


def test_the_standard_error() -> None:
    """It is that of counting with a probability of one in a period, so its share falls with the root of the number."""
    found = made(ended(begun(), [fault("<", 10)] * 100))
    assert found.peak is not None
    assert found.peak.standard_error_bytes == pytest.approx(SAMPLE * 10 * (1 - 1 / PERIOD) ** 0.5, rel=1e-6)


def test_peak_and_exit() -> None:
    """The peak holds what was touched until a look saw the RSS at its largest, the exit all."""
    found = made(ended(begun(), [fault("<", ms) for ms in (10, 20, 49, 51, 60)]))
    assert found.peak is not None and found.exit is not None
    assert (found.peak.in_use_bytes, found.exit.in_use_bytes) == (3 * SAMPLE, 5 * SAMPLE)
    assert (found.peak.at_seconds, found.exit.at_seconds) == (0.05, 0.1)
    assert (found.peak.rss_bytes, found.exit.rss_bytes) == (40 * MIB, 30 * MIB)


def test_a_peak_that_no_look_saw() -> None:
    """Where looks saw less than the mark says, the peak is not before the end of growth."""
    stream = Stream().facts().command(b"prog").process().image()
    stream.record(RecordType.FAULT_IMAGE, pack("<", wire.FAULT_IMAGE, 0, 0, 4242, 4, 0) + b"prog", 1)
    stream.image_end(hwm=40 * MIB, at_max=split(20 * MIB)).process_end(maxrss=40 * MIB)
    found = made(ended(stream, [fault("<", ms, wire.NONE) for ms in (10, 60)]))
    assert found.peak is not None
    assert (found.peak.in_use_bytes, found.peak.rss_bytes) == (2 * SAMPLE, 40 * MIB)


def test_growth_and_course() -> None:
    """There is a snapshot each time that so much was touched again."""
    found = profile(ended(begun(), [fault("<", ms) for ms in range(40)]), Resolver(), every_bytes=4 * SAMPLE)
    assert found is not None
    assert [one.in_use_bytes // SAMPLE for one in found.growth] == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    assert [point.in_use_bytes // SAMPLE for point in found.course] == list(range(1, 41))


def test_files_and_shared_memory_are_told_apart() -> None:
    """What is no anonymous memory has a frame that says what was touched; what nothing is known of is anonymous."""
    rows = [
        fault("<", 1, 1, kind=FaultKind.FILE, module=8),
        fault("<", 2, 1, kind=FaultKind.SHMEM),
        fault("<", 3, 1, kind=FaultKind.HUGETLB),
        fault("<", 4, 1, kind=FaultKind.UNKNOWN),
        fault("<", 5, 1, kind=FaultKind.STACK),
        fault("<", 6, 1, kind=99),
    ]
    found = made(ended(begun(), rows))
    assert sums(found) == {
        ("[file music.db]", "load", "main"): 1,
        ("[shared memory]", "load", "main"): 1,
        ("[hugetlb page]", "load", "main"): 1,
        ("load", "main"): 3,
    }
    assert any("bring up to 64 KiB each" in note for note in found.notes)
    assert any("hugetlbfs" in note for note in found.notes)


def test_code_that_has_no_file() -> None:
    """Its address is all that there is, unless the process left a map of what it compiled."""
    stream = begun()
    payload = pack("<", wire.FAULT_STACK, 3, 1) + pack("<", wire.FAULT_FRAME, 0x6001, wire.NONE, 0)
    stream.record(RecordType.FAULT_STACK, payload)
    found = made(ended(stream, [fault("<", 1, 2), fault("<", 2, 3)]))
    assert found.stacks[0] == (Frame(None, address=0x5555),)
    assert [frame.function for frame in found.stacks[1]] == ["compiled"]


def test_other_programs_of_the_tree() -> None:
    """The program that peaked is told of, others where they are asked for; that there are some is said."""
    stream = begun().process(1, 0, 4300, 5 * MS).image(1, 1, b"other", b"/bin/other", t_ns=5 * MS)
    stream.record(RecordType.FAULT_IMAGE, pack("<", wire.FAULT_IMAGE, 5 * MS, 1, 4300, 5, 0) + b"other", 1)
    stream.image_end(1, hwm=MIB).process_end(1, MIB)
    recording = ended(stream, [*[fault("<", 10)] * 3, *[fault("<", 11, 1, 1)] * 7])
    assert [(one.told.pid, one.name, len(one.samples)) for one in by_image(recording)] == [
        (4300, "other", 7),
        (4242, "prog", 3),
    ]
    assert made(recording).name == "prog"
    assert any(note.startswith("Other programs") for note in made(recording).notes)
    assert made(recording, 4300).name == "other"
    assert profile(recording, Resolver(), pid=1) is None


def test_pages_that_came_without_a_fault_are_counted() -> None:
    """What getrusage counts and the event does not see is told in pages, with what can be the cause."""
    told = made(ended(begun(minor_faults=12_000), [fault("<", 10)], faults=10_000)).notes
    assert any(note.startswith("2,000 pages (7.8 MiB) came unseen: on the kernel's side") for note in told)
    seen = FaultTotalsFlags.KERNEL_SEEN
    told = made(ended(begun(minor_faults=12_000), [fault("<", 10)], faults=10_000, flags=seen)).notes
    assert any("(7.8 MiB) came unseen: filled in without a fault" in note for note in told)
    told = made(ended(begun(minor_faults=10_100), [fault("<", 10)], faults=10_000)).notes
    assert not any("unseen" in note for note in told)


def test_what_the_kernel_touched_is_told() -> None:
    """Faults on behalf of a system call are named."""
    rows = [fault("<", 10, flags=FaultFlags.BY_KERNEL)] * 10
    assert any("by system calls" in note for note in made(ended(begun(), rows)).notes)


def test_losses_are_told() -> None:
    """No sample is lost silently."""
    found = made(ended(begun(), [fault("<", 10)], lost=41))
    assert found.lost_samples == 41
    assert any("41 records found no room" in note for note in found.notes)


def test_recordings_without_faults() -> None:
    """There is no profile of them, and nothing to ask."""
    recording = parse(Stream().facts().command(b"prog").process().image().image_end().process_end().stats().end().data)
    assert recording.faults is None
    assert by_image(recording) == ()
    assert profile(recording, Resolver()) is None


def test_what_is_damaged_is_left_out() -> None:
    """Records that are too short, and names that nobody has, cost no more than themselves."""
    stream = begun()
    for kind in (RecordType.FAULT_IMAGE, RecordType.FAULT_MODULE, RecordType.FAULT_STACK, RecordType.FAULT_TOTALS):
        stream.record(kind, b"")
    stream.record(RecordType.FAULT_STACK, pack("<", wire.FAULT_STACK, 3, 1 << 31))
    stream.record(RecordType.FAULTS, fault("<", 1)[:-8])
    found = made(ended(stream, [fault("<", 10, 3), fault("<", 11, 77), fault("<", 12, 0), fault("<", 13, 0, 99)]))
    assert found.samples == 3
    assert sums(found) == {(): 2, ("leaf", "load", "main"): 1}


def test_all_is_asked_at_once() -> None:
    """A resolver that is quicker with many addresses gets them all, once each."""
    recording = ended(begun(), [fault("<", 10)])
    assert recording.faults is not None
    assert asked(recording.faults) == tuple(("/usr/bin/prog", "ab12", address) for address in sorted(NAMES))
    resolver = Resolver()
    profile(recording, resolver)
    assert tuple(resolver.prepared) == asked(recording.faults)
