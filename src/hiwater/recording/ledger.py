"""What a process's memory consisted of (HW_LEDGER): unpacked when somebody asks, not when a recording is loaded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hiwater.recording import wire
from hiwater.recording.wire import LedgerFlags, MapFlags, MapKind


@dataclass(frozen=True, slots=True)
class Mapping:
    """Mappings of one kind and name, added up; sizes as smaps names them (proc_pid_smaps(5))."""

    kind: MapKind | None
    """``None``: a kind that this version does not know."""
    flags: MapFlags
    """Of the first of them."""
    count: int
    """How many mappings; of ``UNMAPPED_SHMEM``, files."""
    start: int
    """The lowest address."""
    size_bytes: int | None
    """Address space; of ``UNMAPPED_SHMEM``, what is held beyond what mappings show."""
    rss_bytes: int | None
    pss_bytes: int | None
    """A page that n processes map counts 1/n."""
    private_bytes: int | None
    """Private_Clean + Private_Dirty: mapped once, and here."""
    shared_bytes: int | None
    """Shared_Clean + Shared_Dirty: mapped more than once."""
    anon_bytes: int | None
    """Anonymous pages. In a file's mapping: those that were written to, and are no longer the file's."""
    lazyfree_bytes: int | None
    """Freed with MADV_FREE, and still resident (since Linux 4.12)."""
    anon_huge_bytes: int | None
    """In transparent huge pages."""
    swap_bytes: int | None
    swap_pss_bytes: int | None
    locked_bytes: int | None
    name: str
    """Path of the file without ``" (deleted)"``, or the name that the program or the kernel gave; empty if it has
    none, and where the smallest were merged."""


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """One process's smaps, read at or near a maximum of an image."""

    t_ns: int
    image: int
    flags: LedgerFlags
    cost_us: int
    """CPU time that reading took."""
    rss_before_bytes: int | None
    """RSS (statm) just before; the sum of the rows' ``rss_bytes`` if nothing moved."""
    rss_after_bytes: int | None
    """Just after; ``None`` if the process was gone."""
    swap_bytes: int | None
    """VmSwap, just before."""
    pte_bytes: int | None
    """Page tables (VmPTE); not part of the RSS."""
    hugetlb_bytes: int | None
    """Pages of hugetlbfs (HugetlbPages); not part of the RSS."""
    mappings: int
    """How many were read."""
    rows: tuple[Mapping, ...]
    """Largest RSS first."""


def _known(value: int) -> int | None:
    return value if value >= 0 else None


def _row(values: tuple[int, ...], name: str) -> Mapping:
    kind, flags, count, start, *sizes = values[:-2]
    size, rss, pss, private, shared, anon, lazyfree, huge, swap, swap_pss, locked = map(_known, sizes)
    return Mapping(
        MapKind(kind) if kind in list(MapKind) else None, MapFlags(flags & 63), count, start,
        size, rss, pss, private, shared, anon, lazyfree, huge, swap, swap_pss, locked, name,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PackedLedger:
    """A record of a ledger as it stands in the stream."""

    flags: int
    order: str
    """Of its bytes, as ``struct`` writes it."""
    payload: bytes

    def unpack(self) -> LedgerSnapshot | None:
        """``None`` if it is damaged."""
        head = struct.Struct(self.order + wire.LEDGER)
        fixed = struct.Struct(self.order + wire.LEDGER_ROW)
        t_ns, image, cost, *sizes, mappings, count = head.unpack_from(self.payload)
        at, rows = head.size, []
        for _ in range(count):
            if len(self.payload) - at < fixed.size:
                return None
            values = fixed.unpack_from(self.payload, at)
            at += fixed.size
            length = values[-2]
            if len(self.payload) - at < length:
                return None
            rows.append(_row(values, self.payload[at : at + length].decode("utf-8", "surrogateescape")))
            at += -(-length // 8) * 8
        before, after, swap, pte, hugetlb = map(_known, sizes)
        return LedgerSnapshot(
            t_ns, image, LedgerFlags(self.flags & 3), cost, before, after, swap, pte, hugetlb, mappings, tuple(rows)
        )
