"""Job control on a terminal: the command's, as if the monitor were not there."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest
from tests.monitor.harness import PATIENCE, Monitor


class Terminal:
    """A shell with job control on a terminal of its own."""

    def __init__(self, monitor: Monitor) -> None:
        shell = shutil.which("bash")
        if shell is None:
            pytest.skip("job control is tried with bash, which is not here")
        self.master, slave = pty.openpty()
        self.seen = b""
        environment = {**monitor.environ(), "PS1": "", "PS2": "", "TERM": "dumb", "HISTFILE": ""}
        self.shell = subprocess.Popen(
            ["setsid", "--ctty", shell, "--norc", "--noprofile", "--noediting", "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
        )
        os.close(slave)
        self.type("stty -echo; echo shell-is-$((40 + 2))")
        self.expect(rb"shell-is-42")

    def type(self, text: str) -> None:
        self.raw(text.encode() + b"\n")

    def raw(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def expect(self, pattern: bytes) -> bytes:
        """Reads until the pattern shows; returns what came before it, and it."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} did not show: {self.seen!r}"
            self.seen += os.read(self.master, 4096)
        before, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return before

    def close(self) -> None:
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)


@pytest.fixture
def terminal(monitor: Monitor) -> Iterator[Terminal]:
    terminal = Terminal(monitor)
    yield terminal
    terminal.close()


def command(monitor: Monitor, *verbs: str) -> str:
    return " ".join([monitor.path, *monitor.mode_options, "--", monitor.program("act"), *verbs])


def test_stop_and_foreground(monitor: Monitor, terminal: Terminal) -> None:
    """^Z stops the command and the shell says so; fg lets it go on, and its status is the job's."""
    terminal.type(command(monitor, "say", "ready", "read", "say", "on", "exit", "7") + "; echo status-$?-")
    terminal.expect(rb"ready")
    terminal.raw(b"\x1a")
    terminal.expect(rb"Stopped")
    terminal.expect(rb"status-(148|147)-")  # bash shows the signal that stopped the job: SIGTSTP or SIGSTOP
    terminal.type("jobs")
    terminal.expect(rb"Stopped")
    terminal.type("fg; echo status-$?-")
    terminal.expect(rb"act say ready")
    terminal.raw(b"\n")
    terminal.expect(rb"on\r\n")
    terminal.expect(rb"status-7-")


def test_background(monitor: Monitor, terminal: Terminal) -> None:
    """A stopped command goes on in the background with bg, and is stopped again when it reads from the terminal."""
    terminal.type(command(monitor, "say", "ready", "read", "say", "on", "read", "exit", "7"))
    terminal.expect(rb"ready")
    terminal.raw(b"\x1a")
    terminal.expect(rb"Stopped")
    terminal.type("bg")
    terminal.expect(rb"act say ready")
    terminal.type("wait -n; echo wait-over")  # it reads from the background: SIGTTIN
    terminal.expect(rb"wait-over")
    terminal.type("jobs")
    terminal.expect(rb"Stopped")
    terminal.type("fg; echo status-$?-")
    terminal.expect(rb"act say ready")
    terminal.raw(b"\n\n")
    terminal.expect(rb"status-7-")


def test_interrupt_reaches_the_command_once(monitor: Monitor, terminal: Terminal) -> None:
    """^C reaches the command, once, and the monitor outlives it to say what it recorded."""
    terminal.type(
        command(monitor, "report", "2", "say", "ready", "read", "say", "end", "exit", "3") + "; echo status-$?-"
    )
    terminal.expect(rb"ready")
    terminal.raw(b"\x03")
    terminal.expect(rb"got SIG02")
    terminal.raw(b"\n")
    assert b"got SIG02" not in terminal.expect(rb"end")
    terminal.expect(rb"status-3-")


def test_interrupt_ends_the_command(monitor: Monitor, terminal: Terminal) -> None:
    """^C ends a command that does not handle it."""
    terminal.type(command(monitor, "say", "ready", "read") + "; echo status-$?-")
    terminal.expect(rb"ready")
    terminal.raw(b"\x03")
    terminal.type("")
    terminal.type("echo status-$?-")
    terminal.expect(rb"status-130-")


def test_the_terminal_is_the_commands(monitor: Monitor, terminal: Terminal) -> None:
    """The command has the terminal, is in the foreground of it and can change who is."""
    terminal.type(command(monitor, "say", "x").replace(monitor.program("act"), monitor.program("identity")))
    text = terminal.expect(rb"tty_pgrp (-?\d+)\r\n")
    groups = re.findall(rb"\b(?:pgid|tty_pgrp) (-?\d+)", text)
    assert b"tty 1" in text
    assert groups[0] == groups[1]


def test_a_shell_inside(monitor: Monitor, terminal: Terminal) -> None:
    """A shell inside the monitor has job control of its own."""
    terminal.type(
        f"{monitor.path} {' '.join(monitor.mode_options)} bash --norc --noprofile --noediting -i; echo status-$?-"
    )
    terminal.type(f"{monitor.program('act')} say inner read")
    terminal.expect(rb"inner\r\n")
    terminal.raw(b"\x1a")
    terminal.expect(rb"Stopped")
    terminal.type("fg")
    terminal.expect(rb"act say inner")
    terminal.raw(b"\n")
    terminal.type("exit 9")
    terminal.expect(rb"status-9-")
