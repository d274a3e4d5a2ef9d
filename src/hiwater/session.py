"""What lies between the start of a monitor and its recording: the file that it writes to."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from os import PathLike
from types import TracebackType

from hiwater.errors import MisuseError, MonitorError
from hiwater.launch import MAX_NS, judge
from hiwater.output import OutputFile, fill, read_all, scratch
from hiwater.recording.model import Recording


def nanoseconds(name: str, seconds: float | None) -> int | None:
    """A time that a caller gave; ``None`` stays it."""
    if seconds is None:
        return None
    if not 0 <= seconds <= MAX_NS / 1e9:
        raise MisuseError(f"{name} is a number of seconds, not {seconds!r}")
    return int(seconds * 1e9)


class Session:
    """The file that the monitor writes to, from before the start until the recording is read back.

    ``arguments`` makes the monitor's command line, given the descriptor that it is to write to. ``command``: empty
    where it attaches.
    """

    def __init__(
        self,
        arguments: Callable[[int], list[bytes]],
        command: Sequence[str | bytes],
        output: str | PathLike[str] | None,
        *,
        force: bool,
    ) -> None:
        self.command = command
        arguments(0)  # misuse is told before a file is made
        self.file = OutputFile(output, force=force) if output is not None else None
        self.fd = self.file.fd if self.file is not None and not self.file.direct else scratch()
        self.arguments = arguments(self.fd)
        self.kept = False

    def __enter__(self) -> Session:
        return self

    def recording(self, status: int) -> Recording:
        """Reads it back; the file comes to its name as soon as the command was executed, whatever else went wrong."""
        data = read_all(self.fd)
        try:
            recording = judge(data, status, self.command)
        except MonitorError as error:
            if error.recording is not None:
                self._keep(data)
            raise
        self._keep(data)
        return recording

    def _keep(self, data: bytes) -> None:
        self.kept = True
        if self.file is None:
            os.close(self.fd)
        elif self.file.direct:
            os.close(self.fd)
            fill(self.file, data)
        else:
            self.file.finish()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.kept:
            return
        if self.file is not None:
            self.file.discard()
        if self.file is None or self.file.direct:
            os.close(self.fd)
