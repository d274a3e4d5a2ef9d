"""``/proc/PID/statm``."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.procfs.errors import MalformedFileError

FILE = "/proc/PID/statm"


@dataclass(frozen=True, slots=True)
class Statm:
    """The cheapest look at a process's memory. Exact since Linux 6.16 (and 6.12.y stable), approximate before.

    A zombie reads as all zeros: ``size_bytes`` of 0 stands for "no memory map", which no living program has.
    """

    size_bytes: int
    """The address space."""
    rss_bytes: int
    """Resident: anonymous + file + shmem."""
    shared_bytes: int
    """Resident file and shmem pages; 0 on gVisor, which does not know."""

    @property
    def anon_bytes(self) -> int:
        """Resident anonymous pages: what is not shared."""
        return self.rss_bytes - self.shared_bytes


def parse_statm(text: bytes, page_size: int) -> Statm:
    """The file as a ``Statm``; ``page_size`` because the kernel counts pages here."""
    words = text.split()
    if len(words) < 3 or not all(word.isdigit() for word in words[:3]):
        raise MalformedFileError(FILE, text)
    size, rss, shared = (int(word) * page_size for word in words[:3])
    return Statm(size_bytes=size, rss_bytes=rss, shared_bytes=shared)
