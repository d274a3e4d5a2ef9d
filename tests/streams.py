"""Writes event streams, so that tests can say in a few words what a monitor would have observed.

The layouts stand in ``hiwater.recording.wire``, which one test holds against ``protocol.h`` itself.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from hiwater.recording import wire
from hiwater.recording.wire import CgroupWhen, EndedByCode, ImageEndedBy, ImageFlags, ProcessEndFlags, RecordType

MS = 1_000_000
MIB = 1 << 20
FACTS = {
    "monitor_version": "0.1.0",
    "kernel": "6.18.44",
    "machine": "x86_64",
    "cpus": "2",
    "mem_total_bytes": str(16 << 30),
    "swap_total_bytes": "0",
    "thp": "madvise",
    "statm_exact": "1",
    "mode": "quiet",
    "mode_wanted": "quiet",
    "period_ns": "1000000",
    "linger_ns": "1000000000",
    "timeout_ns": "0",
    "launcher_pid": "77",
    "launcher_name": "bash",
    "launcher_hwm_bytes": str(3 * MIB),
    "launcher_rss_bytes": str(3 * MIB),
    "cgroup": "/user.slice",
    "container": "",
    "monitor_pid": "4000",
    "cwd": "/src",
}
"""A machine whose counters can be off by 744 KiB."""

ERROR = 3 * 2 * 31 * 4096


def split(rss: int = -1, anon: int = -1, file: int = -1, shmem: int = -1) -> tuple[int, int, int, int]:
    """A resident set; unknown unless given."""
    return rss, anon, file, shmem


def pack_column(values: Sequence[int], order: str = "<") -> bytes:
    """A column as narrow as it can be, with its head and its padding."""
    least, most = min(values), max(values)
    width = 0 if least == most else 1 if most - least < 1 << 8 else 2 if most - least < 1 << 16 else 4
    base = 0 if width == 4 or (most == wire.NONE and width) else least
    width = 4 if most == wire.NONE and width else width
    letter = {0: "", 1: "B", 2: "H", 4: "I"}[width]
    data = struct.pack(f"{order}{len(values)}{letter}", *[value - base for value in values]) if width else b""
    return struct.pack(order + wire.COLUMN, base, width) + data + bytes(-len(data) % 8)


class Stream:
    """Grows record by record; ``data`` is what a monitor would have written."""

    def __init__(self, order: str = "<", version: int = wire.VERSION, page_size: int = 4096) -> None:
        self.order = order
        size = struct.calcsize("<" + wire.HEADER)
        started_ns = 1_700_000_000_123_456_789
        self.data = struct.pack(
            order + wire.HEADER, wire.MAGIC, wire.BYTE_ORDER, version, size, page_size, 0, started_ns
        )

    def record(self, kind: int, payload: bytes, flags: int = 0) -> Stream:
        """Any record, padded as the monitor pads it."""
        padding = -len(payload) % 8
        head = struct.pack(self.order + wire.RECORD, 8 + len(payload) + padding, kind, flags)
        self.data += head + payload + bytes(padding)
        return self

    def _pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self.order + layout, *values)

    def facts(self, **changes: str) -> Stream:
        pairs = FACTS | changes
        return self.record(RecordType.FACTS, b"".join(f"{k}\0{v}\0".encode() for k, v in pairs.items()))

    def command(self, *arguments: bytes) -> Stream:
        return self.record(RecordType.COMMAND, b"".join(argument + b"\0" for argument in arguments))

    def process(self, number: int = 0, parent: int | None = None, pid: int = 4242, t_ns: int = 0) -> Stream:
        above = wire.NONE if parent is None else parent
        return self.record(RecordType.PROC_START, self._pack(wire.PROC_START, t_ns, number, above, pid, 4000), 1)

    def image(
        self,
        number: int = 0,
        process: int = 0,
        comm: bytes = b"prog",
        exe: bytes = b"/usr/bin/prog",
        arguments: tuple[bytes, ...] = (b"prog",),
        flags: ImageFlags = ImageFlags(0),  # noqa: B008 - an enum member is no mutable default
        start: tuple[int, int, int, int] = split(),
        t_ns: int = 0,
        before: int = -1,
    ) -> Stream:
        line = b"".join(argument + b"\0" for argument in arguments)
        fixed = self._pack(wire.IMAGE_START, t_ns, number, process, *start, before, len(comm), len(exe), len(line))
        return self.record(RecordType.IMAGE_START, fixed + comm + exe + line, flags)

    def image_end(
        self,
        number: int = 0,
        how: ImageEndedBy = ImageEndedBy.VANISHED,
        *,
        hwm: int = -1,
        max_rss: int = -1,
        vm_peak: int = -1,
        folded: int = -1,
        last: tuple[int, int, int, int] = split(),
        at_max: tuple[int, int, int, int] = split(),
        swap: int = 0,
        last_read_ns: int = 99 * MS,
        threads: int = 1,
        t_ns: int = 100 * MS,
        samples: int = 10,
        pte: int = -1,
        hugetlb: int = -1,
        exact: int = -1,
        exact_lost: int = 0,
        exact_least: int | None = None,
        raced: bool = False,
        counted: int = -1,
        threads_at_most: int = -1,
    ) -> Stream:
        """``exact``: the maximum by events; ``exact_least`` is the same unless it is given."""
        marks = (hwm, max_rss, vm_peak, folded)
        told = (exact, exact_lost, exact if exact_least is None else exact_least, 50 * MS, raced)
        by_events = told if exact >= 0 else (-1,) * 5
        rest = (50 * MS, swap, last_read_ns, threads, pte, hugetlb, *by_events, counted, threads_at_most)
        fixed = self._pack(wire.IMAGE_END, t_ns, number, samples, *last, *marks, *at_max, *rest)
        return self.record(RecordType.IMAGE_END, fixed, how)

    def process_end(
        self,
        number: int = 0,
        maxrss: int = -1,
        flags: ProcessEndFlags = ProcessEndFlags.REAPED,
        status: int = 0,
        t_ns: int = 100 * MS,
        minor_faults: int = 5,
    ) -> Stream:
        fixed = self._pack(wire.PROC_END, t_ns, number, status, maxrss, MS, MS, minor_faults, 0)
        return self.record(RecordType.PROC_END, fixed, flags)

    def samples(self, rows: Sequence[tuple[int, ...]], base_ns: int = 0) -> Stream:
        """Rows of (us since ``base_ns``, image, rss, anon, shmem, swap, hwm, pte, hugetlb); what is left out at the
        end is 0."""
        return self._rows(RecordType.SAMPLES, wire.SAMPLE_COLUMNS, rows, base_ns)

    def tree_samples(self, rows: Sequence[tuple[int, ...]], base_ns: int = 0) -> Stream:
        """Rows of (us since ``base_ns``, processes, estimate, anon, shmem, swap, pte, hugetlb), likewise."""
        return self._rows(RecordType.TREE_SAMPLES, wire.TREE_COLUMNS, rows, base_ns)

    def _rows(self, kind: RecordType, width: int, rows: Sequence[tuple[int, ...]], base_ns: int) -> Stream:
        full = [row + (0,) * (width - len(row)) for row in rows]
        times, *columns = (list(column) for column in zip(*full, strict=True))
        # A monitor writes rows in order; a test may want to see what becomes of others.
        steps = [(now - before) % (1 << 32) for before, now in zip([0, *times], times, strict=False)]
        head = self._pack(wire.SAMPLES, base_ns, len(rows), width)
        return self.record(kind, head + b"".join(pack_column(column, self.order) for column in [steps, *columns]))

    def ledger(
        self,
        *rows: tuple[int, int, int, bytes],
        image: int = 0,
        before: int = MIB,
        after: int = MIB,
        flags: int = 0,
        count: int | None = None,
    ) -> Stream:
        """Rows of (kind, flags, RSS, name); all other sizes are the RSS plus 1, 2, ... bytes."""
        fixed = (50 * MS, image, 77, before, after, 1, 2, -1, 99, len(rows) if count is None else count)
        payload = self._pack(wire.LEDGER, *fixed)
        for kind, row_flags, rss, name in rows:
            sizes = (rss + 1, rss, *range(rss + 2, rss + 11))
            payload += self._pack(wire.LEDGER_ROW, kind, row_flags, 3, 1 << 46, *sizes, len(name), 0)
            payload += name + bytes(-len(name) % 8)
        return self.record(RecordType.LEDGER, payload, flags)

    def tree_peak(
        self, estimate: int, lower: int, processes: int, *, snapshot: bool = True, sum_bytes: int | None = None
    ) -> Stream:
        total = estimate if sum_bytes is None else sum_bytes
        values = (50 * MS, estimate, total, estimate, 0, 0, 0, lower, processes, 0)
        return self.record(RecordType.TREE_PEAK, self._pack(wire.TREE_PEAK, *values), int(snapshot))

    def tree_upper(self, *rows: tuple[int, int, int]) -> Stream:
        return self.record(RecordType.TREE_UPPER, b"".join(self._pack(wire.TREE_UPPER, *row) for row in rows))

    def cgroup(self, when: CgroupWhen, texts: Mapping[str, str]) -> Stream:
        """What the files of the command's cgroup say."""
        return self.record(RecordType.CGROUP, b"".join(f"{k}\0{v}\0".encode() for k, v in texts.items()), when)

    def warning(self, code: str, text: str) -> Stream:
        return self.record(RecordType.WARNING, f"{code}\0{text}\0".encode())

    def stats(
        self,
        *,
        unseen: int = 0,
        max_alive: int = 1,
        processes: int = 1,
        floor: int = 131072,
        uncounted: int = 0,
        swap: int = 0,
        pte: int = 0,
        hugetlb: int = 0,
        demand: int = 0,
        coarse: int = 0,
        events: int = -1,
        lost: int = 0,
        sum_peak: int = 0,
        took: int = 0,
        gave: int = 0,
    ) -> Stream:
        """``events``: how many there were; without it, none were asked for."""
        values = (100 * MS, MS, 100, 100, 1, 2 * MS, unseen, 2 * MS, max_alive, processes, floor, uncounted, swap,
                  pte, hugetlb, demand, coarse,
                  *((events, lost, sum_peak, 50 * MS, took, gave, MS) if events >= 0 else (-1,) * 7))  # fmt: skip
        return self.record(RecordType.STATS, self._pack(wire.STATS, *values))

    def end(
        self,
        maxrss: int = 0,
        status: int = 0,
        by: EndedByCode = EndedByCode.EXIT,
        *,
        errno: int = 0,
        left: int = 0,
        wall_ns: int = 100 * MS,
    ) -> Stream:
        values = (wall_ns, wall_ns, status, by, errno, left, 90 * MS, 10 * MS, maxrss)
        return self.record(RecordType.END, self._pack(wire.END, *values))


def simple() -> Stream:
    """A command of one process and one image, sampled well, that took about 20 MiB."""
    return (
        Stream()
        .facts()
        .command(b"prog", b"--flag")
        .process()
        .image(arguments=(b"prog", b"--flag"))
        .image_end(
            hwm=20 * MIB, max_rss=20 * MIB, at_max=split(20 * MIB, 18 * MIB, 2 * MIB, 0), last=split(MIB, MIB, 0, 0)
        )
        .process_end(maxrss=20 * MIB - 200 * 1024)
        .stats()
        .end(maxrss=20 * MIB - 200 * 1024)
    )
