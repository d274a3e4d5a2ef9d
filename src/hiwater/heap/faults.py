"""From sampled page faults to heap profiles: who made the resident set grow, by first touch.

A sample stands for a period of faults, each of which brings a page. What that is not is said in notes, with what of it
could be counted: memory that came without a fault that can be seen, and faults that brought more than a page. Nothing
tells when memory is given back, so what a call has touched only grows.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hiwater.heap import moments
from hiwater.heap.fault_notes import notes
from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Point, Snapshot, Stack
from hiwater.heap.profile import Asked, Resolver
from hiwater.heap.symbols import perfmap
from hiwater.recording.faults import Fault, FaultFrame, FaultImage, FaultRecords, FaultTotals
from hiwater.recording.model import Image, Recording
from hiwater.recording.wire import FaultKind
from hiwater.units import MIB

EVERY_BYTES = 10 * MIB
MOST_MOMENTS = 256
COURSE_POINTS = 2000
RISING_NS = 5_000_000
"""What was at its largest when it was last seen had hardly stopped growing."""
NEAR = 0.99
"""A look that saw so much of the peak saw the peak."""


@dataclass(frozen=True, slots=True)
class ImageFaults:
    """The samples of one program image."""

    told: FaultImage
    image: Image | None
    """Of the recording; ``None`` if the monitor never looked at it."""
    samples: tuple[Fault, ...]
    """By time."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.told.comm if self.image is None else self.image.name


def by_image(recording: Recording) -> tuple[ImageFaults, ...]:
    """The images that made faults, most of them first; empty if none was sampled."""
    records = recording.faults
    if records is None:
        return ()
    found: dict[int, list[Fault]] = {}
    for sample in records.samples:
        found.setdefault(sample.image, []).append(sample)
    made = [
        ImageFaults(told, _image_of(recording, told, samples), tuple(samples))
        for number, samples in found.items()
        if (told := records.images.get(number)) is not None
    ]
    return tuple(sorted(made, key=lambda one: (-len(one.samples), one.told.number)))


def _image_of(recording: Recording, told: FaultImage, samples: Sequence[Fault]) -> Image | None:
    """That of the process with its number which began nearest to it, or which ran when it made its faults."""
    own = [image for process in recording.observed_processes if process.pid == told.pid for image in process.images]
    middle = samples[len(samples) // 2].t_ns

    def distance(image: Image) -> tuple[bool, int]:
        runs = image.start_ns <= middle and (image.end is None or middle <= image.end.t_ns)
        return not runs, abs(image.start_ns - told.start_ns)

    return min(own, key=distance, default=None)


def profile(
    recording: Recording, resolver: Resolver, *, pid: int | None = None, every_bytes: int = EVERY_BYTES
) -> HeapProfile | None:
    """Of the image that peaked, where its faults were sampled, else of the one that made most of them; or of what
    process ``pid`` did. ``None`` if there is nothing to tell."""
    found = by_image(recording)
    records = recording.faults
    if records is None or records.totals is None:
        return None
    if pid is not None:
        found = tuple(one for one in found if one.told.pid == pid)
    first = _peaked(recording)
    chosen = next((one for one in found if one.image is not None and one.image is first), found[0] if found else None)
    return None if chosen is None else _Maker(recording, records, records.totals, chosen, resolver).profile(every_bytes)


def _peaked(recording: Recording) -> Image | None:
    from hiwater.analysis.peak import Evidence, peak_image

    return peak_image(Evidence(recording), recording.summary.peak_rss)


def asked(records: FaultRecords) -> tuple[Asked, ...]:
    """All that a resolver will be asked of a recording."""
    used = {
        (sample.stack, records.images[sample.image].pid) for sample in records.samples if sample.image in records.images
    }
    found = {
        _ask(records, frame, pid)
        for number, pid in used
        if number is not None and number in records.stacks
        for frame in records.stacks[number].frames
    }
    return tuple(sorted(found))


def _ask(records: FaultRecords, frame: FaultFrame, pid: int) -> Asked:
    """Of a return address, the byte before it is looked up: the call. Code without a file was compiled as the process
    ran."""
    place = frame.address if frame.exact else max(0, frame.address - 1)
    module = None if frame.module is None else records.modules.get(frame.module)
    if module is None:
        return perfmap.path(pid), "", place
    return module.path, "" if module.build_id is None else module.build_id.hex(), place


class _Maker:
    """The profile of one image."""

    def __init__(
        self, recording: Recording, records: FaultRecords, totals: FaultTotals, own: ImageFaults, resolver: Resolver
    ) -> None:
        self.recording, self.records, self.totals, self.own, self.resolver = recording, records, totals, own, resolver
        self.peaked = own.image is not None and own.image is _peaked(recording)
        self.sample_bytes = totals.period * recording.page_size
        self.seen = None if own.image is None else moments.sight(recording, own.image)
        self.stacks: dict[Stack, int] = {}
        self.numbers: list[int] = []
        """Of each sample: its stack's index."""
        self.frames: dict[Asked, tuple[Frame, ...]] = {}

    def profile(self, every_bytes: int) -> HeapProfile:
        prepare = getattr(self.resolver, "prepare", None)
        if prepare is not None:
            prepare(asked(self.records))
        known: dict[tuple[int | None, str | None], int] = {}
        for sample in self.own.samples:
            key = sample.stack, self._what(sample)
            if key not in known:
                known[key] = self.stacks.setdefault(self._stack(*key), len(self.stacks))
            self.numbers.append(known[key])
        image, count = self.own.image, len(self.numbers)
        at_peak, peak_ns = self._peak()
        end = None if image is None else image.end
        return HeapProfile(
            engine=Engine.FAULTS,
            stacks=tuple(self.stacks),
            peak=self._snapshot(at_peak, peak_ns, "peak", self._peak_rss()),
            exit=self._snapshot(
                count,
                self.own.samples[-1].t_ns if end is None else end.t_ns,
                "exit",
                None if end is None else end.last.rss_bytes,
            ),
            growth=tuple(self._growth(every_bytes)),
            course=tuple(self._course()),
            pid=self.own.told.pid,
            name=self.own.name,
            command=() if image is None else image.arguments,
            sample_bytes=self.sample_bytes,
            samples=count,
            lost_samples=self.totals.lost,
            notes=tuple(notes(self.recording, self.records, self.totals, self.own.samples, image)),
        )

    def _what(self, sample: Fault) -> str | None:
        """What was touched, where that is no anonymous memory: it gets a frame of its own, and is told apart by it."""
        if sample.kind is FaultKind.HUGETLB:
            return "[hugetlb page]"
        if sample.kind not in (FaultKind.FILE, FaultKind.SHMEM, FaultKind.SPECIAL):
            return None
        module = None if sample.module is None else self.records.modules.get(sample.module)
        name = "" if module is None else os.path.basename(module.path)
        what = "shared memory" if sample.kind is FaultKind.SHMEM else "file"
        return f"[{what} {name}]" if name else f"[{what}]"

    def _stack(self, number: int | None, what: str | None) -> Stack:
        found = self.records.stacks.get(number) if number is not None else None
        frames = [] if what is None else [Frame(what)]
        for call in found.frames if found is not None else ():
            frames += self._resolved(_ask(self.records, call, self.own.told.pid))
        return tuple(frames)

    def _resolved(self, asked_: Asked) -> tuple[Frame, ...]:
        known = self.frames.get(asked_)
        if known is None:
            path, _, address = asked_
            unnamed = Frame(None, library=None if perfmap.pid_of(path) is not None else path, address=address)
            known = self.resolver.resolve(*asked_) or (unnamed,)
            if perfmap.pid_of(path) is not None and not any(frame.function for frame in known):
                known = (unnamed,)
            self.frames[asked_] = known
        return known

    def _snapshot(self, count: int, t_ns: int, label: str, rss: int | None = None) -> Snapshot:
        """After so many samples."""
        sums = Counter(self.numbers[:count])
        period, size = self.totals.period, self.sample_bytes
        holdings = tuple(
            Holding(stack, Kind.FAULT, n * size, n * period, n * float(size) * (size - self.recording.page_size))
            for stack, n in sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
        )
        return Snapshot(t_ns / 1e9, rss, count * size, holdings, label=label)

    def _peak_rss(self) -> int | None:
        end = None if self.own.image is None else self.own.image.end
        if end is None:
            return None
        marks = [end.hwm_bytes, end.max_rss_bytes, end.counted_bytes, end.at_max.rss_bytes]
        if self.peaked:
            marks.append(self.recording.summary.peak_rss.bytes)
        return max((mark for mark in marks if mark is not None), default=None)

    def _peak(self) -> tuple[int, int]:
        """How many samples there were until the RSS was largest, and when that was: where a look saw it, then; else
        the end, which is as good for a program that only grows."""
        image, rss = self.own.image, self._peak_rss()
        end = None if image is None else image.end
        last = self.own.samples[-1].t_ns
        rising = end is not None and (end.last_read_ns or 0) - (end.at_max_ns or 0) < RISING_NS
        if end is None or rss is None or end.at_max_ns is None or rising or (end.at_max.rss_bytes or 0) < rss * NEAR:
            return len(self.own.samples), last if end is None else end.t_ns
        return bisect_right(self.own.samples, end.at_max_ns, key=lambda sample: sample.t_ns), end.at_max_ns

    def _rss(self, t_ns: int) -> int | None:
        """At the latest look."""
        start = self.recording.facts.monotonic_start_ns
        return None if self.seen is None or start is None else self.seen.at(t_ns + start)

    def _growth(self, every: int) -> Iterable[Snapshot]:
        whole = len(self.numbers) * self.sample_bytes
        while whole // every > MOST_MOMENTS:
            every *= 2
        following = every
        for count, sample in enumerate(self.own.samples, 1):
            if count * self.sample_bytes >= following:
                yield self._snapshot(count, sample.t_ns, "growth", self._rss(sample.t_ns))
                following = (count * self.sample_bytes // every + 1) * every

    def _course(self) -> Iterable[Point]:
        step = len(self.own.samples) // COURSE_POINTS + 1
        for count, sample in enumerate(self.own.samples, 1):
            if count % step == 0 or count == len(self.own.samples):
                yield Point(sample.t_ns / 1e9, count * self.sample_bytes, self._rss(sample.t_ns))
