"""Groups are made with their limits, and nothing of them is left; tried on ordinary directories."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cgroups.machines import Machine, v1, v2

from hiwater.cgroups import group as module
from hiwater.cgroups.group import Group, sweep
from hiwater.cgroups.place import Place
from hiwater.errors import LimitError

MIB = 1 << 20
SCOPE = "/run-1.scope"


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """rmdir of a cgroup takes the kernel's files with it, and mkdir brings them."""
    monkeypatch.setattr(module, "rmdir", shutil.rmtree)

    def mkdir(path: str) -> None:
        os.mkdir(path)
        for name in ("cgroup.procs", "memory.memsw.limit_in_bytes", "memory.swap.max"):
            Path(path, name).touch()

    monkeypatch.setattr(module, "mkdir", mkdir)


def contents(group: Group) -> dict[str, str]:
    return {file.name: file.read_text() for file in Path(group.path).iterdir() if file.read_text()}


def swap(machine: Machine, *, there: bool) -> Machine:
    lines = "Filename\tType\tSize\tUsed\tPriority\n" + ("/dev/zram0\tpartition\t1024\t0\t-2\n" if there else "")
    machine.write("/proc/swaps", lines)
    return machine


@pytest.mark.parametrize(
    ("limit", "allowed", "there", "expected"),
    [
        (64 * MIB, 0, True, {"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864"}),
        (64 * MIB, 0, False, {"memory.limit_in_bytes": "67108864", "memory.swappiness": "0"}),
        (64 * MIB, MIB, False, {"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "68157440"}),
        (64 * MIB, None, True, {"memory.limit_in_bytes": "67108864"}),
        (None, None, True, {}),
    ],
)
def test_limits_of_v1(
    tmp_path: Path, limit: int | None, allowed: int | None, there: bool, expected: dict[str, str]
) -> None:
    """The limit of memory is written before that of both together, which may not be smaller."""
    machine = swap(v1(tmp_path), there=there)
    group = Group(Place(1, "/sys/fs/cgroup/memory/jobs"), limit, allowed, root=machine.root)
    assert contents(group) == expected
    assert group.remove() == ()
    assert not Path(group.path).exists()


def test_limits_of_v2(tmp_path: Path) -> None:
    """memory.max and memory.swap.max."""
    machine = v2(tmp_path, "/")
    group = Group(Place(2, "/sys/fs/cgroup"), 64 * MIB, 0, root=machine.root)
    assert contents(group) == {"memory.max": "67108864", "memory.swap.max": "0"}
    group.remove()


def test_leaf(tmp_path: Path) -> None:
    """We move into a leaf, the controller is handed down, and afterwards all is as it was."""
    machine = v2(tmp_path, SCOPE)
    home = machine.group(f"/sys/fs/cgroup{SCOPE}", "memory", "", f"{os.getpid()}\n")
    before = set(home.iterdir())
    group = Group(Place(2, f"/sys/fs/cgroup{SCOPE}", needs_leaf=True), MIB, 0, root=machine.root)
    leaf = [path for path in home.iterdir() if path.name.endswith("-leaf")]
    assert [(path / "cgroup.procs").read_text() for path in leaf] == [str(os.getpid())]
    assert (home / "cgroup.subtree_control").read_text() == "+memory"
    group.remove()
    assert (home / "cgroup.subtree_control").read_text() == "-memory"
    assert (home / "cgroup.procs").read_text() == str(os.getpid())
    assert set(home.iterdir()) == before


def test_refused_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that the kernel refuses leaves no group behind, and says what was refused."""
    machine = v1(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise LimitError("refused")

    monkeypatch.setattr(Group, "_write", refuse)
    with pytest.raises(LimitError, match="refused"):
        Group(Place(1, "/sys/fs/cgroup/memory/jobs"), MIB, 0, root=machine.root)
    assert [path.name for path in (tmp_path / "sys/fs/cgroup/memory/jobs").iterdir() if path.is_dir()] == []


def test_who_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group with processes stays, and who they are is told."""
    machine = v1(tmp_path)
    group = Group(Place(1, "/sys/fs/cgroup/memory/jobs"), root=machine.root)
    Path(group.path, "cgroup.procs").write_text("12\n345\n")

    def busy(path: str) -> None:
        raise OSError(errno.EBUSY, "busy", path)

    monkeypatch.setattr(module, "rmdir", busy)
    assert group.remove() == (12, 345)
    assert Path(group.path).is_dir()


def test_busy_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last process may be off the list and still be counted: the removal is tried again."""
    machine = v1(tmp_path)
    group = Group(Place(1, "/sys/fs/cgroup/memory/jobs"), root=machine.root)
    tries: list[str] = []

    def busy_twice(path: str) -> None:
        tries.append(path)
        if len(tries) < 3:
            raise OSError(errno.EBUSY, "busy", path)
        shutil.rmtree(path)

    monkeypatch.setattr(module, "rmdir", busy_twice)
    assert (group.remove(), len(tries)) == ((), 3)


def test_sweep(tmp_path: Path) -> None:
    """What the dead left is removed; what belongs to the living, to other namespaces or to others is left alone."""
    own = module._own_name()
    pid, start, space = own.split("-")[1:]
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = gone.stdout.decode().strip()
    kept = {f"{own}-0", f"hiwater-{dead}-1-1-0", f"hiwater-{os.geteuid()}", "hiwater-doctor-1", "other"}
    for name in (*kept, f"hiwater-{dead}-1-{space}-0", f"hiwater-{pid}-{int(start) + 1}-{space}-3"):
        os.mkdir(tmp_path / name)
    sweep(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == kept
