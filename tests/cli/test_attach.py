"""``hiwater attach`` and ``hiwater.attach``, as a user and a script see them."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND, Hiwater

import hiwater as library
from hiwater.recording.reader import load

MIB = 1 << 20
SPIKE = "x = bytearray(60 << 20); del x; print('up', flush=True); input(); print('on', flush=True)"


@contextmanager
def running(code: str = SPIKE) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, which has reached its first line of output."""
    line = [sys.executable, "-S", "-c", code]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def goes_on(process: subprocess.Popen[str]) -> bool:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline() == "on\n"


def test_duration(hiwater: Hiwater, tmp_path: Path) -> None:
    """It ends when the time is over, with summary, figures and recording, and leaves the process alone."""
    with running() as process:
        done = hiwater("attach", "-d", "100ms", "-o", "a.hiw", "--json", "a.json", str(process.pid))
        assert goes_on(process)
    assert (done.returncode, done.stdout) == (0, "")
    assert re.match(rf"hiwater: attached to python\S*, pid {process.pid}, for 0\.\d+ s · it goes on\n", done.stderr)
    assert "what was before attaching is known only by the marks" in done.stderr
    figures = json.loads((tmp_path / "a.json").read_text())
    assert (figures["ended_by"], figures["exit_code"], figures["mode"]) == ("detached", None, "quiet")
    assert figures["attached"]["pid"] == process.pid
    assert figures["command"] == [sys.executable, "-S", "-c", SPIKE]
    assert figures["peak_rss_lower_bytes"] > 60 * MIB
    assert [warning["code"] for warning in figures["warnings"]] == ["attached"]
    shown = hiwater("show", "a.hiw")
    assert shown.stdout == done.stderr
    assert hiwater("report", "a.hiw", "-o", "a.html").returncode == 0
    assert f"attached to pid {process.pid}" in (tmp_path / "a.html").read_text()


def test_it_ends(tmp_path: Path) -> None:
    """It ends with the process; nobody tells hiwater how that ended."""
    part = tmp_path / "a.hiw.part"
    with running("print('up', flush=True); input()") as process:
        line = [*COMMAND, "attach", "-q", "--json", "-", "-o", "a.hiw", str(process.pid)]
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as attached:
            while not (part.exists() and part.stat().st_size > 512):  # then it was looked at
                assert attached.poll() is None
            process.kill()
            figures = json.loads(attached.communicate(timeout=30)[0])
    assert attached.returncode == 0
    assert (figures["ended_by"], figures["exit_code"], figures["term_signal"]) == ("gone", None, None)
    assert load(tmp_path / "a.hiw").ended_by == "gone"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals(number: signal.Signals) -> None:
    """A signal to hiwater ends the recording with a summary and status 0; the process does not notice."""
    reader, writer = os.pipe()
    with running() as process, open(reader, "rb", buffering=0) as stream:
        line = [*COMMAND, "attach", "-o", f"/dev/fd/{writer}", str(process.pid)]
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, pass_fds=(writer,)) as attached:
            os.close(writer)
            seen = f"/proc/{attached.pid}/task/{attached.pid}/children"
            while not Path(seen).read_text().strip():  # there is no event for the monitor's start
                assert attached.poll() is None
            attached.send_signal(number)
            said = attached.communicate(timeout=30)[1]
        assert goes_on(process)
        assert stream.read(8) == b"\x89HIWATR\n"
    assert attached.returncode == 0
    assert "· it goes on\n" in said


def test_ctrl_c() -> None:
    """Ctrl-C on the terminal ends the recording, not the process."""
    with running() as process:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [*COMMAND, "attach", str(process.pid)])
        said = b""
        try:
            while b"Ctrl-C ends the recording, not the process" not in said:
                said += os.read(terminal, 4096)
            os.write(terminal, b"\x03")
            while b"peak RSS" not in said:
                said += os.read(terminal, 4096)
        finally:
            _, status = os.waitpid(pid, 0)
            os.close(terminal)
        assert goes_on(process)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"it goes on" in said


def test_from_the_shell_that_it_attaches_to(hiwater: Hiwater, tmp_path: Path) -> None:
    """Attached to the shell it was called from, hiwater counts neither itself nor its monitor."""
    line = f'"{sys.executable}" -m hiwater attach -q -d 100ms --json a.json $$; :'
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True, timeout=60)
    figures = json.loads((tmp_path / "a.json").read_text())
    assert [process["pid"] for process in figures["processes"]] == [figures["attached"]["pid"]]
    assert figures["attached"]["name"] in ("sh", "dash", "bash", "busybox")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "the following arguments are required: PID"),
        (("0",), "'0' is not the number of a process"),
        (("postgres",), "'postgres' is not the number of a process"),
        (("99999999999",), "'99999999999' is not the number of a process"),
        (("1", "2"), "unrecognized arguments: 2"),
        (("--duration", "0", "1"), "at least 1ns"),
        (("--duration", "soon", "1"), "'soon' is not a duration"),
        (("--period", "1ns", "1"), "at least 100us"),
        (("--trace", "1"), "unrecognized arguments: --trace"),
        (("-o", "missing/a.hiw", "1"), "cannot write missing/a.hiw"),
        (("2147483647",), "there is no process 2147483647 (in another pid namespace it has another number)"),
    ],
)
def test_misuse(hiwater: Hiwater, words: tuple[str, ...], text: str) -> None:
    """Misuse, and a process that is not there, are 125."""
    done = hiwater("attach", *words)
    assert (done.returncode, done.stdout) == (125, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_left_where_there_was_nothing(hiwater: Hiwater, tmp_path: Path) -> None:
    """Without a process there is no recording and no document."""
    assert hiwater("attach", "-o", "a.hiw", "--json", "a.json", "2147483647").returncode == 125
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("limit", "status"), [("10GiB", 0), ("20MiB", 123)])
def test_budget(hiwater: Hiwater, limit: str, status: int) -> None:
    """A budget holds the peak of the programs that ran, from before too."""
    with running() as process:
        assert hiwater("attach", "-q", "-d", "10ms", "--budget", limit, str(process.pid)).returncode == status


def test_library(tmp_path: Path) -> None:
    """hiwater.attach gives a recording like hiwater.run, and keeps it where it is told to."""
    with running() as process:
        recording = library.attach(process.pid, duration=0.05, output=tmp_path / "a.hiw")
        assert goes_on(process)
    assert recording.ended_by == "detached"
    assert recording.peak_rss.low is not None
    assert recording.peak_rss.low > 60 * MIB
    assert library.load(tmp_path / "a.hiw").peak_rss == recording.peak_rss


def test_library_refuses(tmp_path: Path) -> None:
    """What cannot be attached to is an AttachError, a wrong call a MisuseError; no file is left behind."""
    with pytest.raises(library.AttachError, match="there is no process 2147483647"):
        library.attach(2147483647, output=tmp_path / "a.hiw")
    for wrong in (0, -1, 1 << 31):
        with pytest.raises(library.MisuseError, match="is not the number of a process"):
            library.attach(wrong)
    with pytest.raises(library.MisuseError, match="duration is a number of seconds"):
        library.attach(1, duration=-1)
    assert list(tmp_path.iterdir()) == []
