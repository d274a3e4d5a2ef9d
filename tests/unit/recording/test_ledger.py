"""The ledgers of a recording."""

from __future__ import annotations

import pytest
from tests.streams import MIB, Stream, simple

from hiwater.recording.reader import parse
from hiwater.recording.wire import LedgerFlags, MapFlags, MapKind

HEAP, FILE = (MapKind.HEAP, 3, 5 * MIB, b""), (MapKind.FILE, 1, MIB, b"/lib/a\xff b.so")


@pytest.mark.parametrize("order", ["<", ">"])
def test_fields(order: str) -> None:
    """Every field comes out under its own name, in either byte order; -1 is None; names survive as bytes."""
    (ledger,) = parse(Stream(order).process().image().ledger(HEAP, FILE, image=0, after=-1, flags=1).data).ledgers
    assert (ledger.t_ns, ledger.image, ledger.flags, ledger.cost_us) == (50_000_000, 0, LedgerFlags.HELD, 77)
    assert (ledger.rss_before_bytes, ledger.rss_after_bytes) == (MIB, None)
    assert (ledger.swap_bytes, ledger.pte_bytes, ledger.hugetlb_bytes, ledger.mappings) == (1, 2, None, 99)
    heap, file = ledger.rows
    assert (heap.kind, heap.flags, heap.count, heap.start) == (MapKind.HEAP, MapFlags.READ | MapFlags.WRITE, 3, 1 << 46)
    assert (heap.size_bytes, heap.rss_bytes, heap.pss_bytes) == (5 * MIB + 1, 5 * MIB, 5 * MIB + 2)
    sizes = heap.private_bytes, heap.shared_bytes, heap.anon_bytes, heap.lazyfree_bytes, heap.anon_huge_bytes
    assert [(size or 0) - 5 * MIB for size in sizes] == [3, 4, 5, 6, 7]
    assert [(size or 0) - 5 * MIB for size in (heap.swap_bytes, heap.swap_pss_bytes, heap.locked_bytes)] == [8, 9, 10]
    assert (heap.name, file.name.encode("utf-8", "surrogateescape")) == ("", b"/lib/a\xff b.so")


def test_the_last_one_of_an_image_counts() -> None:
    """One ledger an image, by the image's number."""
    stream = (
        Stream().process().image(0).image(1).ledger(HEAP, image=1).ledger(HEAP, image=0).ledger(FILE, HEAP, image=1)
    )
    assert [(ledger.image, len(ledger.rows)) for ledger in parse(stream.data).ledgers] == [(0, 1), (1, 2)]


def test_without() -> None:
    """A recording of an earlier version has none; why one is missing is a fact."""
    assert parse(simple().data).ledgers == ()
    facts = parse(Stream().facts().facts(ledger_refused="su (pid 7): Permission denied").data).facts
    assert (facts.ledger_refused, facts.ledger_too_costly) == ("su (pid 7): Permission denied", None)


def test_unknown_kind() -> None:
    """A kind that this version does not know is None, not an error."""
    (ledger,) = parse(Stream().ledger((99, 1 << 15, 1, b"x")).data).ledgers
    assert (ledger.rows[0].kind, ledger.rows[0].flags, ledger.rows[0].name) == (None, MapFlags(0), "x")


def test_damaged() -> None:
    """More rows than there are bytes are not believed, nor a name that is longer than what is left."""
    assert parse(Stream().ledger(HEAP, count=50).end().data).cut is not None
    stream = Stream().ledger(HEAP, FILE).data
    damaged = parse(stream[:-24] + (1 << 20).to_bytes(4, "little") + stream[-20:])
    assert (damaged.ledgers, len(damaged.packed_ledgers)) == ((), 1)
