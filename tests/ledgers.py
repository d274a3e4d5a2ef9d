"""Recordings with ledgers, for the tests of what explains them."""

from __future__ import annotations

import struct
from dataclasses import replace

from tests.streams import MIB, MS, Stream, split
from tests.timelines import row

from hiwater.recording import wire
from hiwater.recording.ledger import LedgerSnapshot, Mapping, PackedLedger
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import LedgerFlags, MapFlags, MapKind

KIB = 1024
HUGE = 2 * MIB
LIBRARY = "/usr/lib/x86_64-linux-gnu/libc.so.6"
PROGRAM = "/usr/bin/python3.11"


def mapping(kind: MapKind, name: str = "", rss: int = 0, **more: int) -> Mapping:
    """One mapping: of anonymous memory all of it is, of others nothing, unless ``anon`` says so."""
    own = kind not in (MapKind.FILE, MapKind.SHMEM, MapKind.SPECIAL, MapKind.UNMAPPED_SHMEM)
    shared = more.get("shared", 0)
    return Mapping(
        kind=kind,
        flags=MapFlags(more.get("flags", 3)),
        count=more.get("count", 1),
        start=more.get("start", 0x7F12A4000000),
        size_bytes=more.get("size", rss),
        rss_bytes=rss,
        pss_bytes=rss - shared // 2,
        private_bytes=rss - shared,
        shared_bytes=shared,
        anon_bytes=more.get("anon", rss if own else 0),
        lazyfree_bytes=more.get("lazyfree", 0),
        anon_huge_bytes=more.get("huge", 0),
        swap_bytes=more.get("swap", 0),
        swap_pss_bytes=0,
        locked_bytes=more.get("locked", 0),
        name=name,
    )


def snapshot(rows: list[Mapping], image: int = 0, t_ns: int = 45 * MS, **more: int) -> LedgerSnapshot:
    """The mappings of an image."""
    total = sum(one.rss_bytes or 0 for one in rows)
    return LedgerSnapshot(
        t_ns=t_ns,
        image=image,
        cost_us=2345,
        flags=LedgerFlags(more.get("flags", 0)),
        rss_before_bytes=more.get("before", total),
        rss_after_bytes=more.get("after", total),
        swap_bytes=more.get("swap", 0),
        pte_bytes=more.get("pte", 0),
        hugetlb_bytes=more.get("hugetlb", 0),
        mappings=sum(one.count for one in rows),
        rows=tuple(sorted(rows, key=lambda one: -(one.rss_bytes or 0))),
    )


def everything() -> list[Mapping]:
    """A mapping of each kind: 207.7 MiB and 4 KiB."""
    return [
        mapping(MapKind.ANON, rss=64 * MIB, size=128 * MIB, huge=40 * MIB),
        mapping(MapKind.ANON, rss=20 * MIB, size=20 * MIB, start=0x7F12B0000000, lazyfree=8 * MIB),
        mapping(MapKind.ANON, rss=MIB, size=3 * MIB, count=31, start=0x7F12C0000000),
        mapping(MapKind.HEAP, rss=45 * MIB, size=48 * MIB, shared=12 * MIB, start=0x55D0C0000000),
        mapping(MapKind.ARENA, rss=24 * MIB, size=192 * MIB, count=3),
        mapping(MapKind.THREAD_STACK, rss=600 * KIB, size=32 * MIB, count=4),
        mapping(MapKind.STACK, rss=132 * KIB, size=132 * KIB),
        mapping(MapKind.ANON_NAMED, "cache of \x1b[1mthings", rss=5 * MIB, locked=5 * MIB),
        mapping(MapKind.FILE, PROGRAM, rss=6 * MIB, anon=500 * KIB, count=5),
        mapping(MapKind.FILE, LIBRARY, rss=1700 * KIB, anon=20 * KIB, count=4),
        mapping(MapKind.FILE, "/opt/a_|_<b>/libbig.so.3", rss=9 * MIB, anon=MIB, count=4),
        mapping(MapKind.FILE, "/srv/data/index.bin", rss=20 * MIB, count=1, size=900 * MIB),
        mapping(MapKind.FILE, "", rss=200 * KIB, count=12),
        mapping(MapKind.SHMEM, "/memfd:frames", rss=8 * MIB, flags=11),
        mapping(MapKind.SHMEM, "/dev/zero", rss=3 * MIB, flags=11),
        mapping(MapKind.SHMEM, "/SYSV0000002a", rss=76 * KIB, flags=11),
        mapping(MapKind.SPECIAL, "[vdso]", rss=4 * KIB),
        mapping(MapKind.UNMAPPED_SHMEM, "/dev/shm/spool", size=30 * MIB),
    ]


def stream(
    peak: int = 210 * MIB, *, exe: str = PROGRAM, pte: int = 4096, facts: dict[str, str] | None = None
) -> Stream:
    """A Python program under a fat launcher that peaked at 210 MiB."""
    told = {"launcher_hwm_bytes": str(847 * MIB), "launcher_name": "runner"} | (facts or {})
    words = (b"python3", b"serve.py", b"--workers=4")
    return (
        Stream()
        .facts(**told)
        .command(*words)
        .process()
        .image(comm=b"python3", exe=exe.encode(), arguments=words)
        .image_end(
            hwm=peak,
            max_rss=peak,
            at_max=split(peak - MIB // 2, peak - MIB // 2 - 48 * MIB, 37 * MIB, 11 * MIB),
            swap=12 * MIB,
            pte=pte,
        )
        .process_end(maxrss=peak - 200 * KIB)
        .stats()
        .end(maxrss=peak - 200 * KIB)
    )


def packed(shot: LedgerSnapshot) -> PackedLedger:
    """As it stands in a stream."""
    sizes = [shot.rss_before_bytes, shot.rss_after_bytes, shot.swap_bytes, shot.pte_bytes, shot.hugetlb_bytes]
    head = [shot.t_ns, shot.image, shot.cost_us, *map(_or_unknown, sizes), shot.mappings, len(shot.rows)]
    payload = struct.pack("<" + wire.LEDGER, *head)
    for one in shot.rows:
        sizes = [
            one.size_bytes, one.rss_bytes, one.pss_bytes, one.private_bytes, one.shared_bytes, one.anon_bytes,
            one.lazyfree_bytes, one.anon_huge_bytes, one.swap_bytes, one.swap_pss_bytes, one.locked_bytes,
        ]  # fmt: skip
        name = one.name.encode()
        values = [one.kind or 99, one.flags, one.count, one.start, *map(_or_unknown, sizes), len(name), 0]
        payload += struct.pack("<" + wire.LEDGER_ROW, *values) + name + bytes(-len(name) % 8)
    return PackedLedger(shot.flags, "<", payload)


def _or_unknown(size: int | None) -> int:
    return -1 if size is None else size


def with_ledgers(written: Stream, *snapshots: LedgerSnapshot) -> Recording:
    """What a monitor that took these snapshots would have recorded."""
    return replace(parse(written.data), packed_ledgers=tuple(packed(shot) for shot in snapshots))


def rich() -> Recording:
    """Everything that a ledger can hold, 2.3 MiB below the peak."""
    return with_ledgers(stream(), snapshot(everything(), pte=5 * MIB, hugetlb=4 * MIB, swap=MIB))


def family(workers: int = 4) -> Recording:
    """A parent of 60 MiB and workers of up to 50, of which each shares 30 with it; the tree's peak is 163 MiB of 4."""
    written = Stream().facts().command(b"boss", b"--serve").process()
    written.image(comm=b"boss", exe=b"/usr/bin/boss", arguments=(b"boss", b"--serve"))
    sizes = {0: 60}
    for number in range(1, workers + 1):
        sizes[number] = 50 if number < 4 else 1
        written.process(number, 0, pid=4242 + number, t_ns=10 * MS)
        name = b"worker" if number < 4 else b"helper"
        written.image(number, number, comm=name, exe=b"/usr/bin/" + name, arguments=(name, b"--id=%d" % number))
    written.samples([row(20, number, size, 0.8 * size) for number, size in sizes.items()])
    for number, size in sizes.items():
        written.image_end(number, hwm=size * MIB, max_rss=size * MIB)
        written.process_end(number, maxrss=size * MIB)
    total = sum(sizes.values())
    written.tree_peak((total - 90) * MIB, 100 * MIB, len(sizes), sum_bytes=total * MIB)
    written.tree_upper((0, len(sizes), total * MIB)).stats(max_alive=len(sizes), processes=len(sizes))
    written.end(maxrss=60 * MIB)
    shots = [
        snapshot([mapping(MapKind.HEAP, rss=(sizes[number] - 6) * MIB, shared=30 * MIB * (number > 0))], image=number)
        for number in range(min(3, workers + 1))
    ]
    return with_ledgers(written, *shots)


def coarse() -> Recording:
    """No mappings were read, but a split."""
    return with_ledgers(stream())
