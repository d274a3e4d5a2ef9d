"""Machines with cgroups, as directories of ordinary files."""

from __future__ import annotations

from pathlib import Path

V1_MOUNT = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
V2_MOUNT = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"


class Machine:
    """``root`` goes in front of every path."""

    def __init__(self, path: Path, mounts: str, membership: str) -> None:
        self.path = path
        self.root = str(path)
        self.write("/proc/self/mountinfo", mounts)
        self.write("/proc/self/cgroup", membership)

    def write(self, path: str, text: str = "") -> Path:
        file = self.path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def group(self, path: str, controllers: str = "", subtree: str = "", procs: str = "") -> Path:
        """A cgroup of version 2."""
        self.write(f"{path}/cgroup.controllers", controllers + "\n")
        self.write(f"{path}/cgroup.subtree_control", subtree + "\n")
        return self.write(f"{path}/cgroup.procs", procs).parent


def v1(path: Path, group: str = "/jobs") -> Machine:
    """The memory controller of version 1; we are in ``group``."""
    machine = Machine(path, V1_MOUNT, f"4:memory:{group}\n0::/\n")
    machine.write(f"/sys/fs/cgroup/memory{group}/memory.usage_in_bytes", "0\n")
    machine.write(f"/sys/fs/cgroup/memory{group}/cgroup.procs")
    return machine


def v2(path: Path, group: str) -> Machine:
    """The unified hierarchy, with memory at its root."""
    machine = Machine(path, V2_MOUNT, f"0::{group}\n")
    machine.group("/sys/fs/cgroup", "cpu memory pids", "cpu memory pids")
    return machine
