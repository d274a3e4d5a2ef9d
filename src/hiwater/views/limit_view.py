"""The limit, the verdict and the cgroup, for people and for machines."""

from __future__ import annotations

from textwrap import wrap

from hiwater.analysis.limit import Verdict, refaulted_bytes
from hiwater.recording.cgroup import Cgroup, CgroupSplit
from hiwater.recording.model import Recording
from hiwater.units import format_size, mib
from hiwater.views.names import valid, visible
from hiwater.views.style import Style

_LABEL = 9
_INDENT = 4
_NEAR = 0.9
"""Of the peak: parts that were seen at less are not those of the peak."""
_FINE = (Verdict.FINISHED,)
_RLIMIT_MEANS = {
    "rlimit": "RLIMIT_AS limits the addresses that each process may ask for, not the memory that they use together",
    "rlimit-data": "RLIMIT_DATA limits the private memory that each process may ask for, not what they use together",
}


def document(recording: Recording) -> dict[str, object]:
    """The keys of the JSON that belong here."""
    group, limit, verdict = recording.cgroup, recording.summary.limit, recording.summary.limit_verdict
    return {
        "cgroup_peak_bytes": recording.cgroup_peak_bytes,
        "cgroup": None if group is None else _group(group, recording),
        "limit": limit and {"bytes": limit.bytes, "swap_bytes": limit.swap_bytes, "method": limit.method},
        "limit_verdict": verdict and {"verdict": verdict.verdict.value, "fits": verdict.fits, "reason": verdict.reason},
    }


def _group(group: Cgroup, recording: Recording) -> dict[str, object]:
    return {
        "version": group.version,
        "path": valid(group.path),
        "peak_bytes": group.peak_bytes,
        "peak_method": group.peak_method,
        "peak_is_limit": group.is_at_limit,
        "at_maximum": None if group.maximum is None else _split(group.maximum),
        "difference": recording.summary.cgroup_difference,
        "swap_peak_bytes": group.swap_peak_bytes,
        "memory_and_swap_peak_bytes": group.memory_and_swap_peak_bytes,
        "kernel_peak_bytes": group.kernel_peak_bytes,
        "limit_hits": group.limit_hits,
        "oom_kills": group.oom_kills,
        "refaulted_bytes": refaulted_bytes(recording),
        "major_faults": group.major_faults,
        "stalled_seconds": None if group.pressure_some_us is None else group.pressure_some_us / 1e6,
        "stalled_fully_seconds": None if group.pressure_full_us is None else group.pressure_full_us / 1e6,
    }


def _split(split: CgroupSplit) -> dict[str, object]:
    return {
        "seconds": None if split.t_ns is None else split.t_ns / 1e9,
        "usage_bytes": split.usage_bytes,
        "anon_bytes": split.anon_bytes,
        "file_bytes": split.file_bytes,
        "shmem_bytes": split.shmem_bytes,
        "kernel_bytes": split.kernel_bytes,
        "page_tables_bytes": split.page_tables_bytes,
        "swap_bytes": split.swap_bytes,
    }


def lines(recording: Recording, style: Style, width: int) -> list[str]:
    """For the summary; empty where there is neither a group nor a limit."""
    found = []
    group, s = recording.cgroup, recording.summary
    if group is not None:
        found.append(_peak(group, style))
        split = group.maximum
        if split is not None and group.peak_bytes is not None and split.usage_bytes < _NEAR * group.peak_bytes:
            seen = (
                f"these parts were seen when it had {format_size(split.usage_bytes)}; the peak was too short to be seen"
            )
            found += _wrapped(seen, width, _INDENT)
        if s.cgroup_difference is not None and not group.is_at_limit:
            found += _wrapped(s.cgroup_difference, width, _INDENT)
    if s.limit_verdict is None:
        return found
    text = s.limit_verdict.reason
    if s.limit is not None:
        swap = s.limit.swap_bytes
        beside = "" if s.limit.method != "cgroup" else f" {_swap(swap)}"
        text = f"{mib(s.limit.bytes):>7} MiB{beside}: {text}"
        if s.limit.method in _RLIMIT_MEANS:
            text += f". {_RLIMIT_MEANS[s.limit.method]}"
    told = _wrapped(f"{'limit':<{_LABEL}} {visible(text)}", width, 2, _INDENT)
    return found + (told if s.limit_verdict.verdict in _FINE else [style.alarm(line) for line in told])


def _swap(size: int | None) -> str:
    if size is None:
        return "and any swap"
    return f"and {format_size(size)} of swap" if size else "and no swap"


def _peak(group: Cgroup, style: Style) -> str:
    split = group.maximum
    parts = []
    if split is not None:
        named = (
            ("anon", split.anon_bytes),
            ("page cache", split.file_bytes),
            ("tmpfs", split.shmem_bytes),
            ("kernel", split.kernel_bytes),
            ("swapped out", split.swap_bytes or None),
        )
        parts = [f"{name} {mib(size)}" for name, size in named if size is not None]
    is_limit = "its limit, not its need: " if group.is_at_limit else ""
    size = style.figure(f"{mib(group.peak_bytes):>7} MiB")
    return f"  {'cgroup':<{_LABEL}} {size}  {is_limit}{' · '.join(parts)}".rstrip()


def _wrapped(text: str, width: int, indent: int, hanging: int | None = None) -> list[str]:
    rest = " " * (indent if hanging is None else hanging)
    return wrap(
        text,
        max(40, width),
        initial_indent=" " * indent,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )
