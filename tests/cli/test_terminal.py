"""The terminal and job control belong to the command."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.cli.conftest import COMMAND

HIWATER = shlex.join(COMMAND)
PATIENCE_SECONDS = 30


class Terminal:
    """A shell with job control on a terminal of its own.

    What is typed may be echoed: scripts print words that do not stand in them literally.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, pattern: str) -> str:
        """Waits until it appears, and forgets what came before."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not (match := re.search(pattern, self.seen)):
            if not select.select([self.fd], [], [], max(0.0, until - time.monotonic()))[0]:
                raise AssertionError(f"{pattern!r} did not appear: {self.seen!r}")
            self.seen += os.read(self.fd, 4096).decode(errors="replace")
        self.seen = self.seen[match.end() :]
        return match.group()


@contextmanager
def shell() -> Iterator[Terminal]:
    pid, fd = pty.fork()
    if pid == 0:
        environment = os.environ | {"PS1": "$ ", "TERM": "dumb", "HISTFILE": "/dev/null"}
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
    try:
        terminal = Terminal(fd)
        terminal.type("stty -echo\n")
        terminal.expect(r"\$ $")
        yield terminal
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(fd)
        os.waitpid(pid, 0)


MODES = pytest.mark.parametrize("trace", ["", "--trace "])


@MODES
def test_ctrl_c(trace: str) -> None:
    """Ctrl-C reaches the command once; the summary and the command's own status still appear."""
    script = "; ".join(
        [
            "trap 'echo caught $((6 * 7)); n=$((n + 1))' INT",
            "echo ready $((6 * 7))",
            'until [ "$n" ]; do sleep 0.02; done',
            "sleep 0.3",  # for a second SIGINT, if there were one
            "exit $((40 + n))",
        ]
    )
    with shell() as terminal:
        terminal.type(f"{HIWATER} run {trace}-- sh -c {shlex.quote(script)}; echo status=$?\n")
        terminal.expect("ready 42")
        terminal.type("\x03")
        terminal.expect("caught 42")
        terminal.expect("exit 41")
        terminal.expect("peak RSS")


@MODES
def test_ctrl_c_ends_a_command(trace: str) -> None:
    """A command that Ctrl-C ends is 130, with its summary."""
    with shell() as terminal:
        terminal.type(f"{HIWATER} run {trace}-- sh -c 'echo ready $((6 * 7)); exec sleep 60'\n")
        terminal.expect("ready 42")
        terminal.type("\x03")
        terminal.expect("ended by SIGINT")
        terminal.expect("peak RSS")
        terminal.expect(r"\$ $")
        terminal.type("echo status=$?\n")
        terminal.expect("status=130")


@MODES
def test_ctrl_z(trace: str) -> None:
    """Ctrl-Z gives the shell its prompt back; fg goes on, and the command reads the terminal again."""
    with shell() as terminal:
        terminal.type(f"{HIWATER} run {trace}-- sh -c 'echo ready $((6 * 7)); read line; echo line=$line; exit 9'\n")
        terminal.expect("ready 42")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.expect(r"\$ $")
        terminal.type("fg\n")
        terminal.expect("hiwater run")
        terminal.type("typed\n")
        terminal.expect("line=typed")
        terminal.expect("exit 9")
        terminal.expect(r"\$ $")
        terminal.type("echo status=$?\n")
        terminal.expect("status=9")


@MODES
def test_background(trace: str) -> None:
    """In the background a command that reads the terminal is stopped, as it would be alone."""
    with shell() as terminal:
        terminal.type(f"{HIWATER} run {trace}-- sh -c 'read line; echo line=$line' &\n")
        terminal.expect(r"\$ $")
        terminal.type("while ! jobs | grep Stopped; do sleep 0.05; done\n")
        terminal.expect("Stopped")
        terminal.expect(r"\$ $")
        terminal.type("fg\n")
        terminal.expect("hiwater run")
        terminal.type("typed\n")
        terminal.expect("line=typed")
        terminal.expect("peak RSS")


def test_colour_on_a_terminal() -> None:
    """On a terminal the summary is coloured, unless the terminal is dumb."""
    with shell() as terminal:
        terminal.type(f"unset NO_COLOR FORCE_COLOR; TERM=xterm {HIWATER} run -- true\n")
        terminal.expect(r"hiwater: \x1b\[1mtrue")
        terminal.expect(r"\$ $")
        terminal.type(f"{HIWATER} run -- true\n")
        terminal.expect(r"hiwater: true")
