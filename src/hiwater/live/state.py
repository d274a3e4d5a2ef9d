"""What is known of an execution that goes on: the processes, the tree, the peaks so far. Fed with the parts that a
:class:`~hiwater.recording.follow.Follower` gives; its memory is bounded however long that lasts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hiwater.analysis.peak import mark
from hiwater.live.history import Clock, History
from hiwater.recording.model import Cut, End, Image, Process, Recording, TreePeak, Warning_
from hiwater.recording.timeline import Timeline
from hiwater.recording.wire import ImageEndedBy, ImageFlags

KEPT = 300
"""Processes that have ended and are remembered: the largest, and the ancestors of whoever is remembered."""
NO_PAGES = Timeline.NO_PAGES
_WARNINGS = 20
Event = tuple[int, int, "int | None", list[int]]
"""Microseconds, kind, image (``None``: the tree), pages."""
_END, _START, _ROW = 0, 1, 2  # the order at one instant: an image ends before the one that replaces it begins


@dataclass(slots=True)
class Split:
    """Memory by what it is, in bytes."""

    rss_bytes: int = 0
    anon_bytes: int = 0
    file_bytes: int = 0
    shmem_bytes: int = 0
    swap_bytes: int = 0
    """Not resident, on top of the others."""


@dataclass(slots=True)
class LiveProcess:
    """One process, as far as it is known by now."""

    number: int
    parent: int | None
    pid: int
    start_ns: int
    history: History
    name: str = "?"
    arguments: tuple[str, ...] = ()
    rss_bytes: int | None = None
    """Now; ``None`` if it has ended or was not read yet."""
    peak_bytes: int | None = None
    """The largest mark or reading so far, of all its images."""
    borrowed: bool = False
    """It runs in its parent's memory (vfork), which is the parent's."""
    ended: bool = False
    end_ns: int | None = None
    status: int | None = None
    """As wait(2) gives it, once it was told."""

    def raise_peak(self, size: int | None) -> None:
        if size is not None and (self.peak_bytes is None or size > self.peak_bytes):
            self.peak_bytes = size


@dataclass(slots=True)
class _Image:
    """An image that lives, and what it holds, in pages."""

    process: LiveProcess
    own: bool
    rss: int = 0
    anon: int = 0
    shmem: int = 0
    swap: int = 0


@dataclass
class LiveState:
    """Grows by :meth:`apply`; everything else only looks at it."""

    processes: dict[int, LiveProcess] = field(default_factory=dict)
    """By number, in the order in which they were found."""
    forgotten: int = 0
    """Processes that have ended and were small."""
    command: tuple[str, ...] = ()
    clock: Clock = field(default_factory=Clock)
    tree_peak: TreePeak | None = None
    """The largest memory of the whole tree so far, shared pages counted once."""
    warnings: list[Warning_] = field(default_factory=list)
    end: End | None = None
    cut: Cut | None = None
    named: int = 0
    """How often some process got a name: what was made of the names may be kept until it changes."""

    def __post_init__(self) -> None:
        self.tree = History(self.clock)
        self._images: dict[int, _Image] = {}
        self._sum = Split()
        self._once: Split | None = None
        self._ended = 0

    @property
    def now_ns(self) -> int:
        """The latest instant that is known."""
        return self.clock.now_ns

    @property
    def alive(self) -> int:
        """How many processes live."""
        return len(self.processes) - self._ended

    @property
    def now(self) -> Split:
        """The tree as it is: shared pages counted once where that is known, else in each process."""
        return self._once or self._sum

    @property
    def counted_once(self) -> bool:
        """Whether ``now`` counts shared pages once; of a single process there are none."""
        return self._once is not None or self.alive < 2

    def largest(self) -> LiveProcess | None:
        """The process with the largest peak so far."""
        known = [process for process in self.processes.values() if process.peak_bytes and not process.borrowed]
        return max(known, key=lambda process: process.peak_bytes or 0, default=None)

    def apply(self, part: Recording) -> None:
        """Takes in what was appended."""
        self.command = part.arguments or self.command
        self.tree_peak = part.last_tree_peak or self.tree_peak
        self.warnings = (self.warnings + list(part.told_warnings))[-_WARNINGS:]
        self.end, self.cut = part.end, part.cut
        fresh = [image for found in part.observed_processes for image in self._meet(found)]
        self.named += len(fresh)
        self._follow(part, fresh)
        for found in part.observed_processes:
            self._close(found)
        self._forget()

    def _meet(self, found: Process) -> list[Image]:
        """Its images that are news."""
        process = self.processes.get(found.number)
        if process is None:
            # A parent has a smaller number than its child: what a damaged file says otherwise would be a circle.
            parent = found.parent if found.parent is not None and found.parent < found.number else None
            process = LiveProcess(found.number, parent, found.pid, found.start_ns, History(self.clock))
            self.processes[found.number] = process
            if found.number == 0 and self.command:
                process.name, process.arguments = os.path.basename(self.command[0]) or "?", self.command
        fresh = [image for image in found.images if image.number not in self._images]
        for image in fresh:
            own = not image.flags & ImageFlags.SAME_MAP
            self._images[image.number] = _Image(process, own)
            process.name, process.arguments, process.borrowed = image.name, image.arguments, not own
        return fresh

    def _close(self, found: Process) -> None:
        process = self.processes[found.number]
        if found.end is not None and not process.ended:
            self.clock.reach(found.end.t_ns)
            process.ended, process.rss_bytes = True, None
            process.end_ns, process.status = found.end.t_ns, found.end.status
            process.history.add(found.end.t_ns, None)
            self._ended += 1

    # ---- what they hold ----

    def _follow(self, part: Recording, fresh: list[Image]) -> None:
        """The rows, the beginnings and the ends, in the order of time."""
        size = part.page_size
        events = _beginnings(fresh, size) + [event for image in part.images for event in self._end_of(image)]
        line = part.timeline
        columns = (line.rss_pages, line.anon_pages, line.shmem_pages, line.swap_pages, line.hwm_pages)
        events += [
            (t_ns // 1000, _ROW, number, pages)  # the time of a row is cut to microseconds
            for t_ns, number, *pages in zip(line.time_ns, line.image, *columns, strict=True)
        ]
        events += self._tree_events(part)
        events.sort(key=lambda event: event[:2])
        for at, (us, kind, number, values) in enumerate(events):
            t_ns = max(us * 1000, 0)
            self.clock.reach(t_ns)
            if number is None:
                self._count_once(values, size)
            elif (held := self._images.get(number)) is not None and (kind != _ROW or values[0] != NO_PAGES):
                self._hold(held, t_ns, values, size)
            if at + 1 == len(events) or events[at + 1][0] != us:
                self.tree.add(t_ns, self.now.rss_bytes)
        if part.stats is not None:
            self.clock.reach(part.stats.t_ns)
        for image in part.images:
            if image.end is not None:
                self._images.pop(image.number, None)

    def _end_of(self, image: Image) -> list[Event]:
        if image.end is None:
            return []
        known = self._images[image.number]
        if known.own:
            known.process.raise_peak(mark(image.end))
        if image.end.how is ImageEndedBy.ALIVE:
            return []
        return [(image.end.t_ns // 1000, _END, image.number, [0, 0, 0, 0, NO_PAGES])]

    def _hold(self, image: _Image, t_ns: int, pages: list[int], size: int) -> None:
        rss, anon, shmem, swap = (0 if count == NO_PAGES else count for count in pages[:4])
        process = image.process
        if not image.own:
            return  # the parent's, once more
        total = self._sum
        total.rss_bytes += (rss - image.rss) * size
        total.anon_bytes += (anon - image.anon) * size
        total.shmem_bytes += (shmem - image.shmem) * size
        total.swap_bytes += (swap - image.swap) * size
        total.file_bytes = total.rss_bytes - total.anon_bytes - total.shmem_bytes
        image.rss, image.anon, image.shmem, image.swap = rss, anon, shmem, swap
        process.rss_bytes = rss * size
        process.raise_peak(max(rss, 0 if pages[4] == NO_PAGES else pages[4]) * size)
        process.history.add(t_ns, rss * size)

    def _tree_events(self, part: Recording) -> list[Event]:
        line = part.tree_timeline
        columns = (line.processes, line.estimate_pages, line.anon_pages, line.shmem_pages, line.swap_pages)
        return [(t_ns // 1000, _ROW, None, pages) for t_ns, *pages in zip(line.time_ns, *columns, strict=True)]

    def _count_once(self, row: list[int], size: int) -> None:
        processes, *pages = row
        if processes < 2 or NO_PAGES in pages[:3]:
            self._once = None
            return
        rss, anon, shmem = (count * size for count in pages[:3])
        swap = 0 if pages[3] == NO_PAGES else pages[3] * size
        self._once = Split(rss, anon, rss - anon - shmem, shmem, swap)

    # ---- bounds ----

    def _forget(self) -> None:
        """Half as many again may gather until it is worth while."""
        if self._ended <= KEPT + KEPT // 2:
            return
        ended = [process for process in self.processes.values() if process.ended]
        ended.sort(key=lambda process: process.peak_bytes or 0, reverse=True)
        kept = {process.number for process in ended[:KEPT]}
        kept.update(number for number, process in self.processes.items() if not process.ended)
        for number in sorted(kept, reverse=True):
            parent = self.processes[number].parent
            while parent is not None and parent not in kept and parent in self.processes:
                kept.add(parent)
                parent = self.processes[parent].parent
        self.forgotten += len(self.processes) - len(kept)
        self.processes = {number: process for number, process in self.processes.items() if number in kept}
        self._ended = sum(process.ended for process in self.processes.values())


def _beginnings(fresh: list[Image], size: int) -> list[Event]:
    """What images held when they were found."""
    found: list[Event] = []
    for image in fresh:
        start = image.start
        if start.rss_bytes is not None:
            sizes = (start.rss_bytes, start.anon_bytes, start.shmem_bytes)
            pages = [NO_PAGES if part is None else part // size for part in sizes]
            found.append((image.start_ns // 1000, _START, image.number, [*pages, 0, pages[0]]))
    return found
