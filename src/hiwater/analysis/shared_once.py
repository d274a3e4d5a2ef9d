"""The memory of the whole tree over time, with every shared page counted once."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from hiwater.analysis.timeline import Course
from hiwater.recording.model import Recording

SAME_LOOK_NS = 1000
"""Rows of one look can differ by so much: each record's times are cut to whole microseconds after its own beginning."""


@dataclass(frozen=True)
class Curve:
    """A value holds until the next."""

    time_ns: array[int]
    size: array[int]
    """Bytes."""


def shared_once(recording: Recording, rows: Course) -> Curve:
    """What the monitor counted while there were several processes (as well as it knew what they share), and the sum of
    their resident sets while there were fewer: then nothing can be counted twice."""
    tree, page = recording.tree_timeline, recording.page_size
    told = list(zip(tree.time_ns, tree.processes, tree.estimate_pages, strict=True))
    alone = [(rows.time_ns[at], rows.total[at] * page) for at in rows.looks]
    times, sizes = array("q"), array("q")

    def add(t_ns: int, size: int) -> None:
        if sizes and sizes[-1] == size:
            return
        if times and times[-1] == t_ns:
            sizes[-1] = size
        else:
            times.append(t_ns)
            sizes.append(size)

    at, several = 0, False
    for t_ns, processes, pages in told:
        while at < len(alone) and alone[at][0] < t_ns - SAME_LOOK_NS:
            if not several:
                add(*alone[at])
            at += 1
        while at < len(alone) and alone[at][0] <= t_ns + SAME_LOOK_NS:
            at += 1  # of the same look
        several = processes > 1
        add(t_ns, pages * page)
    for t_ns, size in alone[at:]:
        # The end of an image is found by a look, and is a row of its own: a tree that shrinks to nothing ends so.
        if not several or size == 0:
            add(t_ns, size)
    return Curve(times, sizes)
