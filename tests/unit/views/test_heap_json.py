"""The key ``heap`` of the JSON of one execution."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from tests.heaplogs import MS, START_NS, Log
from tests.streams import MIB, Stream, split

import hiwater.views
from hiwater.heap.log import parse
from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Snapshot
from hiwater.recording.heap import with_heap
from hiwater.recording.reader import parse as parse_recording
from hiwater.views import heap_json, json_view

SCHEMA = json.loads((Path(hiwater.views.__file__).parent / "hiwater.run-1.schema.json").read_text())


def recording() -> bytes:
    """40 MiB at the peak, of which 10 are left at the exit."""
    log = Log().module("/bin/prog", 0x1000, 0x9000).stack(1, 0x1011).stack(2, 0x1021).map(1 * MS, 0x10000, 8192)
    for at in range(40):
        log.alloc(20 * MS, (at + 1) << 24, MIB, stack=1 + at % 2)
    for at in range(30):
        log.free(30 * MS, (at + 1) << 24)
    stream = Stream().facts(monotonic_start_ns=str(START_NS)).command(b"prog").process().image()
    stream.samples([(25_000, 0, 50 * MIB // 4096), (31_000, 0, MIB // 4096)])
    stream.image_end(hwm=50 * MIB, max_rss=50 * MIB, last=split(MIB)).process_end(maxrss=50 * MIB)
    symbols = {("/bin/prog", "", at): (Frame(f"f{at}", "a.c", at, "/bin/prog", at),) for at in (0x10, 0x20)}
    return with_heap(stream.stats().end(maxrss=50 * MIB).data, [parse(log.data)], symbols)


def test_the_document_of_a_recording_with_a_heap() -> None:
    """Valid, and with the figures of the profile."""
    document = json.loads(json_view.render(parse_recording(recording())))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    heap = document["heap"]
    peak = heap["peak"]
    assert (heap["engine"], heap["samples"], heap["lost_samples"], heap["pid"]) == ("hiwater", 40, 0, 4242)
    assert (peak["at_seconds"], peak["rss_bytes"]) == (0.023, 50 * MIB)
    assert (peak["in_use_bytes"], peak["mapped_bytes"], peak["standard_error_bytes"]) == (40 * MIB, 8192, 0)
    sites = [(site["function"], site["line"], site["kind"], site["in_use_bytes"]) for site in peak["call_sites"]]
    assert sites == [("f16", 16, "malloc", 20 * MIB), ("f32", 32, "malloc", 20 * MIB), ("f16", 16, "mmap", 8192)]
    assert peak["call_sites"][0]["stack"] == [
        {
            "function": "f16", "file": "a.c", "line": 16, "library": "/bin/prog", "address": "0x10",
            "inlined": False, "language": "native",
        }
    ]  # fmt: skip
    assert peak["call_sites"][0]["allocations"] == 20
    assert heap["exit"]["in_use_bytes"] == 10 * MIB
    assert heap["growth"][0]["at_seconds"] == 0.02


def test_without_a_heap_the_key_is_null() -> None:
    """As what is unknown always is."""
    document = json.loads(json_view.render(parse_recording(Stream().facts().command(b"x").data)))
    assert document["heap"] is None


def test_names_are_valid_text_and_there_are_not_too_many() -> None:
    """A function that is no UTF-8 does not spoil the document; of 300 sites the smallest are a sum."""
    stacks = tuple((Frame(f"f\udcff{at}", line=at),) for at in range(300))
    holdings = tuple(Holding(at, Kind.MALLOC, 1000 - at, 1) for at in range(300))
    snapshot = Snapshot(None, None, sum(one.in_use_bytes for one in holdings), holdings)
    profile = HeapProfile(Engine.MASSIF, stacks, snapshot, None)
    document = heap_json.document(profile)
    peak = document["peak"]
    assert isinstance(peak, dict)
    json.dumps(document, ensure_ascii=False).encode("utf-8")
    assert len(peak["call_sites"]) == 200
    assert peak["other_call_sites"] == {"count": 100, "in_use_bytes": sum(1000 - at for at in range(200, 300))}
    whole = json.loads(json_view.render(parse_recording(Stream().facts().command(b"x").data), heap=profile))
    jsonschema.Draft202012Validator(SCHEMA).validate(whole)
    assert whole["heap"]["engine"] == "massif"


@pytest.mark.parametrize("wrong", [{"peak": 1}, {"growth": [None]}, {"samples": -1}])
def test_the_schema_is_strict(wrong: dict[str, object]) -> None:
    """What has another shape is not valid."""
    document = json.loads(json_view.render(parse_recording(recording())))
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(document | {"heap": document["heap"] | wrong})
