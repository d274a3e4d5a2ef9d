"""``/proc/PID/cgroup`` and the small files inside a cgroup."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.procfs.errors import MalformedFileError

FILE = "/proc/PID/cgroup"
_UNLIMITED = 1 << 62
"""Version 1 has no word for "no limit": it prints the largest number of pages in bytes (0x7ffffffffffff000)."""


@dataclass(frozen=True, slots=True)
class CgroupEntry:
    """The cgroup that a process is in, in one hierarchy."""

    hierarchy: int
    """0 is the unified hierarchy (version 2)."""
    controllers: frozenset[str]
    """Empty for version 2; a named hierarchy has ``name=...``."""
    path: bytes
    """From the root of the cgroup namespace; ends in `` (deleted)`` when the cgroup is gone."""

    @property
    def is_v2(self) -> bool:
        """Whether this is the unified hierarchy."""
        return self.hierarchy == 0


def parse_cgroup(text: bytes) -> tuple[CgroupEntry, ...]:
    """One entry per hierarchy."""
    entries = []
    for line in text.split(b"\n"):
        if not line:
            continue
        words = line.split(b":", 2)  # the path may hold colons
        if len(words) != 3 or not words[0].isdigit():
            raise MalformedFileError(FILE, line)
        names = frozenset(name.decode("ascii", "replace") for name in words[1].split(b",") if name)
        entries.append(CgroupEntry(int(words[0]), names, words[2]))
    return tuple(entries)


def parse_limit(text: bytes) -> int | None:
    """``memory.max`` (v2) or ``memory.limit_in_bytes`` (v1) in bytes; None when there is no limit."""
    word = text.strip()
    if word == b"max":
        return None
    if not word.isdigit():
        raise MalformedFileError("a cgroup's memory limit", text)
    return int(word) if int(word) < _UNLIMITED else None


def parse_flat_keyed(text: bytes) -> dict[str, int]:
    """``memory.events``, ``memory.stat``, ``memory.oom_control``: a name and a number on each line."""
    values = {}
    for line in text.splitlines():
        name, _, value = line.partition(b" ")
        if not value.isdigit():
            raise MalformedFileError("a cgroup's table", line)
        values[name.decode("ascii", "replace")] = int(value)
    return values
