"""What every program image held, and when: the samples of a recording, completed by its beginnings and ends.

Rows stay in columns from the first to the last step: a million of them take about a second.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, compress
from operator import le, ne

from hiwater.recording.model import Image, Process, Recording
from hiwater.recording.timeline import Timeline
from hiwater.recording.wire import ImageEndedBy, ImageFlags

NO_PAGES = Timeline.NO_PAGES
_COLUMNS = 5
Pages = tuple[int, int, int, int]
"""RSS, its anonymous part, its shared memory, what is swapped out; ``NO_PAGES`` where one is unknown."""
GONE: Pages = (0, 0, 0, 0)


@dataclass(frozen=True)
class Course:
    """Rows in the order of time: from its row on, an image holds so many pages, until its next row. An image that has
    ended holds nothing, and has a row that says so."""

    time_ns: array[int]
    image: array[int]
    rss: array[int]
    """In pages; every row knows it."""
    anon: array[int]
    """In pages, or ``NO_PAGES``; so are the following."""
    shmem: array[int]
    swap: array[int]
    page_size: int
    start_ns: int
    end_ns: int
    process_of: dict[int, int] = field(repr=False)
    """The process of each image, by their numbers."""

    def __len__(self) -> int:
        return len(self.time_ns)

    @cached_property
    def total(self) -> array[int]:
        """After each row the sum of the RSS of all processes, in pages: a shared page counts in each of them."""
        held = dict.fromkeys(self.process_of, 0)
        changes = array("q", bytes(8 * len(self)))
        for at, (image, rss) in enumerate(zip(self.image, self.rss, strict=True)):
            changes[at] = rss - held[image]
            held[image] = rss
        return array("q", accumulate(changes))

    @cached_property
    def looks(self) -> array[int]:
        """The position of the last row of each instant: in between, some processes are still as they were before."""
        times = self.time_ns
        last = array("q", compress(range(len(times)), map(ne, times, times[1:])))
        if times:
            last.append(len(times) - 1)
        return last

    @cached_property
    def rows_of(self) -> dict[int, array[int]]:
        """Per process the positions of its rows."""
        found = {process: array("q") for process in self.process_of.values()}
        append = {image: found[process].append for image, process in self.process_of.items()}
        for at, image in enumerate(self.image):
            append[image](at)
        return found

    def pages(self, begin: int, stop: int) -> Iterator[tuple[int, Pages]]:
        """The rows of a range of positions: the image, and what it held from then on."""
        part = slice(begin, stop)
        return zip(
            self.image[part],
            zip(self.rss[part], self.anon[part], self.shmem[part], self.swap[part], strict=True),
            strict=True,
        )

    def at(self, t_ns: int) -> dict[int, Pages]:
        """What each process held at an instant; those that held nothing are left out."""
        held = dict(self.pages(0, bisect_right(self.time_ns, t_ns)))
        return {self.process_of[image]: pages for image, pages in held.items() if pages != GONE}

    def largest_total(self) -> tuple[int, int] | None:
        """When the sum was largest, and how large in bytes; ``None`` if nothing was ever read."""
        if not self.total:
            return None
        row = max(self.looks, key=self.total.__getitem__)
        return self.time_ns[row], self.total[row] * self.page_size


def course(recording: Recording) -> Course:
    """The rows of a recording. Rows of images that it does not know, or without a resident set, are left out; so are
    those of a process that still runs in its parent's map (vfork), which are the parent's once more."""
    images = {image.number: image for image in recording.images if not image.flags & ImageFlags.SAME_MAP}
    columns = _sampled(recording, images)
    columns = _merged(columns, _beginnings(columns, images, recording.page_size) + _ends(columns, images))
    stamps = columns[0]
    last = recording.end.t_ns if recording.end is not None else 0
    time_ns, image, rss, anon, shmem, swap = columns
    return Course(
        time_ns,
        image,
        rss,
        anon,
        shmem,
        swap,
        page_size=recording.page_size,
        start_ns=min(0, stamps[0]) if stamps else 0,
        end_ns=max(last, stamps[-1] if stamps else 0, 1),
        process_of={number: image.process for number, image in images.items()},
    )


def _sampled(recording: Recording, known: dict[int, Image]) -> list[array[int]]:
    """The columns of the samples, in the order of time."""
    line = recording.timeline
    columns = [line.time_ns, line.image, line.rss_pages, line.anon_pages, line.shmem_pages, line.swap_pages]
    times = columns[0]
    if NO_PAGES in columns[2] or not known.keys() >= set(columns[1]):
        rows = [at for at, (i, rss) in enumerate(zip(*columns[1:3], strict=True)) if rss != NO_PAGES and i in known]
        columns = [array(column.typecode, [column[at] for at in rows]) for column in columns]
        times = columns[0]
    if not all(map(le, times, times[1:])):  # a monitor writes them in order; a file may have come from elsewhere
        rows = sorted(range(len(times)), key=times.__getitem__)
        columns = [array(column.typecode, [column[at] for at in rows]) for column in columns]
    return columns


_Row = tuple[int, tuple[int, ...]]
"""Where to insert it, and its values."""


def _beginnings(columns: list[array[int]], images: dict[int, Image], page_size: int) -> list[_Row]:
    """What an image held when it was found, unless a sample says the same or earlier."""
    times, numbers = columns[:2]
    first = dict(zip(reversed(numbers), reversed(times), strict=True))
    rows = []
    for image in images.values():
        start = image.start
        if start.rss_bytes is None or first.get(image.number, image.start_ns + 1) <= image.start_ns:
            continue
        pages = [
            NO_PAGES if size is None else size // page_size
            for size in (start.rss_bytes, start.anon_bytes, start.shmem_bytes)
        ]
        at = bisect_left(times, image.start_ns)
        rows.append((at, (image.start_ns, image.number, *pages, NO_PAGES)))
    return rows


def _ends(columns: list[array[int]], images: dict[int, Image]) -> list[_Row]:
    times, numbers = columns[:2]
    last = dict(zip(numbers, times, strict=True))
    rows: list[_Row] = []
    for image in images.values():
        if image.end is not None and image.end.how is not ImageEndedBy.ALIVE:
            own = last.get(image.number, image.start_ns)
            t_ns = max(image.end.t_ns, own)
            at = bisect_right(times, t_ns)
            # Found by a look: it was gone before what that look read, which must not be added to it. A row's time is
            # that of its look, cut to whole microseconds.
            if at and t_ns - times[at - 1] < 1000 and times[at - 1] > own:
                t_ns = times[at - 1]
                at = bisect_left(times, t_ns)
            rows.append((at, (t_ns, image.number, *GONE)))
    return rows


def _merged(columns: list[array[int]], rows: list[_Row]) -> list[array[int]]:
    """The columns with further rows inserted."""
    # An image ends before the one that replaces it begins; an end comes behind the beginning of the same image.
    rows.sort(key=lambda row: (row[0], row[1][0]))
    merged = []
    for index, column in enumerate(columns):
        out, done = array(column.typecode), 0
        for at, values in rows:
            out.extend(column[done:at])
            out.append(values[index])
            done = at
        out.extend(column[done:])
        merged.append(out)
    return merged


def process_name(process: Process) -> str:
    """What a person calls a process: the name of its last program image."""
    return process.images[-1].name if process.images else "?"
