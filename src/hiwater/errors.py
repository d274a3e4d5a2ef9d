"""What the library raises. Only the command line prints these and turns them into exit codes.

Each message says what was done or what the machine lacks, and ends with what mends it where something does.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.recording.model import Recording


class HiwaterError(Exception):
    """The base of everything that hiwater raises on purpose."""


class MisuseError(HiwaterError, ValueError):
    """The call itself is wrong: an empty command, a size without a unit, options that exclude each other."""


class BinaryNotFoundError(HiwaterError):
    """One of hiwater's own C programs is not where it belongs."""


class MissingExtraError(HiwaterError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} take {package}, which is not installed: pip install 'hiwater[{extra}]'")
        self.extra = extra


class PreparationError(HiwaterError):
    """What was to be executed before or after a measurement, to prepare or to clean up, was unsuccessful."""


class OutputExistsError(HiwaterError, FileExistsError):
    """A file to be written is there already."""


class OutputError(HiwaterError, OSError):
    """A file cannot be written."""


class RecordingError(HiwaterError):
    """A file cannot be used as a recording; ``path`` names it where it is known."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path


class NotARecordingError(RecordingError):
    """The file is no recording at all, or its header is damaged."""


class NewerRecordingError(RecordingError):
    """The file was written by a newer hiwater, in a version that this one does not know."""


class CommandNotFoundError(HiwaterError, FileNotFoundError):
    """There is no such command."""


class CommandNotExecutableError(HiwaterError, PermissionError):
    """The command is there but cannot be executed."""


class CommandFailedError(HiwaterError):
    """The command was unsuccessful and ``check=True`` asked to hear of it. ``recording`` holds what was measured."""

    def __init__(self, message: str, recording: Recording) -> None:
        super().__init__(message)
        self.recording = recording


class LimitError(HiwaterError):
    """A limit of memory cannot be put into force."""


class LimitUnavailableError(LimitError):
    """No cgroup can be made here; the message ends with what makes one possible. ``version`` is that of the cgroup
    interface, if there is one."""

    def __init__(self, message: str, version: int | None = None) -> None:
        super().__init__(message)
        self.version = version


class RemoteError(HiwaterError):
    """Another machine cannot be reached, or does not do what is needed there."""


class AttachError(HiwaterError):
    """The process cannot be attached to: there is none, it has ended, or it is hidden from this user."""


class FaultsRefusedError(HiwaterError):
    """Page faults cannot be sampled here; the command was not executed."""


class MonitorError(HiwaterError):
    """The monitor failed or was killed; ``recording`` holds what it had written, if that much can be read."""

    def __init__(self, message: str, recording: Recording | None = None) -> None:
        super().__init__(message)
        self.recording = recording
