"""Where a group can be made, and what is said where none can."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.cgroups.machines import Machine, v1, v2

from hiwater.cgroups import place
from hiwater.cgroups.place import Place, find
from hiwater.errors import LimitUnavailableError

ME = str(os.getpid())
SCOPE = "/user.slice/user-7.slice/user@7.service/app.slice/run-1.scope"


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Directories and files that belong to somebody else, who may be root for all that root cares."""
    names: set[str] = set()
    plain = place._writable
    monkeypatch.setattr(place, "_writable", lambda path: path not in names and plain(path))
    return names


def test_v1(tmp_path: Path) -> None:
    """Under version 1 it is the group that we are in."""
    assert find(v1(tmp_path).root) == Place(1, "/sys/fs/cgroup/memory/jobs")


def test_v1_of_somebody_else(tmp_path: Path, forbidden: set[str]) -> None:
    """Where that belongs to somebody else, the commands that help are told, with our uid."""
    machine = v1(tmp_path)
    forbidden.add(f"{machine.root}/sys/fs/cgroup/memory/jobs")
    with pytest.raises(LimitUnavailableError) as caught:
        find(machine.root)
    group = f"/sys/fs/cgroup/memory/jobs/hiwater-{os.geteuid()}"
    assert str(caught.value).splitlines()[1:] == [
        f"  sudo mkdir {group}",
        f"  sudo chown {os.geteuid()} {group} {group}/cgroup.procs {group}/tasks",
        f"  echo $$ > {group}/cgroup.procs",
    ]
    assert caught.value.version == 1


def test_v1_not_mounted(tmp_path: Path) -> None:
    """A container may hide the hierarchy that it is in."""
    machine = v1(tmp_path)
    machine.write("/proc/self/mountinfo", "")
    with pytest.raises(LimitUnavailableError, match="not mounted"):
        find(machine.root)


def test_v2_that_hands_down(tmp_path: Path) -> None:
    """A group that hands the controller down already (only the root may, with processes in it)."""
    machine = v2(tmp_path, "/")
    assert find(machine.root) == Place(2, "/sys/fs/cgroup")


def test_v2_scope_of_our_own(tmp_path: Path) -> None:
    """In a scope of systemd's that holds only us, we have to step aside first; what is beside it is systemd's."""
    machine = v2(tmp_path, SCOPE)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    machine.group(f"/sys/fs/cgroup{SCOPE.rpartition('/')[0]}", "memory", "memory")
    machine.group(f"/sys/fs/cgroup{SCOPE}", "memory pids", "", f"{ME}\n")
    assert find(machine.root) == Place(2, f"/sys/fs/cgroup{SCOPE}", needs_leaf=True)


def test_v2_alone_below_another(tmp_path: Path, forbidden: set[str]) -> None:
    """Where the parent is somebody else's, too; without systemd, the group is made beside if it can be."""
    machine = v2(tmp_path, "/jobs/mine")
    machine.group("/sys/fs/cgroup/jobs", "memory", "memory")
    machine.group("/sys/fs/cgroup/jobs/mine", "memory", "", f"{ME}\n")
    assert find(machine.root) == Place(2, "/sys/fs/cgroup/jobs", sibling=True)
    forbidden.add(f"{machine.root}/sys/fs/cgroup/jobs")
    assert find(machine.root) == Place(2, "/sys/fs/cgroup/jobs/mine", needs_leaf=True)


def test_v2_with_others_in_it(tmp_path: Path, forbidden: set[str]) -> None:
    """A group with other processes can hand nothing down: they are not ours to move."""
    machine = v2(tmp_path, SCOPE)
    machine.group(f"/sys/fs/cgroup{SCOPE}", "memory pids", "", f"1\n{ME}\n")
    forbidden.add(f"{machine.root}/sys/fs/cgroup{SCOPE.rpartition('/')[0]}")
    with pytest.raises(
        LimitUnavailableError, match=r"has processes of its own \(2\).*systemd-run --user --scope"
    ) as caught:
        find(machine.root)
    assert caught.value.version == 2


def test_v2_beside(tmp_path: Path) -> None:
    """If the parent hands the controller down and is ours, the group is made there."""
    machine = v2(tmp_path, SCOPE)
    parent = f"/sys/fs/cgroup{SCOPE.rpartition('/')[0]}"
    machine.group(parent, "memory", "memory")
    machine.group(f"/sys/fs/cgroup{SCOPE}", "memory", "", f"1\n{ME}\n")
    assert find(machine.root) == Place(2, parent, sibling=True)


def test_v2_of_somebody_else(tmp_path: Path, forbidden: set[str]) -> None:
    """A session that is not delegated: a scope is what helps."""
    machine = v2(tmp_path, "/session-1.scope")
    machine.group("/sys/fs/cgroup/session-1.scope", "memory", "", f"{ME}\n")
    forbidden |= {f"{machine.root}/sys/fs/cgroup/session-1.scope", f"{machine.root}/sys/fs/cgroup"}
    with pytest.raises(LimitUnavailableError, match=r"belongs to somebody else; .*Delegate=yes"):
        find(machine.root)


def test_v2_without_the_controller(tmp_path: Path) -> None:
    """The kernel may have it, and not hand it down to us."""
    machine = v2(tmp_path, "/here")
    machine.group("/sys/fs/cgroup/here", "pids")
    with pytest.raises(LimitUnavailableError, match="not handed down to /sys/fs/cgroup/here"):
        find(machine.root)


def test_kernel_without_the_controller(tmp_path: Path) -> None:
    """As boards boot it: disabled."""
    machine = v2(tmp_path, "/here")
    machine.group("/sys/fs/cgroup", "cpu pids")
    machine.group("/sys/fs/cgroup/here", "cpu pids")
    with pytest.raises(LimitUnavailableError, match="cgroup_enable=memory"):
        find(machine.root)


def test_no_cgroups(tmp_path: Path) -> None:
    """Nothing is mounted at all."""
    with pytest.raises(LimitUnavailableError, match="no cgroup with a memory controller"):
        find(Machine(tmp_path, "", "0::/\n").root)


def test_bind_mount(tmp_path: Path) -> None:
    """In a container the mount shows a part of the hierarchy only: the path is counted from there."""
    machine = v1(tmp_path, "/docker/abc")
    machine.write("/proc/self/mountinfo", "1 1 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
    machine.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "0\n")
    assert find(machine.root) == Place(1, "/sys/fs/cgroup/memory")
