"""Which of the moments of a profile is meant."""

from __future__ import annotations

from hiwater.errors import MisuseError
from hiwater.heap.model import HeapProfile, Snapshot
from hiwater.recording.model import Recording
from hiwater.units import format_seconds


def heap_of(recording: Recording, pid: int | None = None) -> HeapProfile:
    """That of a process; without ``pid`` of the image that peaked."""
    first = recording.heap
    if first is None:
        raise MisuseError("the recording holds no heap profile: hiwater heap -o FILE -- COMMAND makes one that does")
    if pid is None or first.pid == pid:
        return first
    found = recording.heap_profiles
    # A process may have executed several programs: the one that held the most.
    own = [profile for profile in found if profile.pid == pid]
    if own:
        return max(own, key=lambda profile: profile.peak.in_use_bytes if profile.peak is not None else -1)
    pids = ", ".join(str(profile.pid) for profile in found)
    raise MisuseError(f"there is no heap profile of process {pid}; there are those of {pids}")


def moments(profile: HeapProfile) -> tuple[Snapshot, ...]:
    """All that there are, in the order of time: growth, the peak, exit. Those whose time is unknown stand behind."""
    found = [*profile.growth, profile.peak, profile.exit]
    known = [one for one in found if one is not None]
    return tuple(sorted(known, key=lambda one: (one.at_seconds is None, one.at_seconds or 0.0)))


def moment(profile: HeapProfile, at: str) -> Snapshot:
    """``peak``, ``exit``, or a time in seconds: the last snapshot until then. What is not there is refused."""
    if at == "peak" and profile.peak is not None:
        return profile.peak
    if at == "exit" and profile.exit is not None:
        return profile.exit
    if at in ("peak", "exit"):
        raise MisuseError(f"the profile does not hold what lived at the {at}; {_there(profile)}")
    try:
        seconds = float(at.strip().removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise MisuseError(f"{at!r} is no moment: write peak, exit, or a number of seconds")
    before = [one for one in moments(profile) if one.at_seconds is not None and one.at_seconds <= seconds + 5e-4]
    if not before:
        raise MisuseError(f"there is no snapshot at or before {format_seconds(seconds)}; {_there(profile)}")
    return before[-1]


def _there(profile: HeapProfile) -> str:
    named = [name for name, one in (("peak", profile.peak), ("exit", profile.exit)) if one is not None]
    times = [one.at_seconds for one in moments(profile) if one.at_seconds is not None]
    if times:
        named.append(f"times from {format_seconds(min(times))} to {format_seconds(max(times))}")
    return f"there are: {', '.join(named)}" if named else "it is empty"
