"""The rows of a ledger add up to the peak, and each byte has the right owner."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledgers import KIB, PROGRAM, everything, family, mapping, rich, snapshot, stream, with_ledgers
from tests.streams import MIB, MS, Stream, split
from tests.timelines import row

from hiwater.analysis.ledger import explain, explain_process
from hiwater.analysis.ledger_model import Known, Missing, ProcessLedger, Row
from hiwater.recording.ledger import Mapping
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import ImageFlags, LedgerFlags, MapKind


def peak_of(recording: Recording) -> ProcessLedger:
    """The ledger of the process that peaked."""
    ledger = recording.ledger.peak
    assert ledger is not None
    return ledger


def rows_of(ledger: ProcessLedger) -> list[Row]:
    return [row for section in ledger.sections for row in section.rows]


def row_of(ledger: ProcessLedger, key: str) -> Row:
    found = ledger.row(key)
    assert found is not None
    return found


def of(*mappings: Mapping, peak: int = 210 * MIB) -> ProcessLedger:
    """The ledger of a process with these mappings."""
    return peak_of(with_ledgers(stream(peak), snapshot(list(mappings))))


def test_the_rows_are_the_peak() -> None:
    """Every row, the remainder too, added up: the peak RSS of the summary, to the byte."""
    recording = rich()
    ledger = peak_of(recording)
    assert sum(row.bytes for row in rows_of(ledger)) == ledger.bytes == recording.peak_rss.bytes == 210 * MIB


SIZES = st.integers(0, 1 << 34)


@given(
    st.lists(
        st.builds(
            lambda kind, name, rss, anon, count: mapping(kind, name, rss, anon=anon, count=count, size=rss),
            st.sampled_from(list(MapKind)), st.sampled_from(["", "/a", "/b.so", PROGRAM, "/memfd:x (deleted)"]),
            SIZES, SIZES, st.integers(1, 9),
        ),
        max_size=12,
    ),
    SIZES,
)  # fmt: skip
def test_whatever_the_mappings_the_sum_is_the_peak(mappings: list[Mapping], peak: int) -> None:
    """No byte is lost or counted twice, whatever a process maps and however far the snapshot is from the peak."""
    ledger = of(*mappings, peak=peak)
    assert ledger.bytes == ledger.peak_bytes
    mapped = sum(one.rss_bytes or 0 for one in mappings if one.kind is not MapKind.UNMAPPED_SHMEM)
    assert ledger.remainder.bytes == ledger.peak_bytes - mapped
    for owner in rows_of(ledger):
        if owner.details:
            assert sum(detail.bytes for detail in owner.details) == owner.bytes
    for section in ledger.sections:
        assert list(section.rows) == sorted(section.rows, key=lambda one: -one.bytes)


def test_the_owners() -> None:
    """Each kind of mapping has its row, with how it is known; pages of files that were written are anonymous."""
    found = {(row.key, row.bytes, row.known) for row in rows_of(peak_of(rich())) if row.key != "remainder"}
    assert found == {
        ("other", 85 * MIB, Known.EXACT),
        ("heap", 45 * MIB, Known.EXACT),
        ("arenas", 24 * MIB, Known.INFERRED),
        ("thread_stacks", 600 * KIB, Known.INFERRED),
        ("main_stack", 132 * KIB, Known.EXACT),
        ("named", 5 * MIB, Known.EXACT),
        ("private_copies", MIB + 520 * KIB, Known.EXACT),
        ("program", 6 * MIB - 500 * KIB, Known.EXACT),
        ("libraries", 8 * MIB + 1680 * KIB, Known.EXACT),
        ("data", 20 * MIB + 200 * KIB, Known.EXACT),
        ("shared", 11 * MIB + 76 * KIB, Known.EXACT),
        ("special", 4 * KIB, Known.EXACT),
    }


def test_the_details() -> None:
    """The largest first: mappings with their address and address space, files and shared memory by name."""
    ledger = peak_of(rich())
    other = row_of(ledger, "other").details
    assert [(one.bytes, one.mapped_bytes, one.address, one.count) for one in other] == [
        (64 * MIB, 128 * MIB, 0x7F12A4000000, 1),
        (20 * MIB, 20 * MIB, 0x7F12B0000000, 1),
        (MIB, 3 * MIB, None, 31),
    ]
    assert [one.label for one in row_of(ledger, "libraries").details] == [
        "/opt/a_|_<b>/libbig.so.3",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
    ]
    assert [one.label for one in row_of(ledger, "shared").details] == [
        "memfd frames",
        "mmap(MAP_SHARED | MAP_ANONYMOUS)",
        "System V, key 0x0000002a",
    ]
    assert [one.label for one in row_of(ledger, "data").details] == ["/srv/data/index.bin", "12 smaller mappings"]
    assert row_of(ledger, "thread_stacks").count == 4


@pytest.mark.parametrize(
    ("path", "key"),
    [("/lib/ld-linux-x86-64.so.2", "libraries"), ("/a/_x.cpython-311-x86_64-linux-gnu.so", "libraries"),
     ("/a/so.txt", "data"), ("/a/x.so.cache", "data"), (PROGRAM, "program"),
     ("/usr/bin/gone", "program")],
)  # fmt: skip
def test_sorts_of_files(path: str, key: str) -> None:
    """The program is the image's own file, libraries are named so, all else is data."""
    exe = PROGRAM if path != "/usr/bin/gone" else "/usr/bin/gone (deleted)"
    recording = with_ledgers(stream(exe=exe), snapshot([mapping(MapKind.FILE, path, MIB)]))
    assert row_of(peak_of(recording), key).bytes == MIB


def test_a_private_mapping_of_tmpfs() -> None:
    """Pages of a file on tmpfs that were written in a private mapping are copies, the others shared memory."""
    ledger = of(mapping(MapKind.SHMEM, "/dev/shm/x", 10 * MIB, anon=4 * MIB))
    assert (row_of(ledger, "private_copies").bytes, row_of(ledger, "shared").bytes) == (4 * MIB, 6 * MIB)


def test_many_small_mappings_come_last() -> None:
    """What the recording took together is no mapping that could be the largest."""
    small, large = mapping(MapKind.ANON, rss=64 * MIB, count=354), mapping(MapKind.ANON, rss=22 * MIB)
    assert [one.count for one in row_of(of(small, large), "other").details] == [1, 354]


def test_in_the_rows_already() -> None:
    """Huge pages, what was given back lazily, what a fork left in common and what is locked are told, not added."""
    found = {row.key: row.bytes for row in peak_of(rich()).of_which}
    assert found == {"huge_pages": 40 * MIB, "lazily_freed": 8 * MIB, "shared_cow": 12 * MIB, "locked": 5 * MIB}


def test_shared_pages_of_files_are_no_copies_on_write() -> None:
    """Two processes with one library have not forked from each other."""
    assert of(mapping(MapKind.FILE, "/lib/x.so", 9 * MIB, shared=9 * MIB)).part("shared_cow") == 0


def test_beyond_the_rss() -> None:
    """Swap, page tables, hugetlb and what is on tmpfs unmapped: the largest that was read, beside the sum."""
    found = {row.key: row.bytes for row in peak_of(rich()).beyond}
    assert found == {"swap": 12 * MIB, "page_tables": 5 * MIB, "hugetlb": 4 * MIB, "unmapped_shmem": 30 * MIB}


def test_the_remainder() -> None:
    """It says when the mappings were read and how far below the peak; the split at the largest RSS says what it is."""
    recording = with_ledgers(
        stream(), snapshot(everything(), flags=LedgerFlags.HELD, before=100 * MIB, after=103 * MIB, t_ns=45 * MS)
    )
    ledger = peak_of(recording)
    mapped = sum(one.rss_bytes or 0 for one in everything())
    assert ledger.moment is not None
    assert (ledger.moment.t_ns, ledger.moment.bytes, ledger.moment.below_bytes) == (45 * MS, mapped, 210 * MIB - mapped)
    assert (ledger.moment.moved_bytes, ledger.moment.held, ledger.moment.merged) == (3 * MIB, True, False)
    assert ledger.peak_ns == 50 * MS
    assert ledger.remainder.known is Known.REMAINDER
    parts = {one.label: (one.bytes, one.known) for one in ledger.remainder.details}
    anonymous = ledger.section("anonymous")
    assert anonymous is not None
    assert parts["anonymous memory"] == (210 * MIB - MIB // 2 - 48 * MIB - anonymous.bytes, Known.INFERRED)
    assert parts["not told apart"] == (MIB // 2, Known.REMAINDER)


def test_a_snapshot_above_the_peak() -> None:
    """The kernel's mark is approximate: the mappings may be more, and then the remainder is negative."""
    ledger = of(mapping(MapKind.HEAP, rss=211 * MIB))
    assert ledger.remainder.bytes == -MIB
    assert ledger.bytes == 210 * MIB


def test_the_latest_snapshot_counts() -> None:
    """The stream may hold several of one image; each replaces the one before."""
    shots = [snapshot([mapping(MapKind.HEAP, rss=size * MIB)], t_ns=size * MS) for size in (10, 20, 30)]
    assert row_of(peak_of(with_ledgers(stream(), *shots)), "heap").bytes == 30 * MIB


def test_without_a_snapshot() -> None:
    """The split that was read at the largest RSS gives a ledger of three rows, and these add up too."""
    ledger = peak_of(with_ledgers(stream()))
    assert ledger.moment is None
    assert [(row.key, row.bytes) for row in rows_of(ledger)] == [
        ("anonymous", 210 * MIB - MIB // 2 - 48 * MIB),
        ("file", 37 * MIB),
        ("shmem", 11 * MIB),
        ("remainder", MIB // 2),
    ]
    assert ledger.bytes == 210 * MIB


def test_when_nobody_saw_the_process() -> None:
    """Then the whole peak is one row: whose it was is not known."""
    written = Stream().facts().command(b"a").process().image().image_end(0, hwm=MIB, max_rss=MIB)
    written.process(1, 0, 4243).image(1, 1).image_end(1, hwm=MIB, max_rss=MIB).process_end(0, maxrss=64 * MIB)
    ledger = peak_of(parse(written.stats(unseen=5, processes=2).end(64 * MIB).data))
    assert (ledger.pid, ledger.missing, ledger.bytes) == (None, Missing.NOT_SEEN, 64 * MIB)
    assert [row.known for row in rows_of(ledger)] == [Known.REMAINDER]


def test_without_a_peak() -> None:
    """There is nothing to explain, and no ledger."""
    for data in (Stream().data, Stream().facts().command(b"nothing").end(by=4).data):  # type: ignore[arg-type]
        ledger = parse(data).ledger
        assert (ledger.peak, ledger.processes, ledger.tree) == (None, (), None)


def test_what_the_launcher_would_add() -> None:
    """wait4 says the launcher's peak where that is larger; the difference is told and not added."""
    assert rich().ledger.inherited_bytes == (847 - 210) * MIB
    small = with_ledgers(stream(facts={"launcher_hwm_bytes": str(3 * MIB)}))
    assert small.ledger.inherited_bytes == 0


def test_the_tree() -> None:
    """What each process held at the tree's peak, less what several held, is the tree's peak."""
    recording = family()
    tree = recording.ledger.tree
    assert tree is not None
    assert [(one.name, one.pid, one.bytes) for one in tree.processes] == [
        ("boss", 4242, 60 * MIB), ("worker", 4243, 50 * MIB), ("worker", 4244, 50 * MIB), ("worker", 4245, 50 * MIB),
        ("helper", 4246, MIB),
    ]  # fmt: skip
    assert (tree.sum_bytes, tree.shared.bytes, tree.remainder.bytes) == (211 * MIB, -90 * MIB, 0)
    assert tree.bytes == recording.tree_peak.bytes == 121 * MIB
    assert tree.shared.known is Known.EXACT


def test_beyond_the_rss_of_the_tree() -> None:
    """Swap, page tables and hugetlb of all processes together."""
    written = Stream().facts().command(b"a").process().image().process(1, 0, 4243).image(1, 1)
    written.samples([row(20, 0, 30), row(20, 1, 20)]).tree_peak(47 * MIB, 40 * MIB, 2, sum_bytes=50 * MIB)
    for number, size in enumerate((30, 20)):
        written.image_end(number, hwm=size * MIB, max_rss=size * MIB).process_end(number, maxrss=size * MIB)
    tree = parse(written.stats(max_alive=2, processes=2, pte=3 * MIB, hugetlb=2 * MIB).end(30 * MIB).data).ledger.tree
    assert tree is not None
    assert {row.key: row.bytes for row in tree.beyond} == {"page_tables": 3 * MIB, "hugetlb": 2 * MIB}


def test_the_tree_where_the_timeline_says_otherwise() -> None:
    """The monitor's own sum may be that of another instant than the rows: the difference is a remainder."""
    written = Stream().facts().command(b"a").process().image().process(1, 0, 4243).image(1, 1)
    written.samples([row(20, 0, 30), row(20, 1, 20)])
    for number, size in enumerate((30, 20)):
        written.image_end(number, hwm=size * MIB, max_rss=size * MIB)
        written.process_end(number, maxrss=size * MIB)
    written.tree_peak(47 * MIB, 40 * MIB, 2, snapshot=False, sum_bytes=52 * MIB).tree_upper((0, 2, 60 * MIB))
    tree = parse(written.stats(max_alive=2, processes=2).end(30 * MIB).data).ledger.tree
    assert tree is not None
    assert (tree.sum_bytes, tree.shared.bytes, tree.remainder.bytes) == (50 * MIB, -5 * MIB, 2 * MIB)
    assert (tree.bytes, tree.shared.known) == (47 * MIB, Known.INFERRED)


def test_no_tree_of_one() -> None:
    """A single process is no tree."""
    assert rich().ledger.tree is None


def test_every_process_with_a_snapshot_has_a_ledger() -> None:
    """The one that peaked first, then the largest; each adds up to its own peak."""
    ledgers = family().ledger.processes
    assert [(one.pid, one.bytes) for one in ledgers] == [(4242, 60 * MIB), (4243, 50 * MIB), (4244, 50 * MIB)]
    assert all(one.bytes == one.peak_bytes for one in ledgers)


def test_one_process_alone() -> None:
    """Any process can be asked for, with a snapshot or without; not one that nothing was read of."""
    recording = family()
    boss, worker, *_, helper = recording.observed_processes
    assert explain_process(recording, boss) is recording.ledger.peak
    for process, size in ((worker, 50 * MIB), (helper, MIB)):
        ledger = explain_process(recording, process)
        assert ledger is not None
        assert (ledger.pid, ledger.bytes) == (process.pid, size)
    unread = parse(Stream().facts().command(b"a").process().image().data)
    assert explain_process(unread, unread.observed_processes[0]) is None


def test_memory_of_the_parent_is_not_the_child_s() -> None:
    """What a child shows between vfork and execve is in its parent's ledger only."""
    written = Stream().facts().command(b"a").process().image().image_end(0, hwm=50 * MIB, max_rss=50 * MIB)
    written.process(1, 0, 4243).image(1, 1, flags=ImageFlags.SAME_MAP).image_end(1, hwm=50 * MIB, max_rss=50 * MIB)
    written.process_end(0, maxrss=50 * MIB).stats(max_alive=2, processes=2).end(50 * MIB)
    shot = snapshot([mapping(MapKind.HEAP, rss=50 * MIB)])
    ledger = with_ledgers(written, shot, replace(shot, image=1)).ledger
    assert [one.pid for one in ledger.processes] == [4242]


def test_a_recording_that_was_cut() -> None:
    """A ledger is made of what is there: the image has no end, so its largest sample is its peak."""
    written = Stream().facts().command(b"a").process().image().samples([row(20, 0, 30, 20)])
    ledger = peak_of(with_ledgers(written, snapshot([mapping(MapKind.HEAP, rss=29 * MIB)])))
    assert (ledger.bytes, row_of(ledger, "heap").bytes, ledger.remainder.bytes) == (30 * MIB, 29 * MIB, MIB)


def test_ledger_is_an_attribute() -> None:
    """``recording.ledger``, worked out once."""
    recording = rich()
    assert recording.ledger is recording.ledger
    assert recording.ledger == explain(recording)


def test_split_that_is_not_known() -> None:
    """On kernels without RssAnon the remainder is all: nothing is guessed."""
    written = Stream().facts().command(b"a").process().image()
    written.image_end(hwm=20 * MIB, max_rss=20 * MIB, at_max=split(20 * MIB)).process_end(maxrss=20 * MIB)
    ledger = peak_of(parse(written.stats().end(20 * MIB).data))
    assert [(row.key, row.bytes) for row in rows_of(ledger)] == [("remainder", 20 * MIB)]
