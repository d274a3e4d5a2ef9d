"""Programs that do what is hard on an allocator behave with the sampler as without: the same output, the same end.

A dead-lock is a time-out is a failure. Samples are taken of every allocation, of each 64th byte, and now and then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.monitor.build import compile_c

from hiwater.binaries import find_heap_sampler
from hiwater.heap import wire
from hiwater.heap.log import Head, parse
from hiwater.heap.wire import HeadFlags

PROGRAMS = Path(__file__).parent / "programs"
MEANS = (1, 64, 4096)
SECONDS = 120
SCENES = (
    *("forks", "raw_forks", "vforks", "threads", "cancels", "plugins", "recursion", "jumps", "coroutines"),
    *("wrong_frames", "files", "places", "limits nofile", "limits fsize", "limits as", "sandbox kill", "sandbox errno"),
    *("daemon", "maps", "endings abort", "endings segv", "endings kill", "endings quick", "endings _exit"),
    *("endings exit_group", "endings thread", "endings exit"),
)


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder that every user can read, with the programs."""
    room = Path(tempfile.mkdtemp(prefix="hiwater-torture-"))
    room.chmod(0o755)
    compile_c([PROGRAMS / "model.c"], room / "model", "-pthread")
    compile_c([PROGRAMS / "scenes.c"], room / "scenes", "-pthread", "-ldl", "-Wno-infinite-recursion")
    for number in range(2):
        compile_c([PROGRAMS / "plugin.c"], room / f"plugin{number}.so", "-shared", "-fPIC")
    compile_c([PROGRAMS / "safe.c"], room / "libsafe.so", "-shared", "-fPIC", "-fno-builtin")
    compile_c(
        [PROGRAMS / "scenes.c", room / "libsafe.so"],
        room / "scenes_safe",
        *("-pthread", "-Wno-infinite-recursion", f"-Wl,-rpath,{room}"),
    )
    yield room
    shutil.rmtree(room, ignore_errors=True)


def _play(room: Path, command: Sequence[Path | str], mean: int | None = None) -> tuple[int, bytes, bytes]:
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    if mean is not None:
        logs = room / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
        logs.chmod(0o777)
        environment |= {
            "LD_PRELOAD": find_heap_sampler(),
            "HIWATER_HEAP_DIR": str(logs),
            "HIWATER_HEAP_SAMPLE": str(mean),
        }
    result = subprocess.run(
        command, cwd=room, env=environment, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
    )
    return result.returncode, result.stdout, result.stderr


def _heads(room: Path) -> list[Head]:
    """The heads of all files, the oldest first; the rest may be large."""
    found = []
    for path in (room / "logs").iterdir():
        with path.open("rb") as file:
            found.append(parse(file.read(wire.HEAD_SIZE)).head)
    return sorted(found, key=lambda head: head.start_ns)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("scene", SCENES)
def test_scenes(room: Path, scene: str, mean: int) -> None:
    """Forks, threads, plugins, jumps, coroutines, closed descriptors, other roots and users, limits, sandboxes, daemons
    and every kind of end: nothing is different, and something was sampled."""
    name, *argument = scene.split()
    command = [str(room / "scenes"), name, *(argument or [str(room)])]
    assert _play(room, command, mean) == _play(room, command)
    assert mean > 64 or sum(head.samples for head in _heads(room)) > 0


@pytest.mark.parametrize("mean", MEANS)
def test_signals(room: Path, mean: int) -> None:
    """A thousand signals a second whose handlers allocate, in the midst of the sampler too."""
    command = [str(room / "scenes_safe"), "signals"]
    assert _play(room, command, mean) == (0, b"signals\n", b"")
    assert sum(head.samples for head in _heads(room)) > 0


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_calls(room: Path, seed: int, mean: int) -> None:
    """Whatever is asked of the allocator by threads that hand blocks to each other, a model of it agrees; every call is
    in the totals, and with a mean of one byte every block that holds some is sampled."""
    threads, calls = 4, 20000
    command = [str(room / "model"), str(seed), str(threads), str(calls)]
    assert _play(room, command, mean) == (0, b"%d calls are right\n" % (threads * calls), b"")
    head = _heads(room)[0]
    assert head.flags & HeadFlags.ENDED
    assert (head.lost_samples, head.stopped_errno) == (0, 0)
    assert head.totals.allocations > threads * calls / 3
    assert 0 < head.samples <= head.totals.allocations
    assert 0 < head.totals.frees <= head.totals.allocations
    assert head.totals.allocated_bytes < threads * calls * 200_000


def test_a_sandbox_ends_the_sampling(room: Path) -> None:
    """The log says that it was ended, with the totals up to there."""
    assert _play(room, [room / "scenes", "sandbox", "kill"], 64)[0] == 0
    head = _heads(room)[0]
    assert head.flags & HeadFlags.STOPPED
    assert head.stopped_errno != 0
    assert head.totals.allocations >= 1000
