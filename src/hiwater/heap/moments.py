"""When the resident set of a program image was largest, and when its heap had grown by so much again.

Three witnesses tell of the peak. The monitor's looks have a time each, but a spike between two of them is only in the
next VmHWM. ru_maxrss, which the sampler asks for as the heap grows, never falls: the peak lies between the last record
that had less than the final value and the first that has it - unless the first record of all has it, because the
launcher's or an earlier image's peak was inherited (kernel/sys.c getrusage(): the process's maximum, not the map's).
And between those bounds the heap itself says when it held most.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from hiwater.heap.log import HeapLog
from hiwater.heap.replay import Replay
from hiwater.recording.model import Image, ImageEnd, Recording
from hiwater.recording.wire import NONE, ImageEndedBy

NEAR = 0.01
"""The peak is where the RSS is within so much of it: what a program maps at its exit may make it a page larger than
it was while it held its memory."""
LEAST_NEAR = 128 << 10
MOST_MOMENTS = 256
"""More snapshots of growth than that are of no use: the step is doubled until there are fewer."""


class How(str, Enum):
    """How the moment of the peak is known."""

    EVENTS = "events"
    """From the events of every change (--exact)."""
    LOOKS = "looks"
    """The monitor saw the RSS then."""
    MARK = "mark"
    """Between two looks, or two records of ru_maxrss, of which the second knew the peak: within, where the heap held
    most."""
    HEAP = "heap"
    """Nothing tells of the RSS: where the heap held most."""

    def __str__(self) -> str:
        return self.value


class GrowthOf(str, Enum):
    """What has to grow for a snapshot."""

    IN_USE = "in-use"
    """The largest that was in use so far."""
    ALLOCATED = "allocated"
    """All that was ever allocated."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class PeakMoment:
    """The moment of the largest RSS; times are CLOCK_MONOTONIC."""

    t_ns: int
    low_ns: int
    """It was not before this one, and"""
    high_ns: int
    """not after this one."""
    rss_bytes: int | None
    """The largest RSS."""
    how: How


@dataclass(frozen=True, slots=True)
class Sight:
    """The RSS of one image as the monitor saw it, on the log's clock."""

    times: tuple[int, ...]
    rss: tuple[int | None, ...]
    hwm: tuple[int | None, ...]
    gap_ns: int
    """The longest time between two looks."""
    end_ns: int

    def at(self, t_ns: int) -> int | None:
        """At the latest look."""
        for at in range(bisect_right(self.times, t_ns) - 1, -1, -1):
            if self.rss[at] is not None:
                return self.rss[at]
        return None


def image_of(log: HeapLog, recording: Recording) -> Image | None:
    """The image that a log is of: that of the process with its number which ran at the same time for longest."""
    start = recording.facts.monotonic_start_ns
    own = [image for process in recording.observed_processes if process.pid == log.head.pid for image in process.images]
    if not own and len(recording.images) == 1:
        own = list(recording.images)  # its pids are those of another namespace
    if not own:
        return None
    if start is None:
        return own[min(log.head.number, len(own) - 1)]
    last = recording.end.t_ns if recording.end is not None else 1 << 62

    def together(image: Image) -> tuple[int, int]:
        end = last if image.end is None else image.end.t_ns
        begin = log.head.start_ns - start
        return min(end, log.end_ns - start) - max(image.start_ns, begin), -abs(image.start_ns - begin)

    return max(own, key=together)


def sight(recording: Recording, image: Image) -> Sight | None:
    """What the monitor saw; ``None`` where the clocks cannot be compared."""
    start = recording.facts.monotonic_start_ns
    if start is None:
        return None
    line, page = recording.timeline, recording.page_size
    rows = [
        (t_ns + start, None if rss == NONE else rss * page, None if hwm == NONE else hwm * page)
        for t_ns, number, rss, hwm in zip(line.time_ns, line.image, line.rss_pages, line.hwm_pages, strict=True)
        if number == image.number
    ]
    end = image.end
    if image.start.rss_bytes is not None and (not rows or rows[0][0] > image.start_ns + start):
        rows.insert(0, (image.start_ns + start, image.start.rss_bytes, None))
    if end is not None:
        rows += _told_at_the_end(end, start)
    rows.sort(key=lambda row: row[0])
    stats, facts = recording.stats, recording.facts
    gap = max((stats.longest_gap_ns if stats is not None else None) or 0, facts.period_ns or 0)
    last = end.t_ns if end is not None else recording.end.t_ns if recording.end is not None else 0
    times, rss, hwm = ([*column] for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Sight(tuple(times), tuple(rss), tuple(hwm), gap, max(last + start, times[-1] if times else 0))


def _told_at_the_end(end: ImageEnd, start: int) -> Iterator[tuple[int, int | None, int | None]]:
    if end.at_max_ns is not None and end.at_max.rss_bytes is not None:
        yield end.at_max_ns + start, end.at_max.rss_bytes, None
    if end.exact is not None:
        yield end.exact.at_ns + start, end.exact.bytes, None
    if end.how is ImageEndedBy.EXIT_STOP and end.last.rss_bytes is not None:
        yield end.t_ns + start, end.last.rss_bytes, end.hwm_bytes


def peak(replay: Replay, recording: Recording, image: Image | None, seen: Sight | None) -> PeakMoment | None:
    """``None``: neither an RSS nor a heap."""
    log = replay.log
    end = None if image is None else image.end
    exact = None if end is None or end.exact is None or end.exact.lost else end.exact.bytes
    marks = [] if end is None else [end.hwm_bytes, end.max_rss_bytes, end.counted_bytes]
    own = max((mark for mark in marks if mark is not None), default=None) if exact is None else exact
    told = _told_by_maxrss(log)
    if own is None and seen is not None:
        own = max((size for size in (*seen.rss, *seen.hwm) if size is not None), default=None)
    size = own if told is None else max(own or 0, told[2]) if exact is None else exact
    whole = log.head.start_ns, max(log.end_ns, 0 if seen is None else seen.end_ns)
    if size is not None and seen is not None:
        windows = _looks(seen, size - _near(size))
        if windows:
            how = How.LOOKS if exact is None else How.EVENTS
            return _largest_within(replay, windows, size, how)
    window = whole
    for one in (None if seen is None or size is None else _by_mark(seen, size - _near(size)), told):
        if one is not None and max(window[0], one[0]) <= min(window[1], one[1]):
            window = max(window[0], one[0]), min(window[1], one[1])
    how = How.HEAP if window == whole and told is None else How.MARK
    return _largest_within(replay, [window], size, how)


def _near(size: int) -> int:
    return max(int(size * NEAR), LEAST_NEAR)


def _looks(seen: Sight, least: int) -> list[tuple[int, int]]:
    """The times during which the RSS was so large; neighbours are one. The heap may have held its most just before the
    look that saw it."""
    found: list[tuple[int, int]] = []
    for at, (t_ns, rss) in enumerate(zip(seen.times, seen.rss, strict=True)):
        if rss is None or rss < least:
            continue
        begin = max(seen.times[at - 1] if at else 0, t_ns - seen.gap_ns)
        end = seen.times[at + 1] if at + 1 < len(seen.times) else max(t_ns, seen.end_ns)
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], end
        else:
            found.append((begin, end))
    return found


def _by_mark(seen: Sight, least: int) -> tuple[int, int] | None:
    """Between which two looks VmHWM reached it."""
    for at, hwm in enumerate(seen.hwm):
        if hwm is not None and hwm >= least:
            return (seen.times[at - 1] if at else seen.times[at]), seen.times[at]
    return None


def _told_by_maxrss(log: HeapLog) -> tuple[int, int, int] | None:
    """Between which two records ru_maxrss reached its final value, and that value; ``None`` where the first one had it:
    it was inherited, and the image's own peak lies below, who knows where."""
    moments = [moment for moment in log.moments if moment.maxrss_bytes]
    if not moments:
        return None
    final = max(moment.maxrss_bytes for moment in moments)
    least = final - _near(final)
    if moments[0].maxrss_bytes >= least:
        return None
    for before, moment in pairwise(moments):
        if moment.maxrss_bytes >= least:
            return before.t_ns, moment.t_ns, final
    return None


def _largest_within(replay: Replay, windows: list[tuple[int, int]], rss: int | None, how: How) -> PeakMoment | None:
    """Where the heap held most; of a heap that does not change, the latest look."""
    best: tuple[int, int, int] | None = None
    for number, (begin, end) in enumerate(windows):
        first, last = bisect_left(replay.times, begin), bisect_right(replay.times, end)
        held = replay.in_use[first - 1] if first else 0
        found = held, -number, begin
        if last > first:
            part = replay.in_use[first:last]
            most = max(part)
            if most > held or how is How.HEAP:
                found = most, -number, replay.times[first + part.index(most)]
        if best is None or found[:2] > best[:2]:
            best = found
    if best is None or (how is How.HEAP and not len(replay)):
        return None
    begin, end = windows[-best[1]]
    return PeakMoment(best[2], begin, end, rss, how)


def growth(replay: Replay, every: int, of: GrowthOf = GrowthOf.IN_USE) -> tuple[list[int], int]:
    """The moments at which it had grown by ``every`` bytes again, and the step that was kept: there are no more than
    ``MOST_MOMENTS``."""
    course = replay.in_use if of is GrowthOf.IN_USE else replay.allocated
    if not course or every <= 0:
        return [], every
    top = max(course)
    while top // every > MOST_MOMENTS:
        every *= 2
    found: list[int] = []
    first = bisect_left(replay.times, replay.log.head.start_ns)  # what a fork's parent did before is its own growth
    following = (course[first - 1] // every + 1) * every if first else every
    for t_ns, size in zip(replay.times[first:], course[first:], strict=True):
        if size >= following:
            if not found or found[-1] != t_ns:
                found.append(t_ns)
            following = (size // every + 1) * every
    return found, every
