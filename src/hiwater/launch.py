"""How the monitor is called, and what to make of what it left: shared by the library and the command line.

Imported before the command starts, so it imports next to nothing itself: no dataclasses, no typing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from enum import Enum

from hiwater.errors import (
    AttachError,
    CommandNotExecutableError,
    CommandNotFoundError,
    FaultsRefusedError,
    MisuseError,
    MonitorError,
    NotARecordingError,
)

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.recording.model import Recording

MAX_NS = (1 << 63) - 1
MIN_PERIOD_NS = 100_000


class Mode(str, Enum):
    """How closely the command is watched."""

    QUIET = "quiet"
    """By looking from outside, without touching it."""
    TRACE = "trace"
    """With ptrace events of fork, exec and exit: nothing is missed. Where that is not allowed, QUIET takes over."""

    def __str__(self) -> str:
        return self.value


def monitor_arguments(
    monitor: str,
    output: int | str,
    command: Sequence[str | bytes],
    *,
    mode: Mode = Mode.QUIET,
    exact: bool = False,
    period_ns: int | None = None,
    timeout_ns: int | None = None,
    linger_ns: int | None = None,
    launcher_pid: int | None = None,
    signal_mask: Iterable[int] | None = None,
    enclosure: Sequence[bytes] = (),
    faults_bytes: int | None = None,
) -> list[bytes]:
    """The command line of the monitor; ``None`` leaves an option to its default.

    ``output``: the descriptor or the file that it writes to.
    ``exact``: follow every change as an event where the user may; where not, ``mode`` is what is left.
    ``period_ns``: how often to look; stretched where that would cost more than 2 % of a core. ``timeout_ns``: after it
    the whole tree is ended. ``linger_ns``: how long descendants that outlive the command are waited for.
    ``launcher_pid``: the process that the command would inherit from (default: the monitor's parent). ``signal_mask``:
    signals that are blocked when the command starts (default: those that are blocked when the monitor starts).
    ``enclosure``: options that put the command under a limit (:class:`hiwater.limits.Enclosure`). ``faults_bytes``:
    sample a page fault with its calls each so many bytes of them; excludes ``exact`` and ``Mode.TRACE``.
    """
    arguments = [os.fsencode(monitor), *_output(output), b"--mode", mode.value.encode()]
    if exact:
        arguments.append(b"--exact")
    if faults_bytes is not None:
        arguments += [b"--faults", b"%d" % faults_bytes]
    arguments += _times((("period", period_ns), ("timeout", timeout_ns), ("linger", linger_ns)))
    if launcher_pid is not None:
        arguments += [b"--launcher", b"%d" % launcher_pid]
    if signal_mask is not None:
        arguments += [b"--sigmask", b"%x" % sum(1 << (number - 1) for number in signal_mask)]
    return [*arguments, *enclosure, b"--", *check_command(command)]


def _output(output: int | str) -> list[bytes]:
    if isinstance(output, int):
        return [b"--output-fd", b"%d" % output]
    return [b"--output", os.fsencode(output)]


def attach_arguments(
    monitor: str,
    output_fd: int,
    pid: int,
    *,
    period_ns: int | None = None,
    duration_ns: int | None = None,
    linger_ns: int | None = None,
    leave_out_pid: int | None = None,
) -> list[bytes]:
    """The command line of a monitor that attaches to a process; ``None`` leaves an option to its default.

    ``duration_ns``: after it the recording ends (default: with the process). ``leave_out_pid``: a process of our own
    that is not to be counted where it descends from ``pid``; its children are not either. The others are as for
    :func:`monitor_arguments`.
    """
    if not 0 < pid < 1 << 31:
        raise MisuseError(f"{pid} is not the number of a process")
    times = (("period", period_ns), ("duration", duration_ns), ("linger", linger_ns))
    arguments = [os.fsencode(monitor), b"--output-fd", b"%d" % output_fd, *_times(times)]
    if leave_out_pid is not None:
        arguments += [b"--leave-out", b"%d" % leave_out_pid]
    return [*arguments, b"--attach", b"%d" % pid]


def _times(times: Iterable[tuple[str, int | None]]) -> list[bytes]:
    words = []
    for name, value in times:
        if value is not None:
            if not 0 <= value <= MAX_NS:
                raise MisuseError(f"{name} is out of range")
            if name == "period" and value < MIN_PERIOD_NS:
                raise MisuseError("the period between two looks is at least 100us")
            words += [f"--{name}-ns".encode(), b"%d" % value]
    return words


def check_command(command: Sequence[str | bytes]) -> list[bytes]:
    """The arguments as the kernel takes them."""
    if isinstance(command, (str, bytes)):
        raise MisuseError('the command is a sequence of arguments, not one string: ["sh", "-c", "..."] runs a shell')
    arguments = [os.fsencode(argument) for argument in command]
    if not arguments or not arguments[0]:
        raise MisuseError("there is no command to execute")
    if any(b"\0" in argument for argument in arguments):
        raise MisuseError("an argument holds a NUL byte, which no command can be given")
    return arguments


def judge(data: bytes, monitor_status: int, command: Sequence[str | bytes] = ()) -> Recording:
    """The recording that the monitor left, or the reason why there is none.

    ``monitor_status``: its exit status, negative if a signal killed it. ``command``: empty if it was to attach.
    """
    from hiwater.recording.reader import parse
    from hiwater.recording.wire import EndedByCode

    try:
        recording = parse(data)
    except NotARecordingError:
        recording = None
    if monitor_status < 0:
        lives = ""
        if command and recording is not None and recording.observed_processes:
            pid = recording.observed_processes[0].pid
            lives = f"; the command may still run unmeasured, as pid {pid}" if recording.end is None else ""
        raise MonitorError(f"hiwater's monitor was killed by signal {-monitor_status}{lives}", recording)
    if recording is None:
        raise MonitorError(
            f"hiwater's monitor (exit status {monitor_status}) could record nothing: is there space where it writes?"
        )
    if recording.end is not None and recording.end.ended_by is EndedByCode.NOT_STARTED:
        if not command:
            raise AttachError(" ".join(warning.message for warning in recording.told_warnings))
        refused = [warning.message for warning in recording.told_warnings if warning.code == "faults-refused"]
        if refused:
            raise FaultsRefusedError(f"page faults cannot be sampled, so the command was not executed: {refused[0]}")
        name = os.fsdecode(command[0])
        number = recording.end.exec_errno
        if number < 0:
            raise MonitorError(f"the command could not be put under its limit: {os.strerror(-number)}", recording)
        if monitor_status == 127:
            raise CommandNotFoundError(number, "command not found", name)
        raise CommandNotExecutableError(number, f"cannot be executed: {os.strerror(number)}", name)
    if recording.end is None and recording.cut is not None and recording.cut.errno is None:
        raise MonitorError(f"hiwater's monitor failed (exit status {monitor_status})", recording)
    return recording
