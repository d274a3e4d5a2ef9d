"""``/proc/PID/smaps_rollup``, since Linux 4.14."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.procfs import _keyed
from hiwater.procfs.errors import MalformedFileError

FILE = "/proc/PID/smaps_rollup"


@dataclass(frozen=True, slots=True)
class SmapsRollup:
    """A walk over the page tables of one process: exact when it was made, and it takes time (18 ms per GiB)."""

    rss_bytes: int
    """``Rss``: what is mapped and present; hugetlb pages are not in it."""
    pss_bytes: int | None
    """``Pss``: each page divided by the number of processes that map it."""
    pss_anon_bytes: int | None
    """``Pss_Anon``, since Linux 5.4."""
    pss_file_bytes: int | None
    """``Pss_File``, since Linux 5.4."""
    pss_shmem_bytes: int | None
    """``Pss_Shmem``, since Linux 5.4."""
    private_bytes: int | None
    """``Private_Clean`` + ``Private_Dirty``: mapped by nobody else."""
    lazy_free_bytes: int | None
    """``LazyFree``: given back with MADV_FREE, still counted in the resident set, since Linux 4.12."""
    anon_huge_bytes: int | None
    """``AnonHugePages``: the part that lies in transparent huge pages."""
    swap_bytes: int | None
    """``Swap``."""
    swap_pss_bytes: int | None
    """``SwapPss``."""


def parse_smaps_rollup(text: bytes) -> SmapsRollup:
    """The file as a ``SmapsRollup``. It is empty for a process without a memory map: that is malformed, too."""
    fields = _keyed.split_lines(text)

    def size(key: str) -> int | None:
        return _keyed.size(FILE, fields, key)

    rss = size("Rss")
    if rss is None:
        raise MalformedFileError(FILE, text)
    clean, dirty = size("Private_Clean"), size("Private_Dirty")
    return SmapsRollup(
        rss_bytes=rss,
        pss_bytes=size("Pss"),
        pss_anon_bytes=size("Pss_Anon"),
        pss_file_bytes=size("Pss_File"),
        pss_shmem_bytes=size("Pss_Shmem"),
        private_bytes=clean + dirty if clean is not None and dirty is not None else None,
        lazy_free_bytes=size("LazyFree"),
        anon_huge_bytes=size("AnonHugePages"),
        swap_bytes=size("Swap"),
        swap_pss_bytes=size("SwapPss"),
    )
