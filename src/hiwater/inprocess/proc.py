"""The kernel's files about this very process: the edge, and nothing else."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from hiwater.analysis.precision import counter_error_bytes, kernel_version
from hiwater.procfs.status import parse_status
from hiwater.recording.model import Rss

EXACT_SINCE = (6, 16)
"""Commit 82241a83cd15: VmRSS and statm are exact sums. 6.12.y has it too, but its number does not tell from when on."""
RESET_PEAK = b"5"
"""What makes clear_refs set the high-water mark to the present RSS (fs/proc/task_mmu.c, since Linux 4.0)."""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of /proc/self/status."""

    hwm_bytes: int | None
    """The mark (VmHWM); ``None`` where the kernel prints none (gVisor)."""
    rss: Rss
    threads: int | None


@dataclass(frozen=True, slots=True)
class Precision:
    """How far what is read can be off."""

    error_bytes: int | None
    """The mark, in either direction; ``None`` if the kernel is not known."""
    exact: bool
    """Whether the present RSS is an exact sum."""

    @property
    def rss_error_bytes(self) -> int | None:
        """The present RSS, in either direction."""
        return 0 if self.exact else self.error_bytes


class ProcSelf:
    """Opened anew each time: a kept descriptor would go on showing the parent after a fork."""

    def __init__(self, root: str = "/proc/self") -> None:
        self.root = root
        self.release = os.uname().release
        self.cpus = os.sysconf("SC_NPROCESSORS_ONLN")
        self.page_size = os.sysconf("SC_PAGE_SIZE")

    def look(self) -> Look:
        """Raises OSError where /proc can not be read, ValueError where it holds something else."""
        with open(f"{self.root}/status", "rb", buffering=0) as file:
            status = parse_status(file.read())
        split = Rss(status.rss_bytes, status.anon_bytes, status.file_bytes, status.shmem_bytes)
        return Look(status.hwm_bytes, split, status.threads)

    def open_reset(self) -> int:
        """A descriptor for reset(): opened beforehand, to keep short what passes between looking and resetting."""
        return os.open(f"{self.root}/clear_refs", os.O_WRONLY | os.O_CLOEXEC)

    def reset(self, fd: int) -> None:
        """Sets the mark to the present RSS."""
        os.write(fd, RESET_PEAK)

    def hand_down(self) -> None:
        """Writes the mark where a reset does not reach: into what whoever waits for this process will be told.

        posix_spawn's child shares this process's memory map until it has executed something, and a directory can not be
        executed: so it ends, the map's mark becomes its ru_maxrss (do_exit(), kernel/exit.c), and that becomes part of
        ours when the C library has waited for it (wait_task_zombie()).
        """
        with contextlib.suppress(OSError):
            os.posix_spawn("/", ["/"], {})

    def open_statm(self) -> int:
        """A descriptor for rss(). Only for as long as this process does not fork."""
        return os.open(f"{self.root}/statm", os.O_RDONLY | os.O_CLOEXEC)

    def rss(self, fd: int) -> int:
        """The present RSS, the cheap way."""
        return int(os.pread(fd, 256, 0).split()[1]) * self.page_size

    def precision(self, threads: int | None) -> Precision:
        """Threads matter before Linux 6.2, CPUs since."""
        version = kernel_version(self.release)
        error = counter_error_bytes(self.release, self.cpus if self.cpus > 0 else None, self.page_size, threads)
        return Precision(error, version is not None and version >= EXACT_SINCE)
