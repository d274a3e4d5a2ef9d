"""``/proc/PID/status``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hiwater.procfs import _keyed
from hiwater.procfs.errors import MalformedFileError

FILE = "/proc/PID/status"


@dataclass(frozen=True, slots=True)
class Status:
    """The memory and the identity of one process. Without a memory map (zombie, kernel thread) every size is None.

    Until Linux 6.15 the resident sizes are approximate counters; since 6.16 (and 6.12.y stable) they are exact sums,
    but the stored part of ``hwm_bytes`` stays approximate, so that it can fall between two reads.
    """

    name: bytes
    """``Name``: the command name, at most 15 bytes, with the kernel's escapes undone."""
    state: str | None
    """``State``: its letter: R S D T t Z X I."""
    pid: int | None
    """``Tgid``: the process number as seen by the /proc that was read."""
    ppid: int | None
    """``PPid``: 0 when the parent is outside the pid namespace."""
    tracer_pid: int | None
    """``TracerPid``: 0 when nobody traces it."""
    uid: int | None
    """Effective user, the second number of ``Uid``."""
    vm_peak_bytes: int | None
    """``VmPeak``: largest size of the address space; the resident set can not have been larger."""
    vm_size_bytes: int | None
    """``VmSize``."""
    hwm_bytes: int | None
    """``VmHWM``: largest resident set of this program image. gVisor does not print it."""
    rss_bytes: int | None
    """``VmRSS``: anonymous + file + shmem. Leaves out hugetlb pages, page tables and what is swapped out."""
    anon_bytes: int | None
    """``RssAnon``, since Linux 4.5."""
    file_bytes: int | None
    """``RssFile``, since Linux 4.5."""
    shmem_bytes: int | None
    """``RssShmem``, since Linux 4.5."""
    page_table_bytes: int | None
    """``VmPTE``: page tables; in no resident size."""
    swap_bytes: int | None
    """``VmSwap``: anonymous memory that is swapped out, since Linux 2.6.34."""
    hugetlb_bytes: int | None
    """``HugetlbPages``: in no resident size, since Linux 4.4."""
    threads: int | None
    """``Threads``."""
    seccomp: int | None
    """``Seccomp``: 0 off, 1 strict, 2 filter, since Linux 3.8."""
    no_new_privs: int | None
    """``NoNewPrivs``: 1 when set-user-ID has no effect, since Linux 4.10."""
    effective_capabilities: int | None
    """``CapEff`` as a bit mask."""

    @property
    def has_memory(self) -> bool:
        """False for a zombie and for a kernel thread: they have no memory map left to measure."""
        return self.rss_bytes is not None


def parse_status(text: bytes) -> Status:
    """The file as a ``Status``; raises MalformedFileError when it is something else."""
    fields = _keyed.split_lines(text)
    if "Name" not in fields:
        raise MalformedFileError(FILE, text)
    uids = fields.get("Uid", b"").split()

    def size(key: str) -> int | None:
        return _keyed.size(FILE, fields, key)

    def number(key: str, base: int = 10) -> int | None:
        return _keyed.number(FILE, fields, key, base)

    return Status(
        name=_name(text),
        state=fields["State"][:1].decode("ascii", "replace") if fields.get("State") else None,
        pid=number("Tgid"),
        ppid=number("PPid"),
        tracer_pid=number("TracerPid"),
        uid=int(uids[1]) if len(uids) > 1 and uids[1].isdigit() else None,
        vm_peak_bytes=size("VmPeak"),
        vm_size_bytes=size("VmSize"),
        hwm_bytes=size("VmHWM"),
        rss_bytes=size("VmRSS"),
        anon_bytes=size("RssAnon"),
        file_bytes=size("RssFile"),
        shmem_bytes=size("RssShmem"),
        page_table_bytes=size("VmPTE"),
        swap_bytes=size("VmSwap"),
        hugetlb_bytes=size("HugetlbPages"),
        threads=number("Threads"),
        seccomp=number("Seccomp"),
        no_new_privs=number("NoNewPrivs"),
        effective_capabilities=number("CapEff", 16),
    )


def _name(text: bytes) -> bytes:
    # proc_task_name() in fs/proc/array.c escapes newline and backslash here (and nothing else; stat escapes nothing).
    # Not stripped: a name may begin or end with blanks.
    match = re.search(rb"^Name:\t(.*)$", text, re.MULTILINE)
    raw = match.group(1) if match else b""
    return re.sub(rb"\\(n|\\)", lambda escape: b"\n" if escape.group(1) == b"n" else b"\\", raw)
