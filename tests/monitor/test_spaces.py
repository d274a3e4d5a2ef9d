"""What is mapped where in a process, as the events of its mappings tell it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import SOURCES, compile_c
from tests.monitor.conftest import PROGRAMS, SANITIZERS

PARTS = [PROGRAMS / "spaces_test.c", SOURCES / "spaces.c"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mappings_over_mappings(tmp_path: Path, seed: int) -> None:
    """Each page belongs to what was mapped there last, at the right place of its file, however mappings overlap; a
    fork's copy is the same; /proc/PID/maps says it all anew."""
    target = tmp_path / "spaces_test"
    try:
        compile_c(PARTS, target, "-g", "-Werror", "-I", str(SOURCES), *SANITIZERS)
    except AssertionError:
        compile_c(PARTS, target, "-Werror", "-I", str(SOURCES))
    result = subprocess.run([target, str(seed), "2000"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
