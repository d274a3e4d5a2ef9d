"""A cgroup from its making to its removal.

The name carries who made it (pid, start time, pid namespace): what a hiwater that was killed left behind is found and
removed by the next one, and nobody else's is touched. rmdir refuses a group that has processes, so a command that
outlived its hiwater keeps its limit.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import time
from pathlib import Path

from hiwater.cgroups.place import Place
from hiwater.errors import LimitError
from hiwater.procfs import parse_stat

_NAME = re.compile(r"hiwater-([0-9]+)-([0-9]+)-([0-9]+)-(?:[0-9]+|leaf)")
_PATIENCE_SECONDS = 2.0
"""How long a group whose last process has just ended may stay busy."""
_numbers = itertools.count()

mkdir, rmdir = os.mkdir, os.rmdir  # the tests' groups are ordinary directories, with files in them


class Group:
    """Made when this is made; ``remove`` undoes it. Without a limit it only measures."""

    def __init__(self, place: Place, limit: int | None = None, swap: int | None = None, *, root: str = "") -> None:
        """``limit`` and ``swap`` in bytes; None: none. A machine without swap needs no limit of it."""
        self.place = place
        self._root = root
        self._parent = root + place.directory
        self._leaf: str | None = None
        sweep(self._parent)
        try:
            if place.needs_leaf:
                self._enter_leaf()
            self.path = f"{self._parent}/{_own_name()}-{next(_numbers)}"
            mkdir(self.path)
        except OSError as error:
            self._leave_leaf()
            raise LimitError(f"no cgroup can be made in {place.directory}: {error.strerror}") from None
        try:
            if limit is not None:
                self._limit(limit, swap)
        except LimitError:
            self.remove()
            raise

    def _limit(self, limit: int, swap: int | None) -> None:
        if self.place.version == 2:
            self._write("memory.max", limit)
            if swap is not None:
                self._write("memory.swap.max", swap, optional=swap == 0 and not _has_swap(self._root))
            return
        self._write("memory.limit_in_bytes", limit)
        if swap is None:
            return
        together = os.path.exists(f"{self.path}/memory.memsw.limit_in_bytes")
        if together and (swap > 0 or _has_swap(self._root)):
            self._write("memory.memsw.limit_in_bytes", limit + swap)
        elif swap == 0:
            # A group's own reclaim never swaps with a swappiness of 0 (mm/vmscan.c get_scan_count()). Where there is
            # no swap anyway this is better than a limit of both together: that one is asked first, and when it
            # refuses, Linux 6.18 counts no failcnt.
            self._write("memory.swappiness", 0)
        else:
            raise LimitError("this kernel does not count swap (swapaccount=1 makes it): only --limit-swap 0 can be had")

    def _write(self, name: str, value: int, *, optional: bool = False) -> None:
        try:
            with open(f"{self.path}/{name}", "w", encoding="ascii") as file:
                file.write(str(value))
        except FileNotFoundError as error:
            if not optional:
                raise LimitError(f"this kernel has no {name} for cgroups: {error.strerror}") from None
        except OSError as error:
            raise LimitError(f"{name} of the cgroup {self.path} refuses {value}: {error.strerror}") from None

    def _enter_leaf(self) -> None:
        self._leaf = f"{self._parent}/{_own_name()}-leaf"
        with contextlib.suppress(FileExistsError):
            mkdir(self._leaf)
        _put(f"{self._leaf}/cgroup.procs", str(os.getpid()))
        _put(f"{self._parent}/cgroup.subtree_control", "+memory")

    def _leave_leaf(self) -> None:
        """Back to where we were: the group is then as it was found."""
        if self._leaf is None:
            return
        with contextlib.suppress(OSError):
            _put(f"{self._parent}/cgroup.subtree_control", "-memory")
            _put(f"{self._parent}/cgroup.procs", str(os.getpid()))
        with contextlib.suppress(OSError):
            rmdir(self._leaf)

    def processes(self) -> tuple[int, ...]:
        """Who is in it."""
        with contextlib.suppress(OSError):
            return tuple(int(pid) for pid in Path(self.path, "cgroup.procs").read_text("ascii").split())
        return ()

    def remove(self) -> tuple[int, ...]:
        """Removes it. If processes still run in it, it stays, with its limit: returns their pids."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                rmdir(self.path)
            except FileNotFoundError:
                break
            except OSError as error:
                left = self.processes()
                if left or error.errno != errno.EBUSY or time.monotonic() > deadline:
                    return left
                time.sleep(0.002)  # who has just ended is not in the list any more, but still counted
            else:
                break
        self._leave_leaf()
        return ()


def sweep(directory: str) -> None:
    """Removes the empty groups of those who are dead."""
    try:
        names = [entry for entry in os.listdir(directory) if entry.startswith("hiwater-")]
    except OSError:
        return
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None or int(match[3]) != _namespace() or _start_ticks(int(match[1])) == int(match[2]):
            continue
        with contextlib.suppress(OSError):
            rmdir(f"{directory}/{name}")


def _own_name() -> str:
    return f"hiwater-{os.getpid()}-{_start_ticks(os.getpid())}-{_namespace()}"


def _namespace() -> int:
    """Pids mean something only within one."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _start_ticks(pid: int) -> int | None:
    """None if there is no such process."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_bytes(), 4096).start_ticks
    except (OSError, ValueError):
        return None


def _has_swap(root: str) -> bool:
    try:
        return len(Path(f"{root}/proc/swaps").read_bytes().splitlines()) > 1
    except OSError:
        return True


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
