"""The reader of recordings."""

from __future__ import annotations

import re
import struct
import sys
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streams import MIB, MS, Stream, simple, split

from hiwater.errors import NewerRecordingError, NotARecordingError, RecordingError
from hiwater.recording import wire
from hiwater.recording.reader import load, parse
from hiwater.recording.wire import EndedByCode, ImageEndedBy, ImageFlags, RecordType

PROTOCOL = Path(__file__).parents[3] / "src/hiwater/monitor/protocol.h"


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(order: str) -> None:
    """A recording loads on a machine of the other byte order."""
    stream = Stream(order).facts().command(b"a", b"b c").process(pid=7).image(start=split(MIB, 1, 2, 3))
    recording = parse(stream.samples([(5, 0, 10, 6, 1, 0, 11)], base_ns=1000).end(maxrss=MIB).data)
    assert recording.arguments == ("a", "b c")
    assert recording.observed_processes[0].pid == 7
    assert recording.images[0].start.rss_bytes == MIB
    assert recording.timeline.rss_pages == array("I", [10])
    assert recording.timeline.hwm_pages == array("I", [11])
    assert list(recording.timeline.time_ns) == [6000]
    assert recording.complete


def test_fields() -> None:
    """Every field of an image's end comes out under its own name."""
    end = (
        parse(
            Stream()
            .process()
            .image()
            .image_end(
                how=ImageEndedBy.EXEC,
                hwm=1,
                max_rss=2,
                vm_peak=3,
                folded=4,
                last=split(5, 6, 7, 8),
                at_max=split(9, 10, 11, 12),
                swap=13,
                last_read_ns=14,
                threads=15,
                samples=16,
                counted=17,
                threads_at_most=18,
            )
            .data
        )
        .images[0]
        .end
    )
    assert end is not None
    assert (end.how, end.hwm_bytes, end.max_rss_bytes, end.vm_peak_bytes) == (ImageEndedBy.EXEC, 1, 2, 3)
    assert (end.folded_maxrss_bytes, end.last.rss_bytes, end.last.shmem_bytes) == (4, 5, 8)
    assert (end.at_max.rss_bytes, end.at_max.shmem_bytes, end.max_swap_bytes) == (9, 12, 13)
    assert (end.last_read_ns, end.max_threads, end.samples) == (14, 15, 16)
    assert (end.counted_bytes, end.threads_at_most) == (17, 18)


def test_unknown_is_none() -> None:
    """-1 is "could not be measured", never a size."""
    image = parse(Stream().process().image().image_end().data).images[0]
    assert image.start.rss_bytes is None
    assert image.end is not None
    assert image.end.hwm_bytes is None


def test_names_survive_as_bytes() -> None:
    """A name in no encoding comes out as it went in."""
    name = b"a\nb\xff(c) \x1b[31m"
    recording = parse(Stream().command(name).process().image(comm=name[:15], exe=b"/" + name, arguments=(name,)).data)
    assert recording.arguments[0].encode("utf-8", "surrogateescape") == name
    assert recording.images[0].arguments[0].encode("utf-8", "surrogateescape") == name


def test_empty_arguments() -> None:
    """Empty arguments survive, those at the end too."""
    arguments = (b"prog", b"", b"x", b"", b"")
    recording = parse(Stream().command(*arguments).process().image(arguments=arguments).data)
    assert recording.arguments == ("prog", "", "x", "", "")
    assert recording.images[0].arguments == ("prog", "", "x", "", "")


def test_long_names() -> None:
    """The kernel cuts names to 15 bytes; a person sees the whole one."""
    image = parse(Stream().process().image(comm=b"a-very-long-nam", exe=b"/opt/a-very-long-name").data).images[0]
    assert image.name == "a-very-long-name"


def test_unknown_records_are_skipped() -> None:
    """A newer monitor may write records that this reader does not know, and longer ones."""
    stream = Stream().record(99, b"future").process()
    stream.record(RecordType.END, struct.pack("<" + wire.END, 5, 5, 0, 0, 0, 0, 1, 1, 1) + b"appended")
    recording = parse(stream.data)
    assert recording.complete
    assert len(recording.observed_processes) == 1


@pytest.mark.parametrize("length", range(32, len(simple().data) - 1, 5))
def test_cut_anywhere(length: int) -> None:
    """A stream may stop anywhere: what comes before is valid, and it says that it is cut."""
    recording = parse(simple().data[:length])
    assert not recording.complete
    assert recording.cut is not None
    assert recording.summary is not None


def test_cut_by_a_full_disk() -> None:
    """A full disk is told with its errno."""
    cut = Stream().process().record(RecordType.CUT, struct.pack("<" + wire.CUT, 5 * MS, 28, 0)).end(MIB)
    recording = parse(cut.data)
    assert recording.cut is not None
    assert (recording.cut.errno, recording.cut.t_ns) == (28, 5 * MS)
    assert recording.end is not None
    assert not recording.complete


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", NotARecordingError, "empty"),
        (b"root:x:0:0", NotARecordingError, "not a recording"),
        (b"\x7fELF" + bytes(100), NotARecordingError, "not a recording"),
        (simple().data[:20], NotARecordingError, "within its header"),
        (Stream(version=2).data, NewerRecordingError, "version 2"),
        (Stream(version=0).data, NotARecordingError, "damaged"),
        (Stream(page_size=0).data, NotARecordingError, "damaged"),
        (Stream(page_size=4097).data, NotARecordingError, "damaged"),
        (wire.MAGIC + bytes(24), NotARecordingError, "damaged"),
    ],
)
def test_refused(data: bytes, error: type[RecordingError], text: str) -> None:
    """Garbage and newer versions are refused, and say what they are."""
    with pytest.raises(error, match=text):
        parse(data)


def test_load_names_the_file(tmp_path: Path) -> None:
    """Errors name the file."""
    with pytest.raises(RecordingError, match="nothing-there"):
        load(tmp_path / "nothing-there")
    path = tmp_path / "a.hiw"
    path.write_bytes(b"junk")
    with pytest.raises(NotARecordingError, match=re.escape(str(path))):
        load(path)
    with pytest.raises(RecordingError, match="directory"):
        load(tmp_path)


@pytest.mark.parametrize(
    "broken",
    [
        Stream().record(RecordType.PROC_END, bytes(8)),
        Stream().image(),
        Stream().image_end(),
        Stream().process_end(),
        Stream().process().process(),
        Stream().process().image().image(),
        Stream().record(RecordType.SAMPLES, struct.pack("<qII", 0, 0xFFFFFFFF, 7)),
        Stream().record(RecordType.SAMPLES, struct.pack("<qII", 0, 0, 3)),
        Stream().process().record(RecordType.IMAGE_START, struct.pack("<" + wire.IMAGE_START, *[0] * 10, 1 << 31)),
    ],
)
def test_broken_records_end_the_recording(broken: Stream) -> None:
    """A record that cannot be true ends the recording before it; no length is believed."""
    recording = parse(broken.end().data)
    assert not recording.complete
    assert recording.cut is not None
    assert "damaged" in recording.cut.reason


def test_facts_that_are_no_numbers() -> None:
    """A fact that is no number is unknown, not 0."""
    recording = parse(Stream().facts(cpus="many", launcher_hwm_bytes="-1", statm_exact="?").end().data)
    assert recording.facts.cpus is None
    assert recording.facts.launcher.hwm_bytes is None
    assert recording.facts.statm_exact is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fuzz(data: st.DataObject) -> None:
    """Whatever is in the file, only typed errors escape, from loading and from every view."""
    from hiwater.views import json_view, terminal

    stream = bytearray(
        simple().data[:-64]
        + Stream()
        .samples([(1, 0, 2, 3, 4, 5, 6)] * 3)
        .tree_peak(30 * MIB, MIB, 2)
        .tree_upper((1, 2, 3))
        .end()
        .data[32:]
    )
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at] = data.draw(st.integers(0, 255))
    try:
        recording = parse(bytes(stream[: data.draw(st.integers(0, len(stream)))]))
    except RecordingError:
        return
    json_view.render(recording)
    terminal.render(recording)


@given(st.binary(max_size=200))
def test_fuzz_records(tail: bytes) -> None:
    """Arbitrary bytes behind a header load as nothing."""
    assert parse(Stream().data + tail).page_size == 4096


def test_loading_does_no_work_per_sample() -> None:
    """A recording of a million samples is located, not decoded: loading touches its records only."""
    rows = [(0, 0, 1, 1, 0, 0, 1)] * 500
    block = Stream().samples(rows).data[32:]
    recording = parse(Stream().data + block * 2000 + Stream().end().data[32:])
    assert len(recording.timeline) == 1_000_000
    assert "rss_pages" not in vars(recording.timeline)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("spread", [0, 200, 60_000, 1 << 31])
def test_widths_of_columns(order: str, spread: int) -> None:
    """Columns of every width give back what was put in, each row of each column, unknown values too."""
    rows = [(10 * at, at % 3, *[1000 + spread * at // 5 + column for column in range(7)]) for at in range(6)]
    rows.append((60, 1, 7, *[wire.NONE] * 6))
    line = parse(Stream(order).samples(rows[:6], base_ns=5).samples(rows[6:], base_ns=5).data).timeline
    assert list(line.time_ns) == [5 + 1000 * row[0] for row in rows]
    columns = [line.image, line.rss_pages, line.anon_pages, line.shmem_pages, line.swap_pages, line.hwm_pages]
    columns += [line.pte_pages, line.hugetlb_pages]
    assert [list(column) for column in columns] == [list(column) for column in list(zip(*rows, strict=True))[1:]]


def test_constant_columns_take_no_room() -> None:
    """What does not change costs the heads of its columns only, however many rows say so."""
    few, many = (len(Stream().samples([(0, 1, 2, 3, 4, 5, 6)] * count).data) for count in (1, 4000))
    assert few == many


def test_tree_samples() -> None:
    """The rows about the whole tree are read apart from those of images."""
    stream = Stream().samples([(1, 0, 9)]).tree_samples([(2, 2, 50, 40, 3, 4, 5, 6), (9, 1, 7)])
    recording = parse(stream.data)
    tree = recording.tree_timeline
    assert len(recording.timeline) == 1
    assert list(tree.time_ns) == [2000, 9000]
    assert list(tree.processes) == [2, 1]
    columns = (tree.estimate_pages, tree.anon_pages, tree.shmem_pages, tree.swap_pages, tree.pte_pages)
    assert [list(column) for column in (*columns, tree.hugetlb_pages)] == [
        [50, 7],
        [40, 0],
        [3, 0],
        [4, 0],
        [5, 0],
        [6, 0],
    ]


@pytest.mark.parametrize(("count", "columns", "width"), [(4097, 9, 0), (1, 8, 0), (1, 9, 3), (4096, 9, 4)])
def test_columns_that_cannot_be(count: int, columns: int, width: int) -> None:
    """Rows beyond the most of a record, missing columns, unknown widths and columns that go beyond their record are
    damage: nothing of the record is believed."""
    payload = struct.pack("<" + wire.SAMPLES, 0, count, columns) + struct.pack("<" + wire.COLUMN, 0, width) * columns
    recording = parse(Stream().record(RecordType.SAMPLES, payload).data)
    assert len(recording.timeline) == 0
    assert recording.cut is not None
    assert "damaged" in recording.cut.reason


def test_fields_that_older_writers_did_not_have() -> None:
    """Fields that were appended are unknown in a recording that was written before them."""
    short = struct.pack("<13q", *range(13))
    stats = parse(Stream().record(RecordType.STATS, short).data).stats
    assert stats is not None
    assert (stats.swap_peak_bytes, stats.pte_peak_bytes, stats.coarse_bytes) == (12, None, None)


def test_layouts_are_those_of_the_monitor() -> None:
    """The sizes of the structs in protocol.h and the layouts of the reader agree."""
    text = re.sub(r"/\*.*?\*/", "", PROTOCOL.read_text(), flags=re.DOTALL)
    structs = dict(re.findall(r"struct (hw_\w+) \{\s*\n(.*?)\n\};", text, flags=re.DOTALL))
    widths = {"char": 1, "uint16_t": 2, "uint32_t": 4, "int32_t": 4, "int64_t": 8, "uint64_t": 8, "struct hw_rss": 32}

    def size(name: str) -> int:
        total = 0
        for kind, fields in re.findall(r"^\s*(struct hw_rss|\w+)\s+([^;{}]+);", structs[name], flags=re.MULTILINE):
            for field in fields.split(","):
                count = re.search(r"\[(\d+)\]", field)
                total += widths[kind] * (int(count.group(1)) if count else 1)
        return total

    for name, layout in {
        "hw_header": wire.HEADER,
        "hw_record": wire.RECORD,
        "hw_proc_start": wire.PROC_START,
        "hw_image_start": wire.IMAGE_START,
        "hw_image_end": wire.IMAGE_END,
        "hw_proc_end": wire.PROC_END,
        "hw_samples": wire.SAMPLES,
        "hw_column": wire.COLUMN,
        "hw_snapshot": wire.SNAPSHOT,
        "hw_ledger": wire.LEDGER,
        "hw_ledger_row": wire.LEDGER_ROW,
        "hw_tree_peak": wire.TREE_PEAK,
        "hw_tree_upper": wire.TREE_UPPER,
        "hw_stats": wire.STATS,
        "hw_heap_piece": wire.HEAP_PIECE,
        "hw_cut": wire.CUT,
        "hw_end": wire.END,
    }.items():
        assert (name, size(name)) == (name, struct.calcsize("<" + layout))
    kinds = re.search(r"enum hw_type \{(.*?)\};", text, flags=re.DOTALL)
    assert kinds is not None
    assert re.findall(r"HW_(\w+)", kinds.group(1)) == [kind.name for kind in RecordType]
    for prefix, members in (("HW_IMAGE_", ImageFlags), ("HW_ENDED_", ImageEndedBy), ("HW_BY_", EndedByCode)):
        named = re.findall(rf"\b{prefix}([A-Z_]+)(?: = \d+)?[,\s]", text.split("enum hw_image_flags")[1])
        assert {member.name for member in members} <= set(named)


def test_timeline_of_the_other_byte_order_is_swapped() -> None:
    """Columns are decoded in the byte order of the file, not of this machine."""
    other = ">" if sys.byteorder == "little" else "<"
    recording = parse(Stream(other).samples([(1, 2, 3, 4, 5, 6, 7), (2, 2, 9, 9, 9, 9, 9)]).data)
    timeline = recording.timeline
    assert list(timeline.image) == [2, 2]
    assert [list(c) for c in (timeline.anon_pages, timeline.shmem_pages, timeline.swap_pages)] == [
        [4, 9],
        [5, 9],
        [6, 9],
    ]
