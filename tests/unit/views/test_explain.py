"""What people and machines see of a ledger; golden files as for the summary (HIWATER_WRITE_GOLDEN=1)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from tests.heaps import recording as with_heap
from tests.ledgers import coarse, family, mapping, rich, snapshot, stream, with_ledgers
from tests.streams import MIB, MS, Stream

import hiwater.views
from hiwater.recording.ledger import Mapping
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import MapKind
from hiwater.views import explain_json, explain_markdown, explain_text
from hiwater.views.explain_words import amount, sentences, share
from hiwater.views.paint import Paint

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads((Path(hiwater.views.__file__).parent / "hiwater.explain-1.schema.json").read_text())


def unseen() -> Recording:
    """Some process, which nobody saw, had 64 MiB."""
    written = Stream().facts().command(b"make").process().image().image_end(0, hwm=MIB, max_rss=MIB)
    written.process(1, 0, 4243).image(1, 1).image_end(1, hwm=MIB, max_rss=MIB).process_end(0, maxrss=64 * MIB)
    return parse(written.stats(unseen=5, processes=2).end(64 * MIB).data)


CASES = {
    "explain": (rich(), 100, Paint(), False),
    "explain-wide-all": (rich(), 140, Paint(), True),
    "explain-narrow": (rich(), 60, Paint(), False),
    "explain-color": (rich(), 100, Paint(color=True), False),
    "explain-ascii": (rich(), 100, Paint(unicode=False), False),
    "explain-tree": (family(16), 100, Paint(), False),
    "explain-heap": (with_heap(), 100, Paint(), False),
    "explain-heap-ascii": (with_heap(), 70, Paint(unicode=False), True),
    "explain-coarse": (coarse(), 100, Paint(), False),
    "explain-unseen": (unseen(), 100, Paint(), False),
    "explain-nothing": (parse(Stream().data), 100, Paint(), False),
}


def text_of(name: str) -> str:
    recording, width, paint, all_of_it = CASES[name]
    return explain_text.render(recording, recording.ledger.peak, width, paint, everything=all_of_it)


def held_against(golden: str, text: str) -> None:
    path = GOLDEN / golden
    if os.environ.get("HIWATER_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    """The text, character by character."""
    held_against(f"{name}.txt", text_of(name))


def heap() -> Recording:
    """With its heap."""
    return with_heap()


@pytest.mark.parametrize("make", [rich, family, heap], ids=["one", "tree", "heap"])
def test_golden_markdown(make: Callable[[], Recording]) -> None:
    """The Markdown, character by character."""
    recording = make()
    held_against(f"explain-{make.__name__}.md", explain_markdown.render(recording, recording.ledger.peak))


@pytest.mark.parametrize("name", CASES)
def test_no_control_characters(name: str) -> None:
    """No name of a file or mapping can control the terminal."""
    recording, width, _, all_of_it = CASES[name]
    text = explain_text.render(recording, recording.ledger.peak, width, Paint(), everything=all_of_it)
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text) == []


@pytest.mark.parametrize("width", [40, 50, 60, 72, 80, 100, 120, 250])
@pytest.mark.parametrize("make", [rich, family, coarse, heap], ids=["one", "tree", "coarse", "heap"])
def test_no_line_is_wider_than_the_terminal(make: Callable[[], Recording], width: int) -> None:
    """Labels give way; figures never do."""
    recording = make()
    text = explain_text.render(recording, recording.ledger.peak, width, Paint(), everything=True)
    assert max(map(len, text.splitlines())) <= width
    assert f"{recording.peak_rss.bytes:,} bytes" in text


@pytest.mark.parametrize("width", [80, 100, 140])
def test_each_bar_begins_where_the_one_above_ended(width: int) -> None:
    """The bars of the rows together are as wide as the peak, without a gap."""
    recording = rich()
    text = explain_text.render(recording, recording.ledger.peak, width, Paint())
    rows = [line for line in text.split("peak RSS  ")[0].splitlines() if re.search(r"%  +[█▏░]|\d  +[█▏░]", line)]
    begin = min(line.index("█") for line in rows if "█" in line)
    cells = [set(range(line.index("█") - begin, line.rindex("█") - begin + 1)) for line in rows if "█" in line]
    assert sum(map(len, cells)) == len(set.union(*cells))
    assert set.union(*cells) == set(range(max(max(cell) for cell in cells) + 1))


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0.00"), (4096, "<0.01"), (-4096, ">-0.01"), (MIB // 2, "0.50"), (MIB, "1.0"), (-3 * MIB, "-3.0"),
     (1000 * MIB, "1000.0")],
)  # fmt: skip
def test_sizes(size: int, shown: str) -> None:
    """MiB with one decimal, two below one; what is there never shows as nothing."""
    assert amount(size) == shown


def test_shares() -> None:
    """Whole per cents from ten on."""
    assert [share(part, 1000) for part in (1, 99, 100, 995, 1000, -410)] == [
        "0.1 %", "9.9 %", "10 %", "100 %", "100 %", "-41 %",
    ]  # fmt: skip
    assert share(5, 0) == "0.0 %"


def said(recording: Recording) -> dict[str, str]:
    """The sentences about the process that peaked."""
    return {one.code: one.text for one in sentences(recording, recording.ledger, recording.ledger.peak)}


def codes(recording: Recording) -> list[str]:
    return list(said(recording))


def test_sentences_when_everything_applies() -> None:
    """One for each thing that people stumble over."""
    assert codes(rich()) == [
        "inherited", "heap-profiler", "arenas", "lazily-freed", "huge-pages", "shared-cow", "swap", "page-tables",
        "hugetlb", "unmapped-shmem",
    ]  # fmt: skip
    assert codes(family()) == ["snapshot-below-peak", "shared-pages"]


def test_no_sentence_without_its_reason() -> None:
    """A program of nothing but its heap has nothing to be told."""
    plain = stream(facts={"launcher_hwm_bytes": str(3 * MIB)})
    quiet = with_ledgers(plain, snapshot([mapping(MapKind.HEAP, rss=210 * MIB)]))
    assert [code for code in codes(quiet) if code != "swap"] == []


@pytest.mark.parametrize(
    ("mappings", "code"),
    [
        ([mapping(MapKind.FILE, "/data", 60 * MIB), mapping(MapKind.HEAP, rss=150 * MIB)], "page-cache"),
        ([mapping(MapKind.HEAP, rss=210 * MIB, lazyfree=50 * MIB)], "lazily-freed"),
        ([mapping(MapKind.ANON, rss=210 * MIB, huge=208 * MIB)], "huge-pages"),
        ([mapping(MapKind.HEAP, rss=210 * MIB, shared=100 * MIB)], "shared-cow"),
        ([mapping(MapKind.ARENA, rss=210 * MIB, count=9)], "arenas"),
        ([mapping(MapKind.HEAP, rss=100 * MIB)], "snapshot-below-peak"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_sentence(mappings: list[Mapping], code: str) -> None:
    """It is said where it applies."""
    assert code in codes(with_ledgers(stream(), snapshot(mappings)))


def test_a_process_that_hid_itself() -> None:
    """Where there is an early snapshot and later ones were refused, the reason is that."""
    facts = {"ledger_refused": "x: (pid 4242): Permission denied"}
    recording = with_ledgers(stream(facts=facts), snapshot([mapping(MapKind.HEAP, rss=20 * MIB)]))
    assert "not be read any more (Permission denied)" in said(recording)["snapshot-below-peak"]


@pytest.mark.parametrize(("t_ms", "side"), [(45, "before it"), (55, "after it")])
def test_on_which_side_of_the_peak(t_ms: int, side: str) -> None:
    """A snapshot may come too early, or when memory was given back already."""
    recording = with_ledgers(stream(), snapshot([mapping(MapKind.HEAP, rss=20 * MIB)], t_ns=t_ms * MS))
    assert f"190.0 MiB below the peak, {side}:" in said(recording)["snapshot-below-peak"]


def test_the_profiler_s_bound_holds_for_what_was_not_read() -> None:
    """What lies between the snapshot and the peak may all be malloc's."""
    shot = snapshot([mapping(MapKind.HEAP, rss=100 * MIB), mapping(MapKind.FILE, "/data", 60 * MIB)])
    recording = with_ledgers(stream(), shot)
    told = said(recording)["heap-profiler"]
    assert "at most 150.0 MiB of these 210.0 MiB" in told
    assert "other 60.0 MiB are none of theirs: pages of files 60.0" in told


@pytest.mark.parametrize(("page_size", "huge"), [(4096, "2 MiB"), (16384, "32 MiB"), (65536, "512 MiB")])
def test_huge_pages_are_as_large_as_the_machine_makes_them(page_size: int, huge: str) -> None:
    """A page table full of pages."""
    recording = with_ledgers(stream(), snapshot([mapping(MapKind.ANON, rss=200 * MIB, huge=200 * MIB)]))
    assert f"huge pages of {huge}" in said(replace(recording, page_size=page_size))["huge-pages"]


@pytest.mark.parametrize(
    ("facts", "pte", "missing", "words"),
    [({}, 4096, "too_short", "--trace"), ({}, -1, "older", "by hiwater 0.1.0"),
     ({"ledger_refused": "su (pid 4242): Permission denied"}, 4096, "refused", "(Permission denied)"),
     ({"ledger_refused": "su (pid 42): Permission denied"}, 4096, "too_short", "--trace"),
     ({"ledger_too_costly": "java (pid 4242): it is large"}, 4096, "too_costly", "half a second")],
)  # fmt: skip
def test_why_there_is_no_snapshot(facts: dict[str, str], pte: int, missing: str, words: str) -> None:
    """The reason, and what to do."""
    recording = parse(stream(pte=pte, facts=facts).data)
    assert recording.ledger.peak is not None
    assert recording.ledger.peak.missing == missing
    assert words in said(recording)["no-snapshot"]


@pytest.mark.parametrize("name", CASES)
def test_json(name: str) -> None:
    """It is valid under the published schema, and its bytes add up."""
    recording = CASES[name][0]
    document = json.loads(json.dumps(explain_json.document(recording, recording.ledger.processes)))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert set(document) == set(SCHEMA["properties"]), "the schema describes every key"
    for process in document["processes"]:
        assert set(process) == set(SCHEMA["$defs"]["process"]["properties"])
        assert sum(row["bytes"] for section in process["sections"] for row in section["rows"]) == process["peak_bytes"]
        assert process["is_peak"] == (process is document["processes"][0])
    if document["tree"] is not None:
        tree = document["tree"]
        parts = [one["bytes"] for one in tree["processes"]]
        parts += [tree["counted_more_than_once"]["bytes"], tree["remainder"]["bytes"]]
        assert sum(parts) == tree["peak_bytes"] == recording.tree_peak.bytes


def test_everything_shows_every_row() -> None:
    """With --all nothing is folded; without, what is small is one line."""
    for name in ("12 smaller mappings", "System V, key 0x0000002a", "31 smaller ones"):
        assert name in text_of("explain-wide-all")
        assert name not in text_of("explain")
