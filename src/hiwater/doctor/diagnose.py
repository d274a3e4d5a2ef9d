"""All checks in order, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hiwater.doctor.cgroups import check_cgroup
from hiwater.doctor.container import check_container
from hiwater.doctor.counters import bound_bytes, check_counters, check_marks, check_statm
from hiwater.doctor.host import Host
from hiwater.doctor.memory import check_swap, check_thp
from hiwater.doctor.model import Check, Diagnosis, SelfTest, State
from hiwater.doctor.perf import check_perf, check_tracepoint
from hiwater.doctor.processes import check_children, check_clear_refs, check_hidepid, check_ptrace
from hiwater.errors import HiwaterError
from hiwater.procfs import MalformedFileError, parse_meminfo
from hiwater.units import format_size

CHECKS: tuple[tuple[str, Callable[[Host], Check]], ...] = (
    ("marks", check_marks),
    ("statm", check_statm),
    ("counters", check_counters),
    ("ptrace", check_ptrace),
    ("children", check_children),
    ("hidepid", check_hidepid),
    ("cgroup", check_cgroup),
    ("swap", check_swap),
    ("huge pages", check_thp),
    ("container", check_container),
    ("clear_refs", check_clear_refs),
    ("perf", check_perf),
    ("rss_stat", check_tracepoint),
)


def diagnose(host: Host, self_tests: Sequence[SelfTest]) -> Diagnosis:
    """Everything about this host."""
    checks = tuple(_safely(name, check, host) for name, check in CHECKS)
    meminfo = host.read("/proc/meminfo")
    bound = bound_bytes(host, _page_bytes(host))
    return Diagnosis(
        kernel=host.release,
        cpus=host.cpus,
        memory_bytes=parse_meminfo(meminfo).total_bytes if meminfo else None,
        bound_bytes=bound,
        checks=checks,
        uses=uses(checks, bound),
        self_tests=tuple(self_tests),
    )


def _safely(name: str, check: Callable[[Host], Check], host: Host) -> Check:
    """A check that fails on something unheard of is a finding, and no reason to leave the others out."""
    try:
        return check(host)
    except (HiwaterError, MalformedFileError) as error:
        return Check(name, State.BROKEN, f"could not be found out: {error}")


def _page_bytes(host: Host) -> int | None:
    try:
        return host.probe("precision").get("page_bytes")
    except HiwaterError:
        return None


def uses(checks: Sequence[Check], bound: int | None) -> tuple[str, ...]:
    """What hiwater will do here."""
    state = {check.name: check.state for check in checks}
    sources = ["wait4 from a small process of its own"]
    sources += ["VmHWM as sampled"] if state.get("marks") is State.OK else []
    sources += ["RSS as sampled" + (", exact" if state.get("statm") is State.OK else "")]
    sentences = [f"hiwater run takes the largest of {', '.join(sources)}."]
    if state.get("ptrace") is State.OK:
        sentences.append("hiwater run --trace also reads every program image's mark at its end.")
    else:
        sentences.append("hiwater run --trace is not possible: it says so and works as without --trace.")
    if bound is None:
        sentences.append("No bound is known for a peak on this kernel.")
    else:
        sentences.append(f"A peak is stated with bounds of up to {format_size(bound)} either way.")
    sentences.append("The peak of a tree is sampled, its shared pages counted once; cgroups and perf are not needed.")
    return tuple(sentences)
