"""``/proc/meminfo``."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.procfs import _keyed
from hiwater.procfs.errors import MalformedFileError

FILE = "/proc/meminfo"


@dataclass(frozen=True, slots=True)
class Meminfo:
    """The memory of the machine. A container sees the host's figures unless something like lxcfs replaces them."""

    total_bytes: int
    """``MemTotal``: without what the kernel keeps for itself."""
    available_bytes: int | None
    """``MemAvailable``: an estimate of what can be had without swapping, since Linux 3.14."""
    swap_total_bytes: int | None
    """``SwapTotal``."""
    swap_free_bytes: int | None
    """``SwapFree``."""
    zswap_bytes: int | None
    """``Zswap``: memory that holds compressed swap, since Linux 5.19."""
    huge_page_bytes: int | None
    """``Hugepagesize``."""


def parse_meminfo(text: bytes) -> Meminfo:
    """The file as a ``Meminfo``."""
    fields = _keyed.split_lines(text)

    def size(key: str) -> int | None:
        return _keyed.size(FILE, fields, key)

    total = size("MemTotal")
    if total is None:
        raise MalformedFileError(FILE, text)
    return Meminfo(
        total_bytes=total,
        available_bytes=size("MemAvailable"),
        swap_total_bytes=size("SwapTotal"),
        swap_free_bytes=size("SwapFree"),
        zswap_bytes=size("Zswap"),
        huge_page_bytes=size("Hugepagesize"),
    )
