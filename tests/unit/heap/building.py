"""Programs for tests that look at ELF files: compiled when they are needed, for the machine of the test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

EMPTY = "int main(void) { return 0; }\n"


def build(folder: Path, *options: str, source: str = EMPTY, compiler: str = "gcc", name: str = "program") -> Path:
    """Compiles a source and gives the program; the test is skipped where the compiler or a library is missing."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    suffix = ".cc" if compiler in ("g++", "clang++") else ".c"
    text = folder / (name + suffix)
    text.write_text(source)
    language = ["-x", "c++" if suffix == ".cc" else "c"]
    command = [compiler, *language, str(text), "-x", "none", *options, "-o", str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        if "cannot find" in done.stderr or "No such file" in done.stderr:
            pytest.skip(f"{' '.join(options)} cannot be linked here: {done.stderr.splitlines()[0]}")
        raise AssertionError(done.stderr)
    return folder / name


def tool(name: str, *arguments: str | Path) -> str:
    """Executes a tool of binutils and gives what it says; skipped where it is missing."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return subprocess.run([name, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
