"""Counts the resident pages of other processes, by means that the truth programs do not use."""

import struct
from pathlib import Path

PAGE = 4096
PRESENT = 1 << 63
FRAME = (1 << 55) - 1
ZERO_PAGE = 1 << 24
"""KPF_ZERO_PAGE of /proc/kpageflags: the page of zeros that everybody maps counts in nobody's RSS."""
WITHOUT_PAGES = ("[vvar]", "[vvar_vclock]", "[vsyscall]")
"""Mappings of the kernel's own data: frames without a page behind them, in nobody's RSS."""


def rss_of_mappings(smaps: str) -> int:
    """The sum of the Rss lines of smaps, in bytes."""
    return sum(int(line.split()[1]) * 1024 for line in smaps.splitlines() if line.startswith("Rss:"))


def descendants(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _is_zero_page(frame: int) -> bool:
    with Path("/proc/kpageflags").open("rb", buffering=0) as file:
        file.seek(frame * 8)
        flags: int = struct.unpack("=Q", file.read(8))[0]
    return bool(flags & ZERO_PAGE)


def frames(pid: int) -> set[int]:
    """The numbers of the page frames that a process has mapped (for root only)."""
    found: set[int] = set()
    anonymous: set[int] = set()
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if line.endswith(WITHOUT_PAGES):
                continue
            start, end = (int(address, 16) for address in line.split()[0].split("-"))
            pagemap.seek(start // PAGE * 8)
            entries = struct.unpack(f"={(end - start) // PAGE}Q", pagemap.read((end - start) // PAGE * 8))
            present = {entry & FRAME for entry in entries if entry & PRESENT}
            found |= present
            if len(line.split()) < 6 or "[" in line:
                anonymous |= present
    return found - {frame for frame in anonymous if _is_zero_page(frame)}
