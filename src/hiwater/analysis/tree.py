"""The largest memory of the whole process tree at one instant, shared pages counted once."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.analysis.peak import Evidence
from hiwater.analysis.reading import Method, Reading


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree peak and how many processes lived then."""

    reading: Reading
    processes: int | None


def tree_peak(evidence: Evidence, peak: Reading) -> Tree:
    """No process can be larger than the tree it is part of, so the peak RSS bounds the tree from below."""
    recording = evidence.recording
    stats = recording.stats
    seen = recording.last_tree_peak
    alone = stats is not None and (stats.max_alive or 0) <= 1 and stats.unseen == 0
    told = evidence.every_change_told
    if peak.bytes is None:
        return Tree(Reading(None, None, None, None), None)
    low, high = _lower(evidence, peak), _upper(evidence, peak, alone)
    if seen is None or seen.estimate_bytes <= peak.bytes:
        size, method = peak.bytes, Method.PEAK_RSS
        if not alone and seen is None and not told:
            return Tree(Reading(None, low, high, None), None)
    else:
        size, method = seen.estimate_bytes, Method.TREE_SNAPSHOT if seen.snapshot else Method.TREE_SAMPLED
    size = max(size, low or 0)
    processes = seen.processes if seen is not None else 1
    return Tree(Reading(size if high is None else min(size, high), low, high, method), processes)


def _lower(evidence: Evidence, peak: Reading) -> int | None:
    seen = evidence.recording.last_tree_peak
    certain = seen.lower_bytes if seen is not None else None
    if seen is not None and certain is not None and not evidence.recording.facts.statm_exact:
        certain = None if evidence.error is None else certain - seen.processes * evidence.error.above
    known = [size for size in (certain, peak.low) if size is not None]
    return max(known, default=None)


def _upper(evidence: Evidence, peak: Reading, alone: bool) -> int | None:
    recording = evidence.recording
    if peak.high is None or evidence.error is None or not recording.complete:
        return None
    if recording.facts.attached_pid is not None:
        return None  # what the tree held before it was attached to is not known
    if alone and evidence.every_change_told:
        return peak.high
    by_events = _upper_by_events(evidence)
    if not recording.tree_upper:
        return peak.high if alone else by_events
    rows = [row.sum_bytes + row.images * evidence.error.below + row.unknown * peak.high for row in recording.tree_upper]
    by_marks = max([peak.high, *rows])
    return by_marks if by_events is None else max(peak.high, min(by_marks, by_events))


def _upper_by_events(evidence: Evidence) -> int | None:
    """The largest sum at any instant. Between the events of several threads of one image more may be hidden than any
    of them tells; then there is none."""
    stats = evidence.recording.stats
    if not evidence.every_change_told or not evidence.events_are_exact or stats is None:
        return None
    if stats.sum_peak_bytes is None or stats.strangers_gave_bytes is None:
        return None
    if any(end.exact is not None and end.exact.raced for end in evidence.ends.values()):
        return None
    return stats.sum_peak_bytes + stats.strangers_gave_bytes
