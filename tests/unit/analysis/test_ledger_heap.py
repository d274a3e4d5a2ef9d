"""The heap in the ledger: from what the program asked for to what is resident, to the byte."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from tests.heaplogs import MS, Log
from tests.heaps import CLOCK, SYMBOLS, log, python_log, recording
from tests.ledgers import mapping, snapshot, stream, with_ledgers
from tests.streams import MIB, Stream

from hiwater.analysis.ledger_model import HeapLedger, Known, Row
from hiwater.heap.log import parse
from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Snapshot
from hiwater.recording.heap import with_heap
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse as parse_recording
from hiwater.recording.wire import MapKind, RecordType
from hiwater.views import explain_text
from hiwater.views.paint import Paint


def heap_of(recording: Recording) -> HeapLedger:
    """Of the process that peaked; what always holds is asserted."""
    ledger = recording.ledger.peak
    assert ledger is not None
    assert ledger.bytes == ledger.peak_bytes
    assert ledger.heap is not None
    heap = ledger.heap
    assert sum(row.bytes for row in heap.rows) == heap.bytes
    assert heap.remainder.known is Known.REMAINDER
    for one in heap.rows:
        assert not one.details or sum(detail.bytes for detail in one.details) == one.bytes
    base = [row.bytes for key in ("heap", "arenas", "other") if (row := ledger.row(key)) is not None]
    assert not base or heap.bytes == sum(base)
    return heap


def rows(heap: HeapLedger) -> dict[str, Row]:
    return {row.key: row for row in heap.rows}


def test_every_byte_between_the_heap_and_its_resident_memory() -> None:
    """In use, by place; headers and rounding, as malloc says; free in its arenas; never touched, as the kernel says;
    and what nobody explains."""
    heap = heap_of(recording())
    found = rows(heap)
    in_use = found["in_use"]
    assert in_use.bytes == pytest.approx(104 * MIB, rel=0.03)
    assert [detail.label for detail in in_use.details] == ["index\x1b[1m (app.c:40)", "load (app.c:12)"]
    assert in_use.known is Known.SAMPLED
    assert in_use.error_bytes is not None
    assert 0 < in_use.error_bytes < 4 * MIB
    assert (heap.in_use_bytes, heap.error_bytes) == (in_use.bytes, in_use.error_bytes)
    assert in_use.bytes + found["overhead"].bytes == 83 * MIB + 24 * MIB + 4096
    assert found["overhead"].known is Known.INFERRED
    assert (found["free"].bytes, found["free"].known) == (21 * MIB, Known.EXACT)
    assert found["untouched"].bytes == -4 * MIB - (4 * MIB + 4096)
    assert [(row.bytes, row.known) for row in found["untouched"].details] == [
        (-4 * MIB, Known.EXACT),
        (-4 * MIB - 4096, Known.INFERRED),
    ]
    assert "free_since" not in found
    assert heap.remainder.bytes == 125 * MIB - (107 + 21 - 8) * MIB
    assert (heap.at_ns, heap.account_ns, heap.freed_bytes) == (45 * MS, 40 * MS, 19 * MIB)
    assert not heap.other_execution


def test_malloc_s_account_is_of_another_moment() -> None:
    """What was freed meanwhile is told by the samples, what the arenas have grown by is told by the kernel."""
    heap = heap_of(recording(log(late=10), size=106 * MIB))
    since = rows(heap)["free_since"]
    assert since.bytes == pytest.approx(12 * MIB, abs=MIB)
    assert since.known is Known.INFERRED
    assert heap.freed_bytes == 19 * MIB + since.bytes


def test_without_an_account_nothing_is_invented() -> None:
    """Other allocators than glibc's say nothing: it is not explained."""
    found = rows(heap_of(recording(log(account=False))))
    assert set(found) == {"in_use", "untouched", "remainder"}


def test_small_objects_of_python_are_not_malloc_s() -> None:
    """They lie in arenas of Python's own, which hold more than the objects; larger ones come from malloc."""
    found = rows(heap_of(recording(python_log())))
    assert found["python_in_use"].bytes == 100 * (MIB + 500)
    assert found["python_free"].bytes == MIB - 100 * 500
    assert found["overhead"].bytes == MIB
    assert "in_use" not in found


def test_what_the_program_mapped_is_a_row_of_its_own() -> None:
    """By place, as address space, exact."""
    made = log().map(12 * MS, 0x7F0000000000, 7 * MIB, stack=1)
    found = rows(heap_of(recording(made)))
    assert (found["mapped"].bytes, found["mapped"].known, found["mapped"].error_bytes) == (7 * MIB, Known.EXACT, None)
    assert found["untouched"].details[-1].bytes == -4 * MIB - 4096 - 2 * MIB


def test_no_mappings_were_read() -> None:
    """All anonymous memory is broken down, as it was at the largest RSS."""
    found = recording(ledger=False)
    heap = heap_of(found)
    ledger = found.ledger.peak
    assert ledger is not None
    section = ledger.section("anonymous")
    assert section is not None
    assert heap.bytes == section.bytes
    assert heap.at_ns == ledger.peak_ns
    assert "untouched" not in rows(heap)


def test_the_heap_is_of_another_execution() -> None:
    """Its rows close on that execution's own memory; by how much the two differ is one more."""
    other = recording()
    payload = other.packed_ledgers[0].payload
    with_its_ledger = stream(facts=CLOCK)
    end = with_its_ledger.data.rindex(struct.pack("<IHH", 64, RecordType.END, 0))
    head = struct.pack("<IHH", 8 + len(payload), RecordType.LEDGER, 0)
    executed = with_its_ledger.data[:end] + head + payload + with_its_ledger.data[end:]
    written = stream()
    written.data = with_heap(written.data, [parse(log().data)], SYMBOLS, execution=parse_recording(executed))
    found = with_ledgers(written, snapshot([mapping(MapKind.HEAP, rss=90 * MIB, size=104 * MIB)]))
    heap, its = heap_of(found), heap_of(other)
    assert heap.other_execution
    assert heap.bytes == 90 * MIB
    assert rows(heap).pop("executions").bytes == 90 * MIB - 125 * MIB
    assert {key: row for key, row in rows(heap).items() if key != "executions"} == rows(its)
    assert "of the execution in which it was followed" in explain_text.render(found, found.ledger.peak, 200, Paint())


def test_the_other_execution_says_too_little() -> None:
    """Cut before anything was read of it: then there is no heap in the ledger."""
    cut = parse_recording(Stream().facts(**CLOCK).data)
    written = stream()
    written.data = with_heap(written.data, [parse(log().data)], {}, execution=cut)
    found = with_ledgers(written, snapshot([mapping(MapKind.HEAP, rss=90 * MIB)]))
    assert found.ledger.peak is not None
    assert found.ledger.peak.heap is None


def test_a_profile_of_another_tool() -> None:
    """It counts, and knows nothing of malloc."""
    holdings = (Holding(0, Kind.MALLOC, 60 * MIB, 1), Holding(1, Kind.MALLOC, 30 * MIB, 1))
    peak = Snapshot(0.5, None, 90 * MIB, holdings)
    profile = HeapProfile(Engine.HEAPTRACK, ((Frame("a"),), (Frame("b"),)), peak, None)
    written = stream()
    written.data = with_heap(written.data, [], {}, profile=profile)
    heap = heap_of(with_ledgers(written, snapshot([mapping(MapKind.HEAP, rss=100 * MIB)])))
    assert [(row.key, row.bytes, row.known) for row in heap.rows] == [
        ("in_use", 90 * MIB, Known.EXACT),
        ("remainder", 10 * MIB, Known.REMAINDER),
    ]
    assert heap.error_bytes == 0


def test_more_places_than_are_shown() -> None:
    """The smaller ones are one detail, with the error of all of them."""
    made = Log(end_ns=99 * MS)
    for at in range(30):
        made.stack(at, 0x100000 * (at + 1)).alloc(MS, (at + 1) << 24, (at + 1) << 14, mean=1 << 18, stack=at)
    found = rows(heap_of(recording(made)))["in_use"]
    assert len(found.details) == 21
    assert found.details[-1].label == "10 more"
    assert found.details[-1].error_bytes


def test_a_recording_without_a_heap_has_none_in_its_ledger() -> None:
    """And neither has a process that was not followed."""
    plain = with_ledgers(stream(), snapshot([mapping(MapKind.HEAP, rss=100 * MIB)]))
    assert plain.ledger.peak is not None
    assert plain.ledger.peak.heap is None
    other = recording(replace_pid(log(), 999))
    assert other.ledger.peak is not None
    assert replace(other.ledger.peak, heap=None).sections


def replace_pid(made: Log, pid: int) -> Log:
    """The same log of another process."""
    made.fixed = (pid, *made.fixed[1:])
    return made
