"""The key ``heap`` of the JSON of one execution: which call sites held the memory, at the peak, as it grew, at exit.

Sizes are integers in bytes, times are seconds since the start of the command, unknown is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hiwater.heap.model import ASKED, Frame, HeapProfile, Kind, Snapshot, Trim
from hiwater.heap.sites import CallSite, call_sites
from hiwater.views.names import valid

if TYPE_CHECKING:
    from hiwater.heap.tried import Trials

MOST_SITES = 200
"""Of one snapshot; what the others hold is told as a sum."""


def document(profile: HeapProfile, trials: Trials | None = None) -> dict[str, object]:
    """Plain values. ``trials``: what other settings of malloc gave."""
    from hiwater.views import heap_tried

    return {
        "engine": profile.engine.value,
        "pid": profile.pid,
        "name": _name(profile.name),
        "command": [valid(argument) for argument in profile.command],
        "sample_bytes": profile.sample_bytes,
        "samples": profile.samples,
        "lost_samples": profile.lost_samples,
        "allocations": profile.allocations,
        "allocated_bytes": profile.allocated_bytes,
        "peak": _snapshot(profile, profile.peak),
        "exit": _snapshot(profile, profile.exit),
        "growth": [_snapshot(profile, snapshot) for snapshot in profile.growth if snapshot.label != ASKED],
        "notes": [valid(note) for note in profile.notes],
        "trim": _trim(profile.trim),
        "tried": heap_tried.document(trials),
    }


def _trim(trim: Trim | None) -> dict[str, object] | None:
    if trim is None:
        return None
    return {
        "rss_before_bytes": trim.rss_before_bytes,
        "rss_after_bytes": trim.rss_after_bytes,
        "given_back_bytes": trim.given_back_bytes,
        "seconds": trim.seconds,
    }


def _snapshot(profile: HeapProfile, snapshot: Snapshot | None) -> dict[str, object] | None:
    if snapshot is None:
        return None
    sites = call_sites(profile, snapshot)
    return {
        "at_seconds": snapshot.at_seconds,
        "rss_bytes": snapshot.rss_bytes,
        "in_use_bytes": snapshot.in_use_bytes,
        "standard_error_bytes": snapshot.standard_error_bytes,
        "mapped_bytes": sum(site.in_use_bytes for site in sites if site.kind is Kind.MMAP),
        "call_sites": [_site(site) for site in sites[:MOST_SITES]],
        "other_call_sites": _others(sites[MOST_SITES:]),
    }


def _others(sites: Sequence[CallSite]) -> dict[str, int]:
    return {"count": len(sites), "in_use_bytes": sum(site.in_use_bytes for site in sites)}


def _site(site: CallSite) -> dict[str, object]:
    return {
        "function": _name(site.function),
        "file": _name(site.file),
        "line": site.line,
        "library": _name(site.library),
        "kind": site.kind.value,
        "in_use_bytes": site.in_use_bytes,
        "standard_error_bytes": site.standard_error_bytes,
        "allocations": site.allocations,
        "stack": [_frame(frame) for frame in site.stack],
    }


def _frame(frame: Frame) -> dict[str, object]:
    return {
        "function": _name(frame.function),
        "file": _name(frame.file),
        "line": frame.line,
        "library": _name(frame.library),
        "address": None if frame.address is None else f"0x{frame.address:x}",
        "inlined": frame.inlined,
        "language": frame.language.value,
    }


def _name(name: str | None) -> str | None:
    return None if name is None else valid(name)
