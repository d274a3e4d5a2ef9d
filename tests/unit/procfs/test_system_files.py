"""The parsers of files that belong to no process: meminfo, swaps, mountinfo, cgroup, sysfs, osrelease."""

from pathlib import Path

import pytest

from hiwater.procfs import (
    CgroupEntry,
    MalformedFileError,
    Release,
    SwapArea,
    parse_cgroup,
    parse_choice,
    parse_flat_keyed,
    parse_int,
    parse_limit,
    parse_meminfo,
    parse_mountinfo,
    parse_release,
    parse_swaps,
)

DATA = Path(__file__).parent / "data"

MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw,hidepid=invisible
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory
41 31 0:38 /user.slice /sys/fs/cgroup/uni\040fied rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
"""


def test_meminfo() -> None:
    """kB of the kernel are KiB."""
    meminfo = parse_meminfo((DATA / "linux-6.18" / "meminfo").read_bytes())
    assert (meminfo.total_bytes, meminfo.swap_total_bytes) == (24684092 * 1024, 0)
    assert (meminfo.huge_page_bytes, meminfo.zswap_bytes) == (2048 * 1024, 0)


def test_meminfo_of_an_old_kernel() -> None:
    """MemAvailable came with Linux 3.14: unknown before, and a file without MemTotal is no meminfo."""
    assert parse_meminfo(b"MemTotal: 4 kB\n").available_bytes is None
    with pytest.raises(MalformedFileError, match="meminfo"):
        parse_meminfo(b"")


def test_swaps() -> None:
    """Areas with their size; zram is told from a disk; blanks in a path are unescaped."""
    text = (
        b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        b"/dev/zram0                              partition\t524284\t\t140204\t\t100\n"
        b"/swap\\040file                           file\t\t1048572\t\t0\t\t-2\n"
    )
    zram, file = parse_swaps(text)
    assert zram == SwapArea(b"/dev/zram0", "partition", 524284 * 1024, 140204 * 1024)
    assert (zram.is_zram, file.is_zram, file.path) == (True, False, b"/swap file")
    assert parse_swaps(b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n") == ()
    with pytest.raises(MalformedFileError, match="swaps"):
        parse_swaps(b"heading\n/dev/sda2 partition\n")


def test_mountinfo() -> None:
    """Options of the mount and of the file system, root, and escaped paths."""
    proc, memory, unified = parse_mountinfo(MOUNTINFO)
    assert (proc.path, proc.filesystem, proc.option("hidepid"), proc.option("subset")) == (
        b"/proc",
        "proc",
        "invisible",
        None,
    )
    assert memory.option("memory") == ""
    assert (unified.root, unified.path, unified.filesystem) == (b"/user.slice", b"/sys/fs/cgroup/uni fied", "cgroup2")
    with pytest.raises(MalformedFileError, match="mountinfo"):
        parse_mountinfo(b"22 27 0:21 / /proc\n")


def test_cgroup() -> None:
    """One entry per hierarchy; colons inside a path belong to it."""
    v1, named, v2 = parse_cgroup(b"9:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/user.slice/x.scope (deleted)\n")
    assert v1 == CgroupEntry(9, frozenset({"cpu", "cpuacct"}), b"/a:b")
    assert (named.controllers, named.is_v2) == (frozenset({"name=systemd"}), False)
    assert (v2.is_v2, v2.controllers, v2.path) == (True, frozenset(), b"/user.slice/x.scope (deleted)")
    with pytest.raises(MalformedFileError, match="cgroup"):
        parse_cgroup(b"nonsense\n")


@pytest.mark.parametrize(
    ("text", "limit"), [(b"max\n", None), (b"67108864\n", 67108864), (b"9223372036854771712\n", None), (b"0\n", 0)]
)
def test_limit(text: bytes, limit: int | None) -> None:
    """ "max" of version 2 and the huge number of version 1 both mean: no limit. 0 is a limit."""
    assert parse_limit(text) == limit


def test_limit_refuses_garbage() -> None:
    """A limit that is no number is an error, not "no limit"."""
    with pytest.raises(MalformedFileError):
        parse_limit(b"lots\n")


def test_flat_keyed() -> None:
    """memory.events and its like."""
    assert parse_flat_keyed(b"low 0\noom 2\noom_kill 1\n") == {"low": 0, "oom": 2, "oom_kill": 1}
    with pytest.raises(MalformedFileError):
        parse_flat_keyed(b"oom\n")


def test_single_values() -> None:
    """One number, also a negative one; the chosen word between brackets."""
    assert parse_int(b"-1\n") == -1
    assert parse_choice(b"always [madvise] never\n") == "madvise"
    with pytest.raises(MalformedFileError):
        parse_int(b"two\n")
    with pytest.raises(MalformedFileError):
        parse_choice(b"always madvise never\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"6.18.44-fc-v657\n", (6, 18, 44)), (b"6.1\n", (6, 1, 0)), (b"4.4.0-19041-Microsoft", (4, 4, 0))],
)
def test_release(text: bytes, expected: tuple[int, int, int]) -> None:
    """What a distribution appends does not matter; versions compare as numbers (6.10 is newer than 6.2)."""
    assert parse_release(text) == expected
    assert Release(6, 10, 0) > (6, 2)
    with pytest.raises(MalformedFileError):
        parse_release(b"unknown")
