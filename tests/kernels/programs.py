"""Builds the monitor and the truth programs for a machine, by its compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.kernels.boot import Machine
from tests.truth.workshop import BARE, FLAGS, SOURCES

MONITOR = Path(__file__).parents[2] / "src/hiwater/monitor"
MONITOR_FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-static")

SLOWNESS = 20
"""An emulated CPU is that much slower, and the monitor's budgets are CPU time."""


def _compile(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\n{result.stderr}")


def monitor(machine: Machine, target: Path) -> Path:
    """The monitor, static."""
    flags = [*MONITOR_FLAGS, f"-DHW_SLOWNESS={SLOWNESS}"]
    if machine.name == "armv7l":
        flags += ["-D_FILE_OFFSET_BITS=64", "-D_TIME_BITS=64"]
    _compile([machine.compiler, *flags, "-o", str(target), *map(str, sorted(MONITOR.glob("*.c")))])
    return target


def truth_programs(machine: Machine, directory: Path) -> dict[str, Path]:
    """Every truth program that the machine's compiler can build, by its name."""
    built = {}
    for source in sorted(SOURCES.glob("*.c")):
        flags = BARE if source.name == "bare.c" else ("-pthread",)
        target = directory / source.stem
        _compile([machine.compiler, *FLAGS, *flags, str(source), "-o", str(target)])
        built[source.stem] = target
    if machine.name == "x86_64":
        built |= _variants(directory)
    return built


def _variants(directory: Path) -> dict[str, Path]:
    """The same with another word size, or another C library, if this machine has them."""
    built = {}
    for name, source, compiler, flags in (
        ("bare32", "bare.c", "gcc", ("-m32", *BARE)),
        ("grow_musl", "grow.c", "musl-gcc", ("-static",)),
        ("parallel_musl", "parallel.c", "musl-gcc", ("-static",)),
    ):
        target = directory / name
        command = [compiler, *FLAGS, *flags, str(SOURCES / source), "-o", str(target), "-pthread"]
        if shutil.which(compiler) and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            built[name] = target
    return built
