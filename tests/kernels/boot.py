"""Boots a kernel under QEMU, without KVM, and brings back what the guest left in /out."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.debian import Archive, Kernel, UnavailableError
from tests.kernels.initramfs import FileSystem, modules

INIT = Path(__file__).with_name("init.sh")
MODULES = ("zram", "lzo_rle", "lzo", "crypto_lzo_rle")
LIBRARIES = ("libc.so.6", "libm.so.6", "libgcc_s.so.1")
PATIENCE_SECONDS = 300
"""For one job."""


@dataclass(frozen=True)
class Machine:
    """A kind of machine that QEMU emulates."""

    name: str
    """As `uname -m` says it."""
    debian: str
    """Debian's name of the architecture."""
    compiler: str
    compiler_package: str
    qemu: tuple[str, ...]
    qemu_package: str
    console: str
    interpreter: str
    """Path of the dynamic linker in the guest."""
    libraries: str
    """Directory of the C library there."""


MACHINES = {
    "x86_64": Machine(
        "x86_64", "amd64", "gcc", "gcc", ("qemu-system-x86_64",), "qemu-system-x86", "ttyS0",
        "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu",
    ),
    "aarch64": Machine(
        "aarch64", "arm64", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu",
        ("qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", "cortex-a57"), "qemu-system-arm", "ttyAMA0",
        "lib/ld-linux-aarch64.so.1", "lib/aarch64-linux-gnu",
    ),
    "armv7l": Machine(
        "armv7l", "armhf", "arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf",
        ("qemu-system-arm", "-machine", "virt", "-cpu", "cortex-a15"), "qemu-system-arm", "ttyAMA0",
        "lib/ld-linux-armhf.so.3", "lib/arm-linux-gnueabihf",
    ),
}  # fmt: skip


def missing(machine: Machine) -> str | None:
    """What this machine lacks to boot such a guest; None: nothing."""
    if shutil.which(machine.qemu[0]) is None:
        return f"needs {machine.qemu[0]} (apt-get install {machine.qemu_package})"
    if shutil.which(machine.compiler) is None:
        return f"needs {machine.compiler} (apt-get install {machine.compiler_package})"
    return None


@dataclass(frozen=True)
class Guest:
    """What is booted, and how."""

    machine: Machine
    kernel: Kernel
    cpus: int
    memory_mib: int = 2048
    parameters: str = ""
    """Further parameters of the kernel."""

    def command(self, initramfs: Path) -> list[str]:
        # ramfs, not tmpfs: the pages of programs are then those of files, not of shared memory.
        parameters = f"console={self.machine.console} quiet panic=-1 rootfstype=ramfs mitigations=off {self.parameters}"
        return [
            *self.machine.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
            "-accel", "tcg", "-smp", str(self.cpus), "-m", str(self.memory_mib), "-kernel", str(self.kernel.image),
            "-initrd", str(initramfs), "-append", parameters.strip(),
        ]  # fmt: skip


def base_system(machine: Machine, kernel: Kernel, archive: Archive) -> FileSystem:
    """busybox, the init script, and the modules that the jobs may want."""
    files = FileSystem()
    busybox = archive.newest("busybox-static")
    files.copy(next(path for path in busybox.rglob("busybox") if path.is_file() and "bin" in path.parts), "bin/busybox")
    files.link("bin/sh", "busybox")
    files.directory("etc")
    files.copy(INIT, "init")
    for at, (name, data) in enumerate(modules(kernel.modules, MODULES)):
        files.file(f"modules/{at:02}-{name}.ko", data)
    for path in (machine.interpreter, *(f"{machine.libraries}/{name}" for name in LIBRARIES)):
        command = [machine.compiler, f"-print-file-name={path.rpartition('/')[2]}"]
        files.copy(Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()), path)
    return files


def boot(guest: Guest, files: FileSystem, jobs: list[str], seconds: float, log: Path) -> dict[str, bytes]:
    """Boots, executes the jobs (lines of shell for init.sh), and returns the files of /out. `log`: of the console."""
    files.file("jobs", f"PATIENCE={PATIENCE_SECONDS}\n{chr(10).join(jobs)}\n".encode())
    with tempfile.TemporaryDirectory(prefix="hiwater-kernels-") as place, log.open("wb") as console:
        initramfs = Path(place) / "initramfs"
        initramfs.write_bytes(files.archive())
        command = ["nice", "-n", "5", *guest.command(initramfs)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, check=False, timeout=seconds
            )
    text = log.read_bytes()
    _, begun, rest = text.replace(b"\r", b"").partition(b"@begin\n")
    encoded, ended, _ = rest.partition(b"@end\n")
    if not begun or not ended:
        end = text[-2000:].decode(errors="replace")
        raise AssertionError(f"{guest.kernel.release} did not come to the end of its jobs:\n{end}")
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(encoded)), mode="r:gz") as archive:
        return {
            member.name.removeprefix("./"): file.read()
            for member in archive.getmembers()
            if member.isfile() and (file := archive.extractfile(member)) is not None
        }


def cache() -> Path:
    """Where packages are kept: HW_KERNELS_CACHE, or below build/."""
    default = Path(__file__).parents[2] / "build/kernels"
    return Path(os.environ.get("HW_KERNELS_CACHE", default)).absolute()


__all__ = ["MACHINES", "Guest", "Machine", "UnavailableError", "base_system", "boot", "cache", "missing"]
