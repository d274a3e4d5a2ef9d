"""Perf events: who made a program grow, and an exact peak for those who may."""

from __future__ import annotations

from hiwater.doctor.host import Host
from hiwater.doctor.model import Check, State
from hiwater.procfs import MalformedFileError, parse_int

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
    """The tracepoint kmem:rss_stat, since Linux 5.5: every change of a resident set, which --exact follows."""
    refused = host.exact_refused()
    if refused is None:
        return Check("rss_stat", State.OK, "every change of a resident set can be followed: hiwater run --exact")
    detail = f"hiwater run --exact is not possible: {refused}"
    return Check("rss_stat", State.MISSING, detail, "sudo hiwater run --exact -- COMMAND" if host.uid else None)


def _paranoid(host: Host) -> int | None:
    text = host.read(_PARANOID)
    try:
        return None if text is None else parse_int(text)
    except MalformedFileError:
        return None
