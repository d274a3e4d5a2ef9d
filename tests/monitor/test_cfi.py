"""The reader of call frame information: right about what compilers write, and unharmed by any bytes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import SOURCES, compile_c
from tests.monitor.conftest import PROGRAMS, SANITIZERS

PARTS = [PROGRAMS / "cfi_test.c", SOURCES / "cfi.c"]


@pytest.fixture(scope="module")
def cfi_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test program, with sanitizers where the compiler has them."""
    target = tmp_path_factory.mktemp("cfi") / "cfi_test"
    try:
        compile_c(PARTS, target, "-g", "-Werror", "-I", str(SOURCES), *SANITIZERS)
    except AssertionError:
        compile_c(PARTS, target, "-Werror", "-I", str(SOURCES))
    return target


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert (result.returncode, result.stdout + result.stderr * (result.returncode != 0)) == (0, "")


def test_known_sections(cfi_test: Path) -> None:
    """At each instruction of a function the rules are those that its code needs; a section that is cut anywhere says
    nothing wrong, an expression that does not end is given up."""
    _run(cfi_test, "cases")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated_sections(cfi_test: Path, seed: int) -> None:
    """No bytes whatever make it fail or read beyond them."""
    _run(cfi_test, "fuzz", str(seed), "100000")


def test_invented_sections(tmp_path: Path) -> None:
    """The same, with what libFuzzer finds."""
    if shutil.which("clang") is None:
        pytest.skip("libFuzzer comes with clang, which is not here")
    target = tmp_path / "fuzzer"
    flags = ("-g", "-DLIBFUZZER", "-I", str(SOURCES), "-fsanitize=fuzzer,address,undefined")
    try:
        compile_c(PARTS, target, *flags, "-fno-sanitize-recover=all", compiler="clang")
    except AssertionError as error:
        pytest.skip(f"this clang has no libFuzzer: {error}")
    _run(target, "-seed=1", "-runs=200000", "-max_total_time=20", "-verbosity=0", "-close_fd_mask=0")
