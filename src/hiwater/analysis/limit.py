"""What became of a command under a limit, by the evidence of the counters. Pure: from a recording alone.

An exit status of 137 proves nothing: a shell gives it for any SIGKILL. What proves an out-of-memory kill is the count
in the victim's own group (mm/oom_kill.c __oom_kill_process()); which limit it was for, that group's own ``oom`` events
(v2) or that its limit was met (v1).
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum

from hiwater.recording.cgroup import Cgroup
from hiwater.recording.model import Recording
from hiwater.recording.wire import EndedByCode
from hiwater.units import format_size

HEAVY_STALL = 0.05
"""Share of the time that some process waited for memory (PSI) from which on it was squeezed heavily."""
HEAVY_REFAULT = 0.10
"""Share of the limit that had to be read again after it was dropped or swapped out, likewise."""
HEAVY_SWAP = 0.05
"""Share of the limit that was swapped out at once, likewise."""
NEAR = 0.90
"""Of a resource limit: where this much was in use, a request that was refused is the likely cause of a failure."""
_ADVANCE = 2 << 20
_FAULTS = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP}


class Verdict(str, Enum):
    """How it went."""

    FINISHED = "finished"
    RECLAIMED = "reclaimed"
    """Finished, but much was dropped or swapped out and had to be brought back."""
    OOM_IN_GROUP = "oom_in_group"
    """The kernel killed for want of memory, because this limit was met."""
    OOM_ABOVE = "oom_above"
    """The same, but for the limit of a group further up."""
    OOM_SYSTEM = "oom_system"
    """The same, because the machine had none left."""
    KILLED = "killed"
    """A signal from somebody else."""
    GAVE_UP = "gave_up"
    """It failed, probably because it was refused memory."""
    FAILED = "failed"
    """It failed by itself; no counter says that the limit was the reason."""
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Limit:
    """What was in force."""

    bytes: int
    swap_bytes: int | None
    """Beside it; ``None``: unlimited, or not of its concern."""
    method: str
    """cgroup, rlimit (RLIMIT_AS of each process) or rlimit-data (RLIMIT_DATA)."""


@dataclass(frozen=True, slots=True)
class LimitVerdict:
    """What became of the command, and by which evidence."""

    verdict: Verdict
    reason: str
    """A sentence with the figures."""

    @property
    def fits(self) -> bool | None:
        """Whether the limit let it finish; ``None``: that was not what decided."""
        if self.verdict in (Verdict.FINISHED, Verdict.RECLAIMED):
            return True
        return False if self.verdict in (Verdict.OOM_IN_GROUP, Verdict.GAVE_UP) else None


def limit_of(recording: Recording) -> Limit | None:
    """The limit that the command ran under, as the kernel told it."""
    group = recording.cgroup
    if group is not None:
        if group.limit_bytes is None:
            return None
        return Limit(group.limit_bytes, group.swap_limit_bytes, "cgroup")
    for key, method in (("rlimit_as_bytes", "rlimit"), ("rlimit_data_bytes", "rlimit-data")):
        value = recording.facts.raw.get(key, "")
        if value.isascii() and value.isdigit():
            return Limit(int(value), None, method)
    return None


def judge_limit(recording: Recording) -> LimitVerdict | None:
    """``None`` without a limit, unless an OOM killer was there all the same."""
    limit, group, end = limit_of(recording), recording.cgroup, recording.end
    if limit is None and not (group is not None and group.oom_kills):
        return None
    if end is None or end.status is None or end.ended_by is EndedByCode.NOT_STARTED:
        return LimitVerdict(Verdict.UNKNOWN, "the recording was cut, or nothing was executed")
    if end.ended_by is EndedByCode.TIMEOUT:
        return LimitVerdict(
            Verdict.TIMEOUT, f"its time-out ended it; {_met(group)}" if group else "its time-out ended it"
        )
    if group is None:
        assert limit is not None
        return _resource_limit(recording, limit, end.status)
    return _group(recording, group, end.status)


def _group(recording: Recording, group: Cgroup, status: int) -> LimitVerdict:
    ended = _ending(status)
    if group.oom_kills:
        return _oom(group, ended)
    number = status & 0x7F
    if number and number not in _FAULTS:
        if group.oom_kills is None:
            return LimitVerdict(Verdict.UNKNOWN, f"{ended}; this kernel does not count out-of-memory kills by group")
        return LimitVerdict(Verdict.KILLED, f"{ended}, which somebody else sent: no OOM killer has killed in its group")
    if status == 0:
        return _finished(recording, group)
    proof = (
        "" if (status >> 8) & 0xFF != 128 + signal.SIGKILL else ", which is no proof of an OOM kill: none is counted"
    )
    return LimitVerdict(Verdict.FAILED, f"{ended}{proof}; {_met(group)}")


def _oom(group: Cgroup, ended: str) -> LimitVerdict:
    count = group.oom_kills or 0
    killed = f"the kernel's OOM killer ended {count} process{'es' if count != 1 else ''}"
    own = group.is_at_limit if group.oom_events is None else group.oom_events > 0
    if own and group.limit_bytes is not None:
        return LimitVerdict(
            Verdict.OOM_IN_GROUP,
            f"{killed} of this group, at its limit of {format_size(group.limit_bytes)}; the command: {ended}",
        )
    if group.limit_bytes is None:
        not_ours = "this group has no limit of its own"
    else:
        not_ours = f"it had {format_size(group.peak_bytes)} of its {format_size(group.limit_bytes)}"
    if group.outer_hits:
        return LimitVerdict(
            Verdict.OOM_ABOVE, f"{killed} for the limit of a group further up: {not_ours}; the command: {ended}"
        )
    return LimitVerdict(
        Verdict.OOM_SYSTEM, f"{killed} because the machine was out of memory: {not_ours}; the command: {ended}"
    )


def _finished(recording: Recording, group: Cgroup) -> LimitVerdict:
    limit = group.limit_bytes or 1
    # A page that another group had to give up counts as well when it is read here: of a limit that was never met it
    # tells nothing (mm/workingset.c workingset_refault()).
    again = refaulted_bytes(recording) if group.limit_hits or group.is_at_limit else None
    swapped = _swapped(group, recording.facts.swap_total_bytes)
    wall = recording.end.command_ns if recording.end is not None else 0
    stall = None if group.pressure_some_us is None or wall <= 0 else group.pressure_some_us * 1000 / wall
    figures = [_met(group)]
    if again:
        figures.append(f"{format_size(again)} were taken away and had to be read again")
    if swapped:
        figures.append(f"{format_size(swapped)} swapped out")
    if stall is not None and stall >= 0.001:
        figures.append(f"{100 * min(1.0, stall):.1f} % of the time something waited for memory")
    heavy = (
        (again or 0) >= HEAVY_REFAULT * limit or (swapped or 0) >= HEAVY_SWAP * limit or (stall or 0.0) >= HEAVY_STALL
    )
    if not heavy:
        return LimitVerdict(Verdict.FINISHED, f"finished; {', '.join(figures)}")
    return LimitVerdict(Verdict.RECLAIMED, f"finished, but at the cost of reclaiming: {', '.join(figures)}")


def refaulted_bytes(recording: Recording) -> int | None:
    """What was dropped or swapped out and soon brought back."""
    group = recording.cgroup
    if group is None or (group.refaulted_file is None and group.refaulted_anon is None):
        return None
    return ((group.refaulted_file or 0) + (group.refaulted_anon or 0)) * recording.page_size


def _swapped(group: Cgroup, there_is: int | None) -> int | None:
    """Most that was in swap at once, as far as it is known: under v1, what exceeded the memory in all."""
    if group.swap_peak_bytes is not None:
        return group.swap_peak_bytes
    seen = group.maximum.swap_bytes if group.maximum is not None else None
    if group.memory_and_swap_peak_bytes is None or group.limit_bytes is None or there_is == 0:
        return seen
    # The mark of both together also rises with what is charged in advance and then refused by the limit of memory.
    beyond = group.memory_and_swap_peak_bytes - group.limit_bytes
    return max(seen or 0, beyond if beyond >= _ADVANCE else 0)


def _met(group: Cgroup) -> str:
    if group.limit_bytes is None:
        return "there was no limit"
    if group.limit_hits:
        return f"the limit was met {group.limit_hits} time{'s' if group.limit_hits != 1 else ''}"
    if group.is_at_limit:
        return "the limit was met"
    return f"the limit was never met (at most {format_size(group.peak_bytes)})"


def _resource_limit(recording: Recording, limit: Limit, status: int) -> LimitVerdict:
    used, what = _used(recording, limit)
    ended = _ending(status)
    known = f"{what} came to {format_size(used)} of {format_size(limit.bytes)}"
    if status == 0:
        return LimitVerdict(Verdict.FINISHED, f"finished; {known}")
    number = status & 0x7F
    if number and number not in _FAULTS:
        return LimitVerdict(Verdict.KILLED, f"{ended}, which no resource limit of memory sends")
    if used is not None and used >= NEAR * limit.bytes:
        return LimitVerdict(Verdict.GAVE_UP, f"{ended}, probably because it was refused memory: {known}")
    return LimitVerdict(
        Verdict.FAILED,
        f"{ended}; {known}: whether a larger request was refused cannot be seen; an execution without the limit tells",
    )


def _used(recording: Recording, limit: Limit) -> tuple[int | None, str]:
    ends = [image.end for image in recording.images if image.end is not None]
    if limit.method == "rlimit":
        found = [end.vm_peak_bytes for end in ends if end.vm_peak_bytes is not None]
        return max(found, default=None), "the largest address space (VmPeak)"
    found = [end.at_max.anon_bytes for end in ends if end.at_max.anon_bytes is not None]
    return max(found, default=None), "the largest anonymous memory"


def _ending(status: int) -> str:
    number = status & 0x7F
    if not number:
        return f"exit status {(status >> 8) & 0xFF}"
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended by signal {number}"


def difference(group: Cgroup, tree_bytes: int | None) -> str | None:
    """Why the group's peak is not the peak RSS of the tree; ``None`` where there is nothing to explain."""
    peak, split = group.peak_bytes, group.maximum
    if peak is None:
        return None
    if group.is_at_limit:
        return "the peak is the limit: what the command would take without it is not to be seen here"
    if tree_bytes is None or abs(peak - tree_bytes) < max(1 << 20, tree_bytes // 20):
        return None
    if peak < tree_bytes:
        return (
            f"{format_size(tree_bytes - peak)} less than the RSS of the tree: pages of files that somebody had read "
            "before (programs, libraries) are counted in that one's group"
        )
    reasons = []
    if split is not None:
        named = (
            (split.file_bytes, "page cache that is not mapped"),
            (split.shmem_bytes, "tmpfs and shared memory that is not mapped"),
            (split.kernel_bytes, "page tables and other memory of the kernel"),
        )
        reasons = [name for size, name in named if size is not None and size >= max(1 << 20, (peak - tree_bytes) // 10)]
    return (
        f"{format_size(peak - tree_bytes)} more than the RSS of the tree: it also counts "
        f"{', '.join(reasons) or 'page cache, tmpfs and memory of the kernel'}"
    )
