"""The timeline of a recording at a limited number of instants: by process and by kind of memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

from hiwater.analysis.decimation import decimate, edges
from hiwater.analysis.timeline import NO_PAGES, Course, Pages
from hiwater.recording.model import Recording

EXACT = 12_000
"""Rows up to which every one of them is kept."""
CLOSE_UP = 0.01
"""The share of the time on each side of the peak that gets as many buckets again: people zoom in there."""
KINDS = ("anon", "file", "shmem", "unknown", "swap")
"""``unknown`` is resident memory that the kernel did not split; ``swap`` is not resident and comes on top."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Columns of sizes in bytes, one value an instant; each holds until the next instant."""

    time_ns: array[int]
    total: array[int]
    """Sum of the RSS of all processes."""
    by_process: dict[int, array[int]]
    """The RSS of the largest processes, by number, the one that began first at the front."""
    others: array[int]
    """The RSS of all other processes together."""
    by_kind: dict[str, array[int]]
    """Under the names of ``KINDS``; kinds of which there never was any are left out."""
    exact: bool
    """Whether every row is there; otherwise only the extremes of each stretch are."""


def peak_ns(recording: Recording, course: Course) -> int | None:
    """When the tree was largest: as the monitor saw it, else by the sum of what was sampled."""
    seen = recording.last_tree_peak
    if seen is not None and course.start_ns <= seen.t_ns <= course.end_ns:
        return seen.t_ns
    largest = course.largest_total()
    return None if largest is None else largest[0]


def largest_processes(course: Course, count: int) -> list[int]:
    """The processes with the largest RSS that was read, the largest first; those that never held any are left out."""
    most = {
        process: max(map(course.rss.__getitem__, rows)) for process, rows in course.rows_of.items() if len(rows) > 0
    }
    ranked = sorted((process for process, size in most.items() if size), key=lambda p: (-most[p], p))
    return ranked[:count]


def stack(course: Course, *, focus_ns: int | None = None, buckets: int = 1500, top: int = 10) -> Stack:
    """The instants are those of the extremes of the sum in each of ``buckets`` stretches, of as many in a close-up
    around ``focus_ns``, and of the extremes of each of the ``top`` processes in fewer, so that no spike of any is
    lost."""
    shown = sorted(largest_processes(course, top))
    exact = len(course) <= EXACT
    rows = list(course.looks) if exact else _rows(course, shown, focus_ns, buckets)
    return _columns(course, rows, shown, exact)


def _rows(course: Course, shown: list[int], focus_ns: int | None, buckets: int) -> list[int]:
    start, end, looks = course.start_ns, course.end_ns, course.looks
    at_looks = array("q", map(course.time_ns.__getitem__, looks))
    sums = array("q", map(course.total.__getitem__, looks))
    kept = set(decimate(at_looks, sums, start, end, buckets))
    if focus_ns is not None:
        around = int((end - start) * CLOSE_UP)
        kept.update(decimate(at_looks, sums, focus_ns - around, focus_ns + around, buckets))
    for process in shown:
        rows = course.rows_of[process]
        times = array("q", map(course.time_ns.__getitem__, rows))
        values = array("q", map(course.rss.__getitem__, rows))
        extremes = decimate(times, values, start, end, buckets // 10)
        kept.update(bisect_left(at_looks, times[at]) for at in extremes)
    return [looks[at] for at in sorted(kept)]


def _columns(course: Course, rows: list[int], shown: list[int], exact: bool) -> Stack:
    size = course.page_size
    count = len(rows)
    held: dict[int, Pages] = {}
    by_process = {process: array("q", bytes(8 * count)) for process in shown}
    others = array("q", bytes(8 * count))
    by_kind = {kind: array("q", bytes(8 * count)) for kind in KINDS}
    now = dict.fromkeys((*shown, None), 0)
    parts = dict.fromkeys(KINDS, 0)
    place = {image: process if process in by_process else None for image, process in course.process_of.items()}
    done = 0
    for at, row in enumerate(rows):
        for image, pages in dict(course.pages(done, row + 1)).items():
            before = held.get(image)
            held[image] = pages
            now[place[image]] += pages[0] - (before[0] if before else 0)
            for kind, amount in kinds(pages).items():
                parts[kind] += amount
            for kind, amount in kinds(before).items() if before else ():
                parts[kind] -= amount
        done = row + 1
        for process, column in by_process.items():
            column[at] = now[process] * size
        others[at] = now[None] * size
        for kind, column in by_kind.items():
            column[at] = parts[kind] * size
    total = array("q", [course.total[row] * size for row in rows])
    times = array("q", map(course.time_ns.__getitem__, rows))
    present = {kind: column for kind, column in by_kind.items() if any(column)}
    return Stack(times, total, by_process, others, present, exact)


def kinds(pages: Pages) -> dict[str, int]:
    """What a row holds, in pages, under the names of ``KINDS``."""
    rss, anon, shmem, swap = pages
    swapped = {} if swap == NO_PAGES else {"swap": swap}
    if anon == NO_PAGES or shmem == NO_PAGES or anon + shmem > rss:
        return {"unknown": rss, **swapped}
    return {"anon": anon, "file": rss - anon - shmem, "shmem": shmem, **swapped}


def outlines(course: Course, cells: int) -> dict[int, list[int | None]]:
    """Per process the largest RSS in each of ``cells`` stretches of time, in bytes; ``None`` where it did not live or
    was not read."""
    cuts = edges(course.time_ns, course.start_ns, course.end_ns, cells)
    lines: dict[int, list[int | None]] = {process: [None] * cells for process in course.rows_of}
    held: dict[int, int] = {}
    for cell, (begin, stop) in enumerate(pairwise(cuts)):
        most = held.copy()
        for image, rss in zip(course.image[begin:stop], course.rss[begin:stop], strict=True):
            held[image] = rss
            if rss > most.get(image, 0):
                most[image] = rss
        held = {image: rss for image, rss in held.items() if rss}
        for image, rss in most.items():
            line = lines[course.process_of[image]]
            line[cell] = max(line[cell] or 0, rss * course.page_size)
    return lines
