"""Lines of Python programs, and their stacks, for each interpreter of this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.heap.python.harness import (
    PROGRAMS,
    PYCHURN,
    Interpreter,
    block_head,
    interpreters,
    lines,
    plain,
    sample,
    stacks_of,
)

from hiwater.heap.model import Kind
from hiwater.heap.replay import Replay
from hiwater.heap.wire import AllocKind, HeadFlags

each = pytest.mark.parametrize("python", interpreters(), ids=str)

MODES: tuple[dict[str, str], ...] = (
    {},
    {"PYTHONMALLOC": "malloc"},
    {"PYTHONMALLOC": "debug"},
    {"PYTHONMALLOC": "malloc_debug"},
    {"PYTHONDEVMODE": "1"},
)


def test_there_is_an_interpreter() -> None:
    """The tests below have something to run with."""
    assert interpreters()


@each
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(mode.values()) or "default")
def test_truth(python: Interpreter, mode: dict[str, str], tmp_path: Path) -> None:
    """Each line of a program that knows what it holds has that within 5 %, or, with fewer samples, within four standard
    errors; whatever serves Python's memory: pymalloc, malloc, either with the interpreter's debug hooks. What malloc
    serves directly, its own hook counts, and nothing is counted by both."""
    truth = json.loads(plain([python.path, PYCHURN, "20", "--truth"]))
    sampled = sample(tmp_path, [python.path, PYCHURN, "20"], mean=512 if mode else 32, env=mode)
    log = sampled.log
    assert log.head.flags & HeadFlags.PYTHON
    assert log.head.lost_samples == log.head.lost_frees == 0
    held = lines(log, "pychurn.py")
    for line, size in truth.items():
        found = held[int(line)]
        assert found.bytes == pytest.approx(size, rel=0.01, abs=4 * found.standard_error if mode else size / 20), line
    by_python = [
        size for _stack, kind, size, _mean in log.samples.kinds if kind in (AllocKind.PY_MEM, AllocKind.PY_OBJ)
    ]
    serves = mode.get("PYTHONMALLOC", "debug" if mode or python.debug else "pymalloc")
    if serves == "malloc":
        assert not by_python
        assert log.head.totals.python_allocations == 0
    elif serves == "pymalloc":
        assert 0 < max(by_python) <= 512
    else:
        assert max(by_python) > 512


@pytest.mark.skipif(importlib.util.find_spec("memray") is None, reason="memray is not installed")
def test_memray(tmp_path: Path) -> None:
    """Lines agree with what ``memray run --trace-python-allocators`` counts, within 5 %."""
    seen = tmp_path / "memray.bin"
    command: list[str | Path] = [sys.executable, "-m", "memray", "run", "-q", "--trace-python-allocators", "-o", seen]
    subprocess.run([*command, PYCHURN, "20"], check=True, stdout=subprocess.DEVNULL, timeout=300)
    read = subprocess.run(
        [sys.executable, PROGRAMS / "memray_lines.py", seen, "pychurn.py"], capture_output=True, text=True, check=True
    )
    counted = {int(line): size for line, size in json.loads(read.stdout).items()}
    held = lines(sample(tmp_path, [sys.executable, PYCHURN, "20"], mean=32).log, "pychurn.py")
    large = {line: size for line, size in counted.items() if size >= 100_000}
    assert len(large) >= 5
    for line, size in large.items():
        assert held[line].bytes == pytest.approx(size, rel=0.05), (line, held[line])


@pytest.mark.parametrize(
    ("python", "compiled"),
    [(python, compiled) for python in interpreters() for compiled in (False, True)[: 1 + python.compiles]],
    ids=lambda value: str(value) if isinstance(value, Interpreter) else "compiled" * value,
)
def test_stacks(python: Interpreter, compiled: bool, tmp_path: Path) -> None:
    """Stacks are what the interpreter says: of generators, coroutines, comprehensions, classes, exec and eval, deep
    recursion, threads, functions called by C, code objects that died and whose addresses others have; names and files
    of any letters; when code has been executed so often that the interpreter makes it quicker, too. The outermost frame
    is always entered from C; since 3.11 a call from Python to Python is not, since 3.13 none of __init__."""
    command: list[str | Path] = [python.path, "-X", "utf8", PROGRAMS / "frames.py"]
    done = sample(tmp_path, command, mean=4096, env={"PYTHON_JIT": str(int(compiled))})
    expected = {int(size): stack for size, stack in json.loads(done.stdout).items()}
    assert len(expected) > 80
    for size, stack in expected.items():
        (found,) = stacks_of(done.log, size)
        wanted = [(file.replace("\udcff", "\ufffd"), name, line) for file, name, line in stack]
        assert [call[:3] for call in found] == wanted
        assert found[-1][3]
    for name, times, without_c in ("deep", 61, (3, 11)), ("__init__", 31, (3, 13)):
        names = {size: [call[1].rpartition(".")[2] for call in stack] for size, stack in expected.items()}
        size = max(size for size in expected if names[size].count(name) == times)
        (found,) = stacks_of(done.log, size)
        assert sum(call[3] for call in found) == 1 or python.version < without_c
        assert all(call[3] for call in found) or python.version > (3, 10)


@each
def test_behaviour(python: Interpreter, tmp_path: Path) -> None:
    """A program prints the same with the sampler as without: counts of blocks, tracemalloc started and stopped, deep
    recursion, threads, fork, spawn, subprocesses, MemoryError."""
    command = [python.path, "-W", "ignore", str(PROGRAMS / "behaviour.py")]
    without = plain(command)
    assert len(without.splitlines()) == 12
    for mean in 1 << 20, 256:
        assert sample(tmp_path, command, mean=mean).stdout == without


@each
def test_fork(python: Interpreter, tmp_path: Path) -> None:
    """A fork's lines are known, those of what it allocates itself and those of what it has from its parent."""
    program = tmp_path / "forks.py"
    program.write_text(
        "import os\n"
        "kept = [bytes(3000) for _ in range(500)]\n"
        "def child():\n"
        "    global more\n"
        "    more = [bytes(5000) for _ in range(500)]\n"
        "def other():\n"
        "    global most\n"
        "    most = [bytes(7000) for _ in range(500)]\n"
        "if os.fork() == 0:\n"
        "    child()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "other()\n"
    )
    done = sample(tmp_path, [python.path, program], mean=512)
    parent, child = sorted(done.logs, key=lambda log: bool(log.head.flags & HeadFlags.FORKED))
    for log, sizes in ((child, {2: 3000, 5: 5000}), (parent, {2: 3000, 8: 7000})):
        held = lines(log, "forks.py", log.end_ns if log is child else None)
        for line, size in sizes.items():
            assert held[line].bytes == pytest.approx(500 * (size + block_head(python)), rel=0.05), (line, held)
    assert 8 not in lines(child, "forks.py", child.end_ns)


@each
def test_modules(python: Interpreter, tmp_path: Path) -> None:
    """``python -m module`` and packages are followed as scripts are."""
    package = tmp_path / "holder"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("from holder.inner import hold\nkept = hold()\n")
    (package / "inner.py").write_text("def hold():\n    return [bytes(4000) for _ in range(1000)]\n")
    done = sample(tmp_path, [python.path, "-m", "holder"], mean=512)
    held = lines(done.log, os.path.join("holder", "inner.py"))
    assert held[2].bytes == pytest.approx(1000 * 4033, rel=0.05)


def test_pytest(tmp_path: Path) -> None:
    """Tests executed by pytest's console script have their lines."""
    script = Path(sys.executable).with_name("pytest")
    if not script.exists():
        pytest.skip("pytest has no script here")
    (tmp_path / "test_it.py").write_text(
        "kept = []\n\n\ndef test_it():\n    kept.append([bytes(4000) for _ in range(1000)])\n"
    )
    command: list[str | Path] = [sys.executable, script, "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = sample(tmp_path, command, mean=2048)
    assert "1 passed" in done.stdout
    assert lines(done.log, "test_it.py")[5].bytes == pytest.approx(1000 * 4033, rel=0.05)


_ARENAS = """
import sys
kept = [[str(number)] for number in range(200_000)]
for number in range(100_000):  # grows by realloc, too
    kept[number].append(number)
if len(sys.argv) > 1:
    sys._debugmallocstats()
"""


@each
def test_arenas(python: Interpreter, tmp_path: Path) -> None:
    """The arenas that the interpreter has mapped for its small objects are those that it counts itself, and are no
    memory that the program mapped."""
    program = tmp_path / "arenas.py"
    program.write_text(_ARENAS)
    told = subprocess.run([python.path, program, "stats"], capture_output=True, text=True, check=True).stderr
    (counted,) = re.findall(r"^# arenas highwater mark\s+=\s+(\d+)", told, re.MULTILINE)
    done = sample(tmp_path, [python.path, program], mean=65536)
    replay = Replay(done.log)
    most = max(replay.at_many(sorted({event.t_ns for event in done.log.mapped})), key=lambda live: live.arena_bytes)
    assert most.arena_bytes / 2**20 == pytest.approx(int(counted), abs=1)
    assert sum(held.in_use_bytes for held in most.holdings if held.kind is Kind.MMAP) < 2**20
