"""Files of one value under /sys and /proc/sys."""

from __future__ import annotations

import re

from hiwater.procfs.errors import MalformedFileError


def parse_int(text: bytes) -> int:
    """A file that holds one number, such as ``/proc/sys/kernel/perf_event_paranoid``."""
    try:
        return int(text.strip())
    except ValueError as error:
        raise MalformedFileError("a file of one number", text) from error


def parse_choice(text: bytes) -> str:
    """The chosen word of ``always [madvise] never``, such as ``/sys/kernel/mm/transparent_hugepage/enabled``."""
    match = re.search(rb"\[([^\]\s]+)\]", text)
    if match is None:
        raise MalformedFileError("a file of choices", text)
    return match.group(1).decode("ascii", "replace")
