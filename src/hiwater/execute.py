"""Executes a command under the monitor and returns what was observed: ``hiwater.run`` and ``hiwater.run_async``.

Thread-safe: no signal handler, working directory or environment of this process is touched. Python starts the monitor
and the monitor forks the command, so nothing of Python's size is inherited by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import locale
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from types import TracebackType
from typing import IO, Any

from hiwater.binaries import find_monitor
from hiwater.errors import CommandFailedError, MisuseError
from hiwater.launch import Mode, monitor_arguments
from hiwater.limits import Enclosure, LimitMethod, limit_method
from hiwater.recording.model import Recording
from hiwater.session import Session, nanoseconds
from hiwater.units import parse_size

PATIENCE_SECONDS = 1.0
"""How long an abandoned command may take to end by itself before it is killed."""

Stream = int | IO[Any] | None


def run(
    command: Sequence[str | bytes],
    *,
    mode: Mode | str = Mode.QUIET,
    exact: bool = False,
    timeout: float | None = None,
    period: float | None = None,
    linger: float | None = None,
    output: str | PathLike[str] | None = None,
    force: bool = False,
    check: bool = False,
    stdin: Stream = None,
    input: str | bytes | None = None,
    stdout: Stream = None,
    stderr: Stream = None,
    capture_output: bool = False,
    text: bool = False,
    encoding: str | None = None,
    errors: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | PathLike[str] | None = None,
    limit: int | str | None = None,
    limit_swap: int | str | None = 0,
    limit_method: LimitMethod | str = LimitMethod.AUTO,
    cgroup: bool = False,
) -> Recording:
    """Executes ``command`` and returns its recording.

    ``stdin``, ``input``, ``stdout``, ``stderr``, ``capture_output``, ``text``, ``encoding``, ``errors``, ``env`` and
    ``cwd`` are as for :func:`subprocess.run`. Captured output is in ``recording.stdout`` and ``.stderr``.

    ``exact``: follow every change of memory as an event, for exact peaks and an exact timeline. That takes root or
    CAP_PERFMON; where it is refused, a warning ``exact-refused`` says why and ``mode`` is what is left.
    ``timeout``: seconds after which the whole tree is ended; the recording is returned all the same, and its
    ``ended_by`` is ``"timeout"``. ``check``: raise :class:`CommandFailedError` unless the command exits with 0.
    ``period`` (seconds between two looks), ``linger`` (seconds to wait for descendants that outlive the command).
    ``output``: also keep the recording in this file; an existing one is refused unless ``force``.

    ``limit``: bytes, or a size such as ``"512MiB"``, that the whole tree has to do with; ``limit_swap`` beside it (0;
    None: as much as there is). ``recording.limit_verdict`` says how that went. ``limit_method``: see
    :class:`LimitMethod`. Raises :class:`LimitUnavailableError` where no limit can be had. ``cgroup``: measure in a
    cgroup of the command's own, without a limit.
    """
    enclosure = _Enclosing(limit, limit_swap, limit_method, cgroup)
    session = _Session(command, mode, exact, timeout, period, linger, output, force, enclosure)
    pipes = _pipes(input, stdin, stdout, stderr, capture_output)
    with session:
        process = subprocess.Popen(
            session.arguments,
            pass_fds=(session.fd,),
            env=env,
            cwd=cwd,
            stdin=pipes[0],
            stdout=pipes[1],
            stderr=pipes[2],
        )
        with process:
            try:
                out, err = process.communicate(_encoded(input, encoding, errors))
            except BaseException:
                _abandon(process)
                raise
        recording = session.recording(process.returncode)
    return _finished(recording, out, err, text or bool(encoding or errors), encoding, errors, check)


async def run_async(
    command: Sequence[str | bytes],
    *,
    mode: Mode | str = Mode.QUIET,
    exact: bool = False,
    timeout: float | None = None,
    period: float | None = None,
    linger: float | None = None,
    output: str | PathLike[str] | None = None,
    force: bool = False,
    check: bool = False,
    stdin: Stream = None,
    input: str | bytes | None = None,
    stdout: Stream = None,
    stderr: Stream = None,
    capture_output: bool = False,
    text: bool = False,
    encoding: str | None = None,
    errors: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | PathLike[str] | None = None,
    limit: int | str | None = None,
    limit_swap: int | str | None = 0,
    limit_method: LimitMethod | str = LimitMethod.AUTO,
    cgroup: bool = False,
) -> Recording:
    """:func:`run` for asyncio; a task that is cancelled ends the command."""
    enclosure = _Enclosing(limit, limit_swap, limit_method, cgroup)
    session = _Session(command, mode, exact, timeout, period, linger, output, force, enclosure)
    pipes = _pipes(input, stdin, stdout, stderr, capture_output)
    with session:
        process = await asyncio.create_subprocess_exec(
            *session.arguments,
            pass_fds=(session.fd,),
            env=env,
            cwd=cwd,
            stdin=pipes[0],
            stdout=pipes[1],
            stderr=pipes[2],
        )
        try:
            out, err = await process.communicate(_encoded(input, encoding, errors))
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()  # the monitor passes it on
            try:
                await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
            except asyncio.TimeoutError:
                await asyncio.to_thread(_kill_tree, process.pid)
                await process.wait()
            raise
        recording = session.recording(process.returncode or 0)
    return _finished(recording, out, err, text or bool(encoding or errors), encoding, errors, check)


class _Enclosing:
    """The limit that was asked for, checked before anything is made."""

    def __init__(
        self, limit: int | str | None, swap: int | str | None, method: LimitMethod | str, cgroup: bool
    ) -> None:
        self._limit = parse_size(limit) if isinstance(limit, str) else limit
        self._swap = parse_size(swap) if isinstance(swap, str) else swap
        self._method = limit_method(method)
        self._cgroup = cgroup

    def make(self) -> Enclosure:
        return Enclosure.make(limit=self._limit, swap=self._swap, method=self._method, cgroup=self._cgroup)


class _Session(Session):
    """With the limit that the command is put under."""

    def __init__(
        self,
        command: Sequence[str | bytes],
        mode: Mode | str,
        exact: bool,
        timeout: float | None,
        period: float | None,
        linger: float | None,
        output: str | PathLike[str] | None,
        force: bool,
        enclosing: _Enclosing,
    ) -> None:
        monitor = find_monitor()
        self.enclosure = Enclosure([], None)

        def arguments(fd: int) -> list[bytes]:
            return monitor_arguments(
                monitor,
                fd,
                command,
                mode=_mode(mode),
                exact=exact,
                period_ns=nanoseconds("period", period),
                timeout_ns=_timeout(timeout),
                linger_ns=nanoseconds("linger", linger),
                enclosure=self.enclosure.arguments,
            )

        arguments(0)  # misuse is told before a cgroup is made
        self.enclosure = enclosing.make()
        try:
            super().__init__(arguments, command, output, force=force)
        except BaseException:
            self.enclosure.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.enclosure.close()
        super().__exit__(kind, error, trace)


def _mode(mode: Mode | str) -> Mode:
    try:
        return Mode(mode)
    except ValueError:
        raise MisuseError(f"mode is {' or '.join(mode.value for mode in Mode)}, not {mode!r}") from None


def _timeout(seconds: float | None) -> int | None:
    ns = nanoseconds("timeout", seconds)
    # A time-out of 0 means "at once", as for subprocess; to the monitor 0 would mean "none".
    return None if ns is None else max(1, ns)


def _pipes(
    given: str | bytes | None, stdin: Stream, stdout: Stream, stderr: Stream, capture: bool
) -> tuple[Stream, Stream, Stream]:
    if given is not None and stdin is not None:
        raise MisuseError("stdin and input exclude each other")
    if capture and (stdout is not None or stderr is not None):
        raise MisuseError("capture_output excludes stdout and stderr")
    pipe = subprocess.PIPE
    return (pipe if given is not None else stdin), (pipe if capture else stdout), (pipe if capture else stderr)


def _encoded(given: str | bytes | None, encoding: str | None, errors: str | None) -> bytes | None:
    if not isinstance(given, str):
        return given
    return given.encode(encoding or locale.getpreferredencoding(False), errors or "strict")


def _decoded(raw: bytes | None, encoding: str | None, errors: str | None) -> str | None:
    if raw is None:
        return None
    return (
        raw.decode(encoding or locale.getpreferredencoding(False), errors or "strict")
        .replace("\r\n", "\n")
        .replace("\r", "\n")
    )


def _finished(
    recording: Recording,
    out: bytes | None,
    err: bytes | None,
    text: bool,
    encoding: str | None,
    errors: str | None,
    check: bool,
) -> Recording:
    if text:
        recording = replace(recording, stdout=_decoded(out, encoding, errors), stderr=_decoded(err, encoding, errors))
    else:
        recording = replace(recording, stdout=out, stderr=err)
    if check and (recording.exit_code != 0 or recording.ended_by != "exit"):
        if recording.ended_by == "timeout":
            how = "ran into its time-out"
        elif recording.term_signal is not None:
            how = f"was ended by signal {recording.term_signal}"
        else:
            how = f"exited with {recording.exit_code}"
        raise CommandFailedError(f"{recording.command[0] if recording.command else 'the command'} {how}", recording)
    return recording


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """The caller no longer waits (Ctrl-C, an error in between): ends the command, by force if need be."""
    process.terminate()  # the monitor passes it on
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        _kill_tree(process.pid)
        process.wait()


def _kill_tree(monitor: int) -> None:
    """Kills the descendants of the monitor, which then has nothing left to wait for and ends; itself if that fails."""
    for _ in range(100):  # what is killed leaves its children to the monitor: they are found in the next round
        pids = _children(monitor)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(monitor, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """None where the kernel was built without this file (CONFIG_PROC_CHILDREN)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]
    return []
