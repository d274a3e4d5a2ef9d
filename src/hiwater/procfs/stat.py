"""``/proc/PID/stat``."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.procfs.errors import MalformedFileError

FILE = "/proc/PID/stat"


@dataclass(frozen=True, slots=True)
class Stat:
    """What tells one process from the next that gets the same number, and what it used."""

    pid: int
    name: bytes
    """The command name as it is: it may hold parentheses, blanks and newlines, nothing is escaped."""
    state: str
    ppid: int
    process_group: int
    session: int
    minor_faults: int
    major_faults: int
    user_ticks: int
    """CPU time in clock ticks (sysconf SC_CLK_TCK)."""
    system_ticks: int
    threads: int
    start_ticks: int
    """Clock ticks after boot: with the pid, the identity of the process."""
    rss_bytes: int
    """Field 24. Always from approximate counters, even where statm is exact (seen up to Linux 7.3)."""


def parse_stat(text: bytes, page_size: int) -> Stat:
    """The file as a ``Stat``."""
    opened = text.find(b"(")
    closed = text.rfind(b")")  # the last one: the name may hold parentheses itself
    fields = text[closed + 1 :].split()
    if opened < 0 or closed < opened or len(fields) < 22 or not text[:opened].strip().isdigit():
        raise MalformedFileError(FILE, text)
    try:
        return Stat(
            pid=int(text[:opened]),
            name=text[opened + 1 : closed],
            state=fields[0].decode("ascii", "replace"),
            ppid=int(fields[1]),
            process_group=int(fields[2]),
            session=int(fields[3]),
            minor_faults=int(fields[7]),
            major_faults=int(fields[9]),
            user_ticks=int(fields[11]),
            system_ticks=int(fields[12]),
            threads=int(fields[17]),
            start_ticks=int(fields[19]),
            rss_bytes=int(fields[21]) * page_size,
        )
    except ValueError as error:
        raise MalformedFileError(FILE, text) from error
