"""The parsers of /proc/PID: status, statm, stat, smaps_rollup."""

from pathlib import Path

import pytest

from hiwater.procfs import (
    MalformedFileError,
    Statm,
    parse_smaps_rollup,
    parse_stat,
    parse_statm,
    parse_status,
)

DATA = Path(__file__).parent / "data"
ODD_NAME = b"a) R (\nb\\ \xff"
KIB = 1024

GVISOR_STATUS = b"""Name:\tpython3
State:\tR (running)
Tgid:\t7
Pid:\t7
PPid:\t1
TracerPid:\t0
FDSize:\t64
VmSize:\t   20480 kB
VmRSS:\t    9216 kB
VmData:\t    4096 kB
Threads:\t1
CapEff:\t00000000a80405fb
Seccomp:\t0
"""

LINUX_3_10_STATUS = b"""Name:\tinit
State:\tS (sleeping)
Tgid:\t1
Pid:\t1
PPid:\t0
TracerPid:\t0
Uid:\t0\t0\t0\t0
Gid:\t0\t0\t0\t0
VmPeak:\t   19416 kB
VmSize:\t   19352 kB
VmHWM:\t    1620 kB
VmRSS:\t    1536 kB
VmSwap:\t       0 kB
Threads:\t1
"""


def read(directory: str, name: str) -> bytes:
    return (DATA / directory / name).read_bytes()


def test_status_of_an_ordinary_process() -> None:
    """Sizes come in bytes, split into anonymous, file and shared memory."""
    status = parse_status(read("linux-6.18", "status"))
    assert (status.name, status.state, status.pid, status.ppid) == (b"sleep", "S", 5386, 5344)
    assert (status.hwm_bytes, status.rss_bytes) == (1720 * KIB, 1720 * KIB)
    assert (status.anon_bytes, status.file_bytes, status.shmem_bytes) == (108 * KIB, 1612 * KIB, 0)
    assert status.vm_peak_bytes == 2920 * KIB
    assert status.has_memory
    assert (status.uid, status.threads, status.seccomp, status.no_new_privs) == (0, 1, 0, 0)
    assert status.effective_capabilities == 0x1FFFEFFFFFF


def test_status_of_a_zombie_has_no_memory() -> None:
    """A zombie has lost its memory map: every size is unknown, none is 0."""
    status = parse_status(read("linux-6.18-zombie", "status"))
    sizes = (status.vm_peak_bytes, status.hwm_bytes, status.rss_bytes, status.anon_bytes, status.swap_bytes)
    assert (status.state, sizes, status.has_memory) == ("Z", (None,) * 5, False)


def test_status_undoes_the_escapes_of_a_name() -> None:
    """A name with a newline, a backslash, parentheses and a byte that is no UTF-8 comes back as it was set."""
    assert parse_status(read("linux-6.18-odd-name", "status")).name == ODD_NAME


@pytest.mark.parametrize(
    ("name", "expected"), [(rb"a\\nb", rb"a\nb"), (rb" x ", b" x "), (b"", b""), (rb"VmRSS: 5 kB", rb"VmRSS: 5 kB")]
)
def test_status_names(name: bytes, expected: bytes) -> None:
    """An escaped backslash before an n is no newline; blanks at the ends stay; a name can not pose as a field."""
    status = parse_status(b"Name:\t" + name + b"\nState:\tS (sleeping)\n")
    assert (status.name, status.rss_bytes) == (expected, None)


def test_status_without_vmhwm() -> None:
    """gVisor prints VmRSS and no VmHWM: the mark is unknown, the rest is read."""
    status = parse_status(GVISOR_STATUS)
    assert (status.hwm_bytes, status.rss_bytes, status.anon_bytes, status.uid) == (None, 9216 * KIB, None, None)


def test_status_of_an_old_kernel() -> None:
    """Before Linux 4.5 there is no split, before 3.8 no Seccomp: unknown, not 0."""
    status = parse_status(LINUX_3_10_STATUS)
    assert (status.hwm_bytes, status.swap_bytes) == (1620 * KIB, 0)
    assert (status.anon_bytes, status.file_bytes, status.shmem_bytes, status.seccomp) == (None,) * 4


@pytest.mark.parametrize(
    "text", [b"", b"cat: no such file\n", b"Name:\tx\nVmRSS:\t12 MB\n", b"Name:\tx\nVmRSS:\tlots kB\n"]
)
def test_status_refuses_what_is_no_status(text: bytes) -> None:
    """A file that is something else, or another unit, is an error and never a wrong number."""
    with pytest.raises(MalformedFileError, match="/proc/PID/status"):
        parse_status(text)


def test_statm() -> None:
    """Pages become bytes with the page size that is given."""
    statm = parse_statm(read("linux-6.18", "statm"), 4096)
    assert statm == Statm(730 * 4096, 430 * 4096, 403 * 4096)
    assert statm.anon_bytes == 27 * 4096
    assert parse_statm(b"730 430 403 5 0 89 0\n", 65536).rss_bytes == 430 * 65536


def test_statm_of_a_zombie_is_all_zeros() -> None:
    """An address space of 0 tells a process that has lost its memory map."""
    assert parse_statm(read("linux-6.18-zombie", "statm"), 4096) == Statm(0, 0, 0)


@pytest.mark.parametrize("text", [b"", b"1 2\n", b"1 -2 3\n", b"a b c\n"])
def test_statm_refuses_garbage(text: bytes) -> None:
    """Too few numbers, or none, is an error."""
    with pytest.raises(MalformedFileError, match="statm"):
        parse_statm(text, 4096)


@pytest.mark.parametrize(
    ("directory", "name", "state", "rss_pages"),
    [
        ("linux-6.18", b"sleep", "S", 403),
        ("linux-6.18-odd-name", ODD_NAME, "S", 2827),
        ("linux-6.18-zombie", ODD_NAME, "Z", 0),
    ],
)
def test_stat(directory: str, name: bytes, state: str, rss_pages: int) -> None:
    """The name ends at the last parenthesis of the file, whatever it holds."""
    stat = parse_stat(read(directory, "stat"), 4096)
    assert (stat.name, stat.state, stat.rss_bytes) == (name, state, rss_pages * 4096)
    assert (stat.process_group, stat.session, stat.threads) == (5340, 2154, 1)


def test_stat_lags_behind_statm() -> None:
    """On a kernel where statm is exact, field 24 still is not: 403 pages against 430 of the same process."""
    stat, statm = parse_stat(read("linux-6.18", "stat"), 4096), parse_statm(read("linux-6.18", "statm"), 4096)
    assert (stat.rss_bytes // 4096, statm.rss_bytes // 4096) == (403, 430)


@pytest.mark.parametrize("text", [b"", b"1 (x", b"1 (x) S 1 2", b"x (x) " + b"1 " * 30, b"1 (x) S " + b"y " * 30])
def test_stat_refuses_garbage(text: bytes) -> None:
    """A file cut short is an error."""
    with pytest.raises(MalformedFileError, match="stat"):
        parse_stat(text, 4096)


def test_smaps_rollup() -> None:
    """The walk over the page tables gives the resident and the proportional set."""
    rollup = parse_smaps_rollup(read("linux-6.18", "smaps_rollup"))
    assert rollup.rss_bytes == 1720 * KIB
    assert rollup.pss_bytes is not None and rollup.pss_bytes < rollup.rss_bytes
    assert (rollup.swap_bytes, rollup.lazy_free_bytes, rollup.anon_huge_bytes) == (0, 0, 0)


def test_smaps_rollup_of_linux_4_14() -> None:
    """The parts of Pss came later: unknown there."""
    rollup = parse_smaps_rollup(b"00400000-7ffe ---p 00000000 00:00 0 [rollup]\nRss: 8 kB\nPss: 4 kB\n")
    assert (rollup.rss_bytes, rollup.pss_bytes) == (8192, 4096)
    assert (rollup.pss_anon_bytes, rollup.private_bytes, rollup.swap_bytes) == (None, None, None)


def test_smaps_rollup_refuses_an_empty_file() -> None:
    """Without a memory map the file is empty: that is no resident set of 0."""
    with pytest.raises(MalformedFileError, match="smaps_rollup"):
        parse_smaps_rollup(b"")
