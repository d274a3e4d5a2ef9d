"""The processes of a recording as a tree, each with what a person wants to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.analysis.peak import Evidence, mark
from hiwater.analysis.stack import outlines
from hiwater.analysis.timeline import Course
from hiwater.recording.model import Process, Recording
from hiwater.recording.wire import ImageFlags


@dataclass(frozen=True, slots=True)
class Node:
    """One process, in its place in the tree."""

    process: Process
    depth: int
    """0 for the command itself, and for a process whose parent is unknown."""
    name: str
    """The name of its program; of several, the first and the last."""
    command: tuple[str, ...]
    """The arguments of its last image."""
    peak_bytes: int | None
    """The largest mark of its images. What it showed while it ran in its parent's memory (vfork) is the parent's."""
    start_seconds: float
    end_seconds: float | None
    """``None`` if it outlived the recording."""
    at_peak_bytes: int | None
    """Its RSS at the tree's peak; ``None`` if it did not live then, or was not read."""
    share: float | None
    """The part of the sum of all RSS at the tree's peak that this is."""
    outline: tuple[int | None, ...]
    """The largest RSS in each stretch of time; ``None`` where it did not live."""


def nodes(recording: Recording, rows: Course, peak_ns: int | None, cells: int) -> list[Node]:
    """Parents before their children, siblings in the order in which they were found."""
    evidence = Evidence(recording)
    held = (
        {} if peak_ns is None else {process: pages[0] * rows.page_size for process, pages in rows.at(peak_ns).items()}
    )
    total = sum(held.values())
    lines = outlines(rows, cells)
    found = []
    for process, depth in _ordered(recording):
        own = [image for image in process.images if not image.flags & ImageFlags.SAME_MAP]
        marks = [mark(evidence.ends[image.number]) for image in own]
        size = held.get(process.number)
        found.append(
            Node(
                process,
                depth,
                name_of(recording, process),
                process.images[-1].arguments if process.images else (),
                max((known for known in marks if known is not None), default=None),
                process.start_ns / 1e9,
                None if process.end is None else process.end.t_ns / 1e9,
                size,
                size / total if size is not None and total else None,
                tuple(lines.get(process.number, ())),
            )
        )
    return found


def name_of(recording: Recording, process: Process) -> str:
    """What a person calls a process; of one that was never looked at, only the command's own name is known."""
    own = [image for image in process.images if not image.flags & ImageFlags.FORKED] or process.images
    names = [image.name for image in own if image.name != "?"]
    if names:
        between = " → … → " if len(set(names)) > 2 else " → "
        return names[-1] if names[0] == names[-1] else names[0] + between + names[-1]
    if process.number == 0 and recording.arguments:
        return recording.arguments[0].rpartition("/")[2] or "?"
    return "?"


def _ordered(recording: Recording) -> list[tuple[Process, int]]:
    known = {process.number for process in recording.observed_processes}
    children: dict[int | None, list[Process]] = {}
    for process in recording.observed_processes:
        # A parent has a smaller number than its child: what a damaged file says otherwise would be a circle.
        parent = process.parent if process.parent in known and process.parent < process.number else None
        children.setdefault(parent, []).append(process)
    ordered = []
    waiting = [(process, 0) for process in reversed(children.get(None, []))]
    while waiting:
        process, depth = waiting.pop()
        ordered.append((process, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(process.number, []))]
    return ordered
