"""The live view on a real terminal: it shows, it goes, and the command notices nothing of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND
from tests.cli.test_terminal import HIWATER, Terminal, shell

import hiwater

ENTERED, LEFT = r"\x1b\[\?1049h", r"\x1b\[\?1049l"
FREE = "</dev/null >log 2>&1"
PROMPT = r"\$ $"
TIOCGPTN = 0x80045430  # which pseudo-terminal this is (ioctl_tty(2))


class Command:
    """A command that ends when it is told to, with status 7."""

    def __init__(self, directory: Path) -> None:
        self.fifo = directory / "fifo"
        os.mkfifo(self.fifo)
        self.words = f"sh -c {shlex.quote(f'read line <{self.fifo}; exit 7')}"

    def release(self) -> None:
        self.fifo.write_text("go\n")


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A shell in an empty directory, on a terminal of 80 x 24 that can be drawn on."""
    with shell() as found:
        resize(found, 80, 24)
        found.type(f"cd {tmp_path}; export TERM=xterm-256color; unset NO_COLOR FORCE_COLOR\n")
        found.expect(PROMPT)
        yield found


def resize(terminal: Terminal, columns: int, lines: int) -> None:
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))


def attributes(terminal: Terminal) -> tuple[bool, bool]:
    """Whether the terminal gathers lines and echoes, as a shell wants it for the commands that it starts."""
    flags = termios.tcgetattr(terminal.fd)[3]
    return bool(flags & termios.ICANON), bool(flags & termios.ISIG)


def view_of(terminal: Terminal) -> int:
    """The process that draws on a terminal."""
    (number,) = struct.unpack("I", fcntl.ioctl(terminal.fd, TIOCGPTN, bytes(4)))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                tty = (entry / "stat").read_text().rpartition(")")[2].split()[4]
                if tty == str(os.stat(f"/dev/pts/{number}").st_rdev) and (
                    b"hiwater.live.view" in (entry / "cmdline").read_bytes()
                ):
                    return int(entry.name)
    raise AssertionError("no process shows the view")


def live(terminal: Terminal, words: str, redirections: str = FREE, *, before: str = "", options: str = "") -> None:
    """Executes a command under a live view that has appeared when this returns."""
    terminal.type(f"{before}{HIWATER} run --live {options}-- {words} {redirections}; echo status=$?\n")
    terminal.expect(ENTERED)
    terminal.expect("close view")
    terminal.expect("[1-9][0-9]* process")  # and the command runs


def test_shows_and_goes(terminal: Terminal, command: Command, tmp_path: Path) -> None:
    """The view shows the processes while the command runs, and gives way to the summary when it has ended."""
    terminal.type(f"{HIWATER} run --live -- {command.words} {FREE}; echo status=$?\n")
    terminal.expect(ENTERED)
    terminal.expect("now MiB")
    terminal.expect("close view")
    assert attributes(terminal) == (False, True)
    command.release()
    terminal.expect(LEFT)
    terminal.expect("exit 7")
    terminal.expect("peak RSS")
    terminal.expect("status=7")
    terminal.expect(PROMPT)
    assert attributes(terminal) == (True, True)
    assert "peak RSS" in (tmp_path / "log").read_text()


def test_q(terminal: Terminal, command: Command) -> None:
    """q closes the view and nothing else: the command goes on, and its summary comes at its end."""
    live(terminal, command.words)
    terminal.type("q")
    terminal.expect(LEFT)
    terminal.expect("the view is closed; sh goes on, Ctrl-C reaches it; the summary comes at its end")
    assert attributes(terminal) == (True, True)
    command.release()
    terminal.expect("exit 7")
    terminal.expect("status=7")


def test_ctrl_c(terminal: Terminal, tmp_path: Path) -> None:
    """Ctrl-C reaches the command once, as it would without the view; the view stays until it has ended."""
    script = "; ".join(
        [
            "trap 'n=$((n + 1)); echo caught >>caught' INT",
            'until [ "$n" ]; do sleep 0.02; done',
            "sleep 0.3",  # for a second SIGINT, if there were one
            "exit $((40 + n))",
        ]
    )
    live(terminal, f"sh -c {shlex.quote(script)}")
    terminal.type("\x03")
    terminal.expect(LEFT)
    terminal.expect("exit 41")
    terminal.expect("status=41")
    assert (tmp_path / "caught").read_text() == "caught\n"


def test_ctrl_c_ends_a_command(terminal: Terminal) -> None:
    """A command that Ctrl-C ends has its summary."""
    live(terminal, "sleep 60")
    terminal.type("\x03")
    terminal.expect(LEFT)
    terminal.expect("ended by SIGINT")
    terminal.expect("peak RSS")
    assert attributes(terminal) == (True, True)


def test_ctrl_z(terminal: Terminal, command: Command) -> None:
    """Ctrl-Z gives the shell its terminal as it was; fg brings the view back, bg leaves it away."""
    live(terminal, command.words)
    terminal.type("\x1a")
    terminal.expect(LEFT)
    terminal.expect("Stopped")
    terminal.expect(PROMPT)
    terminal.type("stty -a\n")
    terminal.expect(" icanon")
    terminal.expect(PROMPT)
    terminal.type("fg\n")
    terminal.expect(ENTERED)
    terminal.expect("close view")
    terminal.type("\x1a")
    terminal.expect(LEFT)
    terminal.expect(PROMPT)
    terminal.type("bg; sleep 0.6; echo $((6 * 7))\n")
    assert "1049h" not in terminal.expect(r"(?s).*42")
    terminal.expect(PROMPT)
    terminal.type("fg\n")
    terminal.expect(ENTERED)
    terminal.expect("close view")
    command.release()
    terminal.expect(LEFT)
    terminal.expect("exit 7")


def test_background(terminal: Terminal, command: Command) -> None:
    """Started in the background it does not draw over the shell; it appears when it comes to the foreground."""
    terminal.type(f"{HIWATER} run --live -- {command.words} {FREE} &\n")
    terminal.expect(PROMPT)
    terminal.type("sleep 1.5; echo $((6 * 7))\n")
    assert "1049h" not in terminal.expect(r"(?s).*42")
    terminal.type("fg\n")
    terminal.expect(ENTERED)
    terminal.expect("close view")
    command.release()
    terminal.expect(LEFT)
    terminal.expect("exit 7")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGHUP])
def test_a_view_that_dies(terminal: Terminal, command: Command, number: signal.Signals) -> None:
    """Whatever ends the view, the terminal is as it was, and the command goes on and has its summary."""
    live(terminal, command.words)
    os.kill(view_of(terminal), number)
    terminal.expect(LEFT)
    terminal.expect("sh goes on")
    assert attributes(terminal) == (True, True)
    command.release()
    terminal.expect("exit 7")
    terminal.expect("status=7")


def test_a_view_that_hangs(terminal: Terminal, command: Command) -> None:
    """A view that does not hear is ended by force."""
    live(terminal, command.words)
    os.kill(view_of(terminal), signal.SIGSTOP)
    command.release()
    terminal.expect(LEFT)
    terminal.expect("status=7")
    assert attributes(terminal) == (True, True)


def test_hiwater_is_killed(terminal: Terminal, command: Command) -> None:
    """Without hiwater the view has nothing to wait for: it leaves the terminal as it was."""
    live(terminal, command.words)
    view = view_of(terminal)
    parent = int(Path(f"/proc/{view}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    terminal.expect(LEFT)
    command.release()


def test_ctrl_c_before_there_is_a_command(terminal: Terminal, tmp_path: Path) -> None:
    """The command is started when the view is there; Ctrl-C before that ends hiwater, and nothing was executed."""
    code = "import os, signal; os.kill(os.getppid(), signal.SIGINT); import time; time.sleep(60)"
    python = tmp_path / "python"  # in the place of the view: one that is never ready
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}'\n")
    python.chmod(0o755)
    main = f"import sys; sys.executable = {str(python)!r}; from hiwater.cli import main; sys.exit(main())"
    words = shlex.join([sys.executable, "-c", main, "run", "--live", "--", "touch", "made"])
    terminal.type(f"{words} {FREE}; echo status=$?\n")
    terminal.expect("status=130")
    assert not (tmp_path / "made").exists()


def test_attach(terminal: Terminal) -> None:
    """A process that runs already is watched in the same way; Ctrl-C ends the recording, and the summary comes once."""
    process = subprocess.Popen(["sh", "-c", "read line"], stdin=subprocess.PIPE)
    try:
        terminal.type(f"{HIWATER} attach --live {process.pid}; echo status=$?\n")
        terminal.expect(ENTERED)
        terminal.expect("[1-9] process")
        terminal.type("\x03")
        terminal.expect(LEFT)
        assert terminal.expect(r"(?s).*status=0").count("peak RSS") == 1
        assert process.poll() is None
    finally:
        process.communicate(b"go\n")


def test_at_once(terminal: Terminal) -> None:
    """A command that ends at once is like any other, and so is one that cannot be found."""
    terminal.type(f"{HIWATER} run --live -- true {FREE}; echo status=$?\n")
    terminal.expect(LEFT)
    terminal.expect("exit 0")
    terminal.expect("status=0")
    terminal.expect(PROMPT)
    terminal.type(f"{HIWATER} run --live -- no-such-command {FREE}; echo status=$?\n")
    terminal.expect("hiwater: no-such-command: command not found")
    terminal.expect("status=127")
    assert attributes(terminal) == (True, True)


def test_resize(terminal: Terminal, command: Command) -> None:
    """The view fits the window."""
    live(terminal, command.words)
    resize(terminal, 100, 30)
    terminal.expect(r"\x1b\[30;1H")
    terminal.expect("filter")
    command.release()
    terminal.expect("status=7")


def test_no_colour(terminal: Terminal, command: Command) -> None:
    """With NO_COLOR nothing is coloured."""
    terminal.type(f"NO_COLOR=1 {HIWATER} run --live -- {command.words} {FREE}; echo status=$?\n")
    drawn = terminal.expect(r"(?s).*filter.*[1-9] process.*MiB")
    command.release()
    drawn += terminal.expect(r"(?s).*status=7")
    assert "[1;39;49m" in drawn
    assert re.findall(r"\x1b\[(?:\d+;)*[34][0-8](?:;\d+)*m", drawn) == []


def test_no_unicode(terminal: Terminal, command: Command) -> None:
    """On a terminal that takes ASCII only there is nothing else."""
    terminal.type(f"PYTHONIOENCODING=ascii {HIWATER} run --live -- {command.words} {FREE}; echo status=$?\n")
    drawn = terminal.expect(r"(?s).*filter.*[1-9] process.*##")
    command.release()
    drawn += terminal.expect(r"(?s).*status=7")
    assert drawn.isascii()


@pytest.mark.parametrize(
    ("redirections", "words"),
    [
        ("", "input, output and error stream as well"),
        (">log 2>&1", "input as well"),
        ("</dev/null >log", "error stream as well"),
        ("</dev/null 2>log", "output as well"),
        ("</dev/tty >log 2>&1", "input as well"),
    ],
)
def test_both_want_the_terminal(terminal: Terminal, tmp_path: Path, redirections: str, words: str) -> None:
    """Where the command could draw on the terminal or read from it, hiwater says so and does not start it."""
    terminal.type(f"stty cols 500; {HIWATER} run --live -- touch made {redirections}; echo status=$?\n")
    terminal.expect(words)
    terminal.expect("add |for example:")
    terminal.expect("status=125")
    assert not (tmp_path / "made").exists()


def test_what_to_type(terminal: Terminal) -> None:
    """The refusal says the whole command that would do."""
    terminal.type(f"{HIWATER} run --live -q -- make -j2 'a b'; echo status=$?\n")
    terminal.expect(r"  hiwater run --live -q -- make -j2 'a b' </dev/null >make.log 2>&1\r\n")


def test_a_terminal_that_cannot(terminal: Terminal, tmp_path: Path) -> None:
    """A dumb terminal is refused."""
    terminal.type(f"TERM=dumb {HIWATER} run --live -- touch made {FREE}; echo status=$?\n")
    terminal.expect("TERM is dumb or not set")
    terminal.expect("status=125")
    assert not (tmp_path / "made").exists()


def test_no_terminal(tmp_path: Path) -> None:
    """Without a terminal there is nothing to draw on."""
    found = subprocess.run(
        [*COMMAND, "run", "--live", "-o", "a.hiw", "--", "touch", "made"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert found.returncode == 125
    assert "--live takes a terminal, and there is none" in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_textual_is_missing(terminal: Terminal, tmp_path: Path) -> None:
    """Without Textual the extra is named, before the command is started."""
    code = "import sys; sys.modules['textual'] = None; from hiwater.cli import main; sys.exit(main())"
    words = shlex.join([sys.executable, "-c", code, "run", "--live", "--", "touch", "made"])
    terminal.type(f"stty cols 500; {words} {FREE}; echo status=$?\n")
    terminal.expect(r"pip install 'hiwater\[live\]'")
    terminal.expect("status=125")
    assert not (tmp_path / "made").exists()


def test_the_command_notices_nothing(terminal: Terminal, tmp_path: Path) -> None:
    """With the view the command finds the descriptors, signals, limits, process group and nice value that it would
    find without."""
    look = "; ".join(
        [
            "grep -E '^(SigBlk|SigIgn|SigCgt|Umask|Seccomp|NoNewPrivs|CapEff)' /proc/self/status",
            "ls /proc/self/fd; readlink /proc/self/fd/0; nice; ulimit -a",
            "env | grep -v -e ^_= -e ^OLDPWD= | sort",
            "awk '{ print $7, $8 == $5, $19 }' /proc/self/stat",  # terminal, whether in the foreground, nice value
        ]
    )
    found = []
    os.mkfifo(tmp_path / "go")
    for option in ("", "--live "):
        words = f"sh -c {shlex.quote(f'{{ {look}; }} >seen 2>&1; read line <go')}"
        terminal.type(f"{HIWATER} run {option}-- {words} {FREE}; echo status=$?\n")
        if option:
            terminal.expect(ENTERED)
        (tmp_path / "go").write_text("go\n")
        terminal.expect("status=0")
        found.append((tmp_path / "seen").read_text())
    assert found[0] == found[1]


def test_nothing_is_inherited(terminal: Terminal, command: Command, tmp_path: Path) -> None:
    """The view takes tens of MiB; the command's ru_maxrss starts from the monitor's few hundred KiB all the same."""
    terminal.type(f"{HIWATER} run --live -o a.hiw -- {command.words} {FREE}; echo status=$?\n")
    terminal.expect("close view")
    status = Path(f"/proc/{view_of(terminal)}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) > 16 << 10
    command.release()
    terminal.expect("status=7")
    recording = hiwater.load(tmp_path / "a.hiw")
    assert recording.stats is not None
    assert recording.stats.floor_bytes is not None
    assert recording.stats.floor_bytes < 2 << 20
    end = recording.observed_processes[0].end
    assert end is not None
    assert end.maxrss_bytes is not None
    assert end.maxrss_bytes < 8 << 20  # a shell
