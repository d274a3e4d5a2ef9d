"""The exit status: the command's own, 128+N, 127, 126, 125 or 124, whatever the mode."""

from __future__ import annotations

import errno
import signal
import subprocess
from pathlib import Path

import pytest
from tests.monitor.harness import FOREVER, Monitor, launcher

from hiwater.recording.wire import EndedByCode


@pytest.mark.parametrize("status", [0, 1, 77, 125, 255])
def test_own_status(monitor: Monitor, status: int) -> None:
    """The command's own exit status is the monitor's."""
    outcome = monitor.act("exit", status)
    end = outcome.recording.end
    assert end is not None
    assert (outcome.status, end.status, end.ended_by) == (status, status << 8, EndedByCode.EXIT)


SIGNALS = [15, 9, 2, 13, 25, 10, 34, 64]  # TERM, KILL, INT, PIPE, XFSZ, USR1 and real-time ones


@pytest.mark.parametrize("number", SIGNALS)
def test_ended_by_a_signal(monitor: Monitor, number: int) -> None:
    """128+N when signal N ended the command."""
    outcome = monitor.act("raise", number, prefix=launcher("core=0"))
    end = outcome.recording.end
    assert end is not None
    assert (outcome.status, end.status, end.ended_by) == (128 + number, number, EndedByCode.SIGNAL)


def test_killed_three_times_in_a_row(monitor: Monitor) -> None:
    """Repeated SIGKILL ends a process as one does."""
    assert monitor.act("kill3").status == 128 + signal.SIGKILL


@pytest.mark.parametrize("command", ["there-is-no-such-command", "./nor-this-one", "/nor/this", ""])
def test_not_found(monitor: Monitor, command: str) -> None:
    """127 when there is no such command; the recording says so, and why."""
    outcome = monitor.run(command)
    end = outcome.recording.end
    assert end is not None
    assert (outcome.status, end.ended_by, end.exec_errno) == (127, EndedByCode.NOT_STARTED, 2)


def test_not_executable(monitor: Monitor, tmp_path: Path) -> None:
    """126 when the command is there but can not be executed: a directory, a file without the x bit."""
    data = tmp_path / "data"
    data.write_bytes(b"text")
    outcomes = [monitor.run(str(path)) for path in (tmp_path, data)]
    assert [outcome.status for outcome in outcomes] == [126, 126]
    assert [outcome.recording.end and outcome.recording.end.exec_errno for outcome in outcomes] == [errno.EACCES] * 2


MISUSE = [
    [],
    ["--"],
    ["--mode"],
    ["--mode", "loud", "true"],
    ["--no-such-option", "true"],
    ["--period-ns", "1", "true"],
    ["--period-ns", "-5", "true"],
    ["--period-ns", "1ms", "true"],
    ["--period-ns", "", "true"],
    ["--timeout-ns", "99999999999999999999999", "true"],
    ["--output-fd", "no", "true"],
    ["--output-fd", "99", "true"],
    ["--output", "/no/such/directory/x.hiw", "true"],
    ["--sigmask", "xyz", "true"],
    ["--launcher", "me", "true"],
]


@pytest.mark.parametrize("arguments", MISUSE, ids=" ".join)
def test_misuse(quiet: Monitor, arguments: list[str]) -> None:
    """125 and one line on stderr when hiwater was misused; the command is not executed then."""
    result = subprocess.run([quiet.path, *arguments], capture_output=True, env=quiet.environ(), check=False)
    assert (result.returncode, result.stdout) == (125, b"")
    assert result.stderr


def test_options_end_at_the_command(monitor: Monitor) -> None:
    """What stands behind the command is the command's, options too."""
    outcome = monitor.run("sh", "-c", 'printf "%s\\n" "$@"', "sh", "--mode", "--", "--output")
    assert outcome.stdout == b"--mode\n--\n--output\n"


def test_time_out(monitor: Monitor) -> None:
    """124 when the time ran out; the command is told by SIGTERM, and its answer does not matter."""
    with monitor.start_act("report", 15, "say", "ready", "read", options=["--timeout-ns", "1000000000"]) as session:
        assert [session.line(), session.line()] == [b"ready\n", b"got SIG15\n"]
        outcome = session.finish()
    end = outcome.recording.end
    assert end is not None
    assert (outcome.status, end.ended_by) == (124, EndedByCode.TIMEOUT)


def test_time_out_not_reached(monitor: Monitor) -> None:
    """A time-out that was not reached changes nothing."""
    assert monitor.act("exit", 5, options=["--timeout-ns", FOREVER]).status == 5
