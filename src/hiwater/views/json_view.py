"""The JSON of one execution, schema ``hiwater.run/1`` (``hiwater.run-1.schema.json`` beside this file).

Sizes are integers in bytes, times are seconds, unknown is null. Keys may be added; none changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from hiwater._version import __version__
from hiwater.analysis.budget import Judgement, overall, reason
from hiwater.analysis.summary import Events, ImageSummary, Summary
from hiwater.recording.model import Recording, Rss
from hiwater.views import limit_view
from hiwater.views.names import valid

if TYPE_CHECKING:
    from hiwater.heap.model import HeapProfile

SCHEMA = "hiwater.run/1"


def render(recording: Recording, judgements: Sequence[Judgement] = (), heap: HeapProfile | None = None) -> str:
    """The document as text, with a newline at its end."""
    return json.dumps(document(recording, judgements, heap), indent=2, ensure_ascii=False) + "\n"


def document(
    recording: Recording, judgements: Sequence[Judgement] = (), heap: HeapProfile | None = None
) -> dict[str, object]:
    """The document as plain dictionaries and lists. ``heap``: instead of the recording's own."""
    s = recording.summary
    return {
        "schema": SCHEMA,
        "hiwater_version": __version__,
        "command": [valid(argument) for argument in s.command],
        "attached": None if s.attached is None else {"pid": s.attached.pid, "name": valid(s.attached.name)},
        "started_at": _utc(recording.started_realtime_ns),
        "wall_seconds": s.wall_seconds,
        "user_seconds": s.user_seconds,
        "system_seconds": s.system_seconds,
        "exit_code": s.exit_code,
        "term_signal": s.term_signal,
        "ended_by": s.ended_by,
        "complete": recording.complete,
        "mode": recording.facts.mode,
        **_figures(s),
        **limit_view.document(recording),
        "inherited": {
            "launcher_pid": s.inherited.launcher_pid,
            "launcher_name": _name(s.inherited.launcher_name),
            "launcher_peak_bytes": s.inherited.launcher_peak_bytes,
            "wait4_would_say_bytes": s.inherited.wait4_would_say_bytes,
        },
        "processes": [
            {"pid": process.pid, "ppid": process.ppid, "images": [_image(image) for image in process.images]}
            for process in s.processes
        ],
        "sampling": {
            "period_seconds": s.sampling.period_seconds,
            "count": s.sampling.count,
            "cpu_seconds": s.sampling.cpu_seconds,
            "coarse_bytes": s.sampling.coarse_bytes,
        },
        "exact": _events(s.events),
        "host": _host(recording),
        "heap": _heap(recording, recording.heap if heap is None else heap),
        "budget": budget(judgements) if judgements else None,
        "warnings": [{"code": valid(w.code), "message": valid(w.message)} for w in s.warnings],
    }


def budget(judgements: Sequence[Judgement]) -> dict[str, object]:
    """Verdict and reason, and each limit with the reading that it was held against."""
    return {
        "status": overall(judgements),
        "reason": reason(judgements),
        "limits": [
            {
                "figure": judgement.budget.figure,
                "limit_bytes": judgement.budget.limit_bytes,
                "bytes": judgement.reading.bytes,
                "lower_bytes": judgement.reading.low,
                "upper_bytes": judgement.reading.high,
                "over_bytes": judgement.over_bytes,
                "status": judgement.status,
                "straddles": judgement.straddles,
                "reason": judgement.reason,
            }
            for judgement in judgements
        ],
    }


def _heap(recording: Recording, profile: HeapProfile | None) -> dict[str, object] | None:
    if profile is None:
        return None
    from hiwater.views import heap_json

    return heap_json.document(profile, recording.heap_tried)


def _figures(s: Summary) -> dict[str, object]:
    process = s.peak_process
    return {
        "peak_rss_bytes": s.peak_rss.bytes,
        "peak_rss_lower_bytes": s.peak_rss.low,
        "peak_rss_upper_bytes": s.peak_rss.high,
        "peak_rss_method": s.peak_rss.method,
        "peak_process": None
        if process is None
        else {"pid": process.pid, "name": valid(process.name), "command": [valid(a) for a in process.command]},
        "peak_anon_bytes": s.peak_split.anon_bytes,
        "peak_file_bytes": s.peak_split.file_bytes,
        "peak_shmem_bytes": s.peak_split.shmem_bytes,
        "peak_swap_bytes": s.peak_swap_bytes,
        "peak_page_tables_bytes": s.peak_page_tables_bytes,
        "peak_hugetlb_bytes": s.peak_hugetlb_bytes,
        "tree_peak_bytes": s.tree.reading.bytes,
        "tree_peak_lower_bytes": s.tree.reading.low,
        "tree_peak_upper_bytes": s.tree.reading.high,
        "tree_peak_method": s.tree.reading.method,
        "tree_peak_processes": s.tree.processes,
        "tree_swap_peak_bytes": s.demand.swap_bytes,
        "tree_page_tables_peak_bytes": s.demand.page_tables_bytes,
        "tree_hugetlb_peak_bytes": s.demand.hugetlb_bytes,
        "demand_peak_bytes": s.demand.total_bytes,
    }


def _image(image: ImageSummary) -> dict[str, object]:
    return {
        "exe": _name(image.exe),
        "command": [valid(argument) for argument in image.command],
        "start_seconds": image.start_seconds,
        "end_seconds": image.end_seconds,
        "peak_rss_bytes": image.peak_rss_bytes,
        "peak_rss_method": image.peak_rss_method,
        "exact_lost": image.exact_lost,
        "peak_before_bytes": image.peak_before_bytes,
        "start": _split(image.start),
        "exit": _split(image.exit),
    }


def _events(events: Events | None) -> dict[str, object] | None:
    if events is None:
        return None
    return {
        "events": events.count,
        "lost_events": events.lost,
        "tree_sum_peak_bytes": events.sum_peak_bytes,
        "tree_sum_peak_seconds": events.sum_peak_seconds,
        "others_took_bytes": events.others_took_bytes,
        "others_gave_bytes": events.others_gave_bytes,
        "cpu_seconds": events.cpu_seconds,
    }


def _split(rss: Rss | None) -> dict[str, int | None] | None:
    if rss is None:
        return None
    return {
        "rss": rss.rss_bytes,
        "anon": rss.anon_bytes,
        "file": rss.file_bytes,
        "shmem": rss.shmem_bytes,
    }


def _host(recording: Recording) -> dict[str, object]:
    facts = recording.facts
    return {
        "kernel": _name(facts.kernel),
        "machine": _name(facts.machine),
        "cpus": facts.cpus,
        "memory_bytes": facts.mem_total_bytes,
        "swap_bytes": facts.swap_total_bytes,
        "page_size_bytes": recording.page_size,
        "transparent_huge_pages": _name(facts.thp),
        "statm_exact": facts.statm_exact,
        "cgroup": _name(facts.cgroup),
        "container": _name(facts.container or None),
    }


def _name(name: str | None) -> str | None:
    return None if name is None else valid(name)


def _utc(ns: int) -> str | None:
    """RFC 3339, in UTC, with microseconds; ``None`` for a time that no calendar has."""
    try:
        moment = datetime.fromtimestamp(ns // 1_000_000_000, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns % 1_000_000_000 // 1000:06d}Z"
