"""``--limit``, ``--cgroup`` and ``fit`` on version 2 of cgroups, whole, in Linux 6.1: this machine may have version 1.

A user who is not root has a delegated group there, as systemd gives one, and there is memory to swap to.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.kernels.boot import MACHINES, Guest, base_system, boot, cache, missing
from tests.kernels.debian import Archive, UnavailableError
from tests.kernels.plan import PLANS, find_kernel
from tests.kernels.python_guest import PYTHON, add_python

MIB = 1 << 20
(PLAN,) = (plan for plan in PLANS if plan.variants and plan.release == "bookworm")
# In pieces: more at once than the machine has would be refused, not killed (mm/util.c, __vm_enough_memory()).
EAT = f"{PYTHON} -S -c 'import sys; x = [bytes([n % 255 + 1]) * (1 << 20) for n in range(int(sys.argv[1]))]'"
HIWATER = f"{PYTHON} -m hiwater"


@dataclass(frozen=True)
class Job:
    """One execution in the guest."""

    user: str
    words: str
    """Of hiwater."""
    before: str = ":"
    """A line of shell for root."""


JOBS = {
    "fits": Job("nobody", f"run --limit 64MiB -- {EAT} 20"),
    "killed": Job("nobody", f"run --limit 64MiB -- {EAT} 200"),
    "killed as root": Job("root", f"run --limit 64MiB -- {EAT} 200"),
    "cache": Job("nobody", "run --cgroup -- dd if=/dev/zero of=/dev/shm/file bs=1M count=30"),
    "fit": Job("nobody", f"fit --to 128MiB --max-slowdown 3 -- {EAT} 40", "rm -f /dev/shm/file"),
    "group above": Job("nobody", f"run --limit 400MiB -- {EAT} 200", "echo 80M >/sys/fs/cgroup/nobody/memory.max"),
    "machine": Job("root", f"run --limit 4GiB -- {EAT} 3000", "echo max >/sys/fs/cgroup/nobody/memory.max"),
    "swapped": Job(
        "nobody",
        f"run --limit 48MiB --limit-swap 256MiB -- {PYTHON} -S -c "
        "'x = bytearray(100 << 20)\nfor n in range(3):\n    for i in range(0, len(x), 4096): x[i] += 1'",
        "swap 512",
    ),
}  # fmt: skip


def _lines() -> Iterator[str]:
    """For init.sh."""
    yield "export PYTHONDONTWRITEBYTECODE=1"
    yield "mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm && chmod 1777 /dev/shm"
    for number, job in enumerate(JOBS.values()):
        option = "--export-json" if job.words.startswith("fit") else "-q --json"
        verb, rest = job.words.split(" ", 1)
        yield job.before
        yield f"job {number} {job.user} {HIWATER} {verb} {option} /out/{number}.json {rest}"


@pytest.fixture(scope="module")
def said() -> Iterator[dict[str, dict[str, Any]]]:
    """What each job left: its JSON, and in ``status`` and ``text`` how it ended."""
    machine = MACHINES["x86_64"]
    if platform.machine() != machine.name:
        pytest.skip("the guest gets the monitor of this installation")
    try:
        lack = missing(machine)
        if lack is not None:
            raise UnavailableError(lack)
        archive = Archive(cache(), machine.debian)
        kernel = find_kernel(PLAN)
        files = base_system(machine, kernel, archive)
        add_python(files, machine, archive)
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no guest to boot: {error}")
    console = cache() / "left" / "limits.console"
    console.parent.mkdir(parents=True, exist_ok=True)
    left = boot(Guest(machine, kernel, 2, 1024), files, list(_lines()), 1800, console)
    found = {}
    for number, name in enumerate(JOBS):
        text = left.get(f"{number}.said", b"").decode(errors="replace")
        raw = left.get(f"{number}.json", b"")
        found[name] = {
            **(json.loads(raw) if raw else {}),
            "status": int(left.get(f"{number}.status", b"-1")),
            "text": text,
        }
    yield found


pytestmark = pytest.mark.timeout(2400)


def verdict(document: dict[str, Any]) -> str:
    assert document.get("limit_verdict"), document["text"]
    return str(document["limit_verdict"]["verdict"])


def test_it_fits(said: dict[str, dict[str, Any]]) -> None:
    """A delegated group is enough for a limit; what needs less finishes, and its peak is its need."""
    document = said["fits"]
    assert (document["status"], verdict(document)) == (0, "finished"), document["text"]
    assert 20 * MIB < document["cgroup_peak_bytes"] < 40 * MIB


@pytest.mark.parametrize("name", ["killed", "killed as root"])
def test_killed_in_its_group(said: dict[str, dict[str, Any]], name: str) -> None:
    """memory.events.local of its own group tells that the limit was the reason."""
    document = said[name]
    assert (document["status"], verdict(document)) == (137, "oom_in_group"), document["text"]
    assert document["cgroup_peak_bytes"] is None, "the limit is not the need"


def test_limit_of_a_group_above(said: dict[str, dict[str, Any]]) -> None:
    """The group that was delegated has a limit too, and that was the one that was met."""
    assert (said["group above"]["status"], verdict(said["group above"])) == (137, "oom_above"), said["group above"]


def test_machine_out_of_memory(said: dict[str, dict[str, Any]]) -> None:
    """A limit beyond what the machine has never was the reason: the machine had none left."""
    assert (said["machine"]["status"], verdict(said["machine"])) == (137, "oom_system"), said["machine"]


def test_swapped_heavily(said: dict[str, dict[str, Any]]) -> None:
    """100 MiB in 48 MiB finish with the help of swap, and what that cost is told."""
    document = said["swapped"]
    assert (document["status"], verdict(document)) == (0, "reclaimed"), document
    assert document["peak_swap_bytes"] > 40 * MIB


def test_tmpfs_counts(said: dict[str, dict[str, Any]]) -> None:
    """--cgroup splits its maximum; what was written to a tmpfs is memory too."""
    document = said["cache"]
    assert document["status"] == 0, document["text"]
    assert document["cgroup_peak_bytes"] > 30 * MIB > document["peak_rss_bytes"]


def test_fit_finds_the_edge(said: dict[str, dict[str, Any]]) -> None:
    """40 MiB that are touched: not less, and within the precision not more than the group took without a limit."""
    document = said["fit"]
    assert document["status"] == 0, document["text"]
    unlimited = max(trial["cgroup_peak_bytes"] for trial in document["unlimited"]["executions"])
    assert 40 * MIB < document["smallest_limit_bytes"] <= 1.02 * unlimited, document["text"]
    assert document["smallest"]["precise"], document["text"]
    for point in document["curve"]:
        if point["limit_bytes"] <= 40 * MIB:
            assert (point["successes"], list(point["failures"])) == (0, ["out of memory"])
