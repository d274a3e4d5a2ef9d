"""What the script of the report draws: columns, packed so that a long recording still makes a small page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

from hiwater.analysis.decimation import decimate
from hiwater.analysis.shared_once import shared_once
from hiwater.analysis.stack import Stack
from hiwater.analysis.timeline import Course
from hiwater.recording.model import Recording
from hiwater.views.process_names import ProcessName

LABEL = 44
"""Characters of a name in the legend."""
KIND_WORDS = {
    "anon": "anonymous",
    "file": "files",
    "shmem": "shared memory",
    "unknown": "resident, kind unknown",
    "swap": "swapped out (not resident)",
}

ONCE_BUCKETS = 3000


def packed(values: Iterable[int]) -> str:
    """The differences of whole numbers, small ones in one byte (zigzag, seven bits a byte), in base64."""
    out, before = bytearray(), 0
    for value in values:
        step = value - before
        before = value
        step = step << 1 if step >= 0 else (-step << 1) - 1
        while step > 127:
            out.append(step & 127 | 128)
            step >>= 7
        out.append(step)
    return b64encode(out).decode("ascii")


def payload(
    recording: Recording, rows: Course, shown: Stack, names: dict[int, ProcessName], peak_ns: int | None
) -> dict[str, object]:
    """Times in microseconds, sizes in KiB. A last instant says what was left at the end."""
    pids = {process.number: process.pid for process in recording.observed_processes}
    tree = recording.summary.tree.reading
    end = rows.end_ns // 1000

    def sizes(column: Iterable[int]) -> str:
        values = [size // 1024 for size in column]
        return packed([*values, values[-1] if values else 0])

    series = [
        {
            "name": names[number].label(LABEL),
            "pid": pids[number],
            "number": number,
            "data": sizes(column),
        }
        for number, column in shown.by_process.items()
    ]
    if any(shown.others):
        count = len(recording.observed_processes) - len(series)
        series.append({"name": f"{count} others", "pid": None, "number": None, "data": sizes(shown.others)})
    return {
        "end": end,
        "exact": shown.exact,
        "times": packed([*(t_ns // 1000 for t_ns in shown.time_ns), end]),
        "processes": series,
        "kinds": [
            {"name": KIND_WORDS[kind], "kind": kind, "data": sizes(column)} for kind, column in shown.by_kind.items()
        ],
        "peak": {
            "t": None if peak_ns is None else peak_ns // 1000,
            "bytes": tree.bytes,
            "low": tree.low,
            "high": tree.high,
        },
        "once": _once(recording, rows),
    }


def _once(recording: Recording, rows: Course) -> dict[str, str] | None:
    """The tree with every shared page counted once; ``None`` where there never were two processes."""
    if not len(recording.tree_timeline):
        return None
    curve = shared_once(recording, rows)
    kept = decimate(curve.time_ns, curve.size, rows.start_ns, rows.end_ns, ONCE_BUCKETS)
    return {
        "times": packed(curve.time_ns[at] // 1000 for at in kept),
        "sizes": packed(curve.size[at] // 1024 for at in kept),
    }
