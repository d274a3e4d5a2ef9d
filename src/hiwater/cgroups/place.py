"""Where a cgroup with a memory controller can be made: found by reading alone, nothing is changed.

``root`` in front of every path lets tests show a machine that they have made up.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from hiwater.errors import LimitUnavailableError
from hiwater.procfs import Mount, parse_cgroup, parse_mountinfo

SCOPE = "systemd-run --user --scope -p Delegate=yes"


@dataclass(frozen=True, slots=True)
class Place:
    """A directory in which a group can be made."""

    version: int
    """Of the cgroup interface: 1 or 2."""
    directory: str
    """The parent of the new group; this process is in it or, with ``sibling``, in another child of it."""
    needs_leaf: bool = False
    """Version 2: the directory hands no controller down yet, and will not as long as processes are in it
    (Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint"). Only this process is: it has to move
    into a child first."""
    sibling: bool = False
    """Version 2: beside this process's own group, below their common parent."""


def directory_of(mounts: tuple[Mount, ...], filesystem: str, path: bytes, option: str | None = None) -> str | None:
    """Where a cgroup is to be found: the mount may show only a part of the hierarchy (a bind mount, a container)."""
    for mount in reversed(mounts):
        if mount.filesystem != filesystem or (option is not None and mount.option(option) is None):
            continue
        root = mount.root.rstrip(b"/")
        inside = path[len(root) :] if path == root or path.startswith(root + b"/") else path
        return os.fsdecode(mount.path + inside.rstrip(b"/"))
    return None


def find(root: str = "") -> Place:
    """Where a group can be made; raises LimitUnavailableError with the command that would make one possible."""
    mounts = parse_mountinfo(_read(f"{root}/proc/self/mountinfo"))
    entries = parse_cgroup(_read(f"{root}/proc/self/cgroup"))
    for entry in entries:
        if "memory" in entry.controllers:
            return _v1(root, directory_of(mounts, "cgroup", entry.path, "memory"))
    for entry in entries:
        directory = directory_of(mounts, "cgroup2", entry.path) if entry.is_v2 else None
        if directory is not None and "memory" in _words(f"{root}{directory}/cgroup.controllers"):
            return _v2(root, directory)
        if directory is not None and _words(f"{root}{directory}/cgroup.controllers"):
            raise LimitUnavailableError(_not_delegated(root, directory), version=2)
    raise LimitUnavailableError(
        "no cgroup with a memory controller can be seen here: in a container, give it one "
        "(docker run --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup ...); on a board, boot with cgroup_enable=memory"
    )


def _not_delegated(root: str, directory: str) -> str:
    available = "memory" in _words(f"{root}/sys/fs/cgroup/cgroup.controllers")
    if not available:
        return "the kernel has no memory controller for cgroups: boot with cgroup_enable=memory, or build CONFIG_MEMCG"
    return (
        f"the memory controller is not handed down to {directory}, the cgroup that hiwater runs in; this makes a group "
        f"with it: {SCOPE} hiwater run ..."
    )


def _v1(root: str, directory: str | None) -> Place:
    if directory is None or not os.path.exists(f"{root}{directory}/memory.usage_in_bytes"):
        raise LimitUnavailableError("the memory cgroup that hiwater runs in is not mounted here", version=1)
    if _writable(root + directory):
        return Place(1, directory)
    group = shlex.quote(f"{directory.rstrip('/')}/hiwater-{os.geteuid()}")
    raise LimitUnavailableError(
        f"no cgroup can be made in {directory}; these make one possible, typed in this shell:\n"
        f"  sudo mkdir {group}\n"
        f"  sudo chown {os.geteuid()} {group} {group}/cgroup.procs {group}/tasks\n"
        f"  echo $$ > {group}/cgroup.procs",
        version=1,
    )


def _v2(root: str, directory: str) -> Place:
    own, parent = root + directory, os.path.dirname(directory.rstrip("/"))
    if _writable(own) and "memory" in _words(f"{own}/cgroup.subtree_control"):
        return Place(2, directory)
    members = _words(f"{own}/cgroup.procs")
    alone = members <= {str(os.getpid())}
    divisible = _writable(own) and _writable(f"{own}/cgroup.subtree_control") and alone
    # To move a process, the files cgroup.procs of the target and of the common ancestor have to be writable
    # (cgroup-v2.rst, "Delegation Containment").
    beside = root + parent
    has_parent = (
        _writable(beside)
        and _writable(f"{beside}/cgroup.procs")
        and "memory" in _words(f"{beside}/cgroup.subtree_control")
    )
    # A group that was divided by a hiwater which was then killed lets nobody in any more: so rather beside it, unless
    # somebody manages what is there.
    if has_parent and not (divisible and os.path.isdir(f"{root}/run/systemd/system")):
        return Place(2, parent, sibling=True)
    if divisible:
        return Place(2, directory, needs_leaf=True)
    if not _writable(own):
        why = f"{directory}, the cgroup that hiwater runs in, belongs to somebody else"
    else:
        why = f"{directory} has processes of its own ({len(members)}), so it can hand no controller down"
    raise LimitUnavailableError(f"{why}; in a scope of its own a limit is possible: {SCOPE} hiwater run ...", version=2)


def _writable(path: str) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _words(path: str) -> set[str]:
    return set(_read(path).decode("ascii", "replace").split())


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
