"""Each check, on machines that are fine and on machines that are not."""

from __future__ import annotations

import pytest
from tests.unit.doctor.fake import FakeHost

from hiwater.doctor.cgroups import check_cgroup
from hiwater.doctor.container import container
from hiwater.doctor.counters import check_counters, check_marks, check_statm
from hiwater.doctor.memory import check_swap, check_thp
from hiwater.doctor.model import State
from hiwater.doctor.perf import check_perf, check_tracepoint
from hiwater.doctor.processes import check_children, check_clear_refs, check_hidepid, check_ptrace
from hiwater.probing import Report

KIB = 1024
STATUS = b"Name:\tx\nTracerPid:\t0\nVmHWM:\t8 kB\nVmRSS:\t8 kB\nRssAnon:\t8 kB\nSeccomp:\t0\n"


def precision(walk: int, statm: int, mark: int) -> dict[str, Report]:
    values = {"after_walk_bytes": walk, "after_statm_bytes": statm, "freed_hwm_bytes": mark, "page_bytes": 4096}
    return {"precision": Report(values)}


def test_counters_of_two_cpus() -> None:
    """Three counters, two CPUs, one page less than a batch of 32 each: 744 KiB."""
    check = check_counters(FakeHost(reports=precision(1588 * KIB, 1588 * KIB, 996 * KIB)))
    assert check.state is State.OK
    assert "off by 0.7 MiB (Linux 6.18.0, 2 CPUs)" in check.detail
    assert "0.6 MiB" in check.detail


def test_counters_of_many_cpus_are_a_limit() -> None:
    """On 64 CPUs 95 MiB can be hidden: worth a warning."""
    check = check_counters(FakeHost(cpus=64, reports=precision(1588 * KIB, 1588 * KIB, 996 * KIB)))
    assert (check.state, "95.2 MiB" in check.detail) == (State.LIMITED, True)


def test_counters_that_hide_more_than_the_bound_are_broken() -> None:
    """Then the bound is wrong on this kernel, and so is what hiwater states."""
    assert check_counters(FakeHost(reports=precision(9000 * KIB, 9000 * KIB, 996 * KIB))).state is State.BROKEN


def test_counters_of_an_unknown_kernel() -> None:
    """No bound is not a bound of 0."""
    assert check_counters(FakeHost(release=None)).state is State.LIMITED


@pytest.mark.parametrize(
    ("reports", "state"),
    [
        (precision(1588, 1588, 0), State.OK),
        (precision(1588, 996, 0), State.LIMITED),
        ({"precision": Report({"after_statm_bytes": 5})}, State.LIMITED),
        ({}, State.BROKEN),
    ],
)
def test_statm(reports: dict[str, Report], state: State) -> None:
    """Exact where it equals the walk; taken for approximate without a walk; broken if it cannot be read."""
    assert check_statm(FakeHost(reports=reports)).state is state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (STATUS, State.OK),
        (b"Name:\tx\nVmHWM:\t8 kB\nVmRSS:\t8 kB\n", State.LIMITED),
        (b"Name:\tx\nVmRSS:\t8 kB\n", State.LIMITED),
        (None, State.BROKEN),
    ],
)
def test_marks(status: bytes | None, state: State) -> None:
    """gVisor shows no VmHWM, kernels before 4.5 no split; without /proc nothing works."""
    assert check_marks(FakeHost(files={"/proc/self/status": status} if status else {})).state is state


def refused(number: int = 1) -> dict[str, Report]:
    return {"try-ptrace": Report({"ptrace_errno": number}, 1)}


def test_ptrace_that_works() -> None:
    """Tracing counts as working when a mark was read at the exit stop."""
    works = {"try-ptrace": Report({"ptrace_errno": 0, "exit_stop_hwm_bytes": 5})}
    assert check_ptrace(FakeHost(reports=works)).state is State.OK
    assert check_ptrace(FakeHost(reports={"try-ptrace": Report({"ptrace_errno": 0}, 1)})).state is State.LIMITED


@pytest.mark.parametrize(
    ("files", "uid", "cause", "remedy"),
    [
        ({"/proc/sys/kernel/yama/ptrace_scope": b"2\n"}, 1000, "CAP_SYS_PTRACE", "kernel.yama.ptrace_scope=1"),
        ({"/proc/sys/kernel/yama/ptrace_scope": b"3\n"}, 0, "until the next boot", "reboot"),
        ({"/proc/self/status": STATUS.replace(b"Seccomp:\t0", b"Seccomp:\t2")}, 0, "seccomp", "--cap-add=SYS_PTRACE"),
        ({"/proc/self/status": STATUS.replace(b"Pid:\t0", b"Pid:\t77")}, 0, "process 77 traces hiwater itself", None),
        ({"/proc/sys/kernel/yama/ptrace_scope": b"1\n"}, 1000, "Operation not permitted", None),
    ],
)
def test_ptrace_that_is_refused(files: dict[str, bytes], uid: int, cause: str, remedy: str | None) -> None:
    """What stands in the way is named, with the command that mends it."""
    check = check_ptrace(FakeHost(files=files, uid=uid, reports=refused()))
    assert (check.state, cause in check.detail) == (State.MISSING, True)
    assert (check.remedy is None) if remedy is None else (remedy in (check.remedy or ""))


def test_ptrace_whose_attempt_is_killed() -> None:
    """Some seccomp filters kill instead of refusing."""
    check = check_ptrace(FakeHost(reports={"try-ptrace": Report({}, -31)}))
    assert (check.state, "signal 31" in check.detail) == (State.MISSING, True)


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"clear_refs_errno": 0, "before_hwm_bytes": 9, "after_hwm_bytes": 2}, State.OK),
        ({"clear_refs_errno": 0, "before_hwm_bytes": 9, "after_hwm_bytes": 9}, State.MISSING),
        ({"clear_refs_errno": 13, "before_hwm_bytes": 9, "after_hwm_bytes": 9}, State.MISSING),
        ({}, State.MISSING),
    ],
)
def test_clear_refs(values: dict[str, int], state: State) -> None:
    """It works when the mark went down, not when the write went through."""
    assert check_clear_refs(FakeHost(reports={"try-clear-refs": Report(values)})).state is state


def proc_mount(options: str) -> dict[str, bytes]:
    return {"/proc/self/mountinfo": f"22 27 0:21 / /proc rw - proc proc rw{options}\n".encode()}


@pytest.mark.parametrize(
    ("options", "uid", "state"),
    [
        ("", 1000, State.OK),
        (",hidepid=0", 1000, State.OK),
        (",hidepid=off", 1000, State.OK),
        (",hidepid=2", 1000, State.LIMITED),
        (",hidepid=invisible", 1000, State.LIMITED),
        (",hidepid=invisible", 0, State.OK),
    ],
)
def test_hidepid(options: str, uid: int, state: State) -> None:
    """Numbers before Linux 5.8, words since; root sees all."""
    check = check_hidepid(FakeHost(files=proc_mount(options), uid=uid))
    assert check.state is state
    assert (check.remedy is not None) == (state is State.LIMITED)


def test_children() -> None:
    """The list of children is there, or descendants are searched for."""
    assert check_children(FakeHost(files={"/proc/thread-self/children": b""})).state is State.OK
    assert check_children(FakeHost()).state is State.LIMITED


@pytest.mark.parametrize(
    ("values", "files", "state", "remedy"),
    [
        ({"all_faults_errno": 0, "user_faults_errno": 0}, True, State.OK, False),
        ({"all_faults_errno": 13, "user_faults_errno": 0}, True, State.LIMITED, True),
        ({"all_faults_errno": 13, "user_faults_errno": 13}, True, State.MISSING, True),
        ({"all_faults_errno": 38, "user_faults_errno": 38}, False, State.MISSING, False),
    ],
)
def test_perf(values: dict[str, int], files: bool, state: State, remedy: bool) -> None:
    """All faults, only those of user space, or none; a kernel without perf events has no remedy."""
    host = FakeHost(
        files={"/proc/sys/kernel/perf_event_paranoid": b"2\n"} if files else {}, reports={"try-perf": Report(values)}
    )
    check = check_perf(host)
    assert (check.state, check.remedy is not None) == (state, remedy)


def test_tracepoint() -> None:
    """Whether --exact is possible is asked of the monitor itself; if not, its reason is told, and what helps."""
    allowed = check_tracepoint(FakeHost(no_exact=None))
    assert (allowed.state, allowed.remedy) == (State.OK, None)
    refused = check_tracepoint(FakeHost(no_exact="no perf events here"))
    assert (refused.state, "no perf events here" in refused.detail) == (State.MISSING, True)
    assert refused.remedy == "sudo hiwater run --exact -- COMMAND"
    assert check_tracepoint(FakeHost(uid=0)).remedy is None


V1 = b"35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
V2 = b"41 31 0:38 / /cg rw - cgroup2 cgroup2 rw\n"


def cgroup_host(mounts: bytes, own: bytes, *files: str, writable: str = "", **contents: bytes) -> FakeHost:
    known = {"/proc/self/mountinfo": mounts, "/proc/self/cgroup": own, **{file: b"" for file in files}}
    known.update({"/cg/own/cgroup." + name: text for name, text in contents.items()})
    return FakeHost(files=known, writable=frozenset({writable}))


@pytest.mark.parametrize(
    ("host", "state", "word"),
    [
        (cgroup_host(b"", b""), State.MISSING, "no memory controller"),
        (cgroup_host(V1, b"4:memory:/own\n", "/cg/memory/own/memory.usage_in_bytes"), State.LIMITED, "somebody else"),
        (
            cgroup_host(V1, b"4:memory:/own\n", "/cg/memory/own/memory.usage_in_bytes", writable="/cg/memory/own"),
            State.OK,
            "version 1",
        ),
        (cgroup_host(V1, b"4:memory:/elsewhere\n"), State.MISSING, "not mounted here"),
        (cgroup_host(V2, b"0::/own\n", controllers=b"hugetlb\n"), State.MISSING, "no memory controller"),
        (cgroup_host(V2, b"0::/own\n", controllers=b"cpu memory\n"), State.LIMITED, "not delegated"),
        (
            cgroup_host(V2, b"0::/own\n", writable="/cg/own", controllers=b"cpu memory\n"),
            State.LIMITED,
            "no memory controller",
        ),
        (
            cgroup_host(
                V2,
                b"0::/own\n",
                "/cg/own/memory.peak",
                writable="/cg/own",
                controllers=b"cpu memory\n",
                subtree_control=b"memory\n",
            ),
            State.OK,
            "version 2: a memory cgroup",
        ),
    ],
)
def test_cgroup(host: FakeHost, state: State, word: str) -> None:
    """Version 1 or 2, mounted or not, delegated or not, with the controller handed down or not."""
    check = check_cgroup(host)
    assert (check.state, word in check.detail) == (state, True), check.detail
    assert (check.remedy is not None) == (state is State.LIMITED)


def test_a_cgroup_seen_through_a_bind_mount() -> None:
    """In a container the mount shows only a part of the hierarchy: the path is cut by the mount's root."""
    mounts = V1.replace(b" / /cg", b" /docker/abc /cg")
    host = cgroup_host(mounts, b"4:memory:/docker/abc/job\n", "/cg/memory/job/memory.usage_in_bytes")
    assert "/cg/memory/job belongs" in check_cgroup(host).detail


SWAPS = b"Filename Type Size Used Priority\n"


@pytest.mark.parametrize(
    ("text", "state", "word"),
    [
        (None, State.OK, "none"),
        (SWAPS, State.OK, "none"),
        (SWAPS + b"/dev/zram0 partition 2048 1024 5\n", State.LIMITED, "2.0 MiB of zram, 1.0 MiB used"),
        (SWAPS + b"/dev/zram0 partition 2048 0 5\n/swap file 2048 0 1\n", State.LIMITED, "4.0 MiB of swap"),
    ],
)
def test_swap(text: bytes | None, state: State, word: str) -> None:
    """Swap makes a resident set less than what a program needed."""
    check = check_swap(FakeHost(files={"/proc/swaps": text} if text else {}))
    assert (check.state, word in check.detail) == (state, True)


@pytest.mark.parametrize(
    ("text", "state"),
    [(b"always [madvise] never\n", State.OK), (b"[always] madvise never\n", State.LIMITED), (None, State.OK)],
)
def test_huge_pages(text: bytes | None, state: State) -> None:
    """For all programs they can make 2 MiB of one byte."""
    files = {"/sys/kernel/mm/transparent_hugepage/enabled": text} if text else {}
    assert check_thp(FakeHost(files=files)).state is state


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, None),
        ({"/.dockerenv": b""}, "docker"),
        ({"/run/.containerenv": b""}, "podman"),
        ({"/proc/1/environ": b"PATH=/bin\0container=lxc\0"}, "lxc"),
        ({"/proc/self/cgroup": b"0::/kubepods/pod1\n"}, "kubernetes"),
        ({"/proc/self/cgroup": b"0::/system.slice/docker-abc.scope\n"}, "docker"),
        ({"/proc/self/cgroup": b"0::/user.slice/mydocker\n"}, None),
    ],
)
def test_container(files: dict[str, bytes], kind: str | None) -> None:
    """What containers leave lying about tells their kind; a name that merely ends like one does not."""
    assert container(FakeHost(files=files)) == kind
