#!/usr/bin/env python3
"""Checks wheels: their tags, and that the programs in them are static, for the machine that the tag says, and work.

    dev/check_wheels.py WHEEL...

A program for another machine is executed by qemu-user, where that is installed (Debian: qemu-user-static).
"""

from __future__ import annotations

import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from hiwater.remote.programs import machine_of

PROGRAMS = ("hiwater/bin/hiwater-monitor", "hiwater/bin/hiwater-probe")
LIBRARY = "hiwater/bin/libhiwater-heap.so"
FAMILIES = {"armv7l": "arm"}
QEMU = {"arm": "arm", "aarch64": "aarch64", "riscv64": "riscv64", "x86_64": "x86_64"}
KINDS = ("manylinux2014", "manylinux_2_17", "musllinux_1_1")
PT_INTERP = 3


def is_static(program: bytes) -> bool:
    """Whether no program header names an interpreter, elf(5)."""
    wide, order = program[4] == 2, "<" if program[5] == 1 else ">"
    if wide:
        at = struct.unpack_from(order + "Q", program, 32)[0]
        size, count = struct.unpack_from(order + "HH", program, 54)
    else:
        at = struct.unpack_from(order + "I", program, 28)[0]
        size, count = struct.unpack_from(order + "HH", program, 42)
    kinds = [struct.unpack_from(order + "I", program, at + size * number)[0] for number in range(count)]
    return PT_INTERP not in kinds


def runner(family: str) -> list[str] | None:
    """What executes a program of that machine here; ``None`` if nothing does."""
    if family == platform.machine():
        return []
    for name in (f"qemu-{QEMU[family]}-static", f"qemu-{QEMU[family]}"):
        found = shutil.which(name)
        if found is not None:
            return [found]
    return None


def check(wheel: Path) -> str:
    """What was found; raises AssertionError with what is wrong."""
    match = re.fullmatch(r"hiwater-[^-]+-py3-none-([\w.]+)\.whl", wheel.name)
    assert match is not None, "its name does not say that it serves every Python 3"
    tags = sorted(match.group(1).split("."))
    if tags[0] == "linux_armv6l":
        del tags[0]
    machine = tags[0].removeprefix("manylinux2014_")
    assert tags == [f"{kind}_{machine}" for kind in KINDS], "its name does not say that it serves every C library"
    family = FAMILIES.get(machine, machine)
    with tempfile.TemporaryDirectory() as room, zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None, "it is damaged"
        sizes = []
        for name in PROGRAMS:
            program = Path(archive.extract(name, room))
            assert machine_of(program) == family, f"{name} is for {machine_of(program)}"
            assert is_static(program.read_bytes()), f"{name} needs a C library"
            program.chmod(0o755)
            sizes.append(f"{program.name} {program.stat().st_size // 1024} KiB")
        library = Path(archive.extract(LIBRARY, room))
        assert machine_of(library) == family, f"{LIBRARY} is for {machine_of(library)}"
        by = runner(family)
        if by is None:
            return f"{', '.join(sizes)}; not executed: qemu-user is missing"
        monitor = str(Path(room) / PROGRAMS[0])
        said = subprocess.run([*by, monitor, "--version"], capture_output=True, text=True)
        assert said.returncode == 0, f"its monitor does not start: {said.stderr}"
        assert said.stdout.startswith("hiwater-monitor "), said.stdout
        return f"{', '.join(sizes)}; {said.stdout.strip()} answers"


def main() -> int:
    wrong = 0
    for wheel in map(Path, sys.argv[1:]):
        try:
            print(f"{wheel.name}: {check(wheel)}")
        except AssertionError as error:
            wrong += 1
            print(f"{wheel.name}: WRONG: {error}")
    return 1 if wrong or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
