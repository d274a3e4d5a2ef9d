"""``/proc/sys/kernel/osrelease``, as ``uname -r`` prints it."""

from __future__ import annotations

import re
from typing import NamedTuple

from hiwater.procfs.errors import MalformedFileError


class Release(NamedTuple):
    """The kernel's version, comparable with tuples: ``release >= (6, 2)``."""

    major: int
    minor: int
    patch: int
    """0 where the release has no third number."""


def parse_release(text: bytes) -> Release:
    """``6.18.44-fc-v657`` as (6, 18, 44); what distributions append is dropped."""
    match = re.match(rb"(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
    if match is None:
        raise MalformedFileError("/proc/sys/kernel/osrelease", text)
    return Release(int(match.group(1)), int(match.group(2)), int(match.group(3) or 0))
