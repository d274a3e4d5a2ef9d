"""The command's cgroup: only the command is put into it, and what its files say is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.monitor.harness import MIB, Monitor

FILES = {
    "memory.current": f"{5 * MIB}\n",
    "memory.max": f"{64 * MIB}\n",
    "memory.swap.max": "0\n",
    "memory.peak": f"{6 * MIB}\n",
    "memory.stat": f"anon {4 * MIB}\nfile {MIB}\nshmem 0\nkernel 4096\npagetables 4096\n",
    "memory.events": "low 0\nhigh 0\nmax 2\noom 0\noom_kill 0\noom_group_kill 0\n",
    "memory.events.local": "low 0\nhigh 0\nmax 2\noom 0\noom_kill 0\noom_group_kill 0\n",
    "memory.pressure": "some avg10=0.00 avg300=0.00 total=70\nfull avg10=0.00 avg300=0.00 total=30\n",
    "cgroup.procs": "",
}


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A directory that looks like a cgroup of version 2, below another."""
    path = tmp_path / "parent" / "child"
    path.mkdir(parents=True)
    for name, text in FILES.items():
        (path / name).write_text(text)
        (path.parent / name).write_text(text)
    return path


def test_files_are_recorded(monitor: Monitor, group: Path) -> None:
    """The child moves itself into the group, and the kernel's files are in the recording, those above as well."""
    outcome = monitor.act("exit", 3, options=["--cgroup", str(group)])
    found = outcome.recording.cgroup
    assert outcome.status == 3
    assert (group / "cgroup.procs").read_text() == "0", "the writer itself"
    assert found is not None
    assert found.maximum is not None
    assert (found.version, found.path, found.limit_bytes, found.swap_limit_bytes) == (2, str(group), 64 * MIB, 0)
    assert (found.peak_bytes, found.peak_method, found.limit_hits, found.oom_kills) == (6 * MIB, "memory.peak", 2, 0)
    assert (found.maximum.usage_bytes, found.maximum.anon_bytes, found.maximum.file_bytes) == (5 * MIB, 4 * MIB, MIB)
    assert (found.pressure_some_us, found.pressure_full_us, found.outer_hits) == (70, 30, 0)


def test_group_that_refuses(monitor: Monitor, group: Path) -> None:
    """A command that cannot be put under its limit is not executed without it."""
    (group / "cgroup.procs").unlink()
    (group / "cgroup.procs").symlink_to("/dev/full")
    outcome = monitor.act("say", "executed", options=["--cgroup", str(group)])
    assert (outcome.status, outcome.stdout) == (125, b"")
    assert outcome.recording.end is not None
    assert outcome.recording.end.exec_errno == -28


def test_no_such_group(monitor: Monitor, tmp_path: Path) -> None:
    """Nothing is started."""
    outcome = monitor.act("say", "executed", options=["--cgroup", str(tmp_path / "none")])
    assert (outcome.status, outcome.stdout) == (125, b"")
    assert b"No such file or directory" in outcome.stderr


@pytest.mark.parametrize(("option", "line"), [("--rlimit-as", "Max address space"), ("--rlimit-data", "Max data size")])
def test_resource_limit(monitor: Monitor, option: str, line: str) -> None:
    """It is the command's alone, soft and hard."""
    outcome = monitor.run("cat", "/proc/self/limits", options=[option, "1073741824"])
    found = [words for words in outcome.stdout.decode().splitlines() if words.startswith(line)]
    assert [words.split()[-3:-1] for words in found] == [["1073741824", "1073741824"]]
    fact = option[2:].replace("-", "_") + "_bytes"
    assert outcome.recording.facts.raw[fact] == "1073741824"


def test_no_limit(monitor: Monitor) -> None:
    """Without the options nothing of it is recorded."""
    assert monitor.act("exit", 0).recording.cgroup is None
