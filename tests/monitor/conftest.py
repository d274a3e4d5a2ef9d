"""What the tests of the monitor share: the builds under test, the programs they execute, and the users."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.monitor.build import SOURCES, compile_c
from tests.monitor.harness import Monitor

PROGRAMS = Path(__file__).parent / "programs"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


@pytest.fixture(scope="session")
def room() -> Iterator[Path]:
    """A directory that every user can read; pytest's own are for their owner only."""
    path = Path(tempfile.mkdtemp(prefix="hiwater-monitor-"))
    path.chmod(0o755)
    for name in ("act", "identity", "kinds"):
        compile_c([PROGRAMS / f"{name}.c"], path / name, "-pthread", "-Werror")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _installed() -> str:
    if "HIWATER_MONITOR" in os.environ:
        return os.environ["HIWATER_MONITOR"]
    from hiwater.binaries import find_monitor

    return str(find_monitor())


def _sanitized(room: Path) -> str:
    """The build with sanitizers that was given, or one made here; skips where the compiler has none."""
    if "HIWATER_MONITOR_SANITIZED" in os.environ:
        return os.environ["HIWATER_MONITOR_SANITIZED"]
    target = room / "hiwater-monitor.sanitized"
    try:
        compile_c(sorted(SOURCES.glob("*.c")), target, "-g", *SANITIZERS)
        subprocess.run([target, "--version"], check=True, capture_output=True)
    except (AssertionError, OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no build with AddressSanitizer and UndefinedBehaviorSanitizer here: {error}")
    return str(target)


@pytest.fixture(scope="session")
def reports(room: Path) -> Path:
    """Where sanitizers leave what they found."""
    path = room / "reports"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture(scope="session", params=["installed", "sanitized"])
def binary(request: pytest.FixtureRequest, room: Path) -> Path:
    """The monitor under test, where every user can execute it."""
    target = room / f"hiwater-monitor-{request.param}"
    shutil.copy(_installed() if request.param == "installed" else _sanitized(room), target)
    target.chmod(0o755)
    return target


def _monitor(binary: Path, mode: str, room: Path, reports: Path) -> Monitor:
    log = f"log_path={reports}/found:exitcode=77"
    environment = {"ASAN_OPTIONS": log, "UBSAN_OPTIONS": f"{log}:print_stacktrace=1"}
    return Monitor(str(binary), mode, room, environment if "sanitized" in binary.name else {})


@pytest.fixture
def checked(reports: Path) -> Iterator[None]:
    """Fails the test if a sanitizer has found something."""
    yield
    found = sorted(reports.iterdir())
    text = "\n".join(path.read_text(errors="replace") for path in found)
    for path in found:
        path.unlink()
    assert not text, text


@pytest.fixture
def quiet(binary: Path, room: Path, reports: Path, checked: None) -> Monitor:
    return _monitor(binary, "quiet", room, reports)


@pytest.fixture
def tracing(binary: Path, room: Path, reports: Path, checked: None) -> Monitor:
    return _monitor(binary, "trace", room, reports)


def _exact(binary: Path, room: Path, reports: Path) -> Monitor:
    """With events of every change; skips where that is refused."""
    monitor = _monitor(binary, "exact", room, reports)
    refused = monitor.run("true").recording.facts.exact_refused
    if refused:
        pytest.skip(f"--exact is refused here: {refused}")
    return monitor


@pytest.fixture
def exact(binary: Path, room: Path, reports: Path, checked: None) -> Monitor:
    return _exact(binary, room, reports)


@pytest.fixture(params=["quiet", "trace", "exact"])
def monitor(request: pytest.FixtureRequest, binary: Path, room: Path, reports: Path, checked: None) -> Monitor:
    """All modes: whatever is true of one must be of the others."""
    if request.param == "exact":
        return _exact(binary, room, reports)
    return _monitor(binary, str(request.param), room, reports)
