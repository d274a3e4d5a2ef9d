"""The parsers of what perf events say: right for every kernel, and unharmed by any bytes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import SOURCES, compile_c
from tests.monitor.conftest import PROGRAMS, SANITIZERS

FLAGS = ("-g", "-Werror", "-I", str(SOURCES), *SANITIZERS)
PARTS = [PROGRAMS / "events_test.c", SOURCES / "events.c"]


@pytest.fixture(scope="module")
def events_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test program, with sanitizers where the compiler has them."""
    target = tmp_path_factory.mktemp("events") / "events_test"
    try:
        compile_c(PARTS, target, *FLAGS)
    except AssertionError:
        compile_c(PARTS, target, "-Werror", "-I", str(SOURCES))
    return target


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert (result.returncode, result.stdout + result.stderr * (result.returncode != 0)) == (0, "")


def test_known_records(events_test: Path) -> None:
    """The format of the tracepoint and the records of a ring are read rightly; cut at any byte, or with a size that is
    not theirs, they are refused, without a byte read too far."""
    _run(events_test, "cases")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated_records(events_test: Path, seed: int) -> None:
    """No bytes whatever make a parser fail or tell an impossible figure."""
    _run(events_test, "fuzz", str(seed), "100000")


def test_invented_records(tmp_path: Path) -> None:
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
        compile_c(PARTS, target, *flags, compiler="clang")
    except AssertionError as error:
        pytest.skip(f"this clang has no libFuzzer: {error}")
    _run(target, "-seed=1", "-runs=200000", "-max_total_time=20", "-verbosity=0", "-close_fd_mask=0")
