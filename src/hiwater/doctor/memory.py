"""What the machine does with memory that changes what a resident set means."""

from __future__ import annotations

from hiwater.doctor.host import Host
from hiwater.doctor.model import Check, State
from hiwater.procfs import MalformedFileError, parse_choice, parse_swaps
from hiwater.units import format_size

_THP = "/sys/kernel/mm/transparent_hugepage/enabled"


def check_swap(host: Host) -> Check:
    """Swapped memory is in no resident set, and the kernel keeps no high-water mark of it."""
    text = host.read("/proc/swaps")
    areas = parse_swaps(text) if text else ()
    if not areas:
        return Check("swap", State.OK, "none: a program's peak RSS is all it needed of RAM")
    size, used = sum(area.size_bytes for area in areas), sum(area.used_bytes for area in areas)
    kind = "zram" if all(area.is_zram for area in areas) else "swap"
    detail = (
        f"{format_size(size)} of {kind}, {format_size(used)} used: what is swapped out leaves the RSS; "
        "hiwater samples it beside the peak"
    )
    return Check("swap", State.LIMITED, detail, "sudo swapoff -a")


def check_thp(host: Host) -> Check:
    """Transparent huge pages make programs larger than what they touch."""
    text = host.read(_THP)
    try:
        choice = parse_choice(text) if text else None
    except MalformedFileError:
        choice = None
    if choice is None:
        return Check("huge pages", State.OK, "this kernel has no transparent huge pages")
    if choice == "always":
        detail = "transparent huge pages are on for all: one byte touched can count as 2 MiB of RSS"
        return Check("huge pages", State.LIMITED, detail, f"echo madvise | sudo tee {_THP}")
    return Check("huge pages", State.OK, f"transparent huge pages are set to {choice}")
