"""The unwinder of the heap sampler: it finds what libgcc's finds, and no table and no stack makes it fail."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import compile_c

SAMPLER = Path(__file__).parents[3] / "src" / "hiwater" / "heap" / "sampler"
PROGRAMS = Path(__file__).parent / "programs"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="backtrace() of the C library serves on this machine"
)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with compare.so, which walks each stack with both unwinders."""
    room = tmp_path_factory.mktemp("unwind")
    compile_c(
        [PROGRAMS / "compare.c", *sorted(SAMPLER.glob("unwind*.c"))],
        room / "compare.so",
        *(
            "-O2",
            "-g",
            "-Werror",
            "-shared",
            "-fPIC",
            "-fno-builtin-malloc",
            "-iquote",
            str(SAMPLER),
            "-pthread",
            "-ldl",
        ),
    )
    return room


def _compare(room: Path, *command: str | Path, every: int = 1) -> list[tuple[int, ...]]:
    """For each process of the command: stacks, those found alike, frames, stacks cut, stacks broken."""
    told = room / "told"
    told.unlink(missing_ok=True)
    environment = {
        "LD_PRELOAD": str(room / "compare.so"),
        "COMPARE_TO": str(told),
        "COMPARE_EVERY": str(every),
        "PATH": "/usr/bin:/bin",
    }
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, timeout=300, cwd=room)
    text = told.read_text()
    figures = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    assert figures, text
    rows = [tuple(map(int, row[:5])) for row in figures]
    assert all(stacks == same and cut == 0 for stacks, same, _frames, cut, _broken in rows), text
    return rows


@pytest.mark.parametrize(
    "build",
    [
        ("g++", "-O0"),
        ("g++", "-O2", "-fomit-frame-pointer"),
        ("g++", "-O3", "-fomit-frame-pointer", "-s"),
        ("g++", "-O2", "-fno-omit-frame-pointer"),
        ("g++", "-O2", "-no-pie", "-flto"),
        ("g++", "-O2", "-no-pie", "-Wl,--section-start=.rodata=0x5000000"),
        ("clang++", "-O2", "-fomit-frame-pointer"),
        ("clang++", "-O3", "-s"),
    ],
    ids="-".join,
)
def test_stacks_of_all_kinds(room: Path, build: tuple[str, ...]) -> None:
    """Without frame pointers, with alloca, arrays of variable length and aligned locals, in exceptions, destructors,
    signal handlers on every stack, threads and coroutines, each stack is what libgcc finds, and comes to its end. So it
    is where segments have gaps between them."""
    compiler, *flags = build
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    compile_c([PROGRAMS / "stacks.cc"], room / "stacks", *flags, "-std=gnu++17", "-pthread", compiler=compiler)
    ((stacks, _same, frames, _cut, broken),) = _compare(room, room / "stacks")
    assert (stacks > 20_000, frames > 10 * stacks, broken) == (True, True, 0)


@pytest.mark.parametrize(
    ("every", "command"),
    [
        (1, ("python3", "-c", "import json, re, sqlite3; json.dumps([{'a': [i]} for i in range(20000)])")),
        (100, ("g++", "-O2", "-c", str(PROGRAMS / "stacks.cc"), "-o", "stacks.o")),
    ],
    ids=("python3", "g++"),
)
def test_stacks_of_real_programs(room: Path, every: int, command: tuple[str, ...]) -> None:
    """Stripped programs of the distribution have the stacks that libgcc finds."""
    if shutil.which(command[0], path="/usr/bin:/bin") is None:
        pytest.skip(f"no {command[0]} here")
    rows = _compare(room, *command, every=every)
    assert sum(row[0] for row in rows) > 500
    assert sum(row[4] for row in rows) == 0


@pytest.fixture(scope="module")
def cfi_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test program of the tables' parser, with sanitizers where the compiler has them."""
    target = tmp_path_factory.mktemp("cfi") / "cfi_test"
    parts = [PROGRAMS / "cfi_test.c", SAMPLER / "unwind_cfi.c"]
    try:
        compile_c(parts, target, "-g", "-Werror", "-iquote", str(SAMPLER), *SANITIZERS)
    except AssertionError:
        compile_c(parts, target, "-Werror", "-iquote", str(SAMPLER))
    return target


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert (result.returncode, result.stdout + result.stderr * (result.returncode != 0)) == (0, "")


def test_known_tables(cfi_test: Path) -> None:
    """What compilers, linkers and assembly write is understood; cut anywhere it is read without a byte too far."""
    _run(cfi_test, "cases")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated_tables(cfi_test: Path, seed: int) -> None:
    """No bytes whatever make the parser of the tables fail."""
    _run(cfi_test, "fuzz", str(seed), "50000")


def test_invented_tables(tmp_path: Path) -> None:
    """The same, with what libFuzzer finds."""
    if shutil.which("clang") is None:
        pytest.skip("libFuzzer comes with clang, which is not here")
    target = tmp_path / "fuzzer"
    flags = ("-g", "-DLIBFUZZER", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
    try:
        compile_c(
            [PROGRAMS / "cfi_test.c", SAMPLER / "unwind_cfi.c"],
            target,
            *("-iquote", str(SAMPLER), *flags),
            compiler="clang",
        )
    except AssertionError as error:
        pytest.skip(f"this clang has no libFuzzer: {error}")
    _run(
        target,
        "-seed=1",
        "-runs=300000",
        "-max_total_time=20",
        "-max_len=600",
        "-verbosity=0",
        "-close_fd_mask=0",
        f"-artifact_prefix={tmp_path}/",
    )
