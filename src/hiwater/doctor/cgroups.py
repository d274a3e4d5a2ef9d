"""Cgroups with a memory controller: the only exact peak of a whole tree that the kernel keeps."""

from __future__ import annotations

import shlex

from hiwater.cgroups.place import directory_of
from hiwater.doctor.host import Host
from hiwater.doctor.model import Check, State
from hiwater.procfs import parse_cgroup, parse_mountinfo

_DELEGATE = "systemd-run --user --scope -p Delegate=yes hiwater run ..."


def check_cgroup(host: Host) -> Check:
    """Which version has the memory controller, and whether a child cgroup can be made in ours."""
    mounts = parse_mountinfo(host.read("/proc/self/mountinfo") or b"")
    entries = parse_cgroup(host.read("/proc/self/cgroup") or b"")
    for entry in entries:
        if "memory" in entry.controllers:
            return _v1(host, directory_of(mounts, "cgroup", entry.path, "memory"))
    for entry in entries:
        if entry.is_v2:
            directory = directory_of(mounts, "cgroup2", entry.path)
            if directory and b"memory" in (host.read(f"{directory}/cgroup.controllers") or b"").split():
                return _v2(host, directory)
    return Check("cgroup", State.MISSING, "no memory controller to be seen: the tree peak is sampled, not counted")


def _v1(host: Host, directory: str | None) -> Check:
    if directory is None or not host.exists(f"{directory}/memory.usage_in_bytes"):
        return Check("cgroup", State.MISSING, "version 1, but our memory cgroup is not mounted here")
    if host.can_make_child(directory):
        return Check("cgroup", State.OK, f"version 1: a memory cgroup of its own can be made in {directory}")
    return Check(
        "cgroup",
        State.LIMITED,
        f"version 1, but {directory} belongs to somebody else: the tree peak is sampled, not counted",
        # $$ is the shell of whoever types this: it has to be inside for its children to be.
        f'sudo sh -c "cd {shlex.quote(directory)} && mkdir hiwater && chown -R {host.uid} hiwater'
        ' && echo $$ > hiwater/cgroup.procs"',
    )


def _v2(host: Host, directory: str) -> Check:
    peak = "" if host.exists(f"{directory}/memory.peak") else ", without memory.peak (before Linux 5.19, or the root)"
    if not host.can_make_child(directory):
        detail = f"version 2{peak}, but {directory} is not delegated: the tree peak is sampled, not counted"
        return Check("cgroup", State.LIMITED, detail, _DELEGATE)
    if b"memory" in (host.read(f"{directory}/cgroup.subtree_control") or b"").split():
        return Check("cgroup", State.OK, f"version 2{peak}: a memory cgroup of its own can be made in {directory}")
    detail = f"version 2{peak}: a child can be made in {directory}, but it has no memory controller"
    # A cgroup with processes of its own hands no controller down: the shell moves into a leaf first.
    remedy = "mkdir leaf && echo $$ > leaf/cgroup.procs && echo +memory > cgroup.subtree_control"
    return Check("cgroup", State.LIMITED, detail, f"cd {shlex.quote(directory)} && {remedy}")
