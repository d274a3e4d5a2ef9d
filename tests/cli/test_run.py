"""``hiwater run``, as a user and a script see it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND, Hiwater

from hiwater.recording.reader import load


@pytest.mark.parametrize("trace", [(), ("--trace",)])
@pytest.mark.parametrize(
    ("command", "status", "text"),
    [
        (("true",), 0, "exit 0"),
        (("sh", "-c", "exit 7"), 7, "exit 7"),
        (("sh", "-c", "exit 125"), 125, "exit 125"),
        (("sh", "-c", "exit 127"), 127, "exit 127"),
        (("sh", "-c", "kill -TERM $$"), 143, "ended by SIGTERM"),
        (("sh", "-c", "kill -KILL $$"), 137, "ended by SIGKILL"),
        (("no-such-command",), 127, "no-such-command: command not found"),
        (("./no/such/command",), 127, "./no/such/command: command not found"),
        (("/",), 126, "/: cannot be executed: Permission denied"),
    ],
)
def test_exit_status(
    hiwater: Hiwater, trace: tuple[str, ...], command: tuple[str, ...], status: int, text: str
) -> None:
    """The status is the command's own; 128+N for a signal; 126 and 127 as in a shell."""
    done = hiwater("run", *trace, "--", *command)
    assert done.returncode == status
    assert text in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "no command to execute"),
        (("--",), "no command to execute"),
        (("--frobnicate", "ls"), "unrecognized arguments: --frobnicate"),
        (("-z", "ls"), "unrecognized arguments: -z"),
        (("--time", "1s", "ls"), "unrecognized arguments"),
        (("--timeout",), "expected one argument"),
        (("--timeout", "soon", "ls"), "'soon' is not a duration"),
        (("--timeout", "0", "ls"), "at least 1ns"),
        (("--period", "1ns", "ls"), "at least 100us"),
        (("--period", "99999999h", "ls"), "out of range"),
        (("--color", "pink", "ls"), "invalid choice"),
        (("-o", "missing/a.hiw", "ls"), "cannot write missing/a.hiw: No such file or directory"),
        (("--json", "missing/a", "ls"), "cannot write missing/a"),
        (("-o", ".", "ls"), "cannot write ."),
        (("", "x"), "no command to execute"),
    ],
)
def test_misuse(hiwater: Hiwater, words: tuple[str, ...], text: str) -> None:
    """hiwater's own failures are 125, and nothing is executed."""
    done = hiwater("run", *words)
    assert done.returncode == 125
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("echo", "-n", "5"), "5"),
        (("-q", "--", "echo", "-q"), "-q\n"),
        (("-q", "echo", "--", "x"), "-- x\n"),
        (("-q", "--", "echo", "--", "x"), "-- x\n"),
        (("-q", "--", "sh", "-c", 'echo "$@"', "name", "--", "a"), "-- a\n"),
        (("--color", "never", "echo", "--json", "-"), "--json -\n"),
        (("--color=never", "-q", "echo", "--timeout", "1s"), "--timeout 1s\n"),
        (("-qf", "echo", "x"), "x\n"),
        (("-qoa.hiw", "echo", "x"), "x\n"),
        (("-qo", "b.hiw", "echo", "x"), "x\n"),
        (("-q", "--timeout", "9s", "echo", "run", "--help"), "run --help\n"),
        (("-q", "echo", "", " a  b "), "  a  b \n"),
    ],
)
def test_words(hiwater: Hiwater, words: tuple[str, ...], expected: str) -> None:
    """What stands behind the command belongs to the command; one -- is ours."""
    done = hiwater("run", *words)
    assert (done.returncode, done.stdout) == (0, expected)


def test_a_command_that_begins_with_a_dash(hiwater: Hiwater, tmp_path: Path) -> None:
    """Behind -- even that is a command."""
    script = tmp_path / "-weird"
    script.write_text("#!/bin/sh\necho weird\n")
    script.chmod(0o755)
    done = hiwater("run", "-q", "--", "-weird", env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.stdout == "weird\n"


def test_streams_belong_to_the_command(hiwater: Hiwater) -> None:
    """stdin and stdout are the command's; the summary goes to stderr behind the command's own."""
    done = hiwater("run", "--", "sh", "-c", "cat; echo error >&2", input="in\n")
    assert done.stdout == "in\n"
    assert done.stderr.startswith("error\nhiwater: sh -c ")


def test_quiet(hiwater: Hiwater) -> None:
    """-q says nothing."""
    done = hiwater("run", "-q", "--", "true")
    assert (done.stdout, done.stderr) == ("", "")


def test_json_on_stdout_follows_the_commands_own(hiwater: Hiwater) -> None:
    """--json - writes the document to stdout behind what the command wrote."""
    done = hiwater("run", "-q", "--json", "-", "--", "echo", "first")
    first, _, rest = done.stdout.partition("\n")
    assert first == "first"
    assert json.loads(rest)["command"] == ["echo", "first"]
    assert done.stderr == ""


def test_files(hiwater: Hiwater, tmp_path: Path) -> None:
    """-o and --json keep whole files; what exists is refused before the command runs, unless --force."""
    words = ("run", "-q", "-o", "a.hiw", "--json", "a.json")
    assert hiwater(*words, "--", "true").returncode == 0
    assert load(tmp_path / "a.hiw").to_json() == json.loads((tmp_path / "a.json").read_text())
    for name in ("a.hiw", "a.json"):
        (tmp_path / name).rename(tmp_path / "kept")
        done = hiwater(*words, "--", "touch", "ran")
        assert done.returncode == 125
        assert "exists already" in done.stderr
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"a.hiw", "a.json", "kept"} - {name})
        (tmp_path / "kept").rename(tmp_path / name)
    assert hiwater(*words, "--force", "--", "echo").returncode == 0
    assert load(tmp_path / "a.hiw").command == ("echo",)


def test_nothing_is_left_of_misuse(hiwater: Hiwater, tmp_path: Path) -> None:
    """A call that is refused leaves no files, whenever it is refused."""
    for words in (("--period", "1ns"), ("--json", "missing/a"), ("--linger", "99999999h")):
        assert hiwater("run", "-o", "a.hiw", *words, "--", "true").returncode == 125
        assert list(tmp_path.iterdir()) == []


def test_a_recording_that_cannot_be_written(hiwater: Hiwater) -> None:
    """Where not even its header can be written the command goes on and keeps its status; hiwater says what it lacks."""
    done = hiwater("run", "-o", "/dev/full", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert "/dev/full" in done.stderr
    done = hiwater("run", "-o", "/dev/full", "--", "true")
    assert done.returncode == 125


def test_nothing_is_left_of_what_did_not_start(hiwater: Hiwater, tmp_path: Path) -> None:
    """A command that was not found leaves no files."""
    assert hiwater("run", "-o", "a.hiw", "--json", "a.json", "--", "no-such-command").returncode == 127
    assert list(tmp_path.iterdir()) == []


def test_timeout(hiwater: Hiwater) -> None:
    """The time-out ends the whole tree, is status 124, and the summary says so."""
    done = hiwater("run", "--timeout", "200ms", "--", "sh", "-c", "sleep 60 & sleep 60")
    assert done.returncode == 124
    assert "ended by its time-out" in done.stderr
    assert "tree peak" in done.stderr


def test_json_that_cannot_be_written(hiwater: Hiwater) -> None:
    """A view that fails is hiwater's failure if the command had none; the command's own status wins."""
    with Path("/dev/full").open("w") as full:
        done = hiwater(
            "run", "-q", "--json", "-", "--", "true", capture_output=False, stdout=full, stderr=subprocess.PIPE
        )
        assert done.returncode == 125
        assert "No space left" in done.stderr
        done = hiwater("run", "-q", "--json", "/dev/full", "--", "sh", "-c", "exit 3")
        assert done.returncode == 3
        assert "No space left" in done.stderr


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_descriptors(tmp_path: Path, closed: str) -> None:
    """Descriptors that were closed for hiwater are closed for the command, and no file of ours is in their place."""
    checks = "; ".join(f"test -e /proc/self/fd/{n[0]} && echo {n[0]} >> open" for n in closed.split())
    script = (
        f"{closed}\nexec "
        + " ".join(COMMAND)
        + f" run -o a.hiw -- sh -c '{checks}; echo noise; echo noise >&2; exit 4'"
    )
    line = f"exec {script.replace(chr(10), '; ')}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 4
    assert not (tmp_path / "open").exists()
    assert load(tmp_path / "a.hiw").complete


def test_descriptors_and_signals_are_those_of_the_launcher(tmp_path: Path) -> None:
    """The command finds the descriptors, the signal mask and the dispositions it would find without hiwater."""
    script = "ls /proc/self/fd; grep -E 'Sig(Blk|Ign|Cgt)|ShdPnd' /proc/self/status; ulimit -a"
    plain = ["sh", "-c", script]
    seen = []
    for command in (plain, [*COMMAND, "run", "-q", "-o", "a.hiw", "--", *plain]):
        with (tmp_path / "five").open("w") as file:
            os.dup2(file.fileno(), 55)
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, pass_fds=(55,), timeout=60, check=False)
            os.close(55)
            seen.append(done.stdout)
    assert b"\n55\n" in seen[0]
    assert seen[1] == seen[0]


@pytest.mark.parametrize("trace", [(), ("--trace",)])
@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1"])
def test_signals_that_a_process_sends_are_passed_on(trace: tuple[str, ...], name: str) -> None:
    """kill HIWATER reaches the command, and the summary still appears."""
    script = f"trap 'echo got {name}; exit 7' {name}; echo ready; while :; do sleep 0.02; done"
    command = [*COMMAND, "run", *trace, "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.Signals[f"SIG{name}"])
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (7, f"got {name}\n")
    assert "exit 7" in err
    assert "peak RSS" in err


def children(pid: int) -> list[int]:
    """Of a single-threaded process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_monitor_killed(tmp_path: Path) -> None:
    """If the monitor is killed, hiwater says that the command lives on and where; the recording is kept."""
    command = [*COMMAND, "run", "-o", "a.hiw", "--", "sh", "-c", "echo $$; exec sleep 60"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        while not (tmp_path / "a.hiw.part").stat().st_size:
            os.sched_yield()
        os.kill(children(process.pid)[0], signal.SIGKILL)
        assert process.wait(30) == 125
        os.kill(pid, signal.SIGKILL)  # it lives on, and holds stderr
        assert process.stderr is not None
        err = process.stderr.read()
    assert f"pid {pid}" in err
    assert "killed by signal 9" in err
    assert not load(tmp_path / "a.hiw").complete


def test_what_a_killed_session_leaves_loads(hiwater: Hiwater, tmp_path: Path) -> None:
    """FILE.part of a session that was killed is a recording."""
    command = [*COMMAND, "run", "-o", "a.hiw", "--", "sh", "-c", "echo ready; read line"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not (tmp_path / "a.hiw.part").stat().st_size:
            os.sched_yield()
        process.kill()
    done = hiwater("show", "a.hiw.part")
    assert done.returncode == 0
    assert "sh -c" in done.stdout


def test_odd_names_do_not_reach_the_terminal(hiwater: Hiwater) -> None:
    """Control characters and bytes that are no UTF-8 are shown as escapes."""
    done = hiwater("run", "--", "sh", "-c", "exit 0", "a\x1b[2J\n", os.fsdecode(b"\xff"))
    assert re.search(r"[\x00-\x09\x0b-\x1f\udc80-\udcff]", done.stderr) is None
    assert "\\x1b" in done.stderr
    assert "\\xff" in done.stderr


def test_a_locale_without_unicode(hiwater: Hiwater) -> None:
    """Where stderr can take ASCII only, the summary is ASCII."""
    done = hiwater("run", "--", "true", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.stderr.isascii()
    assert "hiwater: true | exit 0" in done.stderr


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ((), {}, False),
        (("--color=always",), {}, True),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"NO_COLOR": "1"}, False),
    ],
)
def test_color(hiwater: Hiwater, words: tuple[str, ...], environment: dict[str, str], expected: bool) -> None:
    """Colour appears where it is asked for, and on terminals only otherwise."""
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    done = hiwater("run", *words, "--", "true", env=clean | environment)
    assert ("\x1b[" in done.stderr) == expected


def test_a_long_command_line(hiwater: Hiwater) -> None:
    """64 KiB of arguments are passed on, and do not fill the screen."""
    done = hiwater("run", "--", "sh", "-c", "echo $#", *["argument"] * 8000)
    assert done.stdout == "7999\n"
    assert len(done.stderr) < 2000


def test_missing_monitor(hiwater: Hiwater) -> None:
    """An installation without its monitor says what to do."""
    done = hiwater("run", "--", "true", env=os.environ | {"HIWATER_MONITOR": "/nowhere"})
    assert done.returncode == 125
    assert "mend or unset HIWATER_MONITOR" in done.stderr


def test_end_of_file_when_the_command_closes_its_output() -> None:
    """A reader of the command's output sees its end when the command closes it, not when the command ends."""
    words = [sys.executable, "-m", "hiwater", "run", "-q", "--", "sh", "-c", "exec >&-; read line"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.read() == b""
        assert process.poll() is None, "it still waits for its input"
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.wait(30) == 0
