"""Executes a command under limits, by way of the library."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

import hiwater
from hiwater.analysis.limit import refaulted_bytes
from hiwater.errors import MisuseError, PreparationError
from hiwater.fit.model import TOO_SLOW, Trial
from hiwater.recording.model import Recording

_PATIENCE = 30.0
"""An execution that takes so many times as long as without a limit has failed: it is fetching pages for ever."""
_LEAST_PATIENCE_SECONDS = 20.0


class LimitedExecutor:
    """One command, with what belongs to it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        swap: int | None = 0,
        success: str | None = None,
        prepare: str | None = None,
        timeout: float | None = None,
        show_output: bool = False,
    ) -> None:
        """``success``: a shell command whose exit status decides, instead of the command's own. ``prepare``: one that
        is executed before each. ``timeout``: seconds; ``None``: 30 times as long as without a limit, at least 20."""
        if not command:
            raise MisuseError("there is no command to execute")
        self._command = list(command)
        self._swap = swap
        self._success = success
        self._prepare = prepare
        self._timeout = timeout
        self._stream = None if show_output else subprocess.DEVNULL

    def memory(self) -> int:
        """Of the machine."""
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def execute(self, limit: int | None, typical_seconds: float | None) -> Trial:
        """One execution, with what comes before and behind it."""
        if self._prepare is not None and self._shell(self._prepare) != 0:
            raise PreparationError(f"--prepare {self._prepare!r} failed; --show-output shows what it says")
        timeout = self._timeout
        if timeout is None and typical_seconds is not None:
            timeout = max(_LEAST_PATIENCE_SECONDS, _PATIENCE * typical_seconds)
        recording = hiwater.run(
            self._command,
            limit=limit,
            limit_swap=self._swap,
            cgroup=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            stdout=self._stream,
            stderr=self._stream,
        )
        return _trial(recording, limit, self._succeeded(recording, limit))

    def _succeeded(self, recording: Recording, limit: int | None) -> bool:
        if recording.ended_by == "timeout":
            return False
        if self._success is not None:
            status = recording.exit_code if recording.exit_code is not None else 128 + (recording.term_signal or 0)
            told = {"HIWATER_EXIT_STATUS": str(status), "HIWATER_LIMIT_BYTES": "" if limit is None else str(limit)}
            return self._shell(self._success, told) == 0
        # A command that goes on without a child that was killed for want of memory has not had enough.
        killed = recording.cgroup is not None and bool(recording.cgroup.oom_kills)
        return recording.exit_code == 0 and not killed

    def _shell(self, line: str, more: dict[str, str] | None = None) -> int:
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=self._stream,
            stderr=self._stream,
            env={**os.environ, **(more or {})},
            check=False,
        )
        return done.returncode


def _trial(recording: Recording, limit: int | None, success: bool) -> Trial:
    group = recording.cgroup
    split = group.maximum if group is not None else None
    return Trial(
        limit_bytes=limit,
        success=success,
        wall_seconds=recording.wall_seconds,
        how=_how(recording),
        peak_bytes=group.peak_bytes if group is not None else None,
        peak_rss_bytes=recording.peak_rss.bytes,
        tree_peak_bytes=recording.tree_peak.bytes,
        anon_bytes=split.anon_bytes if split is not None else None,
        file_bytes=split.file_bytes if split is not None else None,
        shmem_bytes=split.shmem_bytes if split is not None else None,
        kernel_bytes=split.kernel_bytes if split is not None else None,
        major_faults=group.major_faults if group is not None else None,
        refaulted_bytes=refaulted_bytes(recording),
        limit_hits=group.limit_hits if group is not None else None,
    )


def _how(recording: Recording) -> str:
    """In a word or two."""
    if recording.ended_by == "timeout":
        return TOO_SLOW
    if recording.cgroup is not None and recording.cgroup.oom_kills:
        return "out of memory"
    if recording.exit_code is not None:
        return f"exit {recording.exit_code}"
    return f"signal {recording.term_signal}"
