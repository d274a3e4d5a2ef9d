"""Users, rights and other tracers: what can not be traced is executed all the same, and the recording says so."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from tests.monitor.build import compile_c
from tests.monitor.conftest import PROGRAMS
from tests.monitor.harness import MIB, Monitor, Outcome, images_of, largest_hwm, warnings_of

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


def needs_root(*tools: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    needs(*tools)


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not here: {', '.join(missing)}")


def mode_of(outcome: Outcome) -> str | None:
    return outcome.recording.facts.mode


def test_unprivileged(monitor: Monitor) -> None:
    """An unprivileged user needs nothing more than root does, except for --exact: without that right, quiet mode is
    used."""
    needs_root("setpriv")
    outcome = monitor.act("euid", "fork", "grow", 20, "exec", "grow", 5, "exit", 3, prefix=AS_NOBODY)
    assert (outcome.status, outcome.stdout, mode_of(outcome)) == (
        3,
        b"euid 65534\n",
        "trace" if monitor.mode == "trace" else "quiet",
    )
    assert warnings_of(outcome.recording).count("exact-refused") == (monitor.mode == "exact")
    assert ((outcome.recording.end and outcome.recording.end.tree_maxrss_bytes) or 0) >= 20 * MIB


@pytest.mark.parametrize("user", ["me", "nobody"])
def test_undumpable(monitor: Monitor, user: str) -> None:
    """A process that made itself undumpable is read as far as the kernel allows, and nothing fails."""
    if user == "nobody":
        needs_root("setpriv")
    prefix = AS_NOBODY if user == "nobody" else ()
    with monitor.start_act("undumpable", "grow", 20, "say", "up", "read", "exit", 3, prefix=prefix) as session:
        assert session.line() == b"up\n"
        session.looked_again()
        session.go()
        outcome = session.finish()
    assert outcome.status == 3
    assert largest_hwm(outcome.recording) >= 20 * MIB


def test_a_tree_that_can_be_counted_in_part_only(quiet: Monitor) -> None:
    """What a child shares that may not be read is guessed from the fork, not taken for its own because its parent
    alone was counted."""
    needs_root("setpriv")
    verbs = ("grow", 40, "fork", "undumpable", "say", "up", "read", "exit", 3)
    with quiet.start_act(*verbs, prefix=AS_NOBODY) as session:
        assert session.line() == b"up\n"
        session.stream.until(lambda recording: len(recording.snapshots) > 0)
        session.looked_again()
        session.go()
        outcome = session.finish()
    assert outcome.status == 3
    assert outcome.recording.last_tree_peak is not None
    assert 40 * MIB <= outcome.recording.last_tree_peak.estimate_bytes < 60 * MIB


def test_unreadable_program(monitor: Monitor, room: Path) -> None:
    """A program that may be executed but not read is measured."""
    needs_root("setpriv")
    program = room / "unreadable"
    shutil.copy(room / "act", program)
    program.chmod(0o711)
    with monitor.start(str(program), "grow", "20", "say", "up", "read", "exit", "3", prefix=AS_NOBODY) as session:
        assert session.line() == b"up\n"
        session.looked_again()
        session.go()
        outcome = session.finish()
    assert outcome.status == 3
    assert largest_hwm(outcome.recording) >= 20 * MIB


@pytest.fixture
def setuid(room: Path) -> str:
    needs_root("setpriv")
    if os.statvfs(room).f_flag & os.ST_NOSUID:
        pytest.skip("set-user-ID programs are not allowed in the temporary directory (nosuid)")
    program = room / "setuid"
    if not program.exists():
        shutil.copy(room / "act", program)
        program.chmod(0o755 | stat.S_ISUID)
    return str(program)


def test_setuid_command(monitor: Monitor, setuid: str) -> None:
    """A set-user-ID command has its privilege in either mode: traced it would lose it, so it is not traced."""
    outcome = monitor.run(setuid, "euid", "grow", "20", "exit", "3", prefix=AS_NOBODY)
    assert (outcome.status, outcome.stdout, mode_of(outcome)) == (3, b"euid 0\n", "quiet")
    assert warnings_of(outcome.recording).count("trace-setuid") == (monitor.mode == "trace")
    assert ((outcome.recording.end and outcome.recording.end.tree_maxrss_bytes) or 0) >= 20 * MIB


def test_setuid_command_of_root(tracing: Monitor, setuid: str) -> None:
    """Root can trace set-user-ID programs, so they are."""
    outcome = tracing.run(setuid, "euid", "exit", "3")
    assert (outcome.status, outcome.stdout, mode_of(outcome)) == (3, b"euid 0\n", "trace")


def test_setuid_inside_the_tree(monitor: Monitor, setuid: str) -> None:
    """A set-user-ID program that the command starts keeps its privilege; traced it loses it, as under
    any tracer, and the recording warns."""
    outcome = monitor.run("sh", "-c", '"$0" euid; exit 3', setuid, prefix=AS_NOBODY)
    expected = b"euid 65534\n" if monitor.mode == "trace" else b"euid 0\n"
    assert (outcome.status, outcome.stdout) == (3, expected)
    assert ("lost-setuid" in warnings_of(outcome.recording)) == (monitor.mode == "trace")


def test_hidepid(monitor: Monitor) -> None:
    """With /proc mounted with hidepid=2 an unprivileged user's tree is followed as ever."""
    needs_root("setpriv", "unshare", "mount")
    prefix = ("unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh", *AS_NOBODY)
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount /proc")
    with monitor.start_act("fork", "grow", 20, "say", "up", "read", "exit", 3, prefix=prefix) as session:
        assert session.line() == b"up\n"
        session.looked_again()
        session.go()
        outcome = session.finish()
    assert (outcome.status, len(outcome.recording.observed_processes)) == (3, 2)
    assert largest_hwm(outcome.recording) >= 20 * MIB


def test_without_proc(monitor: Monitor) -> None:
    """Where there is no /proc the command is executed all the same, and its peak is what wait4 says."""
    needs_root("unshare", "mount")
    if monitor.environment:
        pytest.skip("AddressSanitizer itself needs /proc")
    prefix = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount")
    outcome = monitor.run("sh", "-c", "x=$(yes | head -c 20000000); exit 3", prefix=prefix)
    assert outcome.status == 3
    assert ((outcome.recording.end and outcome.recording.end.tree_maxrss_bytes) or 0) >= 10 * MIB


# ---- other tracers ----

DEBUGGERS = {
    "gdb": ("gdb", "-nx", "-batch", "-ex", "run", "-ex", "print $_exitcode", "--args"),
    "strace": ("strace", "-o", "/dev/null", "-f"),
}


@pytest.mark.parametrize("debugger", DEBUGGERS)
def test_a_tracer_as_the_command(monitor: Monitor, debugger: str) -> None:
    """gdb and strace work as the command in either mode: a process has one tracer, so they are not traced."""
    needs(debugger)
    outcome = monitor.run(*DEBUGGERS[debugger], monitor.program("act"), "say", "through", "exit", "3")
    assert b"through\n" in outcome.stdout
    assert mode_of(outcome) == "quiet"
    assert warnings_of(outcome.recording).count("trace-needs-ptrace") == (monitor.mode == "trace")
    assert outcome.status == (3 if debugger == "strace" else 0)


@pytest.mark.parametrize("debugger", DEBUGGERS)
def test_a_tracer_inside_the_tree(monitor: Monitor, debugger: str) -> None:
    """Inside the tree gdb and strace work. Traced they fail, as under any tracer, and the monitor and
    the command go on."""
    needs(debugger)
    script = '"$@"; exit 3'
    command = (*DEBUGGERS[debugger], monitor.program("act"), "say", "through", "exit", "0")
    outcome = monitor.run("sh", "-c", script, "sh", *command)
    assert outcome.status == 3
    assert outcome.recording.complete
    assert (b"through\n" in outcome.stdout) == (monitor.mode != "trace")


def test_under_another_tracer(monitor: Monitor) -> None:
    """Under strace -f nobody else can trace: the monitor falls back, and warns."""
    needs("strace")
    prefix = ("strace", "-f", "-o", "/dev/null")
    without_leaks = {"ASAN_OPTIONS": monitor.environ().get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    outcome = monitor.act("fork", "exit", 3, prefix=prefix, env=without_leaks)
    assert (outcome.status, mode_of(outcome)) == (3, "quiet")
    assert warnings_of(outcome.recording).count("trace-refused") == (monitor.mode == "trace")


LEAK_CHECKERS = {
    "gcc, shared": ("gcc", "-fsanitize=address"),
    "gcc, static": ("gcc", "-fsanitize=address", "-static-libasan"),
    "gcc, leak": ("gcc", "-fsanitize=leak"),
    "clang": ("clang", "-fsanitize=address"),
}


@pytest.mark.parametrize("build", LEAK_CHECKERS)
def test_leak_sanitizer(tracing: Monitor, room: Path, build: str) -> None:
    """A command with LeakSanitizer, which traces itself at its exit, is not traced and ends as it would alone."""
    compiler, *flags = LEAK_CHECKERS[build]
    needs(compiler)
    program = room / f"act {build}"
    if not program.exists():
        try:
            compile_c([PROGRAMS / "act.c"], program, "-pthread", *flags, compiler=compiler)
        except AssertionError as error:
            pytest.skip(str(error))
    environment = {"ASAN_OPTIONS": "detect_leaks=1", "LSAN_OPTIONS": ""}
    if subprocess.run([program], env={**os.environ, **environment}, capture_output=True, check=False).returncode != 0:
        pytest.skip("LeakSanitizer does not work here, not even alone")
    outcome = tracing.run(str(program), "say", "through", env=environment)
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, b"through\n", b"")
    assert mode_of(outcome) == "quiet"
    assert "trace-needs-ptrace" in warnings_of(outcome.recording)
    assert images_of(outcome.recording)
