"""The peak RSS of the command: the largest high-water mark among its program images, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from hiwater.analysis.precision import CounterError, counter_error, kernel_version
from hiwater.analysis.reading import UNKNOWN, Method, Reading
from hiwater.recording.model import UNKNOWN_RSS, Image, ImageEnd, Process, Recording
from hiwater.recording.wire import EndedByCode, ImageEndedBy, ImageFlags, ProcessEndFlags

GROWTH_BYTES_PER_MS = 32 << 20
"""The fastest that one process is assumed to grow after it was last read: 32 GiB a second, several times what the
page faults of one machine can deliver. Used only where nothing else bounds a process."""

_OWN_RUSAGE = ProcessEndFlags.REAPED | ProcessEndFlags.TRACED_WAIT


@dataclass(frozen=True)
class Evidence:
    """What a recording says about peaks, gathered once."""

    recording: Recording

    @cached_property
    def ends(self) -> dict[int, ImageEnd]:
        """Per image the last that is known of it; where a recording was cut before that, what its samples say."""
        ends = {image.number: image.end for image in self.recording.images if image.end is not None}
        if len(ends) < len(self.recording.images):
            largest = self.recording.timeline.largest_pages()
            for image in self.recording.images:
                if image.end is None:
                    ends[image.number] = self._end_of_samples(image, *largest.get(image.number, (None, None)))
        return ends

    def _end_of_samples(self, image: Image, rss_pages: int | None, hwm_pages: int | None) -> ImageEnd:
        def size(pages: int | None) -> int | None:
            return None if pages is None else pages * self.recording.page_size

        hwm, rss = size(hwm_pages), size(rss_pages)
        exact = rss if self.recording.facts.statm_exact else None
        return ImageEnd(
            image.start_ns, ImageEndedBy.ALIVE, 0, UNKNOWN_RSS, _largest(hwm, rss), exact, None, None,
            replace(UNKNOWN_RSS, rss_bytes=rss), None, None, None, None,
        )  # fmt: skip

    @cached_property
    def error(self) -> CounterError | None:
        """What one mark of the kernel can be off, for the image with the most threads."""
        return self._error(max((_threads(end) for end in self.ends.values()), default=1))

    def error_of(self, image: ImageEnd) -> CounterError | None:
        """What this image's mark can be off."""
        return self._error(_threads(image))

    def _error(self, threads: int) -> CounterError | None:
        facts = self.recording.facts
        return counter_error(facts.kernel, facts.cpus, self.recording.page_size, threads, self._faults)

    @cached_property
    def _faults(self) -> int | None:
        """The page faults of the command, where it is one process with certainty."""
        end = self.recording.observed_processes[0].end if alone(self.recording) else None
        if end is None or end.minor_faults is None or end.major_faults is None or not end.flags & _OWN_RUSAGE:
            return None
        return end.minor_faults + end.major_faults

    @cached_property
    def maxrss(self) -> int | None:
        """ru_maxrss over all that the monitor waited for."""
        told = [p.end.maxrss_bytes for p in self.recording.observed_processes if p.end is not None]
        return _largest(self.recording.end.tree_maxrss_bytes if self.recording.end else None, *told)

    @cached_property
    def events_are_exact(self) -> bool:
        """Events carry exact sums (since Linux 6.2)."""
        version = kernel_version(self.recording.facts.kernel)
        return self.recording.facts.exact and version is not None and version >= (6, 2)

    @cached_property
    def every_change_told(self) -> bool:
        """No event was lost, and every image has some; a child that runs in its parent's memory map needs none."""
        recording, stats = self.recording, self.recording.stats
        return (
            recording.facts.exact
            and recording.complete
            and bool(recording.images)
            and stats is not None
            and stats.lost_events == 0
            and stats.strangers_gave_bytes is not None
            and all(
                self.ends[image.number].exact is not None or image.flags & ImageFlags.SAME_MAP
                for image in recording.images
            )
        )

    def event_error(self, image: ImageEnd) -> CounterError | None:
        """What the sums that the events of this image carry can be off."""
        return CounterError(0, 0) if self.events_are_exact else self.error_of(image)

    @property
    def floor(self) -> int:
        """What ru_maxrss starts from; an unknown floor is taken for none, which can only widen the bounds."""
        stats = self.recording.stats
        return (stats.floor_bytes if stats else None) or 0

    @cached_property
    def every_end_known(self) -> bool:
        """Every image was read at its last instant, or bounded by the kernel when it was replaced (trace mode)."""
        recording = self.recording
        return (
            recording.facts.mode == "trace"
            and recording.complete
            and bool(recording.images)
            and all(
                (end.how is ImageEndedBy.EXIT_STOP and end.hwm_bytes is not None)
                or (end.how is ImageEndedBy.EXEC and end.folded_maxrss_bytes is not None)
                for end in self.ends.values()
            )
        )


def _largest(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _threads(end: ImageEnd) -> int:
    """How many threads can have held something back at once."""
    return max(1, end.max_threads or 1, end.threads_at_most or 1)


def mark(end: ImageEnd) -> int | None:
    """The largest that is known of one image."""
    return _largest(end.counted_bytes, _read_mark(end), end.exact.bytes if end.exact is not None else None)


def _read_mark(end: ImageEnd) -> int | None:
    """The same by the kernel's counters, as they were read."""
    return _largest(end.hwm_bytes, end.max_rss_bytes)


def image_peak(end: ImageEnd, evidence: Evidence) -> tuple[int | None, Method | None]:
    """The best single figure for one image, and how it was come by."""
    exact = end.exact
    if exact is not None and exact.lost == 0 and evidence.events_are_exact and evidence.recording.facts.statm_exact:
        # VmHWM is approximate: it may be above the truth as well as below.
        by_look = end.max_rss_bytes is not None and end.max_rss_bytes > exact.bytes
        return _largest(exact.bytes, end.max_rss_bytes), Method.RSS_SAMPLED if by_look else Method.RSS_EVENTS
    size = mark(end)
    if size is None:
        return None, None
    if size == end.counted_bytes:
        return size, Method.RSS_COUNTED
    if size == end.max_rss_bytes:
        return size, Method.RSS_SAMPLED
    if size != end.hwm_bytes:
        return size, Method.RSS_EVENTS
    return size, Method.VMHWM_AT_EXIT if end.how is ImageEndedBy.EXIT_STOP else Method.VMHWM_SAMPLED


def peak_rss(evidence: Evidence) -> Reading:
    """The largest high-water mark among the images of the command."""
    end = evidence.recording.end
    if end is not None and end.ended_by is EndedByCode.NOT_STARTED:
        return UNKNOWN
    low = _lower(evidence)
    high = _upper(evidence, low)
    best = max(_candidates(evidence), default=None)
    if best is None:
        return Reading(None, low, high, None)
    size, _, method = best
    # The bounds come from several sources; where one of them is tighter than the best single figure, it wins.
    size = max(size, low)
    return Reading(size if high is None else min(size, high), low, high, method)


def _candidates(evidence: Evidence) -> list[tuple[int, int, Method]]:
    """(bytes, precedence of its method among equals, method)."""
    found: list[tuple[int | None, int, Method]] = []
    for image in evidence.ends.values():
        if evidence.every_change_told and evidence.events_are_exact and evidence.recording.facts.statm_exact:
            # Nothing approximate is needed, which may be too high as well as too low.
            found += [
                (image.exact.bytes if image.exact is not None else None, 5, Method.RSS_EVENTS),
                (image.max_rss_bytes, 4, Method.RSS_SAMPLED),
            ]
            continue
        at_exit = image.how is ImageEndedBy.EXIT_STOP
        found += [
            (image.exact.bytes if image.exact is not None else None, 5, Method.RSS_EVENTS),
            (image.counted_bytes, 5, Method.RSS_COUNTED),
            (image.max_rss_bytes, 4, Method.RSS_SAMPLED),
            (image.hwm_bytes, 3 if at_exit else 2, Method.VMHWM_AT_EXIT if at_exit else Method.VMHWM_SAMPLED),
            # Up to the monitor's own size it tells of the monitor, as ru_maxrss does.
            (_above(image.folded_maxrss_bytes, evidence.floor), 0, Method.EXEC_FOLDED),
        ]
    known = [(size, precedence, method) for size, precedence, method in found if size is not None]
    maxrss = evidence.maxrss
    if known and evidence.every_change_told and evidence.events_are_exact:
        return known
    if maxrss is not None and (maxrss > evidence.floor or not (known and evidence.every_end_known)):
        known.append((maxrss, 1, Method.WAIT4))
    return known


def _above(size: int | None, floor: int) -> int | None:
    return size if size is not None and size > floor else None


def _lower(evidence: Evidence) -> int:
    low = 0
    exact = evidence.recording.facts.statm_exact
    for image in evidence.ends.values():
        error = evidence.error_of(image)
        if image.max_rss_bytes is not None and exact:
            low = max(low, image.max_rss_bytes)
        low = max(low, image.counted_bytes or 0, _told_for_certain(image, evidence))
        if error is None:
            continue
        low = max(low, (_read_mark(image) or 0) - error.above)
        low = max(low, _beyond_floor(image.folded_maxrss_bytes, evidence) or 0)
    return max(low, _beyond_floor(evidence.maxrss, evidence) or 0)


def _told_for_certain(image: ImageEnd, evidence: Evidence) -> int:
    """What the events prove: others may have taken pages of one counter while the events told of another."""
    stats, error = evidence.recording.stats, evidence.event_error(image)
    if image.exact is None or error is None or stats is None or stats.strangers_took_bytes is None:
        return 0
    return image.exact.least_bytes - stats.strangers_took_bytes - error.above


def _beyond_floor(maxrss: int | None, evidence: Evidence) -> int | None:
    """What a ru_maxrss proves: nothing as long as it may be the monitor's own, as it was when it forked."""
    if maxrss is None or evidence.error is None:
        return None
    # ru_maxrss is approximate; so is what was read of the monitor, where that was not counted.
    doubt = evidence.error.above + (0 if evidence.recording.facts.floor_exact else evidence.error.below)
    return maxrss - evidence.error.above if maxrss > evidence.floor + doubt else None


def _upper(evidence: Evidence, low: int) -> int | None:
    """The tightest of several bounds; one that contradicts what is certain is none."""
    bounds: tuple[int | None, ...]
    if evidence.recording.facts.attached_pid is not None:
        from hiwater.analysis.attached import upper_by_looking

        bounds = (upper_by_looking(evidence),)
    else:
        by_wait = _upper_by_wait(evidence)
        bounds = (by_wait, _upper_by_trace(evidence), _upper_by_events(evidence, by_wait))
    return min((bound for bound in bounds if bound is not None and bound >= low), default=None)


def _upper_by_trace(evidence: Evidence) -> int | None:
    if not evidence.every_end_known:
        return None
    bounds = []
    for image in evidence.ends.values():
        error = evidence.error_of(image)
        if error is None:
            return None
        if image.how is ImageEndedBy.EXIT_STOP:
            size = (_read_mark(image) or 0) + error.below
            # A page that is resident lies in the address space, whose high-water mark is exact.
            bounds.append(size if image.vm_peak_bytes is None else min(size, image.vm_peak_bytes))
        else:
            bounds.append((image.folded_maxrss_bytes or 0) + error.below)
    return max(bounds)


def _upper_by_events(evidence: Evidence, by_wait: int | None) -> int | None:
    stats = evidence.recording.stats
    if not evidence.every_change_told or stats is None or stats.strangers_gave_bytes is None:
        return None
    bounds = []
    for image in evidence.ends.values():
        error = evidence.event_error(image)
        if image.exact is None:
            continue  # its memory is another's
        if error is None:
            return None
        size = image.exact.bytes + stats.strangers_gave_bytes + error.below
        if image.exact.raced:
            if by_wait is None:
                return None
            size = max(size, by_wait)
        bounds.append(size)
    return max(bounds, default=None)


def _upper_by_wait(evidence: Evidence) -> int | None:
    recording = evidence.recording
    if not recording.complete or evidence.maxrss is None or evidence.error is None or recording.stats is None:
        return None
    below = evidence.error.below
    bounds = [evidence.maxrss + below]
    uncounted = _uncounted(recording)
    for image in recording.images:
        end = evidence.ends[image.number]
        own = evidence.error_of(end)
        error = own.below if own is not None else 0
        if end.how is ImageEndedBy.ALIVE:
            bounds.append((_read_mark(end) or 0) + error)
        elif end.how is not ImageEndedBy.EXIT_STOP and (
            image.process in uncounted
            # Seen larger than any rusage can have missed it by: nobody waited for it.
            or (mark(end) or 0) > evidence.maxrss + below + error
        ):
            since_ns = end.t_ns - (image.start_ns if end.last_read_ns is None else end.last_read_ns)
            bounds.append(growth((_read_mark(end) or 0) + error, since_ns, recording))
    lost = recording.stats.uncounted != 0 or recording.end is None or recording.end.left_alive > 0
    if lost and recording.stats.unseen != 0 and recording.facts.mode != "trace":
        # None was looked at, so none lived longer than the longest time between two looks.
        bounds.append(growth(below, recording.stats.longest_gap_ns or 0, recording))
    return max(bounds)


def growth(at_most: int, since_ns: int, recording: Recording) -> int:
    """What became at most, in so long a time, of what was ``at_most`` so large."""
    size = at_most + (max(0, since_ns) * GROWTH_BYTES_PER_MS) // 1_000_000
    total = recording.facts.mem_total_bytes
    return size if total is None else min(size, max(total, at_most))


def _uncounted(recording: Recording) -> set[int]:
    """Processes whose peak need not be in any rusage the monitor was given: nobody waited for them, or whoever did
    still ran when the recording ended."""
    parents = {process.number: process.parent for process in recording.observed_processes}
    ended = {p.number for p in recording.observed_processes if p.end is not None and p.end.flags & _OWN_RUSAGE}
    ended_at_all = {p.number for p in recording.observed_processes if p.end is not None}
    alive = {
        image.process
        for image in recording.images
        if image.end is None or image.end.how is ImageEndedBy.ALIVE or image.process not in ended_at_all
    }
    return {
        process.number
        for process in recording.observed_processes
        if process.number not in ended
        and (
            (process.end is not None and bool(process.end.flags & ProcessEndFlags.MAY_BE_UNCOUNTED))
            or _has_ancestor(process.number, alive, parents)
        )
    }


def _has_ancestor(number: int, wanted: set[int], parents: dict[int, int | None]) -> bool:
    at = parents.get(number)
    for _ in parents:  # no more steps than processes: a damaged file may hold a circle
        if at is None:
            return False
        if at in wanted:
            return True
        at = parents.get(at)
    return False


def peak_image(evidence: Evidence, peak: Reading) -> Image | None:
    """The image that peaked; ``None`` if it cannot be told which one it was."""
    recording = evidence.recording
    if peak.bytes is None or not recording.images:
        return None

    def largest(images: list[Image]) -> Image:
        return max(images, key=lambda image: (mark(evidence.ends[image.number]) or -1, image.number))

    # A child between vfork and execve shows its parent's memory: the peak is the parent's.
    own = [image for image in recording.images if not image.flags & ImageFlags.SAME_MAP]
    best = largest(own or list(recording.images))
    if alone(recording):
        return best
    known = mark(evidence.ends[best.number])
    tolerance = (evidence.error.below if evidence.error is not None else 0) + peak.bytes // 100
    if known is not None and known >= peak.bytes - tolerance:
        return best
    process = _told_by_wait(recording, peak.bytes - tolerance)
    return largest(list(process.images)) if process is not None and process.images else None


def alone(recording: Recording) -> bool:
    """Whether the command is one process, with certainty."""
    if len(recording.observed_processes) != 1:
        return False
    if recording.facts.mode == "trace":
        return True
    # Only a look can tell that there was nobody else; the kernel's count of children it handed out says the same.
    return recording.stats is not None and recording.stats.unseen == 0


def _told_by_wait(recording: Recording, at_least: int) -> Process | None:
    """A process without children whose own ru_maxrss is the peak."""
    if recording.facts.mode != "trace" and (recording.stats is None or recording.stats.unseen != 0):
        return None
    parents = {process.parent for process in recording.observed_processes}
    told = [
        (process.end.maxrss_bytes, process)
        for process in recording.observed_processes
        if process.number not in parents
        and process.end is not None
        and process.end.flags & _OWN_RUSAGE
        and process.end.maxrss_bytes is not None
        and process.end.maxrss_bytes >= at_least
    ]
    return max(told, key=lambda pair: pair[0])[1] if told else None


def is_guess(image: Image) -> bool:
    """Whether the image's names are only those of the command that was asked for."""
    return bool(image.flags & ImageFlags.GUESSED)
