"""What a followed program executes starts as it would without the library, and what is not followed is told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import compile_c

from hiwater.binaries import find_heap_sampler
from hiwater.heap.log import read_logs
from hiwater.heap.wire import Why

SAMPLER = Path(__file__).parents[3] / "src" / "hiwater" / "heap" / "sampler"
PROGRAMS = Path(__file__).parent / "programs"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
FUNCTIONS = (
    *("execve", "execv", "execvp", "execvpe", "execl", "execlp", "execle", "fexecve", "fexecve-path", "execveat"),
    *("posix_spawn", "posix_spawnp", "vfork-execve", "vfork-execvp", "vfork-execl"),
)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program that executes others, and with others to be executed."""
    room = tmp_path_factory.mktemp("exec")
    compile_c([PROGRAMS / "executes.c"], room / "executes")
    compile_c([PROGRAMS / "guest.c"], room / "guest")
    (room / "guest.sh").write_text(f"#!{room}/guest one two\n")
    (room / "guest.sh").chmod(0o755)
    return room


@pytest.fixture(scope="module")
def foreign(room: Path) -> Path:
    """A program of another C library."""
    if shutil.which("musl-gcc") is None:
        pytest.skip("musl-gcc is not here")
    compile_c([PROGRAMS / "guest.c"], room / "foreign", compiler="musl-gcc")
    (room / "foreign.sh").write_text(f"#!{room}/foreign\n")
    (room / "foreign.sh").chmod(0o755)
    return room / "foreign"


def _not_followed(folder: Path) -> list[tuple[int, str]]:
    """The records of programs that are not followed: why, and the path."""
    return [(one.why, one.path) for log in read_logs(folder) for one in log.not_followed]


class _Executed:
    def __init__(self, room: Path, tmp_path: Path, how: str, target: Path | str, preload: str = "") -> None:
        self.library = find_heap_sampler()
        self.logs = tmp_path / "logs"
        self.logs.mkdir(exist_ok=True)
        environment = {
            "LD_PRELOAD": (preload + ":" if preload else "") + self.library,
            "HIWATER_HEAP_DIR": str(self.logs),
            "KEPT": "kept",
            "PATH": f"/nowhere:{room}:/usr/bin:/bin",
        }
        self.result = subprocess.run(
            [room / "executes", how, target], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    @property
    def told(self) -> tuple[int, str, str]:
        return self.result.returncode, self.result.stdout.strip(), self.result.stderr


@pytest.mark.parametrize("how", FUNCTIONS)
def test_a_program_of_another_c_library_starts(room: Path, tmp_path: Path, foreign: Path, how: str) -> None:
    """musl's dynamic linker would refuse to start it: it gets an environment without the library, and the log tells."""
    executed = _Executed(room, tmp_path, how, foreign)
    assert executed.told == (7, "3 one two [-] kept", "")
    verdict, path = _not_followed(executed.logs)[0]
    assert (verdict, path in (str(foreign), "")) == (Why.OTHER_LIBC, True)


@pytest.mark.parametrize("how", ["execvp", "execlp", "posix_spawnp"])
def test_it_is_found_along_the_path(room: Path, tmp_path: Path, foreign: Path, how: str) -> None:
    """A name without a slash is looked for as the C library does."""
    executed = _Executed(room, tmp_path, how, foreign.name)
    assert executed.told == (7, "3 one two [-] kept", "")
    assert _not_followed(executed.logs) == [(Why.OTHER_LIBC, str(foreign))]


def test_a_script_of_another_c_librarys_program(room: Path, tmp_path: Path, foreign: Path) -> None:
    """What a script's first line names is what is judged."""
    executed = _Executed(room, tmp_path, "execve", foreign.with_suffix(".sh"))
    assert executed.told[:2] == (7, f"4 {room}/foreign.sh one [-] kept")


def test_others_libraries_stay(room: Path, tmp_path: Path, foreign: Path) -> None:
    """LD_PRELOAD keeps what others have put there: what the program makes of it is theirs to know."""
    (tmp_path / "other.c").write_text("int other;\n")
    compile_c([tmp_path / "other.c"], tmp_path / "other.so", "-shared", "-fPIC", "-nostdlib")
    executed = _Executed(room, tmp_path, "execve", foreign, str(tmp_path / "other.so"))
    assert executed.told[:2] == (7, f"3 one two [{tmp_path / 'other.so'}] kept")


@pytest.mark.parametrize("how", FUNCTIONS)
@pytest.mark.parametrize("target", ["guest", "guest.sh"])
def test_a_program_of_glibc_is_followed(room: Path, tmp_path: Path, how: str, target: str) -> None:
    """It inherits the library, and has a file of its own."""
    executed = _Executed(room, tmp_path, how, room / target)
    code, output, errors = executed.told
    assert (code, errors) == (7, "")
    assert f"[{executed.library}] kept" in output
    assert _not_followed(executed.logs) == []
    assert len(list(executed.logs.iterdir())) >= 2


def test_another_word_size(room: Path, tmp_path: Path) -> None:
    """ld.so would print an error: it gets an environment without the library."""
    try:
        compile_c([PROGRAMS / "guest.c"], tmp_path / "guest32", "-m32")
    except AssertionError:
        pytest.skip("no compiler for another word size here")
    executed = _Executed(room, tmp_path, "execve", tmp_path / "guest32")
    assert executed.told == (7, "3 one two [-] kept", "")
    assert _not_followed(executed.logs) == [(Why.OTHER_MACHINE, str(tmp_path / "guest32"))]


def test_a_static_program(room: Path, tmp_path: Path) -> None:
    """It cannot be followed, and the log tells; what it executes may be, so it inherits the library."""
    try:
        compile_c([PROGRAMS / "guest.c"], tmp_path / "static", "-static")
    except AssertionError:
        pytest.skip("no static C library here")
    executed = _Executed(room, tmp_path, "execve", tmp_path / "static")
    assert executed.told == (7, f"3 one two [{executed.library}] kept", "")
    assert _not_followed(executed.logs) == [(Why.IS_STATIC, str(tmp_path / "static"))]


@pytest.mark.parametrize("how", FUNCTIONS)
@pytest.mark.parametrize("library", [False, True], ids=["alone", "preloaded"])
def test_errors_are_those_of_execve(room: Path, tmp_path: Path, how: str, library: bool) -> None:
    """Nothing there, a folder, a file that may not be executed: errno is what it is without the library."""
    if how == "fexecve-path":
        pytest.skip("the same as fexecve")
    (tmp_path / "plain").write_text("hello\n")
    errors = {"absent": 9 if how == "fexecve" else 2, "folder": 13, "plain": 13}
    if how == "fexecve":
        errors["absent"] = 22  # of a descriptor that is none: glibc's own check
    (tmp_path / "folder").mkdir()
    environment = {"LD_PRELOAD": find_heap_sampler()} if library else {}
    for name, error in errors.items():
        result = subprocess.run([room / "executes", how, tmp_path / name], env=environment, timeout=60, check=False)
        assert (name, result.returncode) == (name, error)


@pytest.fixture(scope="module")
def elf_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test program of the parsers, with sanitizers where the compiler has them."""
    target = tmp_path_factory.mktemp("elf") / "elf_test"
    parts = [PROGRAMS / "elf_test.c", SAMPLER / "elf.c"]
    try:
        compile_c(parts, target, "-g", "-Werror", "-iquote", str(SAMPLER), *SANITIZERS)
    except AssertionError:
        compile_c(parts, target, "-Werror", "-iquote", str(SAMPLER))
    return target


def _run(*command: str | Path) -> None:
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert (result.returncode, result.stdout + result.stderr * (result.returncode != 0)) == (0, "")


def test_known_files(elf_test: Path) -> None:
    """Headers, dynamic linkers, first lines of scripts and values of LD_PRELOAD are judged rightly."""
    _run(elf_test, "cases")


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_files(elf_test: Path, seed: int) -> None:
    """No bytes whatever make a parser fail."""
    _run(elf_test, "fuzz", str(seed), "50000")


def test_invented_files(tmp_path: Path) -> None:
    """The same, with what libFuzzer finds."""
    if shutil.which("clang") is None:
        pytest.skip("libFuzzer comes with clang, which is not here")
    target = tmp_path / "fuzzer"
    flags = ("-g", "-DLIBFUZZER", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
    try:
        parts = [PROGRAMS / "elf_test.c", SAMPLER / "elf.c"]
        compile_c(parts, target, "-iquote", str(SAMPLER), *flags, compiler="clang")
    except AssertionError as error:
        pytest.skip(f"this clang has no libFuzzer: {error}")
    _run(
        target,
        "-seed=1",
        "-runs=100000",
        "-max_total_time=10",
        "-verbosity=0",
        "-close_fd_mask=0",
        f"-artifact_prefix={tmp_path}/",
    )
