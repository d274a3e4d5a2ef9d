"""What became of a command under a limit: each verdict, by the kernel's own texts of both versions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.streams import MIB, Stream, split

from hiwater.analysis.limit import Verdict
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import CgroupWhen, EndedByCode

LIMIT = 64 * MIB
KILLED, TERMINATED, ABORTED, EXIT_1, EXIT_137 = 9, 15, 6, 1 << 8, 137 << 8

V1_BEGIN = {
    "path": "/sys/fs/cgroup/memory/hiwater-1",
    "version": "1",
    "memory.limit_in_bytes": str(LIMIT),
    "memory.memsw.limit_in_bytes": "9223372036854771712",
    "memory.swappiness": "0",
    "../memory.failcnt": "7",
}
V1_END = {
    "t_ns": "100",
    "largest_usage_seen": str(21 * MIB),
    "memory.max_usage_in_bytes": str(22 * MIB),
    "memory.failcnt": "0",
    "memory.memsw.failcnt": "0",
    "memory.memsw.max_usage_in_bytes": str(22 * MIB),
    "memory.kmem.max_usage_in_bytes": str(MIB),
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0",
    "memory.stat": "cache 0\nworkingset_refault_file 3\ntotal_workingset_refault_anon 0\n"
    "total_workingset_refault_file 5\ntotal_pgmajfault 2",
    "../memory.failcnt": "7",
}
V2_BEGIN = {
    "path": "/sys/fs/cgroup/hiwater-1",
    "version": "2",
    "memory.max": str(LIMIT),
    "memory.swap.max": "0",
    "../memory.events.local": "low 0\nhigh 0\nmax 3\noom 0\noom_kill 0",
}
V2_END = {
    "t_ns": "100",
    "memory.peak": str(22 * MIB),
    "memory.swap.peak": "0",
    "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0",
    "memory.events.local": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0",
    "memory.stat": "anon 1\nworkingset_refault_anon 0\nworkingset_refault_file 0\npgmajfault 2",
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0",
    "../memory.events.local": "low 0\nhigh 0\nmax 3\noom 0\noom_kill 0",
}
KILL_V1 = {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1"}
KILL_V2 = {"memory.events": "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2"}
AT_LIMIT_V1 = {"memory.max_usage_in_bytes": str(LIMIT), "memory.failcnt": "81"}
AT_LIMIT_V2 = {"memory.peak": str(LIMIT), "memory.events.local": "low 0\nhigh 0\nmax 9\noom 0\noom_kill 0"}


def recording(
    status: int = 0,
    by: EndedByCode = EndedByCode.EXIT,
    *,
    begin: Mapping[str, str] | None = None,
    maximum: Mapping[str, str] | None = None,
    end: Mapping[str, str] | None = None,
    vm_peak: int = -1,
    facts: Mapping[str, str] | None = None,
) -> Recording:
    """A command of 20 MiB that ran for 100 ms."""
    stream = Stream().facts(**(facts or {})).command(b"prog").process().image(arguments=(b"prog",))
    stream.image_end(hwm=20 * MIB, max_rss=20 * MIB, vm_peak=vm_peak, at_max=split(20 * MIB, 18 * MIB, 2 * MIB, 0))
    stream.process_end(maxrss=20 * MIB)
    for when, texts in ((CgroupWhen.BEGIN, begin), (CgroupWhen.MAXIMUM, maximum), (CgroupWhen.END, end)):
        if texts is not None:
            stream.cgroup(when, texts)
    return parse(stream.stats().end(20 * MIB, status, by).data)


def under(version: int, changes: Mapping[str, str], status: int = 0, by: EndedByCode = EndedByCode.EXIT) -> Recording:
    """In a group of that version, whose counters say this at the end."""
    begin, end = ((V1_BEGIN, V1_END), (V2_BEGIN, V2_END))[version - 1]
    return recording(status, by, begin=begin, end={**end, **changes})


EXIT, OOM, SIGNAL = EndedByCode.EXIT, EndedByCode.OOM, EndedByCode.SIGNAL
TIMEOUT = EndedByCode.TIMEOUT
CASES = {
    "finished, v1": (1, {}, 0, EXIT, Verdict.FINISHED, "the limit was never met (at most 22.0 MiB)"),
    "finished, v2": (2, {}, 0, EXIT, Verdict.FINISHED, "the limit was never met (at most 22.0 MiB)"),
    "cache only, v1": (1, AT_LIMIT_V1, 0, EXIT, Verdict.FINISHED, "finished; the limit was met 81 times"),
    "cache only, v2": (2, AT_LIMIT_V2, 0, EXIT, Verdict.FINISHED, "finished; the limit was met 9 times"),
    "refaults, v1": (
        1,
        {**AT_LIMIT_V1, "memory.stat": "total_workingset_refault_anon 1\ntotal_workingset_refault_file 2047"},
        0,
        EXIT,
        Verdict.RECLAIMED,
        "the limit was met 81 times, 8.0 MiB were taken away and had to be read again",
    ),
    "stalls, v2": (
        2,
        {**AT_LIMIT_V2, "memory.pressure": "some avg10=0.00 total=9000\nfull avg10=0.00 total=100"},
        0,
        EXIT,
        Verdict.RECLAIMED,
        "9.0 % of the time something waited for memory",
    ),
    "swapped, v2": (
        2,
        {**AT_LIMIT_V2, "memory.swap.peak": str(140 * MIB)},
        0,
        EXIT,
        Verdict.RECLAIMED,
        "140.0 MiB swapped out",
    ),
    "out of memory, v1": (
        1,
        {**AT_LIMIT_V1, **KILL_V1},
        KILLED,
        OOM,
        Verdict.OOM_IN_GROUP,
        "OOM killer ended 1 process of this group, at its limit of 64.0 MiB; the command: ended by SIGKILL",
    ),
    "out of memory without a failcnt, v1": (
        1,
        {"memory.max_usage_in_bytes": str(LIMIT), **KILL_V1},
        KILLED,
        OOM,
        Verdict.OOM_IN_GROUP,
        "at its limit",
    ),
    "out of memory, v2": (
        2,
        {**AT_LIMIT_V2, **KILL_V2, "memory.events.local": "max 9\noom 1\noom_kill 2"},
        KILLED,
        OOM,
        Verdict.OOM_IN_GROUP,
        "ended 2 processes of this group",
    ),
    "a child was killed": (
        1,
        {**AT_LIMIT_V1, **KILL_V1},
        EXIT_137,
        EXIT,
        Verdict.OOM_IN_GROUP,
        "the command: exit status 137",
    ),
    "a child was killed and replaced": (
        1,
        {**AT_LIMIT_V1, **KILL_V1},
        0,
        EXIT,
        Verdict.OOM_IN_GROUP,
        "the command: exit status 0",
    ),
    "a limit above, v1": (
        1,
        {**KILL_V1, "../memory.failcnt": "12"},
        KILLED,
        OOM,
        Verdict.OOM_ABOVE,
        "for the limit of a group further up: it had 22.0 MiB of its 64.0 MiB",
    ),
    "a limit above, v2": (
        2,
        {**AT_LIMIT_V2, **KILL_V2, "../memory.events.local": "max 5\noom 1"},
        KILLED,
        OOM,
        Verdict.OOM_ABOVE,
        "for the limit of a group further up",
    ),
    "the machine, v1": (1, KILL_V1, KILLED, OOM, Verdict.OOM_SYSTEM, "the machine was out of memory"),
    "the machine, v2": (
        2,
        {**AT_LIMIT_V2, **KILL_V2},
        KILLED,
        OOM,
        Verdict.OOM_SYSTEM,
        "the machine was out of memory",
    ),
    "somebody else, v1": (1, AT_LIMIT_V1, KILLED, SIGNAL, Verdict.KILLED, "ended by SIGKILL, which somebody else sent"),
    "somebody else, v2": (2, {}, TERMINATED, SIGNAL, Verdict.KILLED, "ended by SIGTERM, which somebody else sent"),
    "no counter": (
        1,
        {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0"},
        KILLED,
        SIGNAL,
        Verdict.UNKNOWN,
        "does not count",
    ),
    "exit 137": (1, {}, EXIT_137, EXIT, Verdict.FAILED, "137, which is no proof of an OOM kill"),
    "exit 1": (2, {}, EXIT_1, EXIT, Verdict.FAILED, "exit status 1; the limit was never met"),
    "aborted": (2, AT_LIMIT_V2, ABORTED, SIGNAL, Verdict.FAILED, "ended by SIGABRT; the limit was met 9 times"),
    "time-out": (2, AT_LIMIT_V2, TERMINATED, TIMEOUT, Verdict.TIMEOUT, "its time-out ended it; the limit was met"),
}


@pytest.mark.parametrize("name", CASES)
def test_verdict(name: str) -> None:
    """Each way to end has its verdict, and the reason its evidence."""
    version, changes, status, by, expected, part = CASES[name]
    found = under(version, changes, status, by).limit_verdict
    assert found is not None
    assert found.verdict is expected
    assert part in found.reason
    fine, unfit = {Verdict.FINISHED, Verdict.RECLAIMED}, {Verdict.OOM_IN_GROUP, Verdict.GAVE_UP}
    assert found.fits is (True if expected in fine else False if expected in unfit else None)


RESOURCE_CASES = [
    ("rlimit_as_bytes", 60, 0, Verdict.FINISHED, "the largest address space (VmPeak) came to 60.0 MiB of 64.0 MiB"),
    ("rlimit_as_bytes", 60, EXIT_1, Verdict.GAVE_UP, "exit status 1, probably because it was refused memory"),
    ("rlimit_as_bytes", 60, ABORTED, Verdict.GAVE_UP, "ended by SIGABRT, probably"),
    ("rlimit_as_bytes", 30, EXIT_1, Verdict.FAILED, "an execution without the limit tells"),
    ("rlimit_as_bytes", -1, EXIT_1, Verdict.FAILED, "came to unknown of 64.0 MiB"),
    ("rlimit_as_bytes", 60, KILLED, Verdict.KILLED, "which no resource limit of memory sends"),
    ("rlimit_data_bytes", 60, EXIT_1, Verdict.FAILED, "the largest anonymous memory came to 18.0 MiB of 64.0 MiB"),
]


@pytest.mark.parametrize(("fact", "vm_peak", "status", "expected", "part"), RESOURCE_CASES)
def test_resource_limit(fact: str, vm_peak: int, status: int, expected: Verdict, part: str) -> None:
    """Under a resource limit a failure is only ever probably its doing, by how near it was."""
    by = EndedByCode.EXIT if status & 0x7F == 0 else EndedByCode.SIGNAL
    size = vm_peak * MIB if vm_peak >= 0 else -1
    found = recording(status, by, vm_peak=size, facts={fact: str(LIMIT)}).limit_verdict
    assert found is not None
    assert (found.verdict, part in found.reason) == (expected, True), found.reason


def test_no_limit() -> None:
    """Without a limit there is no verdict; a group without one is measured."""
    assert recording().limit_verdict is None
    free = recording(begin={**V1_BEGIN, "memory.limit_in_bytes": "9223372036854771712"}, end=V1_END)
    assert (free.limit, free.limit_verdict, free.cgroup_peak_bytes) == (None, None, 22 * MIB)


def test_killed_without_a_limit() -> None:
    """An OOM killer is told of even where the group had no limit of its own."""
    begin = {**V1_BEGIN, "memory.limit_in_bytes": "9223372036854771712"}
    found = recording(KILLED, EndedByCode.OOM, begin=begin, end={**V1_END, **KILL_V1}).limit_verdict
    assert found is not None
    assert (found.verdict, "no limit of its own" in found.reason) == (Verdict.OOM_SYSTEM, True)


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (V1_BEGIN, (LIMIT, 0)),
        ({**V1_BEGIN, "memory.swappiness": "60"}, (LIMIT, None)),
        ({**V1_BEGIN, "memory.memsw.limit_in_bytes": str(LIMIT + MIB)}, (LIMIT, MIB)),
        (V2_BEGIN, (LIMIT, 0)),
        ({**V2_BEGIN, "memory.swap.max": "max"}, (LIMIT, None)),
    ],
)
def test_limit_in_force(begin: Mapping[str, str], expected: tuple[int, int | None]) -> None:
    """What the kernel says is in force, not what was asked for."""
    found = recording(begin=begin, end=V1_END if begin["version"] == "1" else V2_END).limit
    assert found is not None
    assert (found.bytes, found.swap_bytes, found.method) == (*expected, "cgroup")


def test_peak_that_is_the_limit() -> None:
    """Where the limit was met, its size is not given out as the need."""
    found = under(1, AT_LIMIT_V1)
    assert found.cgroup is not None
    assert (found.cgroup.peak_bytes, found.cgroup.is_at_limit, found.cgroup_peak_bytes) == (LIMIT, True, None)
    assert [warning.code for warning in found.warnings] == ["peak-is-limit"]


def test_split_v1() -> None:
    """Page cache without tmpfs; kernel memory from its own file."""
    texts = {
        "t_ns": "5000",
        "usage": str(40 * MIB),
        "memory.stat": f"cache {9 * MIB}\nrss 1\nshmem {2 * MIB}\nswap 0\ntotal_cache {30 * MIB}\ntotal_rss {8 * MIB}\n"
        f"total_shmem {20 * MIB}\ntotal_swap {MIB}",
        "memory.kmem.usage_in_bytes": str(2 * MIB),
    }
    found = recording(begin=V1_BEGIN, maximum=texts, end=V1_END).cgroup
    assert found is not None
    assert found.maximum is not None
    split_ = found.maximum
    assert (split_.anon_bytes, split_.file_bytes, split_.shmem_bytes) == (8 * MIB, 10 * MIB, 20 * MIB)
    assert (split_.kernel_bytes, split_.page_tables_bytes, split_.swap_bytes) == (2 * MIB, None, MIB)


@pytest.mark.parametrize(
    ("kernel", "expected"), [(f"kernel {3 * MIB}\n", 3 * MIB), (f"kernel_stack {MIB}\nslab {MIB}\n", 4 * MIB)]
)
def test_split_v2(kernel: str, expected: int) -> None:
    """Before Linux 5.18 kernel memory is the sum of its parts."""
    texts = {
        "t_ns": "5000",
        "usage": str(40 * MIB),
        "memory.stat": f"anon {8 * MIB}\nfile {30 * MIB}\n{kernel}shmem {20 * MIB}\npagetables {2 * MIB}",
        "memory.swap.current": str(MIB),
    }
    found = recording(begin=V2_BEGIN, maximum=texts, end=V2_END).cgroup
    assert found is not None
    assert found.maximum is not None
    split_ = found.maximum
    assert (split_.anon_bytes, split_.file_bytes, split_.shmem_bytes) == (8 * MIB, 10 * MIB, 20 * MIB)
    assert (split_.kernel_bytes, split_.page_tables_bytes, split_.swap_bytes) == (expected, 2 * MIB, MIB)


def test_no_mark() -> None:
    """Before Linux 5.19 version 2 keeps no peak: the largest that was seen is given, as what it is."""
    end = {key: text for key, text in V2_END.items() if key != "memory.peak"}
    found = recording(begin=V2_BEGIN, end={**end, "largest_usage_seen": str(21 * MIB)}).cgroup
    assert found is not None
    assert (found.peak_bytes, found.peak_method) == (21 * MIB, "sampled")


def test_cut() -> None:
    """A monitor that was killed leaves what it had seen, and no verdict."""
    stream = Stream().facts().command(b"prog").process().cgroup(CgroupWhen.BEGIN, V1_BEGIN)
    found = parse(stream.cgroup(CgroupWhen.MAXIMUM, {"t_ns": "1", "usage": str(5 * MIB)}).data)
    assert found.cgroup is not None
    assert (found.cgroup.complete, found.cgroup.peak_bytes, found.cgroup.oom_kills) == (False, 5 * MIB, None)
    assert found.limit_verdict is not None
    assert found.limit_verdict.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("texts", [{"version": "1"}, {"version": "2"}, {"version": "1", "memory.stat": "x"}, {}])
def test_little_is_known(texts: dict[str, str]) -> None:
    """Files that a kernel lacks, or that say something unheard of, cost their own numbers only."""
    found = recording(begin=texts, maximum={"usage": "many", **texts}, end={**texts, "memory.failcnt": "-3"})
    assert found.cgroup is None or found.cgroup.peak_bytes is None
    assert found.limit_verdict is None


def difference(peak: int, parts: str) -> str:
    maximum = {"usage": str(peak * MIB), "memory.stat": parts, "memory.kmem.usage_in_bytes": "0"}
    end = {**V1_END, "memory.max_usage_in_bytes": str(peak * MIB)}
    return recording(begin=V1_BEGIN, maximum=maximum, end=end).summary.cgroup_difference or ""


def test_differences() -> None:
    """Why the group's peak is not that of the RSS, 20 MiB here."""
    assert difference(20, "cache 0\nrss 0\nshmem 0") == ""
    assert difference(15, "cache 0\nrss 0\nshmem 0").startswith("5.0 MiB less than the RSS of the tree: pages of files")
    cache = difference(50, f"cache {30 * MIB}\nrss 0\nshmem 0")
    assert cache == "30.0 MiB more than the RSS of the tree: it also counts page cache that is not mapped"
    assert "tmpfs and shared memory" in difference(50, f"cache {30 * MIB}\nrss 0\nshmem {30 * MIB}")


def test_what_others_had_to_give_up() -> None:
    """Pages that were read again although this limit was never met were taken from somebody else before."""
    verdict = under(1, {"memory.stat": "total_workingset_refault_file 2048"}).limit_verdict
    assert verdict is not None
    assert verdict.reason == "finished; the limit was never met (at most 22.0 MiB)"
