"""The recording in the trace-event format that ui.perfetto.dev and chrome://tracing open: a counter of the RSS for each
process, and a slice for each program image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from heapq import merge
from typing import cast

from hiwater._version import __version__
from hiwater.analysis.timeline import Course, course
from hiwater.recording.model import Recording
from hiwater.views.names import command_line, valid
from hiwater.views.process_names import process_names

COUNTER = "RSS"
LABEL = 80
TREE = "whole tree, sum of RSS"


def render(recording: Recording) -> Iterator[str]:
    """Pieces of one JSON document, an event a line."""
    rows = course(recording)
    yield '{"displayTimeUnit":"ms","otherData":' + json.dumps(_about(recording), separators=(",", ":"))
    yield ',"traceEvents":[\n'
    separator = ""
    for event in _events(recording, rows):
        yield separator + json.dumps(event, separators=(",", ":"))
        separator = ",\n"
    yield "\n]}\n"


def _about(recording: Recording) -> dict[str, object]:
    tree = recording.summary.tree.reading
    return {
        "writer": f"hiwater {__version__}",
        "command": valid(command_line(recording.arguments)),
        "peak_rss_bytes": recording.summary.peak_rss.bytes,
        "tree_peak_bytes": tree.bytes,
    }


def _events(recording: Recording, rows: Course) -> Iterator[dict[str, object]]:
    ids, names = _ids(recording), process_names(recording)
    for process in recording.observed_processes:
        yield _named("process_name", ids[process.number], {"name": names[process.number].label(LABEL)})
        yield _named("process_sort_index", ids[process.number], {"sort_index": process.number + 1})
        yield _named("thread_name", ids[process.number], {"name": "program"})
    tree = max(ids.values(), default=0) + 1
    yield _named("process_name", tree, {"name": TREE})
    yield _named("process_sort_index", tree, {"sort_index": 0})
    yield from merge(_slices(recording, rows, ids), _counters(rows, ids, tree), key=_time)


def _time(event: dict[str, object]) -> float:
    return cast(float, event["ts"])


def _slices(recording: Recording, rows: Course, ids: dict[int, int]) -> list[dict[str, object]]:
    """One for each program image, in the order of time."""
    found: list[dict[str, object]] = []
    for process in recording.observed_processes:
        for image in process.images:
            end = rows.end_ns if image.end is None else image.end.t_ns
            found.append(
                {
                    "ph": "X",
                    "cat": "image",
                    "name": valid(image.name),
                    "pid": ids[process.number],
                    "tid": ids[process.number],
                    "ts": image.start_ns / 1000,
                    "dur": max(0, end - image.start_ns) / 1000,
                    "args": {"command": valid(command_line(image.arguments)), "pid": process.pid},
                }
            )
    return sorted(found, key=_time)


def _counters(rows: Course, ids: dict[int, int], tree: int) -> Iterator[dict[str, object]]:
    """The RSS of each process, 0 from its end on, and the sum at each look."""
    looks = set(rows.looks)
    for at, (t_ns, image, rss, total) in enumerate(zip(rows.time_ns, rows.image, rows.rss, rows.total, strict=True)):
        yield _counter(ids[rows.process_of[image]], t_ns, rss * rows.page_size)
        if at in looks:
            yield _counter(tree, t_ns, total * rows.page_size)


def _ids(recording: Recording) -> dict[int, int]:
    """The pid of each process; where the kernel gave one away twice, a larger number than any pid."""
    taken: set[int] = set()
    ids = {}
    for process in recording.observed_processes:
        own = process.pid if process.pid > 0 and process.pid not in taken else (1 << 22) + 1 + process.number
        taken.add(own)
        ids[process.number] = own
    return ids


def _named(name: str, pid: int, args: dict[str, object]) -> dict[str, object]:
    return {"ph": "M", "name": name, "pid": pid, "tid": pid, "args": args}


def _counter(pid: int, t_ns: int, size: int) -> dict[str, object]:
    return {"ph": "C", "name": COUNTER, "pid": pid, "tid": pid, "ts": t_ns / 1000, "args": {"bytes": size}}
