"""One execution on another machine: a folder there, the monitor in it, the command, the recording back."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from collections.abc import Sequence

from hiwater.errors import MonitorError, RemoteError
from hiwater.launch import Mode, monitor_arguments
from hiwater.remote.host import LOST, MARK, Host
from hiwater.remote.programs import monitor_for

_PREPARE = """umask 077
folder=$(mktemp -d "${{TMPDIR:-/tmp}}/hiwater.XXXXXXXXXX") || exit
printf '{mark}%s\\n' "$(uname -s)" "$(uname -m)" "$folder"
"""


class Errand:
    """To be used in a ``with`` statement, at whose end nothing of ours is left on the other machine."""

    def __init__(self, host: str, monitor: str | None = None) -> None:
        self.host = Host(host)
        self.folder: str | None = None
        self.stays = False
        try:
            self._prepare(monitor)
        except BaseException:
            self.close()
            raise

    def _prepare(self, chosen: str | None) -> None:
        told = [
            line[len(MARK) :] for line in self.host.ask(_PREPARE.format(mark=MARK)).splitlines() if MARK in line[:15]
        ]
        if len(told) != 3:
            raise RemoteError(f"{self.host.name} has no shell that answers: does `ssh {self.host.name} uname` work?")
        system, machine, self.folder = told
        if system != "Linux":
            raise RemoteError(f"{self.host.name} runs {system}: hiwater measures on Linux only")
        with open(monitor_for(machine, chosen), "rb") as program:
            there = shlex.quote(self.path("monitor"))
            self.host.ask(f"cat >{there} && chmod 700 {there}", stdin=program)
        try:
            self.host.ask(f"{there} --version")
        except RemoteError as error:
            raise RemoteError(
                f"{error}; if {self.folder} is on a file system that executes nothing, set TMPDIR over there"
            ) from None

    def path(self, name: str) -> str:
        """Of a file over there."""
        return f"{self.folder}/{name}"

    def command_line(
        self,
        command: Sequence[str],
        *,
        mode: Mode,
        period_ns: int | None,
        timeout_ns: int | None,
        linger_ns: int | None,
        terminal: bool,
    ) -> list[bytes]:
        """What is to be executed here so that the command is executed there."""
        words = monitor_arguments(
            self.path("monitor"),
            self.path("recording"),
            command,
            mode=mode,
            period_ns=period_ns,
            timeout_ns=timeout_ns,
            linger_ns=linger_ns,
        )
        quoted = " ".join(shlex.quote(os.fsdecode(word)) for word in words)
        script = f"echo $$ >{shlex.quote(self.path('pid'))}; exec {quoted}"
        return [os.fsencode(word) for word in self.host.line(script, terminal=terminal)]

    def pass_on(self, number: int) -> None:
        """A signal for the command."""
        name = signal.Signals(number).name.removeprefix("SIG")
        self.host.tell(f"kill -{name} $(cat {shlex.quote(self.path('pid'))})")

    def fetch(self, fd: int, status: int) -> None:
        """Writes the recording to a descriptor. ``status``: what ssh exited with. Raises MonitorError if the
        connection broke; then everything stays over there, and the message says where."""
        try:
            ends = self.host.ask(f"kill -0 $(cat {shlex.quote(self.path('pid'))}) 2>/dev/null && echo {MARK} || :")
            if status == LOST and MARK in ends:
                raise RemoteError(f"the connection to {self.host.name} broke while the command ran")
            self.host.ask(f"cat {shlex.quote(self.path('recording'))}", stdout=fd)
        except RemoteError as error:
            self.stays = True
            where = f"{self.host.name}:{self.path('recording')}"
            raise MonitorError(f"{error}; the recording is at {where}, and nobody removes it") from None

    def close(self) -> None:
        """Removes what was brought there, and ends the connection."""
        if self.folder is not None and not self.stays:
            with contextlib.suppress(RemoteError):
                self.host.ask(f"rm -rf {shlex.quote(self.folder)}")
        self.host.close()

    def __enter__(self) -> Errand:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
