"""The samples of a recording: columns that stay packed until somebody asks for them."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from functools import cached_property

from hiwater.recording.wire import NONE


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where the columns of one HW_SAMPLES record stand in the stream."""

    base_ns: int
    count: int
    offset: int


class Timeline:
    """Rows of (time, image, rss, anon, shmem, swap, hwm). Only what changed was written: an image keeps its values
    until its next row. The page columns hold ``NO_PAGES`` where a value could not be read."""

    NO_PAGES = NONE

    def __init__(self, data: bytes, chunks: tuple[Chunk, ...], page_size: int, byte_order: str) -> None:
        self._data = data
        self._chunks = chunks
        self._swapped = byte_order != sys.byteorder
        self.page_size = page_size

    def __len__(self) -> int:
        return sum(chunk.count for chunk in self._chunks)

    def _column(self, index: int) -> array[int]:
        column = array("I")
        for chunk in self._chunks:
            at = chunk.offset + 4 * chunk.count * index
            column.frombytes(self._data[at : at + 4 * chunk.count])
        if self._swapped:
            column.byteswap()
        return column

    @cached_property
    def time_ns(self) -> array[int]:
        """When each row was read, since the start of the recording."""
        times = array("q")
        after = self._column(0)
        at = 0
        for chunk in self._chunks:
            times.extend([chunk.base_ns + 1000 * us for us in after[at : at + chunk.count]])
            at += chunk.count
        return times

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
