"""Perf events: who made a program grow, and an exact peak for those who may."""

from __future__ import annotations

from hiwater.doctor.host import Host
from hiwater.doctor.model import Check, State
from hiwater.procfs import MalformedFileError, parse_int

_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_PARANOID = "/proc/sys/kernel/perf_event_paranoid"


def check_perf(host: Host) -> Check:
    """Page-fault events, user-only and all."""
    report = host.probe("try-perf")
    all_faults, user_faults = report.get("all_faults_errno"), report.get("user_faults_errno")
    level = _paranoid(host)
    at = "" if level is None else f" (perf_event_paranoid is {level})"
    if all_faults == 0:
        return Check("perf", State.OK, f"page faults can be counted, the kernel's own as well{at}")
    if user_faults == 0:
        detail = f"page faults can be counted, but not those inside the kernel, such as of read(){at}"
        return Check("perf", State.LIMITED, detail, "sudo sysctl kernel.perf_event_paranoid=1")
    if level is None:
        return Check("perf", State.MISSING, "this kernel has no perf events")
    detail = f"no perf events{at}: forbidden by the level or by a container's seccomp filter"
    return Check("perf", State.MISSING, detail, "sudo sysctl kernel.perf_event_paranoid=1")


def check_tracepoint(host: Host) -> Check:
    """The tracepoint kmem:rss_stat, since Linux 5.5: every change of a resident set."""
    directory = next((path for path in _TRACEFS if host.exists(f"{path}/events")), None)
    if directory is None:
        detail = "tracefs is not mounted or not to be read: no event for each change of a resident set"
        return Check("rss_stat", State.MISSING, detail, "sudo mount -t tracefs tracefs /sys/kernel/tracing")
    text = host.read(f"{directory}/events/kmem/rss_stat/id")
    if text is None:
        detail = "the tracepoint kmem:rss_stat cannot be read: it came with Linux 5.5, and is root's"
        return Check("rss_stat", State.MISSING, detail, f"sudo chmod a+rx {directory}" if host.uid else None)
    if host.probe("try-perf", "--tracepoint", str(parse_int(text))).get("rss_stat_errno") == 0:
        return Check("rss_stat", State.OK, "every change of a resident set can be followed")
    detail = "the tracepoint kmem:rss_stat is there, but reading it takes CAP_PERFMON"
    return Check("rss_stat", State.MISSING, detail, "sudo sysctl kernel.perf_event_paranoid=-1")


def _paranoid(host: Host) -> int | None:
    text = host.read(_PARANOID)
    try:
        return None if text is None else parse_int(text)
    except MalformedFileError:
        return None
