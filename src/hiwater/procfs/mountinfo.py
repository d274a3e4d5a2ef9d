"""``/proc/PID/mountinfo``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hiwater.procfs.errors import MalformedFileError

FILE = "/proc/PID/mountinfo"


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount, as the process sees it."""

    root: bytes
    """Which directory of the file system is mounted: not ``/`` for a bind mount or a cgroup namespace."""
    path: bytes
    """Where."""
    filesystem: str
    """``proc``, ``cgroup``, ``cgroup2``, ``tracefs`` ..."""
    source: bytes
    options: frozenset[str]
    """Options of this mount (ro, nosuid ...) and of the file system (hidepid=..., the v1 controllers ...)."""

    def option(self, name: str) -> str | None:
        """The value of ``name=value``; "" for a bare ``name``; None where it is not set."""
        for option in self.options:
            key, _, value = option.partition("=")
            if key == name:
                return value
        return None


def unescape(field: bytes) -> bytes:
    r"""Undo the kernel's octal escapes of blank, tab, newline and backslash (``\040`` ...)."""
    return re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal.group(1), 8) & 0xFF]), field)


def parse_mountinfo(text: bytes) -> tuple[Mount, ...]:
    """One entry per mount, in the order of the file: the last one of a path is the one that is seen."""
    return tuple(_mount(line) for line in text.split(b"\n") if line)


def _mount(line: bytes) -> Mount:
    before, dash, after = line.partition(b" - ")
    here, there = before.split(b" "), after.split(b" ")
    if not dash or len(here) < 6 or len(there) < 3:
        raise MalformedFileError(FILE, line)
    options = here[5].split(b",") + there[2].split(b",")
    return Mount(
        root=unescape(here[3]),
        path=unescape(here[4]),
        filesystem=there[0].decode("ascii", "replace"),
        source=unescape(there[1]),
        options=frozenset(option.decode("utf-8", "surrogateescape") for option in options),
    )
