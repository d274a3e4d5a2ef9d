"""Follows a process that runs already: ``hiwater.attach``. Nothing is changed in it; see docs/attach.md."""

from __future__ import annotations

import subprocess
from os import PathLike

from hiwater.binaries import find_monitor
from hiwater.errors import HiwaterError
from hiwater.launch import attach_arguments
from hiwater.recording.model import Recording
from hiwater.session import Session, nanoseconds


def attach(
    pid: int,
    *,
    duration: float | None = None,
    period: float | None = None,
    linger: float | None = None,
    output: str | PathLike[str] | None = None,
    force: bool = False,
) -> Recording:
    """Follows the process ``pid`` and its descendants until it ends, or for ``duration`` seconds, by looking only.

    Of the time before, only the high-water marks of the programs that still ran are known. ``exit_code`` is ``None``,
    ``ended_by`` is ``"gone"`` if the process ended and ``"detached"`` if it goes on. ``period``, ``linger``, ``output``
    and ``force`` are as for :func:`run`. Raises :class:`AttachError` where there is nothing to attach to.

    An exception that comes in between (Ctrl-C) ends the recording, keeps it if ``output`` is given, and is raised.
    """
    monitor = find_monitor()

    def arguments(fd: int) -> list[bytes]:
        return attach_arguments(
            monitor,
            fd,
            pid,
            period_ns=nanoseconds("period", period),
            # No time at all is asked for: one look. To the monitor 0 would mean "no limit".
            duration_ns=None if duration is None else max(1, nanoseconds("duration", duration) or 0),
            linger_ns=nanoseconds("linger", linger),
        )

    with Session(arguments, (), output, force=force) as session:
        with subprocess.Popen(session.arguments, pass_fds=(session.fd,), stdin=subprocess.DEVNULL) as process:
            try:
                process.wait()
            except BaseException:
                process.terminate()  # which ends the recording, not the process
                process.wait()
                if output is not None:
                    _keep(session, process.returncode)
                raise
        return session.recording(process.returncode)


def _keep(session: Session, status: int) -> None:
    """Where that fails, the exception on its way says more."""
    try:
        session.recording(status)
    except HiwaterError:
        return
