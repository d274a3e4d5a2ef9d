"""What people and other programs see of a heap profile; golden files as for the summary (HIWATER_WRITE_GOLDEN=1)."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import combinations, pairwise
from math import dist
from pathlib import Path
from xml.dom import minidom

import pytest
from tests.heapprofiles import (
    STACKS,
    exact,
    faults,
    held,
    hostile,
    large,
    native,
    nothing,
    python_app,
    shuffle,
    snapshot,
)
from tests.streams import MIB
from tests.unit.views.test_explain import held_against
from tests.unit.views.test_report import _EYES, seen, unpacked

from hiwater.errors import MisuseError
from hiwater.heap.compare import compare
from hiwater.heap.model import HeapProfile, Kind, Snapshot
from hiwater.heap.sites import By
from hiwater.views import (
    callgraph_dot,
    callgraph_svg,
    collapsed,
    flame,
    flame_svg,
    heap_compare_text,
    heap_speedscope,
    heap_text,
    heap_words,
    pprof,
    report_heap,
    report_heap_data,
)  # fmt: skip
from hiwater.views.flame_svg import Way, fitted

TEXTS = {
    "heap": heap_text.render(shuffle(48), plain_peak_bytes=128 * MIB, sampled_peak_bytes=129 * MIB),
    "heap-ramp-color": heap_text.render(shuffle(), color=True, plain_peak_bytes=50 * MIB, sampled_peak_bytes=81 * MIB),
    "heap-function-narrow": heap_text.render(shuffle(48), by=By.FUNCTION, width=72, limit=2),
    "heap-library-ascii": heap_text.render(shuffle(48), by=By.LIBRARY, unicode=False),
    "heap-exit": heap_text.render(shuffle(48), at="exit"),
    "heap-python": heap_text.render(python_app()),
    "heap-exact": heap_text.render(exact()),
    "heap-faults": heap_text.render(faults()),
    "heap-hostile": heap_text.render(hostile()),
    "heap-nothing": heap_text.render(nothing()),
    "heap-many": heap_text.render(large(150, 40), limit=8),
}


def top(profile: HeapProfile) -> Snapshot:
    """Its peak."""
    assert profile.peak is not None
    return profile.peak


def compared(old: HeapProfile, new: HeapProfile, **more: bool | int | None) -> str:
    """Both at their peaks."""
    return heap_compare_text.render(compare(old, new, top(old), top(new)), labels=("a.hiw", "b.hiw"), **more)  # type: ignore[arg-type]


COMPARED = {
    "heap-compare": compared(shuffle(), shuffle(20)),
    "heap-compare-color-narrow": compared(shuffle(20), shuffle(), color=True, width=64, unicode=False),
    "heap-compare-same": compared(exact(), exact()),
    "heap-compare-many": compared(large(100, 10), large(100, 20, seed=8), limit=4),
}


@pytest.mark.parametrize("name", TEXTS)
def test_golden(name: str) -> None:
    """The text, character by character."""
    held_against(f"{name}.txt", TEXTS[name])


@pytest.mark.parametrize("name", COMPARED)
def test_golden_comparison(name: str) -> None:
    """Two profiles as text, character by character."""
    held_against(f"{name}.txt", COMPARED[name])


@pytest.mark.parametrize("name", [name for name in TEXTS if "color" not in name])
def test_no_control_characters(name: str) -> None:
    """No name in a program can control the terminal."""
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", TEXTS[name]) == []


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
@pytest.mark.parametrize("by", By)
def test_lines_fit(width: int, by: By) -> None:
    """However wide the terminal is, no line of the table is wider (of very narrow ones it is 70)."""
    for profile in (shuffle(48), python_app(), hostile(), large(100, 5)):
        lines = heap_text.render(profile, width=width, by=by).splitlines()
        assert max(map(len, lines)) <= max(70, width)


def test_sites_of_few_samples_are_one_row() -> None:
    """What rests on fewer than ten samples is not told apart; what was counted always is."""
    text = heap_text.render(shuffle())
    assert "parse_options" not in text and "1 other, too small to tell" in text
    few = snapshot(
        [held(0, 40 * 65536, 16), held(3, 9 * 65536, 16), held(4, 8 * 65536, 16), held(2, 100, 10, mean=0)], 1.0
    )
    text = heap_text.render(replace(shuffle(), peak=few, exit=None, growth=(), course=()))
    assert "2 others, too small to tell" in text and "mpd_pair_dup" in text


def test_both_peaks_and_how_far_they_are_apart() -> None:
    """The number is from the execution without the sampler; a large difference is warned of."""
    assert heap_words.apart(None, None) is None
    assert heap_words.apart(100 * MIB, 101 * MIB) == (
        "Peak RSS 100.0 MiB in an execution without the sampler, 101.0 MiB in the one with it (+1.0 MiB, +1.0%)."
    )
    assert (heap_words.apart(100 * MIB, 80 * MIB) or "").endswith("two different executions: compare with care.")
    assert heap_words.apart(100 * MIB, None) == "Peak RSS without the sampler: 100.0 MiB."


PICTURES = {
    "heap-flame": flame_svg.render(shuffle(48), top(shuffle(48))),
    "heap-flame-inverted-line": flame_svg.render(
        shuffle(48), top(shuffle(48)), by=By.LINE, way=Way.FLAME, inverted=True
    ),
    "heap-flame-difference": flame_svg.render_difference(shuffle(), shuffle(20), top(shuffle()), top(shuffle(20))),
}


@pytest.mark.parametrize("name", PICTURES)
def test_golden_picture(name: str) -> None:
    """The flame graph, character by character."""
    held_against(f"{name}.svg", PICTURES[name])


@pytest.mark.parametrize("profile", [shuffle(48), python_app(), exact(), faults(), hostile(), large(200, 3)])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_flame_graph_is_xml_without_a_script(profile: HeapProfile, inverted: bool) -> None:
    """Whatever names there are; and each box tells its name and size when pointed at."""
    text = flame_svg.render(profile, top(profile), inverted=inverted)
    document = minidom.parseString(text)
    assert not document.getElementsByTagName("script")
    boxes = [group for group in document.getElementsByTagName("g") if group.getElementsByTagName("rect")]
    assert all(group.getElementsByTagName("title") for group in boxes if not group.hasAttribute("font-family"))


def test_boxes_are_as_wide_as_their_bytes() -> None:
    """Children lie within their callers and do not overlap; all of one level are no more than the whole."""
    profile = large(400, 2)
    root = flame.calls(flame_svg._tree(profile, top(profile), By.FUNCTION, False))
    assert root.in_use_bytes == top(profile).in_use_bytes
    levels: dict[int, list[flame.Box]] = {}
    for box in flame.boxes(root, 0.0005):
        assert box.width == pytest.approx(box.call.in_use_bytes / root.in_use_bytes)
        levels.setdefault(box.depth, []).append(box)
    for level in levels.values():
        level.sort(key=lambda box: box.left)
        assert all(one.left + one.width <= other.left + 1e-9 for one, other in pairwise(level))
        assert level[-1].left + level[-1].width <= 1 + 1e-9


@pytest.mark.parametrize(
    ("name", "letters", "shown"),
    [
        ("Library::load", 20, "Library::load"),
        ("ns::Library::load", 14, "Library::load"),
        ("ns::Library::load", 6, "load"),
        ("std::map<a::b, c>::at", 9, "at"),
        ("parse_options", 6, "parse…"),
        ("parse_options", 3, ""),
    ],
)
def test_a_name_in_a_narrow_box(name: str, letters: int, shown: str) -> None:
    """Its last parts are kept; where there is no room for four letters there are none."""
    assert fitted(name, letters) == shown


@pytest.mark.parametrize("eye", _EYES)
def test_colours_of_libraries_stay_apart(eye: str) -> None:
    """Any two, and the grey of the others, differ by 20 in CIE L*a*b* whichever cones the reader has."""
    found = [seen(color, eye) for color in (*flame.COLORS, flame.GREY)]
    assert min(dist(one, other) for one, other in combinations(found, 2)) >= 20


def test_the_script_has_the_same_colours() -> None:
    """The page and the picture."""
    script = (Path(heap_text.__file__).parent / "report_assets" / "heap.js").read_text(encoding="utf-8")
    assert re.findall("#[0-9a-f]{6}", script)[:8] == [*flame.COLORS, flame.GREY]


# ---- exports


def test_collapsed_stacks() -> None:
    """A line a stack, the outermost call first, its bytes behind; what was mapped has its mark."""
    profile = shuffle(20)
    lines = "".join(collapsed.render(profile, top(profile))).splitlines()
    assert lines[0] == (
        "_start;__libc_start_call_main;main;load_library;Library::load;std::string::_M_create;operator new 44040192"
    )
    assert "_start;__libc_start_call_main;main;map_cache;[mmap] 16777216" in lines
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == top(profile).in_use_bytes + 16 * MIB


def test_collapsed_stacks_of_any_name() -> None:
    """No name brings in a semicolon or a line break."""
    profile = hostile()
    lines = "".join(collapsed.render(profile, top(profile))).splitlines()
    assert len(lines) == 2 and all(line.rpartition(" ")[2].isdecimal() for line in lines)
    assert lines[0].count(";") == len(profile.stacks[0]) - 1


@pytest.mark.parametrize("profile", [shuffle(48), python_app(), exact(), hostile(), faults()])
def test_speedscope(profile: HeapProfile) -> None:
    """What the public schema asks of a sampled profile: indices of frames that are there, a weight for each sample."""
    snapshots = [one for one in (*profile.growth, profile.peak, profile.exit) if one is not None]
    document = json.loads("".join(heap_speedscope.render(profile, snapshots, 1 if len(snapshots) > 1 else 0)))
    assert document["$schema"].endswith("file-format-schema.json")
    frames = document["shared"]["frames"]
    assert all(isinstance(frame["name"], str) and set(frame) <= {"name", "file", "line", "col"} for frame in frames)
    assert 0 <= document["activeProfileIndex"] < len(document["profiles"]) == len(snapshots)
    for one, shot in zip(document["profiles"], snapshots, strict=True):
        assert one["type"] == "sampled" and one["unit"] == "bytes" and one["startValue"] == 0
        assert len(one["samples"]) == len(one["weights"]) and sum(one["weights"]) == one["endValue"]
        assert all(0 <= frame < len(frames) for sample in one["samples"] for frame in sample)
        mapped = sum(held.in_use_bytes for held in shot.holdings if held.kind is Kind.MMAP)
        assert one["endValue"] == shot.in_use_bytes + mapped


def fields(data: bytes) -> dict[int, list[int | bytes]]:
    """A message of Protocol Buffers: its fields."""
    found: dict[int, list[int | bytes]] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            found.setdefault(tag >> 3, []).append(varint())
        else:
            assert tag & 7 == 2
            size = varint()
            found.setdefault(tag >> 3, []).append(data[at : at + size])
            at += size
    return found


def numbers(data: int | bytes) -> list[int]:
    """Several numbers in one field."""
    assert isinstance(data, bytes)
    return [
        int(value)
        for value in fields(
            b"".join(b"\x08" + part for part in re.findall(rb"[\x80-\xff]*[\x00-\x7f]", data, re.DOTALL))
        )[1]
    ]


def of(data: int | bytes, field: int) -> int:
    """A number of a message; 0 where it is left out."""
    assert isinstance(data, bytes)
    (value,) = fields(data).get(field, [0])
    assert isinstance(value, int)
    return value


def test_pprof() -> None:
    """profile.proto: the types, each stack with its values, one location an address with what was inlined there, the
    program as the first mapping, what pprof shows at first, the time."""
    profile = shuffle(20)
    message = fields(
        gzip.decompress(
            pprof.render(profile, top(profile), started_ns=10**18, build_ids={STACKS[0][2].library or "": "ab12"})
        )
    )
    strings = [text.decode() for text in message[6] if isinstance(text, bytes)]
    assert strings[0] == ""
    types = [(strings[of(one, 1)], strings[of(one, 2)]) for one in message[1]]
    assert types == [("inuse_objects", "count"), ("inuse_space", "bytes")]
    assert strings[int(message[14][0])] == "inuse_space" and strings[of(message[11][0], 2)] == "bytes"
    assert message[12] == [65536] and message[9] == [10**18 + 1_600_000_000]
    functions = {of(one, 1): strings[of(one, 2)] for one in message[5]}
    files = {strings[of(one, 2)]: strings[of(one, 4)] for one in message[5]}
    lines = {}
    for one in message[4]:
        assert isinstance(one, bytes)
        lines[of(one, 1)] = [(functions[of(line, 1)], of(line, 2)) for line in fields(one)[4]]
    found = {}
    for one in message[2]:
        assert isinstance(one, bytes)
        sample = fields(one)
        path = [lines[place] for place in numbers(sample[1][0])]
        found[tuple(name for place in path for name, _ in place)] = numbers(sample[2][0])
    assert found[
        "operator new",
        "std::string::_M_create",
        "Library::load",
        "load_library",
        "main",
        "__libc_start_call_main",
        "_start",
    ] == [42 * MIB // 80, 42 * MIB]
    assert found["[mmap]", "map_cache", "main", "__libc_start_call_main", "_start"] == [1, 16 * MIB]
    assert [("std::string::_M_create", 153), ("Library::load", 88)] in lines.values()
    assert files["Library::load"] == "/src/shuffle/library.cc"
    first = message[3][0]
    assert strings[of(first, 5)] == "/opt/radio/bin/shuffle" and strings[of(first, 6)] == "ab12"
    assert [of(first, field) for field in (7, 8, 9, 10)] == [1, 1, 1, 1]
    for function in ("operator new[]", "std::__new_allocator<char>::allocate", "std::allocator_traits::allocate"):
        assert re.fullmatch(strings[int(message[7][0])], function)
    assert not re.fullmatch(strings[int(message[7][0])], "std::vector<std::allocator<int> >::push_back")


@pytest.mark.parametrize("profile", [shuffle(48), python_app(), exact(), faults(), hostile(), large(120, 2)])
def test_pprof_is_read_by_others(profile: HeapProfile, tmp_path: Path) -> None:
    """protoc decodes every field; `go tool pprof`, where there is Go, finds all of the bytes."""
    data = pprof.render(profile, top(profile))
    protoc = shutil.which("protoc")
    if protoc is None:
        reason = "protoc is not installed (Debian: apt-get install protobuf-compiler)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    subprocess.run([protoc, "--decode_raw"], input=gzip.decompress(data), check=True, capture_output=True)
    go = shutil.which("go")
    if go is None:
        return
    path = tmp_path / "heap.pb.gz"
    path.write_bytes(data)
    environment = {**os.environ, "PPROF_TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    told = subprocess.run(
        [go, "tool", "pprof", "-top", "-unit=b", str(path)], env=environment, check=True, capture_output=True, text=True
    )
    whole = re.search(r" of (\d+)B total", told.stdout)
    assert whole is not None and int(whole[1]) == sum(one.in_use_bytes for one in top(profile).holdings)


def test_call_graph_text() -> None:
    """DOT, character by character."""
    profile = shuffle(20)
    held_against("heap-callgraph.dot", callgraph_dot.render(profile, top(profile)))


@pytest.mark.parametrize("profile", [shuffle(48), python_app(), exact(), hostile(), large(120, 2)])
@pytest.mark.parametrize("by", By)
def test_graphviz_draws_it(profile: HeapProfile, by: By) -> None:
    """dot takes the text whatever the names are, and each box is in the picture."""
    if shutil.which("dot") is None:
        reason = "dot is not installed (Debian: apt-get install graphviz)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    text = callgraph_dot.render(profile, top(profile), by=by)
    document = minidom.parseString(callgraph_svg.render(text))
    nodes = [one for one in document.getElementsByTagName("g") if one.getAttribute("class") == "node"]
    assert len(nodes) == len(re.findall(r"^n\d+ \[", text, re.MULTILINE)) > 0


def test_without_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package that brings it is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MisuseError, match="apt-get install graphviz"):
        callgraph_svg.render("digraph {}")


# ---- the report


def test_the_data_of_the_page() -> None:
    """Unpacked, the sizes of each moment add up to what is in use, and the stacks are those of the profile."""
    profile = shuffle(48)
    data = json.loads(json.dumps(report_heap_data.payload(profile)))
    assert [one["kind"] for one in data["moments"]] == ["growth"] * 6 + ["peak", "exit"]
    assert data["chosen"] == 6
    peak = data["moments"][6]
    assert abs(sum(unpacked(peak["kib"])) - top(profile).in_use_bytes / 1024) <= 1
    assert peak["left"] == 0 and unpacked(peak["mapped"][0]) == [5] and unpacked(peak["mapped"][1]) == [16 * 1024]
    parents, frames = map(unpacked, data["nodes"])
    names, _, lines, _, flags = map(unpacked, data["frames"])
    for stack, leaf in enumerate(unpacked(data["leaves"])):
        at, path = leaf, []
        while at:
            path.append(frames[at - 1])
            at = parents[at - 1]
        assert [data["strings"][names[frame]] for frame in path] == [frame.function for frame in profile.stacks[stack]]
        assert [lines[frame] for frame in path] == [frame.line or 0 for frame in profile.stacks[stack]]
        assert [bool(flags[frame] & 1) for frame in path] == [frame.inlined for frame in profile.stacks[stack]]
    sites = [data["strings"][names[frames[site - 1]]] for site in unpacked(data["sites"])]
    assert sites == ["Library::load", "Library::load", "mpd_pair_dup", "sort_all", "parse_options", "map_cache"]


def test_errors_survive_their_packing() -> None:
    """The standard error of an estimate is told within a twentieth; counted stays counted."""
    for size, block in ((40 * MIB, 80), (3 * MIB, 16), (900_000, 4000), (4 * MIB, 5 * MIB)):
        one = held(0, size, block)
        told = (report_heap_data._off(one) / 127) ** 2 * size
        assert told == pytest.approx(one.variance**0.5, rel=0.06)


def test_a_long_profile_makes_a_small_page() -> None:
    """50 snapshots of 5,000 stacks, all alive: less than 2 MB with all else that the page holds (150 kB)."""
    profile = large()
    text = json.dumps(report_heap_data.payload(profile), separators=(",", ":")) + report_heap.section(profile, 0)
    assert len(text) < 1_850_000


def test_of_very_many_stacks_the_largest_are_kept() -> None:
    """And how much is left out is known; at the peak nothing is."""
    profile = large(1000, 300)
    data = json.loads(json.dumps(report_heap_data.payload(profile)))
    sizes = [
        (len(unpacked(one["stacks"])), sum(unpacked(one["kib"])) * 1024 + one["left"], one["bytes"])
        for one in data["moments"]
    ]
    assert all(abs(found - whole) <= 1024 for _, found, whole in sizes)
    assert sum(count for count, _, _ in sizes) <= report_heap_data.MOST_HOLDINGS + 3 * 1000
    assert sizes[data["chosen"]][0] == 1000


def test_a_page_of_nothing() -> None:
    """An empty profile says that it is."""
    assert "It is empty." in report_heap.section(nothing(), 0)


def test_a_name_cannot_end_the_section() -> None:
    """Whatever a function is called, it stays text."""
    assert "<script" not in report_heap.section(hostile(), 0)


def test_a_frame_without_a_name() -> None:
    """Its library and address stand for it, everywhere the same."""
    profile = replace(shuffle(), stacks=((native(None, None, None, "/opt/lib/stripped.so"),),) * len(STACKS))
    frame = profile.stacks[0][0]
    assert frame.address is not None
    name = f"stripped.so+{frame.address:#x}"
    assert name in heap_text.render(profile) and name in flame_svg.render(profile, top(profile))
    assert f"[{name}] " in "".join(collapsed.render(profile, top(profile)))
