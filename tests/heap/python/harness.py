"""Drives the sampler with the Python interpreters of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path

from hiwater.binaries import find_heap_sampler
from hiwater.heap.log import HeapLog, read_logs
from hiwater.heap.replay import Replay

PROGRAMS = Path(__file__).parent / "programs"
PYCHURN = Path(__file__).parents[3] / "bench" / "programs" / "heap" / "pychurn.py"

_ASK = """
import json, sys, sysconfig
of = sysconfig.get_config_var
print(json.dumps({
    "name": sys.implementation.name, "version": sys.version_info[:2], "path": sys.executable, "base": sys.base_prefix,
    "free_threaded": bool(of("Py_GIL_DISABLED")), "debug": bool(of("Py_DEBUG")),
    "compiles": getattr(sys, "_jit", None) is not None and sys._jit.is_available(),
    "include": sysconfig.get_path("include"), "libpython": of("LDLIBRARY"), "folder": of("LIBDIR"),
    "multiarch": of("MULTIARCH") or "",
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A CPython whose frames are read, with the GIL."""

    path: str
    version: tuple[int, int]
    base: str
    """sys.base_prefix"""
    include: Path
    libpython: Path | None
    """The shared library, where there is one."""
    debug: bool
    """Built for debugging, with Py_DEBUG."""
    compiles: bool
    """PYTHON_JIT=1 makes it compile what is executed often."""

    def __str__(self) -> str:
        return f"{self.version[0]}.{self.version[1]}{'d' * self.debug}-{Path(self.base).name}"


@cache
def interpreters() -> tuple[Interpreter, ...]:
    """The system's, those on PATH by their names, and those that HIWATER_TEST_PYTHONS lists (paths, with colons)."""
    names = ["/usr/bin/python3", "python3", *(f"python3.{minor}" for minor in range(10, 16))]
    listed = [path for path in os.environ.get("HIWATER_TEST_PYTHONS", "").split(":") if path]
    found: dict[tuple[str, tuple[int, int], bool], Interpreter] = {}
    for name in names + listed:
        path = shutil.which(name)
        known = path and _ask(path)
        if known:
            found.setdefault((known.base, known.version, known.debug), known)
    return tuple(sorted(found.values(), key=lambda one: (one.version, one.base, one.debug)))


def _ask(path: str) -> Interpreter | None:
    asked = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, check=False, timeout=60)
    try:
        told = json.loads(asked.stdout)
    except ValueError:  # a shim that leads nowhere
        return None
    if told["name"] != "cpython" or told["free_threaded"] or not (3, 10) <= tuple(told["version"]) <= (3, 15):
        return None
    folder = Path(told["folder"] or "/")
    places = [folder / told["libpython"], folder / told["multiarch"] / told["libpython"]]
    library = next((place for place in places if ".so" in place.name and place.exists()), None)
    return Interpreter(
        path=told["path"],
        version=tuple(told["version"]),
        base=told["base"],
        include=Path(told["include"]),
        libpython=library,
        debug=told["debug"],
        compiles=told["compiles"],
    )


@dataclass(frozen=True)
class Held:
    """What one line held."""

    bytes: float
    standard_error: float


@dataclass(frozen=True)
class Sampled:
    """An execution under the sampler."""

    stdout: str
    stderr: str
    logs: tuple[HeapLog, ...]

    @property
    def log(self) -> HeapLog:
        """The one of the process that allocated most."""
        return max(self.logs, key=lambda log: log.head.samples)


def plain(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """What a program prints without the sampler."""
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout


def sample(
    room: Path, command: Sequence[str | Path], mean: int = 64, env: Mapping[str, str] | None = None, status: int = 0
) -> Sampled:
    """Executes a program under the sampler."""
    folder = room / "heap"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    wanted = {
        "LD_PRELOAD": find_heap_sampler(),
        "HIWATER_HEAP_DIR": str(folder),
        "HIWATER_HEAP_SAMPLE": str(mean),
        "HIWATER_HEAP_SEED": "1",
    }
    done = subprocess.run(
        command,
        env={**os.environ, **wanted, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=room,
    )
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return Sampled(done.stdout, done.stderr, tuple(read_logs(folder)))


def lines(log: HeapLog, file: str, t_ns: int | None = None) -> dict[int, Held]:
    """What each line of a file held when the heap was largest, or at that time: what it made itself, and what functions
    outside of the file made for it."""
    replay = Replay(log)
    if t_ns is None:
        at = max(range(len(replay.in_use)), key=replay.in_use.__getitem__)
        t_ns = replay.times[at]
    sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for held in replay.at(t_ns).holdings:
        stack = log.stacks.get(held.stack)
        if stack is None:
            continue
        calls = ((log.codes[call.code].file, call.line) for call in stack.python)
        line = next((line for name, line in calls if name.endswith(file)), None)
        if line is not None:
            sums[line][0] += held.in_use_bytes
            sums[line][1] += held.variance
    return {line: Held(total, sqrt(variance)) for line, (total, variance) in sums.items()}


def stacks_of(log: HeapLog, size: int) -> list[list[tuple[str, str, int, bool]]]:
    """The Python stacks of the samples of that size: file, function, line and whether it was entered from C."""
    found = []
    for number, _kind, bytes_, _mean in log.samples.kinds:
        if bytes_ == size:
            calls = log.stacks[number].python
            codes = [log.codes[call.code] for call in calls]
            pairs = zip(codes, calls, strict=True)
            found.append([(code.file, code.name, call.line, call.entry) for code, call in pairs])
    return found


def block_head(python: Interpreter) -> int:
    """What a bytes object takes beside its bytes."""
    return int(plain([python.path, "-c", "import sys; print(sys.getsizeof(b''))"]))
