"""The parsers of the kernel's texts: right for every kernel, and unharmed by any bytes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import SOURCES, compile_c
from tests.monitor.conftest import PROGRAMS, SANITIZERS

FLAGS = ("-g", "-Werror", "-I", str(SOURCES), *SANITIZERS)
PARTS = {
    "text_test": [PROGRAMS / "text_test.c", SOURCES / "text.c"],
    "ledger_test": [PROGRAMS / "ledger_test.c", SOURCES / "smaps.c", SOURCES / "rows.c", SOURCES / "text.c"],
}
"""The test programs, each with the parts of the monitor that it tests: the parsers of small files, and what makes rows
of smaps."""


@pytest.fixture(scope="module", params=PARTS)
def text_test(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test program, with sanitizers where the compiler has them."""
    name = str(request.param)
    target = tmp_path_factory.mktemp("text") / name
    parts = PARTS[name]
    try:
        compile_c(parts, target, *FLAGS)
    except AssertionError:
        compile_c(parts, target, "-Werror", "-I", str(SOURCES))
    return target


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert (result.returncode, result.stdout + result.stderr * (result.returncode != 0)) == (0, "")


def test_known_texts(text_test: Path) -> None:
    """Texts of Linux old and new, of gVisor and WSL, of zombies and of odd names are read rightly; cut at any byte they
    are read without a byte too far. smaps may come in pieces of any size; stacks and arenas are told from what
    only looks like them."""
    _run(text_test, "cases")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated_texts(text_test: Path, seed: int) -> None:
    """No bytes whatever make a parser fail or tell an impossible figure; the rows of smaps always have the sum of its
    mappings."""
    _run(text_test, "fuzz", str(seed), "100000" if text_test.name == "text_test" else "20000")


@pytest.mark.parametrize("name", PARTS)
def test_invented_texts(tmp_path: Path, name: str) -> None:
    """The same, with what libFuzzer finds."""
    if shutil.which("clang") is None:
        pytest.skip("libFuzzer comes with clang, which is not here")
    target = tmp_path / "fuzzer"
    flags = (
        "-g",
        "-DLIBFUZZER",
        "-I",
        str(SOURCES),
        "-fsanitize=fuzzer,address,undefined",
        "-fno-sanitize-recover=all",
    )
    try:
        compile_c(PARTS[name], target, *flags, compiler="clang")
    except AssertionError as error:
        pytest.skip(f"this clang has no libFuzzer: {error}")
    _run(target, "-seed=1", "-runs=200000", "-max_total_time=20", "-verbosity=0", "-close_fd_mask=0")
