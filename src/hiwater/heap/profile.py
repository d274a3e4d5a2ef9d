"""From the sampler's logs and the recording of the same execution to heap profiles: what stood where, and when."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hiwater.heap import moments, python_frames, python_loops
from hiwater.heap.log import HeapLog, RawStack
from hiwater.heap.mappings import module_at
from hiwater.heap.model import ASKED, Engine, Frame, HeapProfile, Holding, Kind, Language, Point, Snapshot, Stack, Trim
from hiwater.heap.moments import GrowthOf, How, PeakMoment, Sight
from hiwater.heap.replay import Live, Replay
from hiwater.heap.symbols import perfmap
from hiwater.heap.wire import HeadFlags, StackFlags, Why
from hiwater.recording.model import Image, Recording
from hiwater.units import MIB, format_seconds, format_size

EVERY_BYTES = 10 * MIB
COURSE_POINTS = 2000


class Resolver(Protocol):
    """Says what lies at an address."""

    def resolve(self, module_path: str, build_id: str, address: int) -> tuple[Frame, ...]:
        """The calls at an address of a file, in the file's own terms: innermost first, those that were inlined with
        the function that they are inlined in. Empty where nothing is known. ``build_id`` is in hexadecimal, empty if
        the file has none."""


Asked = tuple[str, str, int]
"""What a resolver is asked: path, build-id, address."""


class NoSymbols:
    """A resolver that knows nothing."""

    def resolve(self, module_path: str, build_id: str, address: int) -> tuple[Frame, ...]:
        """Nothing."""
        return ()


class Remembering:
    """Passes questions on, and keeps the answers, for the recording (:mod:`hiwater.recording.heap`)."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.symbols: dict[Asked, tuple[Frame, ...]] = {}

    def prepare(self, wanted: Sequence[Asked]) -> None:
        """All that will be asked, where the resolver wants to know beforehand."""
        _prepare(self._resolver, wanted)

    def resolve(self, module_path: str, build_id: str, address: int) -> tuple[Frame, ...]:
        """The answer of the other one."""
        asked = module_path, build_id, address
        if asked not in self.symbols:
            self.symbols[asked] = self._resolver.resolve(*asked)
        return self.symbols[asked]


@dataclass(frozen=True, slots=True)
class PythonFrame:
    """A Python frame of a stack."""

    frame: Frame
    entry: bool
    """It was entered from C: the next one belongs to an evaluation further out on the native stack."""


Merge = Callable[[Sequence[Sequence[Frame]], Sequence[PythonFrame]], Stack]
"""Puts Python's frames in the place of the interpreter's own. Takes the native frames by return address, innermost
first, each with what was inlined there; gives one stack."""


def profile(
    recording: Recording,
    logs: Sequence[HeapLog],
    resolver: Resolver,
    *,
    every_bytes: int = EVERY_BYTES,
    growth_of: GrowthOf = GrowthOf.IN_USE,
    merge: Merge | None = None,
    at_seconds: float | None = None,
) -> HeapProfile | None:
    """The heap of the image that peaked, or of the largest that was followed; ``None`` if none was. ``at_seconds``: a
    moment that stands among those of growth, too."""
    log = peak_log(recording, logs)
    return None if log is None else profile_of(recording, log, resolver, every_bytes, growth_of, merge, at_seconds)


def profiles(
    recording: Recording,
    logs: Sequence[HeapLog],
    resolver: Resolver,
    *,
    every_bytes: int = EVERY_BYTES,
    growth_of: GrowthOf = GrowthOf.IN_USE,
    merge: Merge | None = None,
) -> tuple[HeapProfile, ...]:
    """Those of all images that were followed, as they began."""
    ordered = sorted(logs, key=lambda log: (log.head.start_ns, log.key))
    return tuple(profile_of(recording, log, resolver, every_bytes, growth_of, merge) for log in ordered)


def peak_log(recording: Recording, logs: Sequence[HeapLog]) -> HeapLog | None:
    """That of the image that peaked; where it was not followed, that of the largest image."""
    from hiwater.analysis.peak import Evidence, mark, peak_image

    if not logs:
        return None
    images = [(moments.image_of(log, recording), log) for log in logs]
    evidence = Evidence(recording)
    first = peak_image(evidence, recording.summary.peak_rss)

    def size(pair: tuple[Image | None, HeapLog]) -> tuple[bool, int, int]:
        image, log = pair
        known = None if image is None else mark(evidence.ends[image.number])
        return image is not None and image is first, known or 0, len(log.samples)

    return max(images, key=size)[1]


def profile_of(
    recording: Recording,
    log: HeapLog,
    resolver: Resolver,
    every_bytes: int = EVERY_BYTES,
    growth_of: GrowthOf = GrowthOf.IN_USE,
    merge: Merge | None = None,
    at_seconds: float | None = None,
) -> HeapProfile:
    """The heap of one image. ``at_seconds``: a moment that stands among those of growth, too."""
    return _Maker(recording, log, resolver, merge or python_frames.merge).profile(every_bytes, growth_of, at_seconds)


def profile_at(
    recording: Recording,
    log: HeapLog,
    resolver: Resolver,
    t_ns: int,
    merge: Merge | None = None,
    replay: Replay | None = None,
) -> HeapProfile:
    """The heap of one image at one moment (CLOCK_MONOTONIC), which stands as ``peak``. ``replay``: of the log, where
    there is one already."""
    return _Maker(recording, log, resolver, merge or python_frames.merge, replay).at(t_ns)


def profile_between(
    recording: Recording,
    log: HeapLog,
    resolver: Resolver,
    begin_seconds: float,
    end_seconds: float,
    merge: Merge | None = None,
) -> HeapProfile:
    """What each call held more, or less (negative), at the end than at the beginning: it stands as ``peak``. What lived
    at both moments adds nothing to the standard errors."""
    maker = _Maker(recording, log, resolver, merge or python_frames.merge)
    return maker.between(begin_seconds, end_seconds)


class _Maker:
    """The profile of one log."""

    def __init__(
        self, recording: Recording, log: HeapLog, resolver: Resolver, merge: Merge, replay: Replay | None = None
    ) -> None:
        self.recording, self.log, self.resolver, self.merge = recording, log, resolver, merge
        self.replay = Replay(log) if replay is None else replay
        self.image = moments.image_of(log, recording)
        self.seen: Sight | None = None if self.image is None else moments.sight(recording, self.image)
        self.start_ns = zero(recording, log, self.image)
        self.stacks: dict[int, int] = {}  # index of a stack of the log
        self.resolved: dict[Asked, tuple[Frame, ...]] = {}

    def profile(self, every_bytes: int, growth_of: GrowthOf, at_seconds: float | None) -> HeapProfile:
        log, replay = self.log, self.replay
        peak = moments.peak(replay, self.recording, self.image, self.seen)
        grown, step = moments.growth(replay, every_bytes, growth_of)
        asked = None if at_seconds is None else self.start_ns + round(at_seconds * 1e9)
        grown = sorted({*grown, *([] if asked is None else [asked])})
        ended = self._ended()
        wanted = sorted({*grown, *([peak.t_ns] if peak else []), *([log.end_ns] if ended else [])})
        lives = {live.t_ns: live for live in replay.at_many(wanted)}
        stacks = self._stacks(lives.values())
        return HeapProfile(
            engine=Engine.HIWATER,
            stacks=stacks,
            peak=None if peak is None else self._snapshot(lives[peak.t_ns], "peak", peak.rss_bytes),
            exit=self._snapshot(lives[log.end_ns], "exit") if ended else None,
            growth=tuple(self._snapshot(lives[t_ns], ASKED if t_ns == asked else "growth") for t_ns in grown),
            course=self._course(),
            pid=log.head.pid,
            name=None if self.image is None else self.image.name,
            command=() if self.image is None else self.image.arguments,
            sample_bytes=None if peak is None else replay.mean_at(peak.t_ns),
            samples=max(log.head.samples, len(log.samples)),
            lost_samples=log.head.lost_samples,
            allocations=log.head.totals.allocations + log.head.totals.python_allocations or None,
            allocated_bytes=log.head.totals.allocated_bytes + log.head.totals.python_allocated_bytes or None,
            notes=tuple(self._notes(peak, every_bytes, step, growth_of)),
            trim=self._trim(),
        )

    def _trim(self) -> Trim | None:
        done = self.log.trimmed
        return None if done is None else Trim(done.rss_before_bytes, done.rss_after_bytes, done.seconds)

    def at(self, t_ns: int) -> HeapProfile:
        live = self.replay.at(t_ns)
        stacks = self._stacks([live])
        return HeapProfile(Engine.HIWATER, stacks, self._snapshot(live, ""), None, pid=self.log.head.pid)

    def between(self, begin_seconds: float, end_seconds: float) -> HeapProfile:
        begin, end = (self.start_ns + round(at * 1e9) for at in (begin_seconds, end_seconds))
        live = Live(end, self.replay.between(begin, end), 0, ())
        stacks = self._stacks([live])
        snapshot = self._snapshot(live, f"since {format_seconds(begin_seconds)}")
        return HeapProfile(Engine.HIWATER, stacks, snapshot, None, pid=self.log.head.pid)

    def _ended(self) -> bool:
        """Whether the end was seen: by the sampler, or by the monitor, for what was sampled until then is there."""
        image = self.image
        return bool(self.log.head.flags & HeadFlags.ENDED) or (
            image is not None and image.end is not None and not self.log.head.flags & HeadFlags.STOPPED
        )

    def seconds(self, t_ns: int) -> float:
        """On the recording's clock."""
        return (t_ns - self.start_ns) / 1e9

    def _snapshot(self, live: Live, label: str, rss: int | None = None) -> Snapshot:
        holdings = tuple(replace(held, stack=self.stacks[held.stack]) for held in live.holdings)
        return Snapshot(
            at_seconds=self.seconds(live.t_ns),
            rss_bytes=rss if rss is not None or self.seen is None else self.seen.at(live.t_ns),
            in_use_bytes=live.in_use_bytes,
            holdings=_merged(holdings),
            label=label,
        )

    def _course(self) -> tuple[Point, ...]:
        """The largest of each of many short times."""
        first = bisect_left(self.replay.times, self.log.head.start_ns)  # of a fork, before it was one
        times, sizes = self.replay.times[first:], self.replay.in_use[first:]
        if not times:
            return ()
        step = max(1, (times[-1] - times[0]) // COURSE_POINTS + 1)
        best: dict[int, tuple[int, int]] = {}
        for t_ns, size in zip(times, sizes, strict=True):
            slot = (t_ns - times[0]) // step
            if slot not in best or size > best[slot][1]:
                best[slot] = t_ns, size
        last = times[-1], sizes[-1]
        points = [*best.values(), *([last] if last not in best.values() else [])]
        seen = self.seen
        return tuple(
            Point(self.seconds(t_ns), size, None if seen is None else seen.at(t_ns)) for t_ns, size in sorted(points)
        )

    def _stacks(self, lives: Iterable[Live]) -> tuple[Stack, ...]:
        """Those that hold something, resolved; equal ones are one."""
        used = {held.stack for live in lives for held in live.holdings}
        first = self._first_seen()
        raw = {number: self.log.stacks.get(number, RawStack((), (), StackFlags(0))) for number in sorted(used)}
        asked = {number: self._asked(stack, first.get(number, 0)) for number, stack in raw.items()}
        _prepare(self.resolver, sorted({one for calls in asked.values() for one in calls}))
        found: dict[Stack, int] = {}
        python = [self._python(stack) for stack in raw.values()]
        native = ([self._frames(one) for one in asked[number]] for number in raw)
        named = python_loops.name_loops(list(zip(native, python, strict=True)))
        for number, ours, theirs in zip(raw, python, named, strict=True):
            made = self.merge(theirs, ours) if theirs or ours else ()
            self.stacks[number] = found.setdefault(made, len(found))
        return tuple(found)

    def _first_seen(self) -> dict[int, int]:
        """When each stack was first used: what code lay where then."""
        samples, first = self.log.samples, dict[int, int]()
        stack_of = [kind[0] for kind in samples.kinds]
        seen: set[int] = set()
        for t_ns, what in zip(samples.alloc_ns, samples.what, strict=True):
            if what not in seen:
                seen.add(what)
                stack = stack_of[what]
                first[stack] = min(t_ns, first.get(stack, t_ns))
        for event in self.log.mapped:
            first.setdefault(event.stack, event.t_ns)
        return first

    def _asked(self, stack: RawStack, t_ns: int) -> list[Asked]:
        """What to look up: of a return address the byte before it, which is of the call."""
        found = []
        for address in stack.addresses:
            module = module_at(self.log.modules, address - 1, t_ns)
            if module is None:
                found.append((perfmap.path(self.log.head.pid), "", address - 1))
            else:
                found.append((module.path, module.build_id, address - 1 - module.bias))
        return found

    def _frames(self, asked: Asked) -> tuple[Frame, ...]:
        known = self.resolved.get(asked)
        if known is None:
            path, _, address = asked
            unnamed = Frame(None, library=None if perfmap.pid_of(path) is not None else path, address=address)
            known = self.resolver.resolve(*asked) or (unnamed,)
            self.resolved[asked] = known
        return known

    def _python(self, stack: RawStack) -> list[PythonFrame]:
        found = []
        for call in stack.python:
            code = self.log.codes.get(call.code)
            name, file = (code.name, code.file) if code is not None else (None, None)
            first = code.first_line if code is not None else None
            frame = Frame(name, file, call.line or None, language=Language.PYTHON, first_line=first)
            found.append(PythonFrame(frame, call.entry))
        return found

    def _notes(self, peak: PeakMoment | None, every: int, step: int, of: GrowthOf) -> Iterable[str]:
        log, head = self.log, self.log.head
        if peak is not None:
            yield self._how(peak)
        if step != every:
            told = f"{format_size(step)} apart, not {format_size(every)}"
            yield f"Snapshots of growth are {told}: there would be too many."
        if head.lost_samples:
            yield (
                f"{head.lost_samples} samples were taken and could not be written; they stand for "
                f"{format_size(head.lost_bytes)}, which is missing here."
            )
        if head.lost_frees:
            yield f"That {head.lost_frees} sampled blocks were freed could not be written: they seem to live on."
        if head.skipped_bytes:
            yield (
                f"{head.skipped_allocations} allocations of {format_size(head.skipped_bytes)} in all were not open to "
                "sampling: made by signal handlers, or while a sample was taken."
            )
        if head.flags & HeadFlags.STOPPED:
            yield f"Sampling ended before the process did (error {head.stopped_errno}): what came then is missing."
        elif not head.flags & HeadFlags.ENDED:
            yield "The process was killed, or still ran: the exit is the last that it wrote."
        if head.flags & HeadFlags.UNHOOKED:
            yield (
                "The Python of this process is one that is not followed (before 3.10, or built without the GIL): only "
                "what it takes from malloc is here, without Python's frames."
            )
        elif head.flags & HeadFlags.FRAMELESS:
            yield (
                "The Python of this process is not one of 3.10 to 3.15, as they were released: its memory is here "
                "without Python's frames."
            )
        for one in log.not_followed[:3]:
            why = _WHY.get(one.why, "for a reason that is newer than this hiwater")
            yield f"{one.path} was executed and cannot be followed: {why}."
        if len(log.not_followed) > 3:
            yield f"So were {len(log.not_followed) - 3} more."
        if log.cut is not None:
            yield f"The sampler's file is damaged or was cut: {log.cut}."
        if log.orphan:
            yield "It is a fork, and what its parent wrote is not there: what it held before is unknown."

    def _how(self, peak: PeakMoment) -> str:
        at = format_seconds(self.seconds(peak.t_ns))
        width = format_seconds((peak.high_ns - peak.low_ns) / 1e9)
        between = f"{format_seconds(self.seconds(peak.low_ns))} and {format_seconds(self.seconds(peak.high_ns))}"
        return {
            How.EVENTS: f"The peak stands for {at}: the RSS was within 1 % of its largest, by the events of every "
            f"change, between {between}, and the heap held most then.",
            How.LOOKS: f"The peak stands for {at}: the RSS was within 1 % of its largest between {between}, and the "
            "heap held most then.",
            How.MARK: f"The largest RSS lay between two looks, between {between} ({width}); the peak stands for {at}, "
            "when the heap held most in that time.",
            How.HEAP: f"When the RSS was largest is not known: the peak stands for {at}, when the heap held most.",
        }[peak.how]


_WHY: dict[int, str] = {
    Why.IS_STATIC: "it is static",
    Why.OTHER_LIBC: "it has another C library",
    Why.OTHER_MACHINE: "it is of another word size or processor",
    Why.PRIVILEGED: "it has privileges of its own (set-user-ID)",
}


def zero(recording: Recording, log: HeapLog, image: Image | None) -> int:
    """CLOCK_MONOTONIC at the recording's t = 0; of an older recording, as if the log began with its image."""
    known = recording.facts.monotonic_start_ns
    return known if known is not None else log.head.start_ns - (0 if image is None else image.start_ns)


def _prepare(resolver: Resolver, wanted: Sequence[Asked]) -> None:
    """Some resolvers are quicker if they know all at once: those have a ``prepare``."""
    prepare = getattr(resolver, "prepare", None)
    if prepare is not None:
        prepare(wanted)


def _merged(holdings: Sequence[Holding]) -> tuple[Holding, ...]:
    """Stacks of several numbers can be the same once they have names."""
    found: dict[tuple[int, Kind], Holding] = {}
    for held in holdings:
        key = held.stack, held.kind
        old = found.get(key)
        found[key] = (
            held
            if old is None
            else Holding(
                held.stack,
                held.kind,
                old.in_use_bytes + held.in_use_bytes,
                old.allocations + held.allocations,
                old.variance + held.variance,
            )
        )
    return tuple(sorted(found.values(), key=lambda held: (-held.in_use_bytes, held.stack, held.kind.value)))
