"""How precise the kernel's figures are."""

from __future__ import annotations

from hiwater.analysis.precision import counter_error_bytes, kernel_version
from hiwater.doctor.host import Host
from hiwater.doctor.model import Check, State
from hiwater.procfs import parse_status
from hiwater.units import format_size

_MUCH = 8 << 20
"""A bound above this is worth a warning: it is more than many a program needs."""


def bound_bytes(host: Host, page_bytes: int | None) -> int | None:
    """How much the counters can hide of a peak of a program with one thread."""
    return counter_error_bytes(host.release, host.cpus, page_bytes or 4096, 1)


def check_counters(host: Host) -> Check:
    """The bound that follows from the kernel and its CPUs, and what could really be hidden just now."""
    report = host.probe("precision")
    bound = bound_bytes(host, report.get("page_bytes"))
    true, mark = report.get("after_walk_bytes"), report.get("freed_hwm_bytes")
    if bound is None:
        return Check("counters", State.LIMITED, f"the kernel {host.release!r} is unknown: no bound can be stated")
    version = kernel_version(host.release)
    unit = f"{host.cpus} CPUs" if version is not None and version >= (6, 2) else "each thread"
    detail = f"the peaks that the kernel keeps can be off by {format_size(bound)} (Linux {host.release}, {unit})"
    if true is not None and mark is not None:
        detail += f"; the worst that could be provoked is {format_size(abs(true - mark))}"
        if abs(true - mark) > bound:
            return Check("counters", State.BROKEN, f"{detail}: more than the bound, which is then wrong here")
    return Check("counters", State.LIMITED if bound > _MUCH else State.OK, detail)


def check_statm(host: Host) -> Check:
    """Whether the current resident set is an exact sum: found out by comparing with a walk over the page tables."""
    report = host.probe("precision")
    true, statm = report.get("after_walk_bytes"), report.get("after_statm_bytes")
    if statm is None:
        return Check("statm", State.BROKEN, "/proc/PID/statm cannot be read", "mount -t proc proc /proc")
    if true is None:
        return Check("statm", State.LIMITED, "nothing to compare with (no smaps): taken for approximate")
    if true == statm:
        return Check("statm", State.OK, "an exact sum: what hiwater samples needs no allowance")
    return Check(
        "statm",
        State.LIMITED,
        f"approximate ({format_size(abs(true - statm))} off just now): exact from Linux 6.16 on, and in some 6.12.y",
    )


def check_marks(host: Host) -> Check:
    """Whether the kernel shows high-water marks."""
    text = host.read("/proc/self/status")
    if text is None:
        return Check("marks", State.BROKEN, "/proc/self/status cannot be read", "mount -t proc proc /proc")
    status = parse_status(text)
    if status.hwm_bytes is None:
        return Check("marks", State.LIMITED, "no VmHWM (gVisor has none): peaks come from wait4 and from sampling")
    if status.anon_bytes is None:
        return Check("marks", State.LIMITED, "VmHWM is there, but no split into anonymous, file and shared memory")
    return Check("marks", State.OK, "VmHWM and the split into anonymous, file and shared memory are there")
