"""Whether this is a container, and which kind."""

from __future__ import annotations

import re

from hiwater.doctor.host import Host
from hiwater.doctor.model import Check, State

_SIGNS = {"/.dockerenv": "docker", "/run/.containerenv": "podman", "/var/run/secrets/kubernetes.io": "kubernetes"}
_PATHS = ((b"kubepods", "kubernetes"), (b"docker", "docker"), (b"libpod", "podman"), (b"lxc", "lxc"))


def container(host: Host) -> str | None:
    """A guess at the kind of container, by what it leaves lying about; None for none."""
    for path, kind in _SIGNS.items():
        if host.exists(path):
            return kind
    environment = host.read("/proc/1/environ") or b""
    match = re.search(rb"(?:^|\0)container=([\w.-]+)", environment)
    if match:
        return match.group(1).decode("ascii")
    groups = host.read("/proc/self/cgroup") or b""
    return next((kind for mark, kind in _PATHS if re.search(rb"[/:-]" + mark, groups)), None)


def check_container(host: Host) -> Check:
    """Nothing is wrong with one; some of the other findings are explained by it."""
    kind = container(host)
    if kind is None:
        return Check("container", State.OK, "none to be seen")
    return Check("container", State.OK, f"looks like {kind}: its seccomp filter and its mounts decide what is allowed")
