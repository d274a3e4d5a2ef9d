"""What was held when, by whom, and what is kept of it for a picture."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.streams import MIB, MS, Stream, simple
from tests.timelines import PAGES, SPIKE_MIB, family, long_one, row

from hiwater.analysis.decimation import decimate
from hiwater.analysis.differences import figures, programs
from hiwater.analysis.process_tree import nodes
from hiwater.analysis.shared_once import shared_once
from hiwater.analysis.stack import largest_processes, outlines, peak_ns, stack
from hiwater.analysis.timeline import course
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import ImageFlags


def recording() -> Recording:
    return parse(family().data)


def test_the_sum_follows_every_process() -> None:
    """After each row the sum is that of all processes; one that ended holds nothing."""
    rows = course(recording())
    assert [(t_ns // MS, size // PAGES) for t_ns, size in zip(rows.time_ns, rows.total, strict=True)] == [
        (1, 10), (20, 40), (50, 40), (50, 70), (51, 40), (80, 10), (100, 0),
    ]  # fmt: skip


def test_what_was_held_at_an_instant() -> None:
    """Each process that held something is there, with what it held then."""
    rows = course(recording())
    assert {process: pages[0] // PAGES for process, pages in rows.at(50 * MS).items()} == {0: 10, 1: 60}
    assert {process: pages[0] // PAGES for process, pages in rows.at(90 * MS).items()} == {0: 10}
    assert rows.largest_total() == (50 * MS, 70 * MIB)


def test_an_end_that_a_look_found_comes_before_what_that_look_read() -> None:
    """The memory of a process that is gone is not added to that of the one that followed it."""
    stream = Stream().facts().command(b"a").process().image().process(1, 0, 4343, 50 * MS)
    stream.image(1, 1, t_ns=50 * MS).samples([row(1, 0, 100), row(50, 1, 100)])
    stream.image_end(0, t_ns=50 * MS + 856).process_end(0, t_ns=50 * MS + 856)
    assert max(course(parse(stream.data)).total) == 100 * PAGES


def test_a_child_in_its_parents_map_is_not_counted() -> None:
    """Between vfork and execve a child shows its parent's memory: that is there once."""
    stream = Stream().facts().command(b"a").process().image().process(1, 0, 4343)
    stream.image(1, 1, flags=ImageFlags.FORKED | ImageFlags.SAME_MAP).samples([row(1, 0, 100), row(1, 1, 100)])
    assert course(parse(stream.data)).total[-1] == 100 * PAGES


def test_what_a_child_shows_in_its_parents_map_is_the_parents_peak() -> None:
    """Whoever starts a program by vfork stays the one that peaked; the program has a peak of its own."""
    stream = Stream().facts().command(b"boss").process().image(comm=b"boss").process(1, 0, 4343)
    stream.image(1, 1, comm=b"boss", flags=ImageFlags.FORKED | ImageFlags.SAME_MAP).image_end(1, hwm=100 * MIB)
    stream.image(2, 1, comm=b"sleep").image_end(2, hwm=2 * MIB).process_end(1)
    stream.image_end(0, hwm=100 * MIB).process_end(0, maxrss=100 * MIB).stats(max_alive=2, processes=2)
    it = parse(stream.end(maxrss=100 * MIB).data)
    assert it.peak_process is not None
    assert it.peak_process.pid == 4242
    assert [(node.name, node.peak_bytes) for node in nodes(it, course(it), None, 1)] == [
        ("boss", 100 * MIB), ("sleep", 2 * MIB),
    ]  # fmt: skip
    assert [(row.label, row.values) for row in programs([it])] == [("boss", (100 * MIB,)), ("sleep", (2 * MIB,))]


def test_rows_out_of_order_or_unknown() -> None:
    """Rows are put in the order of time; those of unknown images or without a resident set are left out."""
    stream = Stream().facts().command(b"a").process().image()
    unread = (3000, 0, *[0xFFFFFFFF] * 5)
    stream.samples([row(9, 0, 30)]).samples([row(5, 0, 20), row(6, 7, 99)]).samples([unread])
    rows = course(parse(stream.data))
    assert [size // PAGES for size in rows.rss] == [20, 30]
    assert list(rows.time_ns) == sorted(rows.time_ns)


def test_an_empty_recording() -> None:
    """Without samples there is no timeline, and nothing fails."""
    empty = parse(Stream().data)
    rows = course(empty)
    assert (len(rows), rows.largest_total(), peak_ns(empty, rows)) == (0, None, None)
    shown = stack(rows)
    assert (len(shown.time_ns), shown.by_process, shown.by_kind) == (0, {}, {})
    assert nodes(empty, rows, None, 4) == []


def test_the_stack_by_process_and_by_kind() -> None:
    """At each instant the processes, and the kinds without swap, add up to the sum; swap comes on top."""
    shown = stack(course(recording()))
    assert shown.exact
    assert [t_ns // MS for t_ns in shown.time_ns] == [1, 20, 50, 51, 80, 100]
    assert [size // MIB for size in shown.by_process[0]] == [10, 10, 10, 10, 10, 0]
    assert [size // MIB for size in shown.by_process[1]] == [0, 30, 60, 30, 0, 0]
    assert {kind: [size // MIB for size in sizes] for kind, sizes in shown.by_kind.items()} == {
        "anon": [8, 33, 63, 33, 8, 0], "file": [2, 7, 7, 7, 2, 0], "swap": [0, 0, 0, 2, 0, 0],
    }  # fmt: skip


def test_the_smaller_processes_are_summed_up() -> None:
    """What is beyond the largest is one series."""
    rows = course(recording())
    assert largest_processes(rows, 1) == [1]
    shown = stack(rows, top=1)
    assert list(shown.by_process) == [1]
    assert [size // MIB for size in shown.others] == [10, 10, 10, 10, 10, 0]


def test_memory_that_was_not_split_is_of_unknown_kind() -> None:
    """Old kernels show the sum only; it is not taken for anonymous."""
    stream = Stream().facts().command(b"a").process().image().samples([row(1, 0, 5)])
    assert list(stack(course(parse(stream.data))).by_kind) == ["unknown"]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=400), st.integers(1, 30))
def test_decimation_keeps_the_extremes_of_every_bucket(values: list[int], buckets: int) -> None:
    """Whatever the values: in each bucket the smallest, the largest and the last are kept, and no more than three."""
    times = array("q", range(len(values)))
    kept = decimate(times, values, 0, len(values) - 1, buckets)
    assert kept == sorted(set(kept))
    for number in range(buckets):
        start = (len(values) - 1) * number // buckets
        stop = len(values) if number == buckets - 1 else (len(values) - 1) * (number + 1) // buckets
        part, chosen = values[start:stop], [values[at] for at in kept if start <= at < stop]
        assert len(chosen) <= 3
        if part:
            assert (min(chosen), max(chosen), chosen[-1]) == (min(part), max(part), part[-1])


def test_no_bucket_is_misuse() -> None:
    """There is no picture without a pixel."""
    with pytest.raises(ValueError, match="bucket"):
        decimate([0], [0], 0, 1, 0)


def test_no_spike_of_a_long_recording_is_lost() -> None:
    """One sample of a hundred thousand is in what is drawn, of the sum and of its process; the rest is thinned out."""
    rows = course(parse(long_one(100_000)))
    shown = stack(rows, buckets=200)
    assert not shown.exact
    assert len(shown.time_ns) < 3000
    assert max(shown.total) == max(rows.total) * 4096
    assert max(shown.by_process[0]) == SPIKE_MIB * MIB
    assert max(size or 0 for size in outlines(rows, 20)[0]) == SPIKE_MIB * MIB


def test_the_close_up_of_the_peak_is_finer() -> None:
    """Around the peak there are more instants than elsewhere."""
    rows = course(parse(long_one(100_000)))
    shown = stack(rows, focus_ns=30_000 * MS, buckets=200, top=0)
    near = [t_ns for t_ns in shown.time_ns if abs(t_ns - 30_000 * MS) <= 600 * MS]
    far = [t_ns for t_ns in shown.time_ns if abs(t_ns - 50_000 * MS) <= 600 * MS]
    assert len(near) > 10 * len(far)


def test_outlines() -> None:
    """Per process the largest in each stretch, its first instant included; nothing where it did not live."""
    lines = outlines(course(recording()), 10)
    assert [size and size // MIB for size in lines[1]] == [None, None, 30, 30, 30, 60, 30, 30, 30, None]


def test_the_tree_of_processes() -> None:
    """Parents come before their children; each has its peak, its life and its share at the tree's peak."""
    it = recording()
    rows = course(it)
    found = nodes(it, rows, peak_ns(it, rows), 10)
    assert [(node.name, node.depth, node.peak_bytes) for node in found] == [
        ("boss", 0, 10 * MIB),
        ("worker", 1, 60 * MIB),
    ]
    assert [node.at_peak_bytes for node in found] == [10 * MIB, 60 * MIB]
    assert [round(node.share or 0, 3) for node in found] == [0.143, 0.857]
    assert (found[1].start_seconds, found[1].end_seconds) == (0.02, 0.08)


def test_the_time_of_the_peak() -> None:
    """It is what the monitor saw; without that, when the sum was largest."""
    it = recording()
    assert peak_ns(it, course(it)) == 50 * MS
    stream = Stream().facts().command(b"a").process().image().samples([row(1, 0, 5), row(7, 0, 9), row(8, 0, 2)])
    other = parse(stream.data)
    assert peak_ns(other, course(other)) == 7 * MS


def test_differences() -> None:
    """Each figure of each recording, what it changed by, and whether the bounds leave a doubt."""
    two = [recording(), parse(family(extra_mib=40).data)]
    peak = figures(two)[0]
    assert (peak.label, peak.values, peak.change(1), peak.sure) == (
        "peak RSS",
        (60 * MIB, 100 * MIB),
        40 * MIB,
        (False, True),
    )
    assert [(row.label, row.change(1)) for row in programs(two)] == [("worker", 40 * MIB), ("boss", 0)]
    other = programs([recording(), parse(simple().data)])
    assert {row.label: row.values for row in other}["prog"] == (None, 20 * MIB)


def test_the_tree_with_shared_pages_counted_once() -> None:
    """While there are several processes what the monitor counted holds, before and after it the sum, at the end
    nothing."""
    stream = Stream().facts().command(b"a").process().image().process(1, 0, 4343, 20 * MS).image(1, 1, t_ns=20 * MS)
    stream.samples([row(1, 0, 10), row(20, 1, 10), row(70, 0, 12), row(90, 0, 5)])
    stream.tree_samples([(20_000, 2, 11 * PAGES), (60_000, 1, 10 * PAGES)], base_ns=999)
    stream.image_end(1, t_ns=60 * MS).image_end(0, t_ns=100 * MS).stats().end(MIB)
    one = parse(stream.data)
    curve = shared_once(one, course(one))
    assert [(t_ns // MS, size // MIB) for t_ns, size in zip(curve.time_ns, curve.size, strict=True)] == [
        (1, 10), (20, 11), (60, 10), (70, 12), (90, 5), (100, 0),
    ]  # fmt: skip
