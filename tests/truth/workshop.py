"""Builds the truth programs, each with the compiler that its case asks for."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "programs"

FLAGS = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
BARE = ("-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie")

ARCHITECTURES = ("x86_64", "i686", "aarch64")
"""The machines whose system calls programs/truth.h knows."""


@dataclass(frozen=True)
class Variant:
    """A program that is built in another way than `cc SOURCE`."""

    name: str
    source: str
    compiler: str
    flags: tuple[str, ...] = ()
    why_optional: str | None = None
    """What a machine lacks that can not build or run it; None: every machine can, and a failure is one."""


VARIANTS = (
    Variant("bare", "bare.c", "cc", BARE),
    Variant("bare32", "bare.c", "cc", ("-m32", *BARE), "32-bit programs (gcc -m32 and a kernel with IA32_EMULATION)"),
    Variant("grow_musl", "grow.c", "musl-gcc", ("-static",), "musl-gcc (apt install musl-tools)"),
    Variant("parallel_musl", "parallel.c", "musl-gcc", (), "musl-gcc (apt install musl-tools)"),
)


@dataclass(frozen=True)
class Programs:
    """The built programs, in a directory that every user may read."""

    directory: Path
    missing: dict[str, str]
    """Programs that this machine can not build or run, and why."""

    def path(self, name: str) -> str:
        return str(self.directory / name)


def _compile(compiler: str, source: Path, flags: tuple[str, ...], target: Path) -> subprocess.CompletedProcess[str]:
    command = [compiler, *FLAGS, *flags, str(source), "-o", str(target), "-pthread"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _runs(program: Path) -> bool:
    try:
        return subprocess.run([program, "1"], stdout=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def _build_variant(variant: Variant, directory: Path) -> str | None:
    """Builds it; returns why that can not be done on this machine."""
    target = directory / variant.name
    compiler = os.environ.get("CC", "cc") if variant.compiler == "cc" else variant.compiler
    if variant.why_optional is not None and shutil.which(compiler) is None:
        return f"needs {variant.why_optional}"
    result = _compile(compiler, SOURCES / variant.source, variant.flags, target)
    if result.returncode == 0 and (variant.why_optional is None or variant.source != "bare.c" or _runs(target)):
        return None
    if variant.why_optional is None or compiler == "musl-gcc":
        raise AssertionError(f"{variant.name} does not compile:\n{result.stderr}")
    return f"needs {variant.why_optional}: {result.stderr.strip() or 'it compiles but does not run'}"


def build(directory: Path) -> Programs:
    """Compiles every program; one that should compile and does not is an error."""
    special = {variant.source for variant in VARIANTS if variant.source == "bare.c"}
    for source in sorted(SOURCES.glob("*.c")):
        if source.name in special:
            continue
        result = _compile(os.environ.get("CC", "cc"), source, (), directory / source.stem)
        if result.returncode != 0:
            raise AssertionError(f"{source.name} does not compile:\n{result.stderr}")
    reasons = {variant.name: _build_variant(variant, directory) for variant in VARIANTS}
    for program in directory.iterdir():
        program.chmod(0o755)
    return Programs(directory, {name: reason for name, reason in reasons.items() if reason is not None})
