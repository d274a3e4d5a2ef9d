"""How recordings differ from the first of them: figure by figure, and program by program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hiwater.analysis.peak import Evidence, mark
from hiwater.analysis.process_tree import name_of
from hiwater.analysis.reading import Reading
from hiwater.recording.model import Recording
from hiwater.recording.wire import ImageFlags


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of all recordings."""

    label: str
    unit: str
    """``bytes``, ``seconds`` or ``count``."""
    values: tuple[float | None, ...]
    sure: tuple[bool | None, ...]
    """For each recording whether its bounds and those of the first leave no doubt that they differ; ``None`` where
    the figure has no bounds."""

    def change(self, at: int) -> float | None:
        """What the recording ``at`` has more than the first."""
        first, other = self.values[0], self.values[at]
        return None if first is None or other is None else other - first


def figures(recordings: Sequence[Recording]) -> list[Difference]:
    """The figures of the summary."""
    summaries = [recording.summary for recording in recordings]
    cpu = [None if s.user_seconds is None or s.system_seconds is None else s.user_seconds + s.system_seconds
           for s in summaries]  # fmt: skip
    none = tuple(None for _ in recordings)
    return [
        _readings("peak RSS", [s.peak_rss for s in summaries]),
        _readings("tree peak", [s.tree.reading for s in summaries]),
        Difference("swapped out, at most", "bytes", tuple(s.demand.swap_bytes for s in summaries), none),
        Difference("page tables, at most", "bytes", tuple(s.demand.page_tables_bytes for s in summaries), none),
        Difference("with swap, page tables, hugetlb", "bytes", tuple(s.demand.total_bytes for s in summaries), none),
        Difference("wall time", "seconds", tuple(s.wall_seconds for s in summaries), none),
        Difference("CPU time", "seconds", tuple(cpu), none),
        Difference("processes found", "count", tuple(len(s.processes) for s in summaries), none),
    ]


def programs(recordings: Sequence[Recording], count: int = 10) -> list[Difference]:
    """Per name of a program the largest peak RSS of its images, those that changed most first; ``None`` where no such
    program was seen."""
    peaks = [_by_name(recording) for recording in recordings]
    names = sorted({name for found in peaks for name in found})
    rows = [_readings(name, [found.get(name, Reading(None, None, None, None)) for found in peaks]) for name in names]

    def moved(row: Difference) -> float:
        sizes = [value or 0 for value in row.values]
        return max(abs(size - sizes[0]) for size in sizes)

    return sorted(rows, key=moved, reverse=True)[:count]


def _by_name(recording: Recording) -> dict[str, Reading]:
    evidence = Evidence(recording)
    found: dict[str, Reading] = {}
    for process in recording.observed_processes:
        for image in process.images:
            if image.flags & ImageFlags.SAME_MAP:
                continue  # that is its parent's memory
            size = mark(evidence.ends[image.number])
            name = image.name if image.name != "?" else name_of(recording, process)
            best = found.get(name)
            if size is not None and (best is None or best.bytes is None or size > best.bytes):
                found[name] = Reading(size, None, None, None)
    return found


def _readings(label: str, readings: Sequence[Reading]) -> Difference:
    return Difference(
        label, "bytes", tuple(reading.bytes for reading in readings),
        tuple(_apart(readings[0], reading) for reading in readings),
    )  # fmt: skip


def _apart(first: Reading, other: Reading) -> bool | None:
    if first.low is None or first.high is None or other.low is None or other.high is None:
        return None
    return other.low > first.high or other.high < first.low
