"""Everything the views show, worked out once from a recording."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.analysis.demand import Demand, demand
from hiwater.analysis.inherited import Inherited, inherited
from hiwater.analysis.limit import Limit, LimitVerdict, difference, judge_limit, limit_of
from hiwater.analysis.peak import Evidence, image_peak, is_guess, mark, peak_image, peak_rss
from hiwater.analysis.reading import Method, Reading
from hiwater.analysis.tree import Tree, tree_peak
from hiwater.recording.model import UNKNOWN_RSS, Image, ImageEnd, Process, Recording, Rss, Warning_
from hiwater.recording.wire import EndedByCode, ImageEndedBy
from hiwater.units import format_size

ENDED_BY = {
    EndedByCode.EXIT: "exit",
    EndedByCode.SIGNAL: "signal",
    EndedByCode.OOM: "oom",
    EndedByCode.TIMEOUT: "timeout",
    EndedByCode.NOT_STARTED: "not_started",
    EndedByCode.DETACHED: "detached",
    EndedByCode.GONE: "gone",
}


@dataclass(frozen=True, slots=True)
class PeakProcess:
    """Which process peaked."""

    pid: int
    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    """The process that was attached to."""

    pid: int
    name: str
    peaked_before: bool
    """The mark of the image that peaked has not risen since it was attached to."""
    seen_since_bytes: int | None
    """The largest RSS of that image that was read since."""


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One program image, for reports."""

    exe: str | None
    command: tuple[str, ...]
    start_seconds: float
    end_seconds: float | None
    peak_rss_bytes: int | None
    peak_rss_method: Method | None
    peak_before_bytes: int | None
    """Its mark when it was attached to; ``None`` unless it ran before."""
    start: Rss | None
    """At its first instant; ``None`` unless that was seen (trace mode)."""
    exact_lost: int | None
    """Events that were lost while it lived; ``None`` if its changes were not told as events (--exact)."""
    exit: Rss | None
    """At its last instant; ``None`` unless that was seen (trace mode)."""


@dataclass(frozen=True, slots=True)
class ProcessSummary:
    """One process, for reports."""

    pid: int
    ppid: int
    images: tuple[ImageSummary, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """What watching took."""

    period_seconds: float | None
    """As it came to: the wall time divided by the number of looks."""
    count: int | None
    cpu_seconds: float | None
    coarse_bytes: int | None = None
    """Largest change that the timeline leaves out for want of room; 0: it has every one that was seen."""


@dataclass(frozen=True, slots=True)
class Events:
    """How every change was followed (--exact)."""

    count: int
    lost: int
    sum_peak_bytes: int | None
    """Largest sum of RSS over the tree at any instant; shared pages count in each process."""
    sum_peak_seconds: float | None
    others_took_bytes: int | None
    """The most that others can have taken from the command unseen; see ``Stats.strangers_took_bytes``."""
    others_gave_bytes: int | None
    cpu_seconds: float | None
    """What of ``sampling.cpu_seconds`` the events took."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one execution; the names are those of the JSON."""

    command: tuple[str, ...]
    attached: Attached | None
    """``None`` where a command was executed."""
    started_at: float
    """Seconds since 1970."""
    wall_seconds: float | None
    user_seconds: float | None
    system_seconds: float | None
    exit_code: int | None
    term_signal: int | None
    ended_by: str | None
    peak_rss: Reading
    peak_process: PeakProcess | None
    peak_split: Rss
    """Where the largest RSS of the process that peaked was read."""
    peak_swap_bytes: int | None
    """Largest VmSwap of the process that peaked; not necessarily at the same instant."""
    peak_page_tables_bytes: int | None
    """Largest VmPTE of the process that peaked, likewise."""
    peak_hugetlb_bytes: int | None
    """Largest HugetlbPages of the process that peaked, likewise."""
    tree: Tree
    demand: Demand
    processes_alive_max: int | None
    inherited: Inherited
    command_image: ImageSummary | None
    """The last image of the command itself."""
    processes: tuple[ProcessSummary, ...]
    sampling: Sampling
    events: Events | None
    limit: Limit | None
    limit_verdict: LimitVerdict | None
    cgroup_difference: str | None
    """Why the peak of the command's cgroup is not the peak of its RSS."""
    warnings: tuple[Warning_, ...]


def summarize(recording: Recording) -> Summary:
    """Pure: the same recording gives the same summary, on any machine."""
    evidence = Evidence(recording)
    peak = peak_rss(evidence)
    image = peak_image(evidence, peak)
    end, stats = recording.end, recording.stats
    status = end.status if end is not None else None
    started = end is not None and end.ended_by is not EndedByCode.NOT_STARTED and status is not None
    signal = status & 0x7F if started and status is not None else None
    processes = tuple(_process(process, evidence) for process in recording.observed_processes)
    tree = tree_peak(evidence, peak)
    peak_end = evidence.ends[image.number] if image is not None else None
    return Summary(
        command=recording.arguments,
        attached=_attached(recording, image, peak_end),
        started_at=recording.started_realtime_ns / 1e9,
        wall_seconds=end.command_ns / 1e9 if end is not None else None,
        user_seconds=_seconds(end.user_ns if end is not None else None),
        system_seconds=_seconds(end.system_ns if end is not None else None),
        exit_code=(status >> 8) & 0xFF if started and status is not None and signal == 0 else None,
        term_signal=signal or None,
        ended_by=ENDED_BY.get(end.ended_by) if end is not None and end.ended_by is not None else None,
        peak_rss=peak,
        peak_process=_peak_process(recording, image) if image is not None else None,
        peak_split=peak_end.at_max if peak_end is not None else UNKNOWN_RSS,
        peak_swap_bytes=peak_end.max_swap_bytes if peak_end is not None else None,
        peak_page_tables_bytes=peak_end.max_pte_bytes if peak_end is not None else None,
        peak_hugetlb_bytes=peak_end.max_hugetlb_bytes if peak_end is not None else None,
        tree=tree,
        demand=demand(recording),
        processes_alive_max=stats.max_alive if stats is not None else None,
        inherited=inherited(recording, peak),
        command_image=processes[0].images[-1] if processes and processes[0].images else None,
        processes=processes,
        sampling=_sampling(recording),
        events=_events(recording),
        limit=limit_of(recording),
        limit_verdict=judge_limit(recording),
        cgroup_difference=difference(recording.cgroup, tree.reading.bytes) if recording.cgroup is not None else None,
        warnings=recording.told_warnings + tuple(_own_warnings(evidence, peak, image)),
    )


def _attached(recording: Recording, peaked: Image | None, end: ImageEnd | None) -> Attached | None:
    pid = recording.facts.attached_pid
    if pid is None:
        return None
    images = recording.observed_processes[0].images if recording.observed_processes else ()
    before = peaked.before_hwm_bytes if peaked is not None else None
    now = mark(end) if end is not None else None
    return Attached(
        pid,
        images[-1].name if images else "?",
        before is not None and now is not None and now <= before,
        end.max_rss_bytes if end is not None else None,
    )


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def _peak_process(recording: Recording, image: Image) -> PeakProcess:
    process = next(p for p in recording.observed_processes if p.number == image.process)
    if image.process == 0 and not image.comm and recording.arguments:
        # It came and went between two looks; that it is the command is known all the same.
        return PeakProcess(process.pid, recording.arguments[0].rpartition("/")[2], recording.arguments)
    return PeakProcess(process.pid, image.name, image.arguments)


def _process(process: Process, evidence: Evidence) -> ProcessSummary:
    return ProcessSummary(process.pid, process.ppid, tuple(_image(image, evidence) for image in process.images))


def _image(image: Image, evidence: Evidence) -> ImageSummary:
    end = evidence.ends[image.number]
    size, method = image_peak(end, evidence)
    at_exit = end.how is ImageEndedBy.EXIT_STOP
    return ImageSummary(
        exe=image.exe or None,
        command=image.arguments,
        start_seconds=image.start_ns / 1e9,
        end_seconds=end.t_ns / 1e9 if image.end is not None and end.how is not ImageEndedBy.ALIVE else None,
        peak_rss_bytes=size,
        peak_rss_method=method,
        peak_before_bytes=image.before_hwm_bytes,
        start=image.start if image.start.rss_bytes is not None and image.flags & 1 else None,
        exact_lost=end.exact.lost if end.exact is not None else None,
        exit=end.last if at_exit and end.last.rss_bytes is not None else None,
    )


def _sampling(recording: Recording) -> Sampling:
    stats = recording.stats
    if stats is None:
        return Sampling(_seconds(recording.facts.period_ns), None, None)
    period = stats.t_ns / stats.ticks / 1e9 if stats.ticks else None
    return Sampling(period, stats.ticks, _seconds(stats.cpu_ns), stats.coarse_bytes)


def _events(recording: Recording) -> Events | None:
    stats = recording.stats
    if not recording.facts.exact or stats is None or stats.events is None:
        return None
    return Events(
        stats.events,
        stats.lost_events or 0,
        stats.sum_peak_bytes,
        _seconds(stats.sum_peak_ns),
        stats.strangers_took_bytes,
        stats.strangers_gave_bytes,
        _seconds(stats.events_cpu_ns),
    )


def _unattributed(evidence: Evidence) -> str:
    """Why it cannot be said which process peaked, and which was the largest that was seen."""
    sizes = {image.number: mark(evidence.ends[image.number]) for image in evidence.recording.images}
    largest = max(evidence.recording.images, key=lambda image: sizes[image.number] or 0, default=None)
    if largest is None or not sizes[largest.number]:
        return "the process that peaked was too short-lived to be seen; --trace sees every process"
    pid = next(p.pid for p in evidence.recording.observed_processes if p.number == largest.process)
    return (
        "the process that peaked was too short-lived to be seen, or grew after it was last looked at (the largest that "
        f"was seen: {largest.name}, pid {pid}, {format_size(sizes[largest.number])}); --trace sees every process"
    )


def _own_warnings(evidence: Evidence, peak: Reading, image: Image | None) -> list[Warning_]:
    recording = evidence.recording
    found = []
    if recording.cut is not None:
        found.append(Warning_("recording-cut", f"the recording is incomplete: {recording.cut.reason}"))
    if peak.bytes is not None and image is None and recording.complete:
        found.append(Warning_("peak-unattributed", _unattributed(evidence)))
    stats = recording.stats
    if recording.facts.exact and stats is not None and stats.lost_events:
        found.append(
            Warning_(
                "events-lost",
                f"{stats.lost_events} of {stats.lost_events + (stats.events or 0)} events were lost for want of room: "
                "what was missed lies within the bounds",
            )
        )
    if image is not None and is_guess(image) and len(recording.arguments) > 1 and evidence.ends[image.number].samples:
        found.append(Warning_("names-guessed", "the program could not be read; its name is the command's"))
    if recording.cgroup is not None and recording.cgroup.is_at_limit:
        found.append(
            Warning_("peak-is-limit", "the limit was met: without it, every figure of memory here could be larger")
        )
    return found
