"""Compiles the C programs of these tests, and parts of the monitor for its unit tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "hiwater" / "monitor"
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra")


def compile_c(sources: Sequence[Path], target: Path, *flags: str, compiler: str | None = None) -> None:
    """Compiles a program; an AssertionError holds what the compiler said."""
    command = [compiler or os.environ.get("CC", "cc"), *FLAGS, *flags, *map(str, sources), "-o", str(target)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise AssertionError(f"{command[0]}: {error}") from error
    assert result.returncode == 0, f"{target.name} does not compile:\n{result.stderr}"
