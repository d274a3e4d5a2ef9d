"""Which monitor runs on which machine."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from hiwater.binaries import find_monitor
from hiwater.errors import RemoteError

# e_machine, class (1: 32 bits, 2: 64 bits) and byte order (1: little, 2: big) of an ELF file, elf(5)
_MACHINES = {
    "x86_64": (62, 2, 1),
    "aarch64": (183, 2, 1),
    "riscv64": (243, 2, 1),
    "ppc64le": (21, 2, 1),
    "s390x": (22, 2, 2),
    "i386": (3, 1, 1),
    "arm": (40, 1, 1),
}


def family(machine: str) -> str:
    """The name of programs for what ``uname -m`` says: armv6l and armv7l run the same."""
    if machine.startswith("arm") and machine != "arm64":
        return "arm"
    if machine in ("i486", "i586", "i686"):
        return "i386"
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)


def machine_of(program: str | Path) -> str | None:
    """Which machine an executable is for; ``None`` if that cannot be told. Raises OSError."""
    with open(program, "rb") as file:
        head = file.read(20)
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return None
    number = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0]
    return next((name for name, traits in _MACHINES.items() if traits == (number, head[4], head[5])), None)


def monitor_for(machine: str, chosen: str | None = None) -> str:
    """The monitor to send to a machine of that name (``uname -m``): the chosen one, this installation's own, or one
    beside it that is called ``hiwater-monitor-MACHINE``. Raises RemoteError, which says how to get one."""
    wanted = family(machine)
    own = find_monitor()
    candidates = [chosen] if chosen else [own, f"{own}-{wanted}"]
    for path in candidates:
        try:
            if machine_of(path) == wanted:
                return path
        except OSError as error:
            if chosen:
                raise RemoteError(f"--ssh-monitor {path}: {error.strerror}") from None
    if chosen:
        raise RemoteError(f"--ssh-monitor {chosen} is no program for {wanted}, which that machine is")
    raise RemoteError(
        f"that machine is {machine}, and this hiwater has no monitor for it: build one "
        f"(CC={_compiler(wanted)} cmake -S . -B build && cmake --build build --target hiwater-monitor) "
        "and say --ssh-monitor build/hiwater-monitor"
    )


def _compiler(wanted: str) -> str:
    abi = "linux-gnueabihf" if wanted == "arm" else "linux-gnu"
    return os.environ.get("CC") or f"{wanted}-{abi}-gcc"
