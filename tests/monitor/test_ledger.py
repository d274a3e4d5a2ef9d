"""The ledger: what a process's memory consists of, read by the monitor near its maximum."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from tests.monitor.harness import MIB, Monitor, Session
from tests.monitor.test_privileges import AS_NOBODY, needs_root

from hiwater.recording.ledger import LedgerSnapshot, Mapping
from hiwater.recording.model import Recording
from hiwater.recording.wire import LedgerFlags, MapFlags, MapKind

PAGE = os.sysconf("SC_PAGE_SIZE")
PRESENT = 1 << 63


def _ledger(recording: Recording) -> LedgerSnapshot | None:
    """That of the command itself; of its image, none other has one."""
    return recording.ledgers[-1] if recording.ledgers else None


def _row(ledger: LedgerSnapshot, kind: MapKind, name: str = "", start: int | None = None) -> Mapping:
    found = [r for r in ledger.rows if r.kind is kind and r.name == name and start in (None, r.start)]
    assert len(found) == 1, f"{len(found)} rows {kind.name} {name!r} among {ledger.rows}"
    return found[0]


def _rss(row: Mapping) -> int:
    assert row.rss_bytes is not None
    return row.rss_bytes


@dataclass(frozen=True)
class Extent:
    """A mapping as /proc/PID/maps and /proc/PID/pagemap tell of it."""

    start: int
    end: int
    name: str
    resident_bytes: int

    def holds(self, address: int) -> bool:
        return self.start <= address < self.end


def _extents(pid: int) -> list[Extent]:
    found = []
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            words = line.split(maxsplit=5)
            start, end = (int(address, 16) for address in words[0].split("-"))
            name = words[5] if len(words) > 5 else ""
            resident = 0
            if name not in ("[vvar]", "[vvar_vclock]", "[vsyscall]"):
                pagemap.seek(start // PAGE * 8)
                raw = pagemap.read((end - start) // PAGE * 8)
                resident = sum(bool(entry & PRESENT) for entry in struct.unpack(f"={len(raw) // 8}Q", raw)) * PAGE
            found.append(Extent(start, end, name, resident))
    return found


@dataclass(frozen=True)
class Kinds:
    """A running `kinds`: what it said of itself, and the ledger of just that state."""

    said: dict[str, tuple[int, int]]
    """Address and resident bytes by kind."""
    ledger: LedgerSnapshot
    extents: list[Extent]
    """By another way of counting."""

    def anon(self, kind: str) -> Mapping:
        """The row of an unnamed mapping."""
        return _row(self.ledger, MapKind.ANON, start=self.said[kind][0])

    def resident(self, name: str) -> int:
        return sum(extent.resident_bytes for extent in self.extents if extent.name == name)


def _pid_of_command(session: Session) -> int:
    return session.stream.until(lambda recording: bool(recording.observed_processes)).observed_processes[0].pid


def _lines(session: Session, last: bytes) -> dict[str, tuple[int, int]]:
    said = {}
    for line in iter(session.line, last):
        assert line, "kinds ended"
        kind, address, size = line.decode().split()
        said[kind] = int(address, 16), int(size)
    return said


def _statm_rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def _ledger_near(session: Session, rss: int) -> LedgerSnapshot:
    """Waits for one of at least so much, less the growth that is worth another."""

    def is_there(recording: Recording) -> bool:
        ledger = _ledger(recording)
        return ledger is not None and (ledger.rss_before_bytes or 0) * 1.02 >= rss

    ledger = _ledger(session.stream.until(is_there))
    assert ledger is not None
    return ledger


def _kinds(monitor: Monitor, tmp_path: Path, prefix: tuple[str, ...] = ()) -> Kinds:
    """Executes `kinds` until there is a ledger of the state that it waits in."""
    room = monitor.room / f"kinds-{tmp_path.name}"
    room.mkdir(mode=0o777)
    room.chmod(0o777)
    with monitor.start(monitor.program("kinds"), str(room / "data"), prefix=prefix) as session:
        said = _lines(session, b"ready\n")
        pid = _pid_of_command(session)
        while True:  # until it happens that none was taken while it grew, a little below
            session.go()
            said |= _lines(session, b"grown\n")
            rss = _statm_rss(pid)
            ledger = _ledger_near(session, rss)
            if ledger.rss_before_bytes == ledger.rss_after_bytes == rss:
                break
        extents = _extents(pid)
        outcome = session.finish()
        assert outcome.status == 0, outcome.stderr
        (room / "data").unlink()
    return Kinds(said, ledger, extents)


def _check(kinds: Kinds) -> None:
    ledger, said = kinds.ledger, kinds.said
    assert sum(map(_rss, ledger.rows)) == ledger.rss_before_bytes == ledger.rss_after_bytes
    assert ledger.mappings >= len(kinds.extents)
    assert ledger.flags == 0

    heap = _row(ledger, MapKind.HEAP)
    assert _rss(heap) == heap.anon_bytes == kinds.resident("[heap]")
    assert _rss(heap) >= said["heap"][1]
    stack = _row(ledger, MapKind.STACK)
    assert _rss(stack) == kinds.resident("[stack]") >= 3 * MIB

    stacks = _row(ledger, MapKind.THREAD_STACK)
    assert stacks.count == 8
    assert 8 * MIB <= _rss(stacks) <= 9 * MIB

    assert _rss(kinds.anon("ballast")) == said["ballast"][1]
    if "named" in said:
        assert _rss(_row(ledger, MapKind.ANON_NAMED, "my pool")) == said["named"][1]
    else:
        assert _rss(kinds.anon("unnamed")) == said["unnamed"][1]
    if "lazy" in said:
        lazy = kinds.anon("lazy")
        assert _rss(lazy) == said["lazy"][1]
        # What was faulted in around it may still wait on a CPU's list of pages.
        assert lazy.lazyfree_bytes is not None
        assert said["lazy"][1] - MIB <= lazy.lazyfree_bytes <= said["lazy"][1]
    huge = kinds.anon("huge")
    assert huge.anon_huge_bytes in (0, 2 * MIB)
    assert _rss(huge) == (huge.anon_huge_bytes or PAGE)

    file = [row for row in ledger.rows if row.kind is MapKind.FILE and row.name.endswith("/data")]
    assert [(row.rss_bytes, row.anon_bytes) for row in file] == [(said["file"][1], 5 * MIB)]
    for name, kind in (("/dev/zero", "shared"), ("/memfd:mapped", "memfd"), ("/SYSV00000000", "sysv")):
        row = _row(ledger, MapKind.SHMEM, name)
        assert (row.rss_bytes, row.start) == (said[kind][1], said[kind][0])
        assert row.flags & (MapFlags.SHARED | MapFlags.DELETED | MapFlags.ON_TMPFS) == row.flags & ~MapFlags(3)
    for name, size in (("/memfd:mapped", 4 * MIB), ("/memfd:written", 24 * MIB)):
        row = _row(ledger, MapKind.UNMAPPED_SHMEM, name)
        assert (row.size_bytes, row.rss_bytes) == (size, 0)
    assert ledger.swap_bytes == 0
    assert ledger.hugetlb_bytes == 0
    assert ledger.pte_bytes is not None
    assert ledger.pte_bytes >= (ledger.rss_before_bytes or 0) // 512


def test_every_kind_has_its_bytes(monitor: Monitor, tmp_path: Path) -> None:
    """Heap, stacks, anonymous memory with and without names, lazily freed and huge pages, files, shared memory of every
    sort, mapped and not: each has its bytes to the page, and the sum of the rows is the RSS."""
    _check(_kinds(monitor, tmp_path))


def test_an_unprivileged_user_has_it_too(monitor: Monitor, tmp_path: Path) -> None:
    """All of it is told to who may read his own processes, without any privilege."""
    needs_root("setpriv")
    _check(_kinds(monitor, tmp_path, prefix=AS_NOBODY))


def test_the_last_instant_of_a_traced_process(tracing: Monitor) -> None:
    """Under trace a process that grows until it exits is read while it is held there: all of its last memory."""
    recording = tracing.act("grow", 30, "exit", 3).recording
    (ledger,) = recording.ledgers
    end = recording.images[ledger.image].end
    assert end is not None
    assert ledger.flags & LedgerFlags.HELD
    assert sum(map(_rss, ledger.rows)) == ledger.rss_before_bytes == ledger.rss_after_bytes == end.last.rss_bytes
    assert (ledger.rss_before_bytes or 0) >= 30 * MIB


def test_pages_shared_with_the_parent(monitor: Monitor) -> None:
    """What fork left to a child as a copy in name only is shared: half of it is the child's share."""
    with monitor.start_act("grow", 40, "fork", "say", "up", "read", "exit", 0) as session:
        assert session.line() == b"up\n"
        child = session.stream.until(lambda recording: any(ledger.image == 1 for ledger in recording.ledgers)).ledgers[
            -1
        ]
        session.go()
        assert session.finish().status == 0
    row = next(row for row in child.rows if (row.anon_bytes or 0) >= 40 * MIB)
    assert row.shared_bytes == row.rss_bytes
    assert row.private_bytes == 0
    assert row.pss_bytes is not None
    assert row.pss_bytes <= _rss(row) // 2 + PAGE


def test_what_may_not_be_read(quiet: Monitor) -> None:
    """An unprivileged user's process that made itself undumpable has no ledger, and the recording says why, once."""
    needs_root("setpriv")
    with quiet.start_act("undumpable", "grow", 40, "say", "up", "read", prefix=AS_NOBODY) as session:
        assert session.line() == b"up\n"
        recording = session.stream.until(lambda recording: recording.facts.ledger_refused is not None)
        session.go()
        assert session.finish().status == 0
    assert recording.facts.ledger_refused == f"act (pid {recording.observed_processes[0].pid}): Permission denied"
    assert [ledger for ledger in recording.ledgers if (ledger.rss_before_bytes or 0) >= 40 * MIB] == []
