"""The command finds everything as it would without the monitor."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.monitor.harness import LAUNCHER, PATIENCE, Monitor, launcher, until

STATES: dict[str, Sequence[str]] = {
    "as it comes": (),
    "signals ignored": ("ignore=1", "ignore=2", "ignore=13", "ignore=17", "ignore=18", "ignore=25"),
    "signals blocked": ("block=1", "block=14", "block=15", "block=17", "block=20", "block=34"),
    "umask, nice, limits": ("umask=027", "nice=3", "nofile=300", "core=0", "stack=4194304"),
    "own process group": ("group",),
    "own session": ("session",),
    "another directory": ("chdir=/",),
}


def plain(*command: str | bytes, **how: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE, **how)


def facts(printed: bytes) -> list[bytes]:
    """What `identity` printed, less what can not be the same: the other ends of the pipes, and the group's number."""
    lines = []
    for line in printed.splitlines():
        before, pipe, _ = line.partition(b"pipe:")
        lines.append(before + pipe if pipe else line)
    return lines


def own_group(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if not line.startswith((b"pgid ", b"sid "))]


@pytest.mark.parametrize("state", STATES)
def test_identity(monitor: Monitor, state: str) -> None:
    """Arguments, environment, directory, signal mask and dispositions, limits, umask, descriptors, nice, process group,
    session, terminal and more are those of a plain execve."""
    extra = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(extra, True)
    command = (monitor.program("identity"), "", "a b", "\n", b"\xff\xfe", "--", "")
    environment = monitor.environ({"ODD": "=\n\udcff", "EMPTY": ""})
    how: dict[str, Any] = {"prefix": launcher(*STATES[state])} if STATES[state] else {}
    prefix = how.get("prefix", ())
    expected = plain(*prefix, *command, env=environment, pass_fds=[extra], stdin=subprocess.PIPE)
    actual = monitor.run(*command, env=environment, pass_fds=[extra], **how)
    os.close(extra)
    assert actual.stderr == b""
    if state in ("own process group", "own session"):
        assert own_group(facts(actual.stdout)) == own_group(facts(expected.stdout))
    else:
        assert facts(actual.stdout) == facts(expected.stdout)


def test_given_signal_mask(monitor: Monitor) -> None:
    """--sigmask is the signal mask that the command starts with."""
    command = ("grep", "SigBlk", "/proc/self/status")
    masks = [monitor.run(*command, options=["--sigmask", mask]).stdout.split()[-1] for mask in ("0", "4001")]
    assert [int(mask, 16) for mask in masks] == [0, 0x4001]


def test_streams(monitor: Monitor) -> None:
    """What goes into stdin and comes out of stdout and stderr is not touched, whatever bytes it is."""
    data = bytes(range(256)) * 4096
    outcome = monitor.run("sh", "-c", "cat; printf error >&2", input=data)
    assert (outcome.stdout, outcome.stderr) == (data, b"error")


def test_input_is_left_for_others(monitor: Monitor) -> None:
    """What the command does not read of its stdin stays there for whoever shares it."""
    reader, writer = os.pipe()
    os.write(writer, b"first\nsecond\n")
    os.close(writer)
    outcome = monitor.run("sh", "-c", "read line; echo $line", stdin=reader)
    rest = os.read(reader, 100)
    os.close(reader)
    assert (outcome.stdout, rest) == (b"first\n", b"second\n")


def test_closed_streams(monitor: Monitor) -> None:
    """Streams that were closed for the monitor are closed for the command."""
    script = "for fd in 0 1 2; do test -e /proc/$$/fd/$fd && exit 1; done; exit 42"
    prefix = launcher("close=0", "close=1", "close=2")
    line = [*prefix, *monitor.command([], ["sh", "-c", script])]
    assert subprocess.run(line, env=monitor.environ(), check=False, timeout=PATIENCE).returncode == 42


@pytest.mark.parametrize("file", ["stdout", "inherited pipe"])
def test_end_of_file_when_the_command_closes(monitor: Monitor, file: str) -> None:
    """A pipe that the command closes is at its end for the reader at once: the monitor holds no copy of it."""
    reader, writer = os.pipe()
    inherited = file != "stdout"
    how: dict[str, Any] = {"pass_fds": [writer]} if inherited else {"stdout": writer}
    with monitor.start_act("close", writer if inherited else 1, "read", "exit", 3, **how) as session:
        os.close(writer)
        end = _read_with_patience(reader)
        session.go()
        assert (end, session.finish().status) == (b"", 3)


def test_broken_pipe_when_the_command_closes_its_input(monitor: Monitor) -> None:
    """Whoever writes to the stdin that the command has closed gets EPIPE: the monitor holds no copy of it."""
    wait, go = os.pipe()
    with monitor.start_act("close", 0, "say", "closed", "readfd", wait, pass_fds=[wait]) as session:
        os.close(wait)
        assert session.line() == b"closed\n"
        assert session.process.stdin is not None
        fd = session.process.stdin.fileno()
        os.set_blocking(fd, False)
        until(lambda: _is_broken(fd), "writing fails")  # the monitor lets go a moment after the command has begun
        os.close(go)
        assert session.process.wait(PATIENCE) == 0


def _is_broken(fd: int) -> bool:
    try:
        os.write(fd, b"x")
    except BlockingIOError:
        return False  # full: whose reader lives
    except BrokenPipeError:
        return True
    return False


def _read_with_patience(fd: int) -> bytes:
    ready, _, _ = select.select([fd], [], [], 10)
    data = os.read(fd, 10) if ready else b"still open"
    os.close(fd)
    return data


def test_closes_every_descriptor(monitor: Monitor) -> None:
    """A command that closes every descriptor, those it does not know too, is measured as any other."""
    outcome = monitor.act("closeall", "grow", 20, "exit", 4)
    end = outcome.recording.end
    assert end is not None
    assert outcome.status == 4
    assert (end.tree_maxrss_bytes or 0) >= 20 << 20


def test_64_kib_of_arguments(monitor: Monitor) -> None:
    """Long arguments reach the command whole; the recording says of the image that it keeps the first of them."""
    for arguments in (["x" * 65536, "last"], ["y" * 63] * 1024):
        command = (monitor.program("identity"), *arguments)
        outcome = monitor.run(*command)
        printed = [line.split()[-1] for line in outcome.stdout.splitlines() if line.startswith(b"argv")]
        assert [line.decode() for line in printed] == list(command)
        recording = outcome.recording
        assert recording.complete
        assert recording.arguments[0] == command[0]
        assert all(kept == given for kept, given in zip(recording.arguments, command, strict=False))


# ---- the search on PATH, held against env(1), which uses execvp(3) ----


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Directories for PATH: each `it` says where it stands."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        _script(tmp_path / name / "it", f"#!/bin/sh\necho {name}\n")
    (tmp_path / "denied").mkdir()
    (tmp_path / "denied" / "it").write_text("#!/bin/sh\necho denied\n")
    (tmp_path / "directory" / "it").mkdir(parents=True)
    (tmp_path / "bare").mkdir()
    _script(tmp_path / "bare" / "it", "echo bare $1\nexit 7\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "missing-interpreter").mkdir()
    _script(tmp_path / "missing-interpreter" / "it", "#!/no/such/interpreter\n")
    (tmp_path / "file").write_text("")
    _script(tmp_path / "it", "#!/bin/sh\necho here\n")
    return tmp_path


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


SEARCHES = {
    "first wins": "first:second",
    "not executable is passed over": "denied:second",
    "only not executable": "denied:empty",
    "a directory of that name": "directory:second",
    "only a directory of that name": "directory",
    "a script without #!": "bare:second",
    "no directory": "file:no-such:second",
    "nowhere": "empty",
    "interpreter missing": "missing-interpreter:second",
    "empty element in front": ":second",
    "empty element at the end": "empty:",
    "empty element between": "empty::second",
    "empty": "",
    "a hundred directories": "empty:" * 100 + "second",
    "very long": ("empty/" + "./" * 400 + ":") * 30 + "second",
}


@pytest.mark.parametrize("search", SEARCHES)
def test_path_search(monitor: Monitor, places: Path, search: str) -> None:
    """The command is looked for on PATH as execvp(3) does it."""
    env = shutil.which("env")
    assert env is not None
    environment = monitor.environ({"PATH": SEARCHES[search]})
    expected = plain(env, "it", "argument", env=environment, cwd=places)
    actual = monitor.run("it", "argument", env=environment, cwd=places)
    assert (actual.status, actual.stdout) == (expected.returncode, expected.stdout)


@pytest.mark.parametrize(
    "command", ["./it", "first/it", "bare/it", "empty/../it", "denied/it", "file/it", "./directory/it"]
)
def test_path_with_a_slash(monitor: Monitor, places: Path, command: str) -> None:
    """A command with a slash is not looked for."""
    env = shutil.which("env")
    assert env is not None
    expected = plain(env, command, "x", env=monitor.environ(), cwd=places)
    actual = monitor.run(command, "x", cwd=places)
    assert (actual.status, actual.stdout) == (expected.returncode, expected.stdout)


def test_without_path(monitor: Monitor) -> None:
    """Without PATH the C library's own default is searched."""
    environment = monitor.environ()
    del environment["PATH"]
    outcome = subprocess.run(
        [monitor.path, *monitor.mode_options, "true"], env=environment, check=False, timeout=PATIENCE
    )
    assert outcome.returncode == 0


def test_launcher_is_a_program_of_its_own() -> None:
    """The launcher of these tests changes nothing unless it is asked to."""
    assert LAUNCHER.exists()
    result = plain(*launcher(), "sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status")
    assert {int(line.split()[1], 16) for line in result.stdout.splitlines()} == {0}
