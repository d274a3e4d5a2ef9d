"""From logs and a recording to a heap profile: which moment is the peak's, and what stood where."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.heaplogs import MS, START_NS, Log
from tests.streams import MIB, Stream, split

from hiwater.heap import moments
from hiwater.heap.log import HeapLog, continued, parse
from hiwater.heap.model import Engine, Frame, HeapProfile, Kind, Language
from hiwater.heap.moments import GrowthOf, How
from hiwater.heap.profile import NoSymbols, Remembering, profile, profiles
from hiwater.heap.replay import Replay
from hiwater.heap.wire import HeadFlags, Why
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse as parse_recording

PAGES = MIB // 4096
FACT = {"monotonic_start_ns": str(START_NS)}


@dataclass
class Symbols:
    """Every address of ``/bin/prog`` is a function named after it."""

    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def resolve(self, module_path: str, build_id: str, address: int) -> tuple[Frame, ...]:
        self.asked.append((module_path, build_id, address))
        return (Frame(f"f{address:x}", "prog.c", address, module_path, address),)


def recording(
    rows: list[tuple[int, int, int]], *, peak: int | None = None, exact: int = -1, pid: int = 4242, clock: bool = True
) -> Recording:
    """Rows of (ms, RSS in MiB, VmHWM in MiB), as the monitor's looks saw them."""
    largest = max(rss for _, rss, _ in rows) * MIB
    stream = Stream().facts(**(FACT if clock else {})).command(b"prog").process(pid=pid).image()
    columns = [(ms * 1000, 0, rss * PAGES, rss * PAGES, 0, 0, hwm * PAGES) for ms, rss, hwm in rows]
    stream.samples(columns)
    hwm = max(largest, peak or 0)
    stream.image_end(hwm=hwm, max_rss=largest, exact=exact, last=split(largest))
    return parse_recording(stream.process_end(maxrss=hwm).stats().end(maxrss=hwm).data)


def log_of(log: Log) -> HeapLog:
    return parse(log.data)


def grown(*steps: tuple[int, int]) -> Log:
    """A heap that has so many MiB (one block each) at the times (ms) given."""
    log, alive = Log().module("/bin/prog", 0x1000, 0x9000, build_id=b"\x01").stack(1, 0x1011), list[int]()
    at = 0
    for ms, size in steps:
        while len(alive) > size:
            log.free(ms * MS, alive.pop())
        while len(alive) < size:
            at += 1
            alive.append(at << 24)
            log.alloc(ms * MS, at << 24, MIB)
    return log


def peak_of(log: Log, recording: Recording) -> tuple[float, float, float, How] | None:
    """In milliseconds: the moment, and its bounds."""
    read = log_of(log)
    image = moments.image_of(read, recording)
    found = moments.peak(Replay(read), recording, image, None if image is None else moments.sight(recording, image))
    if found is None:
        return None
    return *((at - START_NS) / MS for at in (found.t_ns, found.low_ns, found.high_ns)), found.how  # type: ignore[return-value]


def test_the_peak_that_a_look_saw() -> None:
    """The heap as it was when the RSS was largest, not when the heap itself was: memory that is allocated and never
    touched makes the heap large elsewhere."""
    log = grown((10, 5), (20, 40), (30, 10), (40, 90), (50, 20))
    seen = recording([(5, 1, 1), (11, 6, 6), (21, 60, 60), (29, 60, 60), (31, 12, 60), (51, 22, 60)])
    assert peak_of(log, seen) == (20.0, 19.0, 31.0, How.LOOKS)


def test_a_page_more_at_the_exit_is_no_other_peak() -> None:
    """The memory stays resident after it was freed, and the exit touches some pages more: it is where, within 1 % of
    the peak, the heap held most."""
    log = grown((10, 100), (50, 1))
    seen = recording([(11, 101, 101), (90, 102, 102)])
    assert peak_of(log, seen) == (10.0, 11.0 - 2.0, 100.0, How.LOOKS)


def test_a_spike_between_two_looks() -> None:
    """VmHWM brackets it, the heap says where in between."""
    log = grown((10, 5), (31, 80), (32, 5))
    seen = recording([(11, 6, 6), (30, 6, 6), (40, 6, 85), (90, 6, 85)], peak=85 * MIB)
    assert peak_of(log, seen) == (31.0, 30.0, 40.0, How.MARK)


def test_ru_maxrss_brackets_it_closer() -> None:
    """The record before the first that has the final value is the earlier bound."""
    log = grown((10, 5), (31, 80), (32, 5)).totals(9 * MS, 2 * MIB).totals(31 * MS, 50 * MIB).totals(33 * MS, 85 * MIB)
    log.totals(95 * MS, 85 * MIB)
    seen = recording([(11, 6, 6), (30, 6, 6), (40, 6, 85), (90, 6, 85)], peak=85 * MIB)
    assert peak_of(log, seen) == (31.0, 31.0, 33.0, How.MARK)


def test_what_was_inherited_tells_nothing() -> None:
    """ru_maxrss that is the final one from the first record on is a launcher's, or an earlier image's."""
    log = grown((10, 5), (31, 80), (32, 5)).totals(1 * MS, 800 * MIB).totals(33 * MS, 800 * MIB)
    seen = recording([(50, 6, 0)], clock=False)
    assert peak_of(log, seen) == (31.0, 0.0, 32.0 + 1, How.HEAP)


def test_no_clock_in_common() -> None:
    """A recording of before the monitor told its clock: ru_maxrss and the heap are what is left, and times are those
    since the image began."""
    log = grown((10, 5), (20, 80), (30, 5)).totals(9 * MS, 2 * MIB).totals(21 * MS, 85 * MIB)
    seen = recording([(50, 6, 6)], clock=False)
    found = profile(seen, [log_of(log)], NoSymbols())
    assert found is not None
    assert found.peak is not None
    assert (found.peak.at_seconds, found.peak.rss_bytes) == (0.02, 85 * MIB)


def test_by_events() -> None:
    """The largest of the events is the peak, at their time."""
    log = grown((10, 5), (50, 80), (51, 5))
    seen = recording([(11, 6, 0), (90, 6, 0)], exact=85 * MIB)
    assert peak_of(log, seen) == (50.0, 48.0, 90.0, How.EVENTS)


def test_a_heap_that_never_was() -> None:
    """Nothing sampled: the moment is that of the RSS; without an RSS there is none."""
    found = peak_of(Log(end_ns=80 * MS), recording([(20, 60, 60), (30, 5, 60)]))
    assert found is not None
    assert found[0] <= 20
    nothing = parse_recording(Stream().facts().command(b"prog").process().data)
    assert peak_of(Log(), nothing) is None
    empty = profile(nothing, [log_of(Log())], NoSymbols())
    assert empty is not None
    assert (empty.peak, empty.growth) == (None, ())


def test_growth_of_what_is_in_use_and_of_what_is_allocated() -> None:
    """A snapshot each time the largest that was in use has grown by so much again; or all that was allocated."""
    replay = Replay(log_of(grown((1, 4), (2, 9), (3, 2), (4, 9), (5, 25))))
    times = [(t_ns - START_NS) // MS for t_ns in moments.growth(replay, 10 * MIB)[0]]
    assert times == [5]
    times = [(t_ns - START_NS) // MS for t_ns in moments.growth(replay, 10 * MIB, GrowthOf.ALLOCATED)[0]]
    assert times == [4, 5]
    found, step = moments.growth(Replay(log_of(grown((1, 2000)))), MIB)
    assert (step, found) == (8 * MIB, [START_NS + MS])
    assert moments.growth(replay, 0) == ([], 0)


def test_a_fork_grows_from_what_it_was_given() -> None:
    """What its parent did before is its parent's growth, and its parent's course."""
    parent = grown((1, 25))
    child = Log(101, parent=(4242, 0), copied=parent.end, start_ns=2 * MS, flags=HeadFlags.FORKED | HeadFlags.ENDED)
    child.stack(0, 0x1011)
    for at in range(12):
        child.alloc((3 + at) * MS, (100 + at) << 24, MIB, stack=0)
    log = continued([log_of(parent), log_of(child)])[0]
    assert log.head.pid == 101
    replay = Replay(log)
    assert [(t_ns - START_NS) // MS for t_ns in moments.growth(replay, 10 * MIB)[0]] == [7]
    found = profile(recording([(20, 40, 40)], pid=101), [log], NoSymbols())
    assert found is not None
    assert [point.in_use_bytes // MIB for point in found.course] == list(range(26, 38))


def the(recording: Recording, *logs: Log) -> HeapProfile:
    found = profile(recording, continued([log_of(log) for log in logs]), Symbols(), every_bytes=10 * MIB)
    assert found is not None
    return found


def test_a_profile() -> None:
    """All that the views need: stacks with names, the snapshots, the course, and what a reader has to know."""
    log = grown((10, 5), (20, 40), (30, 10))
    log.totals(20 * MS, 41 * MIB, [41, 41 * MIB, 0, 0, 0])
    log.map(15 * MS, 0x7F0000000000, 3 * MIB, stack=1)
    seen = recording([(5, 1, 1), (11, 6, 6), (21, 60, 60), (31, 12, 60)])
    found = the(seen, log)
    assert (found.engine, found.pid, found.name, found.command) == (Engine.HIWATER, 4242, "prog", ("prog",))
    (stack,) = found.stacks
    assert stack == (Frame("f10", "prog.c", 0x10, "/bin/prog", 0x10),)
    peak = found.peak
    assert peak is not None
    assert (peak.at_seconds, peak.rss_bytes, peak.in_use_bytes, peak.label) == (0.02, 60 * MIB, 40 * MIB, "peak")
    assert [(one.stack, one.kind, one.in_use_bytes, one.allocations) for one in peak.holdings] == [
        (0, Kind.MALLOC, 40 * MIB, 40),
        (0, Kind.MMAP, 3 * MIB, 1),
    ]
    assert peak.standard_error_bytes == 0
    assert found.exit is not None
    assert (found.exit.in_use_bytes, found.exit.label) == (10 * MIB, "exit")
    assert {(one.in_use_bytes, one.rss_bytes, one.label) for one in found.growth} == {(40 * MIB, 6 * MIB, "growth")}
    assert max(point.in_use_bytes for point in found.course) == 40 * MIB
    assert found.samples == 40
    assert found.lost_samples == 0
    assert any("0.020 s" in note for note in found.notes)


def test_return_addresses_are_looked_up_in_the_call() -> None:
    """One byte before, in the file's own terms, in the library that lay there when the stack was taken; each once."""
    log = Log().module("/lib/old.so", 0x1000, 0x2000, bias=0x500).module_gone(0x1000, 20)
    log.module("/lib/new.so", 0x1000, 0x2000, bias=0x800, t_ns=21)
    log.stack(1, 0x1101, 0x9999).stack(2, 0x1101, 0x1101)
    log.alloc(10, 0xA00, MIB, stack=1).alloc(30, 0xB00, MIB, stack=2)
    symbols = Remembering(Symbols())
    found = profile(recording([(20, 6, 6)]), [log_of(log)], symbols)
    assert found is not None
    compiled = ("/tmp/perf-4242.map", "", 0x9998)  # in no library: code that was compiled as the program ran
    assert set(symbols.symbols) == {("/lib/old.so", "", 0xC00), ("/lib/new.so", "", 0x900), compiled}
    unknown = profile(recording([(20, 6, 6)]), [log_of(log)], NoSymbols())
    assert unknown is not None
    assert any(stack[-1] == Frame(None, address=0x9998) for stack in unknown.stacks)


def test_python_frames_are_put_in_by_whoever_is_given() -> None:
    """The seam: native frames by return address, Python's with their entries; one stack comes back."""
    log = Log(flags=HeadFlags.PYTHON | HeadFlags.ENDED).module("/bin/prog", 0x1000, 0x9000)
    log.code(3, "load", "app.py", 10).stack(1, 0x1011, 0x1021, python=[(3, 12, 1), (9, 0, 0)])
    log.alloc(10, 0xA00, MIB)
    given = []

    def merge(native: object, python: object) -> tuple[Frame, ...]:
        given.append((native, python))
        return (Frame("merged"),)

    found = profile(recording([(20, 6, 6)]), [log_of(log)], Symbols(), merge=merge)
    assert found is not None
    assert found.stacks == ((Frame("merged"),),)
    ((native, python),) = given
    assert [[frame.function for frame in frames] for frames in native] == [["f10"], ["f20"]]  # type: ignore[attr-defined]
    assert [(one.frame.function, one.frame.line, one.entry) for one in python] == [  # type: ignore[attr-defined]
        ("load", 12, True),
        (None, None, False),
    ]
    assert python[0].frame.language is Language.PYTHON  # type: ignore[index]


def test_of_several_images_the_one_that_peaked_is_meant() -> None:
    """By the time that log and image were together; each has a profile of its own."""
    stream = Stream().facts(**FACT).command(b"sh").process(pid=50).image(comm=b"sh")
    stream.image_end(hwm=2 * MIB, max_rss=2 * MIB, t_ns=10 * MS)
    stream.image(number=1, comm=b"big", t_ns=10 * MS).image_end(number=1, hwm=50 * MIB, max_rss=50 * MIB)
    seen = parse_recording(stream.process_end(maxrss=50 * MIB).stats().end(maxrss=50 * MIB).data)
    first = Log(50, 0, end_ns=10 * MS).alloc(MS, 0xA00, 100)
    second = Log(50, 1, start_ns=10 * MS, end_ns=90 * MS).alloc(20 * MS, 0xA00, MIB)
    logs = [log_of(second), log_of(first)]
    assert [one.name for one in profiles(seen, logs, Symbols())] == ["sh", "big"]
    found = profile(seen, logs, Symbols())
    assert found is not None
    assert found.name == "big"
    assert profile(seen, [], Symbols()) is None


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (Log(lost=(3, 1 << 20, 0)), "3 samples were taken and could not be written"),
        (Log(lost=(0, 0, 4)), "4 sampled blocks"),
        (Log(skipped=(2, 1 << 20)), "2 allocations of 1.0 MiB"),
        (Log(flags=HeadFlags(0)), "was killed, or still ran"),
        (Log(flags=HeadFlags.STOPPED), "Sampling ended before"),
        (
            Log().not_followed("/bin/busybox", Why.IS_STATIC),
            "/bin/busybox was executed and cannot be followed: it is s",
        ),
        (Log().not_followed("/x", 99), "newer than this hiwater"),
        (Log(parent=(1, 0), flags=HeadFlags.FORKED), "what its parent wrote is not there"),
    ],
)
def test_what_is_missing_is_said(log: Log, words: str) -> None:
    """Nothing is lost in silence."""
    notes = " ".join(the(recording([(20, 6, 6)]), log.alloc(1, 0xA00, 16)).notes)
    assert words in notes


def test_a_process_that_was_killed_has_its_last_state_as_its_exit() -> None:
    """What was sampled until then is there; where nobody saw an end there is no exit."""
    log = grown((10, 5))
    log.flags = HeadFlags(0)
    found = the(recording([(20, 6, 6)]), log)
    assert found.exit is not None
    assert found.exit.in_use_bytes == 5 * MIB
    log.flags = HeadFlags.STOPPED
    assert the(recording([(20, 6, 6)]), log).exit is None
