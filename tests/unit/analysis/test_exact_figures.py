"""The figures of recordings in which every change was an event (--exact)."""

from typing import Any

import pytest
from tests.streams import MS, Stream

from hiwater.analysis.reading import Method
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import ImageEndedBy, ImageFlags
from hiwater.views import json_view, terminal

MIB = 1 << 20
ERROR = 3 * 2 * 31 * 4096  # of two CPUs
MAXRSS = 64 * MIB - 100 * 1024
BY_WAIT = MAXRSS + ERROR
FACTS = {"exact": "1", "cpus": "2", "kernel": "6.18.0", "statm_exact": "1"}


def _recording(facts: dict[str, str] | None = None, stats: dict[str, Any] | None = None, **end: Any) -> Recording:
    stream = Stream().facts(**{**FACTS, **(facts or {})}).command(b"prog").process().image()
    stream.image_end(**{"hwm": 63 * MIB, "max_rss": 60 * MIB, "exact": 64 * MIB, **end})
    stream.process_end(maxrss=MAXRSS)
    return parse(stream.stats(**{"events": 1000, "sum_peak": 64 * MIB, **(stats or {})}).end().data)


def test_exact() -> None:
    """If no event was lost, the peak is the events' maximum, and both bounds are the same figure."""
    recording = _recording()
    reading = recording.peak_rss
    assert (reading.bytes, reading.low, reading.high, reading.method) == (64 * MIB,) * 3 + (Method.RSS_EVENTS,)
    tree = recording.tree_peak
    assert (tree.bytes, tree.low, tree.high) == (64 * MIB,) * 3


def test_a_mark_above_the_truth_is_not_believed() -> None:
    """VmHWM and ru_maxrss come from approximate counters: where the events are exact, they can only be too high."""
    reading = _recording(hwm=64 * MIB + 4096).peak_rss
    assert (reading.bytes, reading.high, reading.method) == (64 * MIB, 64 * MIB, Method.RSS_EVENTS)


def test_what_a_look_saw_counts_as_well() -> None:
    """khugepaged can make a process larger without an event: an exact look that saw more is the peak."""
    seen = 64 * MIB + 16 * 4096
    reading = _recording(max_rss=seen, stats={"gave": 2 * MIB}).peak_rss
    assert (reading.bytes, reading.method) == (seen, Method.RSS_SAMPLED)
    assert (reading.low, reading.high) == (seen, BY_WAIT)


@pytest.mark.parametrize(
    ("stats", "end", "low", "high"),
    [
        ({"took": 8 * MIB}, {}, MAXRSS - ERROR, 64 * MIB),  # less than the mark proves
        ({"took": 4096}, {}, 64 * MIB - 4096, 64 * MIB),
        ({"gave": 8192}, {}, 64 * MIB, 64 * MIB + 8192),
        ({"gave": 2 * MIB}, {}, 64 * MIB, BY_WAIT),
        ({}, {"exact_least": 64 * MIB - 8192}, 64 * MIB - 8192, 64 * MIB),
        ({}, {"raced": True}, 64 * MIB, BY_WAIT),
        ({"lost": 7}, {"exact_lost": 7}, 64 * MIB, BY_WAIT),
    ],
    ids=["much reclaimed", "little reclaimed", "small gift", "huge page", "in doubt", "raced", "lost"],
)
def test_bounds(stats: dict[str, Any], end: dict[str, Any], low: int, high: int) -> None:
    """What others can have taken lowers the lower bound, what they can have given raises the upper one; events of
    several threads at once, and lost ones, leave the upper bound to wait4."""
    reading = _recording(stats=stats, **end).peak_rss
    assert (reading.bytes, reading.low, reading.high) == (64 * MIB, low, high)


def test_an_old_kernel() -> None:
    """Before Linux 6.2 the events carry counters that each thread folds its faults into late: the allowance stays."""
    reading = _recording({"kernel": "6.1.0"}, threads=1, last_read_ns=MS).peak_rss
    assert reading.low is not None and reading.high is not None
    assert reading.low < 64 * MIB < reading.high


def test_an_image_without_events() -> None:
    """One image that no event told of leaves the bounds as they are without events; a child that runs in its parent's
    map is no such image."""

    def recording(flags: ImageFlags) -> Recording:
        stream = (
            Stream().facts(**FACTS).command(b"prog").process().image().process(1, parent=0).image(1, 1, flags=flags)
        )
        stream.image_end(hwm=63 * MIB, exact=64 * MIB).image_end(1).process_end(maxrss=MAXRSS)
        return parse(stream.stats(events=9, sum_peak=70 * MIB, max_alive=2, processes=2).end().data)

    assert recording(ImageFlags.FORKED).peak_rss.high == BY_WAIT
    shared = recording(ImageFlags.FORKED | ImageFlags.SAME_MAP)
    assert (shared.peak_rss.high, shared.tree_peak.high) == (64 * MIB, 70 * MIB)


def test_the_tree_is_bounded_by_the_sum() -> None:
    """The largest sum of RSS at any instant bounds the tree where the marks of the processes allow for more."""
    stream = Stream().facts(**FACTS).command(b"prog").process().image().process(1, parent=0).image(1, 1)
    stream.image_end(hwm=60 * MIB, exact=60 * MIB).image_end(1, hwm=50 * MIB, exact=50 * MIB)
    stream.process_end(maxrss=60 * MIB).tree_upper((0, 2, 110 * MIB))
    recording = parse(stream.stats(events=9, sum_peak=80 * MIB, max_alive=2, processes=2).end().data)
    assert recording.tree_peak.high == 80 * MIB


def test_what_is_said() -> None:
    """The summary says how many changes were followed and how many were lost; the JSON has both, and for each image;
    a recording without events has null there."""
    recording = _recording(stats={"lost": 7}, exact_lost=7)
    assert "  events    1000 changes of memory followed, 7 lost\n" in terminal.render(recording)
    assert [warning.code for warning in recording.warnings] == ["events-lost"]
    document: Any = json_view.document(recording)
    assert (document["exact"]["events"], document["exact"]["lost_events"]) == (1000, 7)
    image = document["processes"][0]["images"][0]
    assert (image["exact_lost"], image["peak_rss_bytes"]) == (7, 64 * MIB)
    plain: Any = json_view.document(parse(Stream().facts().command(b"prog").process().image().image_end().end().data))
    assert (plain["exact"], plain["processes"][0]["images"][0]["exact_lost"]) == (None, None)


def test_an_image_that_was_replaced() -> None:
    """Each image has its own maximum and its method."""
    stream = Stream().facts(**FACTS).command(b"prog").process().image()
    stream.image_end(exact=30 * MIB, hwm=29 * MIB, how=ImageEndedBy.EXEC).image(1).image_end(1, exact=MIB, hwm=2 * MIB)
    recording = parse(stream.process_end(maxrss=29 * MIB).stats(events=9).end().data)
    images = recording.summary.processes[0].images
    assert [(image.peak_rss_bytes, image.peak_rss_method) for image in images] == [
        (30 * MIB, Method.RSS_EVENTS),
        (MIB, Method.RSS_EVENTS),
    ]
