"""Executes what a benchmark asks for. The runner takes any object of this form, so that it is tested without noise."""

from __future__ import annotations

import subprocess
from typing import Protocol

import hiwater
from hiwater.bench.model import Command, Execution
from hiwater.errors import PreparationError


class Executor(Protocol):
    """Who executes."""

    def measure(self, command: Command) -> Execution:
        """One execution of the command, measured."""

    def step(self, what: str, line: str) -> None:
        """A set-up, preparation or cleaning: executed by a shell, not measured. Raises PreparationError."""


class MonitoredExecutor:
    """Executes under hiwater's monitor, with an empty stdin, and discards what the command prints unless asked."""

    def __init__(self, *, show_output: bool = False, shell: str | None = None) -> None:
        self._stream = None if show_output else subprocess.DEVNULL
        self._shell = shell

    def measure(self, command: Command) -> Execution:
        """One execution of the command, measured."""
        recording = hiwater.run(command.arguments, stdin=subprocess.DEVNULL, stdout=self._stream, stderr=self._stream)
        return Execution(
            peak_rss_bytes=recording.peak_rss.bytes,
            tree_peak_bytes=recording.tree_peak.bytes,
            wall_seconds=recording.wall_seconds,
            user_seconds=recording.user_seconds,
            system_seconds=recording.system_seconds,
            exit_code=recording.exit_code,
            term_signal=recording.term_signal,
            ended_by=recording.ended_by,
        )

    def step(self, what: str, line: str) -> None:
        """By the shell of --shell, or sh: none of it is measured, so a shell does no harm."""
        from hiwater.bench.plan import words

        done = subprocess.run(
            words(line, self._shell or "/bin/sh"),
            stdin=subprocess.DEVNULL,
            stdout=self._stream,
            stderr=self._stream,
            check=False,
        )
        if done.returncode != 0:
            raise PreparationError(
                f"--{what} {line!r} failed with {done.returncode}; append '|| true' to it if that does not matter, "
                "--show-output shows what it says"
            )
