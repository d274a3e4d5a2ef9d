"""What the launcher's own ``wait4`` would have said of the command."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.analysis.reading import Reading
from hiwater.recording.model import Recording


@dataclass(frozen=True, slots=True)
class Inherited:
    """ru_maxrss of a command starts from its launcher's: the present RSS after fork, the all-time peak after vfork or
    posix_spawn, which is what shells, test runners and Python's subprocess use."""

    launcher_pid: int | None
    launcher_name: str | None
    launcher_peak_bytes: int | None
    wait4_would_say_bytes: int | None
    """After vfork or posix_spawn from that launcher."""
    misleads: bool
    """Whether that is more than the command can have needed."""


def inherited(recording: Recording, peak: Reading) -> Inherited:
    """The floor is the launcher's high-water mark at the moment of the start."""
    launcher = recording.facts.launcher
    floor = launcher.hwm_bytes
    says = None if floor is None or peak.bytes is None else max(floor, peak.bytes)
    misleads = floor is not None and peak.high is not None and floor > peak.high
    return Inherited(launcher.pid, launcher.name, floor, says, misleads)
