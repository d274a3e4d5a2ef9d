"""``/proc/swaps``."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.procfs.errors import MalformedFileError
from hiwater.procfs.mountinfo import unescape

FILE = "/proc/swaps"


@dataclass(frozen=True, slots=True)
class SwapArea:
    """One place that memory can be swapped to."""

    path: bytes
    kind: str
    """``partition`` or ``file``."""
    size_bytes: int
    used_bytes: int

    @property
    def is_zram(self) -> bool:
        """Whether it is compressed memory rather than a disk."""
        return self.path.startswith(b"/dev/zram")


def parse_swaps(text: bytes) -> tuple[SwapArea, ...]:
    """One entry per area; the first line is a heading."""
    areas = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 5 or not words[-3].isdigit() or not words[-2].isdigit():
            raise MalformedFileError(FILE, line)
        areas.append(
            SwapArea(unescape(words[0]), words[1].decode("ascii"), int(words[-3]) * 1024, int(words[-2]) * 1024)
        )
    return tuple(areas)
