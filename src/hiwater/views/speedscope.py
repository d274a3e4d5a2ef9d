"""The tree at its peak as a flame graph for speedscope.app: each process stands on its parent, as wide as what it and
its descendants had resident, split into kinds of memory at its top.

Time is not in it: a flame graph over time is one call stack, and processes live side by side. That is what the Perfetto
export is for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from hiwater._version import __version__
from hiwater.analysis.stack import kinds, peak_ns
from hiwater.analysis.timeline import Course, course
from hiwater.recording.model import Recording
from hiwater.views.names import command_line, shorten, valid
from hiwater.views.process_names import process_names
from hiwater.views.report_data import KIND_WORDS

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
LABEL = 60
DEEPEST = 100
"""Ancestors of a process that are shown, from the command down."""


def render(recording: Recording) -> Iterator[str]:
    """One JSON document."""
    rows = course(recording)
    at = peak_ns(recording, rows)
    frames, samples, weights = _stacks(recording, rows, at)
    when = "" if at is None else f", {at / 1e9:.3f} s after its start"
    command = shorten(valid(command_line(recording.arguments)), 200) or "(unknown command)"
    profile = {
        "type": "sampled",
        "name": f"RSS of each process when the tree was largest{when} (shared pages count in each)",
        "unit": "bytes",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
    yield json.dumps(
        {
            "$schema": SCHEMA,
            "name": command,
            "exporter": f"hiwater {__version__}",
            "activeProfileIndex": 0,
            "shared": {"frames": frames},
            "profiles": [profile],
        },
        separators=(",", ":"),
    )
    yield "\n"


def _stacks(
    recording: Recording, rows: Course, at: int | None
) -> tuple[list[dict[str, str]], list[list[int]], list[int]]:
    """Frames, and for each kind of memory of each process that held some: the frames from the command down to it, and
    the bytes."""
    words = {kind: word for kind, word in KIND_WORDS.items() if kind != "swap"}
    frames = [{"name": word} for word in words.values()]
    place = {kind: number for number, kind in enumerate(words)}
    names = process_names(recording)
    path: dict[int | None, list[int]] = {None: []}
    samples, weights = [], []
    held = {} if at is None else rows.at(at)
    # A parent has a smaller number than its children, but may have been found after them.
    for process in sorted(recording.observed_processes, key=lambda process: process.number):
        frame = {"name": f"{names[process.number].label(LABEL)} ({process.pid})"}
        arguments = process.images[-1].arguments if process.images else ()
        if arguments:
            frame["file"] = shorten(command_line(arguments), 1000)
        path[process.number] = [*path.get(process.parent, [])[:DEEPEST], len(frames)]
        frames.append(frame)
        if process.number in held:
            for kind, pages in kinds(held[process.number]).items():
                if pages and kind in place:
                    samples.append([*path[process.number], place[kind]])
                    weights.append(pages * rows.page_size)
    return frames, samples, weights
