"""The samples of a recording: columns that stay packed until somebody asks for them."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from hiwater.recording.wire import NONE

_TYPES = {1: "B", 2: "H", 4: "I"}


@dataclass(frozen=True, slots=True)
class Column:
    """Where one column of a chunk stands in the stream, and how it is packed: numbers of ``width`` bytes that are to
    be added to ``base``; of width 0, ``base`` alone for every row."""

    base: int
    width: int
    offset: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The columns of one record of samples."""

    base_ns: int
    count: int
    columns: tuple[Column, ...]


class _Columns:
    """Rows in packed columns; the first is the time."""

    NO_PAGES = NONE

    def __init__(self, data: bytes, chunks: tuple[Chunk, ...], page_size: int, byte_order: str) -> None:
        self._data = data
        self._chunks = chunks
        self._swapped = byte_order != sys.byteorder
        self.page_size = page_size

    def __len__(self) -> int:
        return sum(chunk.count for chunk in self._chunks)

    def _packed(self, column: Column, count: int) -> array[int]:
        values = array(_TYPES[column.width])
        values.frombytes(self._data[column.offset : column.offset + column.width * count])
        if self._swapped:
            values.byteswap()
        return values

    def _column(self, index: int) -> array[int]:
        out = array("I")
        for chunk in self._chunks:
            column = chunk.columns[index]
            if column.width == 0:
                out.extend(array("I", (column.base,)) * chunk.count)
            elif column.base == 0:
                out.extend(array("I", self._packed(column, chunk.count)))
            else:
                base = column.base
                out.extend(array("I", [(base + value) & NONE for value in self._packed(column, chunk.count)]))
        return out

    @cached_property
    def time_ns(self) -> array[int]:
        """When each row was read, since the start of the recording."""
        times = array("q")
        after = self._column(0)
        at = 0
        for chunk in self._chunks:
            times.extend([chunk.base_ns + 1000 * us for us in accumulate(after[at : at + chunk.count])])
            at += chunk.count
        return times


class Timeline(_Columns):
    """Rows of (time, image, rss, anon, shmem, swap, hwm, pte, hugetlb). Only what changed was written: an image keeps
    its values until its next row. The page columns hold ``NO_PAGES`` where a value could not be read."""

    @cached_property
    def image(self) -> array[int]:
        """The number of the image that each row is about."""
        return self._column(1)

    @cached_property
    def rss_pages(self) -> array[int]:
        """Resident set."""
        return self._column(2)

    @cached_property
    def anon_pages(self) -> array[int]:
        """Its anonymous part."""
        return self._column(3)

    @cached_property
    def shmem_pages(self) -> array[int]:
        """Its shared memory. File-backed pages are rss - anon - shmem."""
        return self._column(4)

    @cached_property
    def swap_pages(self) -> array[int]:
        """Swapped out."""
        return self._column(5)

    @cached_property
    def hwm_pages(self) -> array[int]:
        """VmHWM as it was read; it can fall, the kernel's stored mark being approximate."""
        return self._column(6)

    @cached_property
    def pte_pages(self) -> array[int]:
        """Page tables (VmPTE), which no RSS counts."""
        return self._column(7)

    @cached_property
    def hugetlb_pages(self) -> array[int]:
        """Hugetlb memory (HugetlbPages, since Linux 4.4), in pages of the ordinary size; no RSS counts it."""
        return self._column(8)

    def largest_pages(self) -> dict[int, tuple[int | None, int | None]]:
        """Per image the largest RSS and the largest VmHWM of its rows, in pages: what stands in for the record of an
        image's end where a recording was cut before it."""
        largest: dict[int, tuple[int | None, int | None]] = {}
        for image, rss, hwm in zip(self.image, self.rss_pages, self.hwm_pages, strict=True):
            old_rss, old_hwm = largest.get(image, (None, None))
            if rss != NONE and (old_rss is None or rss > old_rss):
                old_rss = rss
            if hwm != NONE and (old_hwm is None or hwm > old_hwm):
                old_hwm = hwm
            largest[image] = old_rss, old_hwm
        return largest


class TreeTimeline(_Columns):
    """Rows about the whole tree, shared pages counted once as well as was known then. A row holds until the next; one
    with fewer than two processes says that from then on the tree is what its processes are, so does no row."""

    @cached_property
    def processes(self) -> array[int]:
        """How many lived."""
        return self._column(1)

    @cached_property
    def estimate_pages(self) -> array[int]:
        """Resident memory of the tree, shared pages counted once."""
        return self._column(2)

    @cached_property
    def anon_pages(self) -> array[int]:
        """Its anonymous part."""
        return self._column(3)

    @cached_property
    def shmem_pages(self) -> array[int]:
        """Its shared memory."""
        return self._column(4)

    @cached_property
    def swap_pages(self) -> array[int]:
        """Sum of what was swapped out."""
        return self._column(5)

    @cached_property
    def pte_pages(self) -> array[int]:
        """Sum of the page tables."""
        return self._column(6)

    @cached_property
    def hugetlb_pages(self) -> array[int]:
        """Sum of the hugetlb memory; what is shared counts in each process."""
        return self._column(7)
