"""How the sampler finds an interpreter, keeps to it, and refuses what it does not know."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.heap.python.harness import PROGRAMS, Held, Interpreter, block_head, interpreters, lines, sample, stacks_of
from tests.monitor.build import compile_c

from hiwater.heap.wire import HeadFlags

SAMPLER = Path(__file__).parents[3] / "src" / "hiwater" / "heap" / "sampler"

with_headers = pytest.mark.parametrize(
    "python", [one for one in interpreters() if (one.include / "Python.h").exists()], ids=str
)
with_library = pytest.mark.parametrize(
    "python", [one for one in interpreters() if one.libpython and (one.include / "Python.h").exists()], ids=str
)


@with_headers
def test_layout(python: Interpreter, tmp_path: Path) -> None:
    """The offsets are those of the interpreter's headers."""
    flags = ["-w", f"-I{python.include}", f"-I{python.include}/internal", "-iquote", str(SAMPLER)]
    sources = [PROGRAMS / "layout.c", SAMPLER / "python_layout.c"]
    if python.libpython:
        flags.append(f"-Wl,-rpath,{python.libpython.parent}")
        sources.append(python.libpython)
    else:
        pytest.skip("its library is not there")
    compile_c(sources, tmp_path / "layout", *flags)
    told = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=False)
    assert (told.stdout, told.returncode) == ("", 0)


@with_library
def test_embedded(python: Interpreter, tmp_path: Path) -> None:
    """An interpreter that is linked into a program is followed, also when it is finalised and initialised again."""
    assert python.libpython
    folder = python.libpython.parent
    program = tmp_path / "embed"
    compile_c([PROGRAMS / "embed.c", python.libpython], program, "-w", f"-I{python.include}", f"-Wl,-rpath,{folder}")
    done = sample(tmp_path, [program], mean=512, env={"PYTHONHOME": python.base})
    assert done.stdout.split() == ["1000"] * 3
    for size in 3000, 4000, 5000:
        (stack, *_) = stacks_of(done.log, size + block_head(python))
        assert [call[1:3] for call in stack[-2:]] == [("hold", 3), ("<module>", 4)]


@with_library
@pytest.mark.parametrize("name", ["path", "search"])
def test_loaded_late(python: Interpreter, name: str, tmp_path: Path) -> None:
    """An interpreter that a program loads while it runs is followed, by a path or a name that the linker looks for."""
    assert python.libpython
    library = python.libpython.resolve()
    compile_c([PROGRAMS / "embed_late.c"], tmp_path / "late", "-ldl")
    environment = {"PYTHONHOME": python.base, "LD_LIBRARY_PATH": str(library.parent)}
    command = [tmp_path / "late", library if name == "path" else library.name]
    done = sample(tmp_path, command, mean=512, env=environment)
    assert done.stdout.split() == ["1000"]
    assert done.log.head.flags & HeadFlags.PYTHON
    assert lines(done.log, "<string>")[3].bytes == pytest.approx(1000 * 3033, rel=0.05)


@pytest.mark.parametrize(
    ("version", "free_threaded", "hooked"),
    [
        ("0x030a0000", 0, True),
        ("0x030b07f0", 0, True),
        ("0x030c01f0", 0, True),
        ("0x030d00f0", 0, True),
        ("0x030d00f0", 1, False),
        ("0x030e00f0", 0, True),
        ("0x030e00f0", 1, False),
        ("0x030f00f0", 0, True),
        ("0x030f00f0", 1, False),
        ("0x031000f0", 0, True),
        ("0x030900f0", 0, False),
        ("0x02070000", 0, False),
    ],
)
def test_strangers(version: str, free_threaded: int, hooked: bool, tmp_path: Path) -> None:
    """What is no interpreter that is known does no harm: versions too old and builds without the GIL are left alone,
    others are followed without Python frames if their structures are not what their version says."""
    program = tmp_path / "fake"
    defines = [f"-DFAKE_VERSION={version}", f"-DFAKE_FREE_THREADED={free_threaded}"]
    compile_c([PROGRAMS / "fake.c"], program, "-w", *defines, "-rdynamic")
    done = sample(tmp_path, [program], mean=256)
    assert done.stdout == f"204 397 {'hooked' if hooked else 'not hooked'}\n"
    assert bool(done.log.head.flags & HeadFlags.PYTHON) is hooked
    assert bool(done.log.head.flags & HeadFlags.UNHOOKED) is not hooked
    assert bool(done.log.head.flags & HeadFlags.FRAMELESS) is hooked
    assert not any(stack.python for stack in done.log.stacks.values())
    assert done.log.head.totals.python_allocations == (397 + 396 if hooked else 0)


@pytest.mark.parametrize("python", interpreters(), ids=str)
def test_subinterpreters(python: Interpreter, tmp_path: Path) -> None:
    """Subinterpreters do no harm, and what they hold is counted, until they end. Since 3.12 it has their lines, where
    several run at the same time at least some of it; before it has none. The main interpreter has its lines as ever."""
    done = sample(tmp_path, [python.path, "-S", "-W", "ignore", PROGRAMS / "subinterpreters.py"], mean=1024)
    assert done.stdout == "1000 500\n"
    samples = done.log.samples
    for size, at_once in (12_000, False), (16_000, True):
        whole = size + block_head(python)
        assert sum(samples.kinds[what][2] == whole for what in samples.what) == pytest.approx(2 * 3 * 500, abs=3)
        stacks = {tuple(call[1:3] for call in stack) for stack in stacks_of(done.log, whole)}
        if python.version < (3, 12):
            assert stacks == {()}
        elif at_once:
            assert (("hold", 3), ("<module>", 4)) in stacks <= {(), (("hold", 3), ("<module>", 4))}
        else:
            assert all(stack[:2] == (("hold", 3), ("<module>", 4)) for stack in stacks), stacks
    program = (PROGRAMS / "subinterpreters.py").read_text().splitlines()
    last = 20_000 + block_head(python)  # after that all is freed
    end_ns = max(t for t, what in zip(samples.alloc_ns, samples.what, strict=True) if samples.kinds[what][2] == last)
    held = lines(done.log, "subinterpreters.py", end_ns)
    for start, size in ("kept = [", 1000 * 8033), ("again = [", 500 * 20_033):
        line = next(number for number, text in enumerate(program, 1) if text.startswith(start))
        assert held[line].bytes == pytest.approx(size, rel=0.05)
    ended = sum(lines(done.log, file, end_ns).get(3, Held(0, 0)).bytes for file in ("<string>", "<script>"))
    assert ended == 0
