"""``hiwater report``, ``plot``, ``export``, ``show --tree``."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Hiwater
from tests.streams import MIB, Stream
from tests.timelines import family

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path) -> None:
    """a.hiw and b.hiw, which needed more."""
    (tmp_path / "a.hiw").write_bytes(family().data)
    (tmp_path / "b.hiw").write_bytes(family(extra_mib=40).data)


WRITERS = [("report", "a.hiw", "-o", "out.svg"), ("plot", "a.hiw", "-o", "out.svg"),
           ("export", "a.hiw", "--format", "csv", "-o", "out.svg")]  # fmt: skip


@pytest.mark.parametrize("words", WRITERS, ids=lambda words: words[0])
def test_nothing_is_overwritten_without_being_asked(hiwater: Hiwater, tmp_path: Path, words: tuple[str, ...]) -> None:
    """An existing file is left alone, unless -f or --force."""
    (tmp_path / "out.svg").write_text("mine")
    done = hiwater(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "exists already" in done.stderr
    assert (tmp_path / "out.svg").read_text() == "mine"
    for force in ("-f", "--force"):
        done = hiwater(*words, force)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "out.svg").read_text() != "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hiw", "b.hiw", "out.svg"]


@pytest.mark.parametrize("words", WRITERS, ids=lambda words: words[0])
def test_what_is_no_recording_is_refused(hiwater: Hiwater, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Status 2, the reason, and no file."""
    (tmp_path / "a.hiw").write_bytes(b"junk" * 20)
    done = hiwater(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a recording" in done.stderr
    assert not (tmp_path / "out.svg").exists()


@pytest.mark.parametrize("words", [*WRITERS, ("show", "a.hiw", "--tree")], ids=lambda words: words[0])
@pytest.mark.parametrize("cut", ["header", "samples"])
def test_a_recording_that_was_cut_is_shown_up_to_there(
    hiwater: Hiwater, tmp_path: Path, words: tuple[str, ...], cut: str
) -> None:
    """Whatever is missing: nothing fails."""
    data = Stream().data if cut == "header" else family().data[: family().data.index(b"left-alive") - 600]
    (tmp_path / "a.hiw").write_bytes(data)
    done = hiwater(*words)
    assert (done.returncode, done.stderr) == (0, "")


def test_report(hiwater: Hiwater, tmp_path: Path) -> None:
    """Without -o the page is report.html; it holds the figures of the JSON, and names cannot break it."""
    done = hiwater("report", "a.hiw")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    page = (tmp_path / "report.html").read_text()
    figures = json.loads(hiwater("show", "--json", "a.hiw").stdout)
    for key in ("peak_rss", "tree_peak"):
        assert f'data-figure="{key}" data-bytes="{figures[f"{key}_bytes"]}"' in page
    assert "boss &#x27;&lt;it&gt;&#x27;" in page
    assert "a &lt;test&gt; warning" in page
    assert "<it>" not in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)


def test_report_to_stdout(hiwater: Hiwater, tmp_path: Path) -> None:
    """-o - prints the page."""
    assert hiwater("report", "a.hiw", "-o", "-").stdout.startswith("<!doctype html>")
    assert not (tmp_path / "report.html").exists()


def test_report_of_several(hiwater: Hiwater, tmp_path: Path) -> None:
    """Two recordings are laid over each other, and their differences listed."""
    done = hiwater("report", "a.hiw", "b.hiw", "--output", "both.html")
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "both.html").read_text()
    assert "2 recordings compared" in page
    assert '100.0 MiB <span class="up">(+40.0, +66.7%)</span>' in page
    assert page.count('<section class="recording"') == 2


def test_report_of_files_of_one_name(hiwater: Hiwater, tmp_path: Path) -> None:
    """Recordings are told apart by their paths where their names are the same."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.hiw").write_bytes(family().data)
    assert "old/a.hiw</a>" in hiwater("report", "a.hiw", "old/a.hiw", "-o", "-").stdout


def test_plot(hiwater: Hiwater, tmp_path: Path) -> None:
    """The picture is SVG with the stack by process, and the tree's peak with its bounds."""
    assert hiwater("plot", "a.hiw", "-o", "peak.svg").returncode == 0
    picture = ET.parse(tmp_path / "peak.svg").getroot()
    texts = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
    assert [text for text in texts if text.startswith("tree peak 70.0 MiB (70.0 – 7")]  # noqa: RUF001
    assert "boss '<it>'" in texts
    names = [text for text in texts if "MiB" in text and "(4" in text]
    assert names == ["boss (4242), 10.0 MiB", "worker (4343), 60.0 MiB"]
    assert len([path for path in picture.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]) == 2


def test_plot_by_kind(hiwater: Hiwater) -> None:
    """--by kind stacks anonymous memory, files and so on, to stdout here."""
    picture = ET.fromstring(hiwater("plot", "a.hiw", "--by", "kind", "-o", "-").stdout)
    titles = [title.text for path in picture.iter(f"{SVG}path") for title in path.iter(f"{SVG}title")]
    assert titles == ["swapped out (not resident)", "files", "anonymous"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-o", "peak.jpg"), "should end in .svg or .png"),
        (("-o", "peak"), "--format says it"),
        (("-o", "peak.svg", "--width", "500"), "--width is for PNG"),
        (("-o", "-", "--scale", "2"), "--scale is for PNG"),
        (("-o", "peak.svg", "--font", "X"), "--font is for PNG"),
        (("-o", "peak.png", "--width", "20"), "20 pixels wide: from 100 to 20000"),
        (("-o", "peak.png", "--scale", "nan"), "from 100 to 20000"),
        (("-o", "peak.png", "--scale", "1e9"), "from 100 to 20000"),
        (("-o", "peak.png", "--font", "No Such Family"), "there is no font 'No Such Family'"),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, tuple) else "",
)
def test_plot_refuses_what_it_cannot_draw(hiwater: Hiwater, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Status 2, the reason, and no file."""
    done = hiwater("plot", "a.hiw", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hiw", "b.hiw"]


def pixels(png: bytes) -> tuple[int, list[list[tuple[int, ...]]]]:
    """Width and rows of pixels of a PNG of 8 bits a channel."""
    at, data, head = 8, b"", b""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        part = png[at + 8 : at + 8 + size]
        head, data = (part, data) if kind == b"IHDR" else (head, data + part if kind == b"IDAT" else data)
        at += size + 12
    wide, high, depth, color, *_ = struct.unpack(">IIBBBBB", head)
    count = {2: 3, 6: 4}[color]
    assert depth == 8
    raw, above, rows = zlib.decompress(data), bytearray(wide * count), []
    for row in range(high):
        begin = row * (wide * count + 1)
        line = bytearray(raw[begin + 1 : begin + 1 + wide * count])
        for place in range(wide * count):
            left = line[place - count] if place >= count else 0
            corner = above[place - count] if place >= count else 0
            up, guess = above[place], left + above[place] - corner
            paeth = min((left, up, corner), key=lambda value: abs(guess - value))
            line[place] = line[place] + (0, left, up, (left + up) // 2, paeth)[raw[begin]] & 255
        rows.append([tuple(line[x * count : x * count + 3]) for x in range(wide)])
        above = line
    return wide, rows


@pytest.mark.parametrize(("words", "wide"), [((), 1720), (("--width", "430"), 430), (("--scale", "0.5"), 430)])
def test_plot_png(hiwater: Hiwater, tmp_path: Path, words: tuple[str, ...], wide: int) -> None:
    """The same picture in pixels: areas in their colours, the peak's point, and text."""
    done = hiwater("plot", "a.hiw", "-o", "peak.png", *words)
    if "no font was found" in done.stderr:
        pytest.skip("no font is installed")
    assert (done.returncode, done.stderr) == (0, "")
    found, rows = pixels((tmp_path / "peak.png").read_bytes()) if words else (1720, [])
    assert found == wide
    if not words:
        assert struct.unpack_from(">I", (tmp_path / "peak.png").read_bytes(), 16) == (1720,)
        return
    shown = {pixel for row in rows for pixel in row}
    assert {(0x3F, 0x78, 0xC4), (0xC4, 0x8E, 0x4F), (0xFF, 0xFF, 0xFF), (0xB3, 0x26, 0x1E)} <= shown
    title = [pixel for row in rows[6:14] for pixel in row[46:110]]
    assert min(sum(pixel) for pixel in title) < 300  # ink


def test_plot_png_to_stdout(tmp_path: Path) -> None:
    """--format says what - is."""
    done = subprocess.run(
        [sys.executable, "-m", "hiwater", "plot", "a.hiw", "--format", "png", "--width", "200", "-o", "-"],
        cwd=tmp_path, capture_output=True,
    )  # fmt: skip
    if b"no font was found" in done.stderr:
        pytest.skip("no font is installed")
    assert done.stdout.startswith(b"\x89PNG")


def test_plot_png_names_the_extra_that_it_takes(tmp_path: Path) -> None:
    """Without resvg: status 2, and how to get it; nothing is written."""
    code = (
        "import sys; sys.modules['resvg_py'] = None\n"
        "from hiwater.cli import main\n"
        "sys.exit(main(['plot', 'a.hiw', '-o', 'peak.png']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'hiwater[png]'" in done.stderr
    assert not (tmp_path / "peak.png").exists()


def test_plot_png_says_that_there_is_no_font() -> None:
    """A machine without fonts: resvg would leave the text out without a word."""
    from hiwater.views import plot_png

    with pytest.raises(plot_png.NoFontError, match="fonts-dejavu-core"):
        plot_png.render("<svg/>", families=("No Such Family",))


def test_export_csv(hiwater: Hiwater) -> None:
    """A header, and a line a sample; unknown is empty."""
    lines = list(csv.DictReader(io.StringIO(hiwater("export", "a.hiw", "--format", "csv").stdout)))
    assert len(lines) == 5
    assert lines[3] == {
        "time_seconds": "0.05", "pid": "4343", "process": "1", "image": "1", "name": "worker",
        "rss_bytes": str(60 * MIB), "anon_bytes": str(55 * MIB), "file_bytes": str(5 * MIB), "shmem_bytes": "0",
        "swap_bytes": "0", "hwm_bytes": str(60 * MIB), "page_tables_bytes": "0", "hugetlb_bytes": "0",
    }  # fmt: skip


def test_export_jsonl(hiwater: Hiwater, tmp_path: Path) -> None:
    """An object a sample; unknown is null."""
    unread = (1000, 0, 10, *[0xFFFFFFFF] * 4)
    stream = Stream().facts().command(b"a").process().image().samples([unread])
    (tmp_path / "c.hiw").write_bytes(stream.data)
    line = json.loads(hiwater("export", "c.hiw", "--format", "jsonl").stdout)
    assert (line["rss_bytes"], line["anon_bytes"], line["file_bytes"], line["hwm_bytes"]) == (40960, None, None, None)


def test_export_parquet(hiwater: Hiwater, tmp_path: Path) -> None:
    """The rows of the CSV with types of their own, the command line of each image, nulls for what is unknown; command
    and host stand in the metadata of the file."""
    parquet = import_module("pyarrow.parquet")
    unread = (1000, 0, 10, *[0xFFFFFFFF] * 6)
    stream = Stream().facts().command(b"a", b"b c").process().image(arguments=(b"a", b"b c"))
    (tmp_path / "c.hiw").write_bytes(stream.samples([unread]).data)
    for name in ("a", "c"):
        assert hiwater("export", f"{name}.hiw", "--format", "parquet", "-o", f"{name}.parquet").returncode == 0
    table = parquet.read_table(tmp_path / "a.parquet")
    rows = table.to_pylist()
    assert [row.pop("command") for row in rows] == ["boss '<it>'", "worker --fast"] * 2 + ["worker --fast"]
    assert rows == [json.loads(line) for line in hiwater("export", "a.hiw", "--format", "jsonl").stdout.splitlines()]
    types = {column.name: str(column.type) for column in table.schema}
    assert {kind for name, kind in types.items() if name.endswith("_bytes")} == {"int64"}
    assert (types["time_seconds"], types["pid"]) == ("double", "int32")
    table = parquet.read_table(tmp_path / "c.parquet")
    (row,) = table.to_pylist()
    assert {name for name, value in row.items() if value is None} == {
        "anon_bytes", "file_bytes", "shmem_bytes", "swap_bytes", "hwm_bytes", "page_tables_bytes", "hugetlb_bytes",
    }  # fmt: skip
    about = {key.decode(): json.loads(value) for key, value in table.schema.metadata.items() if b"hiwater" in key}
    assert about["hiwater.command"] == ["a", "b c"]
    assert about["hiwater.host"]["kernel"] == "6.18.44"
    assert about["hiwater.figures"]["schema"] == "hiwater.run/1"


@pytest.mark.parametrize("cut", ["header", "samples"])
def test_export_parquet_of_a_recording_that_was_cut(hiwater: Hiwater, tmp_path: Path, cut: str) -> None:
    """It has what there is, if only the columns."""
    parquet = import_module("pyarrow.parquet")
    data = Stream().data if cut == "header" else family().data[: family().data.index(b"left-alive") - 600]
    (tmp_path / "a.hiw").write_bytes(data)
    done = hiwater("export", "a.hiw", "--format", "parquet", "-o", "a.parquet")
    assert (done.returncode, done.stderr) == (0, "")
    assert parquet.read_table(tmp_path / "a.parquet").num_columns == 14


def test_export_parquet_names_the_extra_that_it_takes(tmp_path: Path) -> None:
    """Without pyarrow: status 2, and how to get it; nothing is written."""
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from hiwater.cli import main\n"
        "sys.exit(main(['export', 'a.hiw', '--format', 'parquet', '-o', 'a.parquet']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'hiwater[parquet]'" in done.stderr
    assert not (tmp_path / "a.parquet").exists()


def test_export_speedscope(hiwater: Hiwater) -> None:
    """A flame graph of the tree at its peak: each process stands on its parent and is as wide as it and its descendants
    were large then, split into kinds of memory."""
    document = json.loads(hiwater("export", "a.hiw", "--format", "speedscope").stdout)
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert document["name"] == "boss '<it>'"
    frames = document["shared"]["frames"]
    assert all(set(frame) <= {"name", "file", "line", "col"} for frame in frames)
    (profile,) = document["profiles"]
    assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
    assert (profile["type"], profile["unit"], profile["startValue"]) == ("sampled", "bytes", 0)
    stacks = {
        tuple(frames[frame]["name"] for frame in sample): weight
        for sample, weight in zip(profile["samples"], profile["weights"], strict=True)
    }
    assert stacks == {
        ("boss (4242)", "anonymous"): 8 * MIB,
        ("boss (4242)", "files"): 2 * MIB,
        ("boss (4242)", "worker (4343)", "anonymous"): 55 * MIB,
        ("boss (4242)", "worker (4343)", "files"): 5 * MIB,
    }
    assert profile["endValue"] == 70 * MIB
    assert "0.050 s" in profile["name"]


def test_export_speedscope_of_a_child_that_was_found_first(hiwater: Hiwater, tmp_path: Path) -> None:
    """It stands on its parent all the same."""
    stream = Stream().facts().command(b"a").process().image().process(2, 1, pid=70).image(2, 2).process(1, 0, pid=60)
    (tmp_path / "c.hiw").write_bytes(stream.image(1, 1).samples([(1000, 2, 10, 10, 0, 0, 10)]).data)
    document = json.loads(hiwater("export", "c.hiw", "--format", "speedscope").stdout)
    frames = [frame["name"].rpartition(" ")[2] for frame in document["shared"]["frames"]]
    assert [frames[frame] for frame in document["profiles"][0]["samples"][0]] == ["(4242)", "(60)", "(70)", "anonymous"]


def checked_trace(text: str) -> list[dict[str, Any]]:
    """The events of a trace; each has to be what the trace-event format says of its phase."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    trace = json.loads(text, parse_constant=refuse)
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    named: dict[str, dict[int, object]] = {"process_name": {}, "process_sort_index": {}, "thread_name": {}}
    busy_until: dict[tuple[int, int], float] = {}
    now = 0.0
    for event in trace["traceEvents"]:
        assert type(event["pid"]) is type(event["tid"]) is int
        assert 0 < event["pid"] < 1 << 31
        if event["ph"] == "M":
            assert set(event) == {"ph", "name", "pid", "tid", "args"}
            (value,) = event["args"].values()
            assert set(event["args"]) == {"sort_index" if event["name"] == "process_sort_index" else "name"}
            assert isinstance(value, int if event["name"] == "process_sort_index" else str)
            assert event["pid"] not in named[event["name"]]
            named[event["name"]][event["pid"]] = value
            continue
        assert type(event["ts"]) in (int, float)
        assert event["ts"] >= now, "events in the order of time"
        now = event["ts"]
        assert isinstance(event["name"], str)
        if event["ph"] == "X":
            assert set(event) == {"ph", "cat", "name", "pid", "tid", "ts", "dur", "args"}
            track = event["pid"], event["tid"]
            assert event["ts"] >= busy_until.get(track, 0) - 0.001, "slices of one track one after the other"
            assert event["dur"] >= 0
            busy_until[track] = event["ts"] + event["dur"]
        else:
            assert event["ph"] == "C"
            assert set(event) == {"ph", "name", "pid", "tid", "ts", "args"}
            assert event["args"]
            assert all(type(value) is int and value >= 0 for value in event["args"].values())
    assert {event["pid"] for event in trace["traceEvents"]} == set(named["process_name"])
    return list(trace["traceEvents"])


def test_export_perfetto_is_a_trace(hiwater: Hiwater, tmp_path: Path) -> None:
    """Every event is what the trace-event format asks of its phase; each process has one counter track, whose largest
    value is what was sampled, and which is 0 from its end on; the whole tree has one more."""
    assert hiwater("export", "a.hiw", "--format", "perfetto", "-o", "trace.json").returncode == 0
    events = checked_trace((tmp_path / "trace.json").read_text())
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert names == {4242: "boss", 4343: "worker", 4344: "whole tree, sum of RSS"}
    counters = [e for e in events if e["ph"] == "C"]
    assert {(e["pid"], e["name"], *e["args"]) for e in counters} == {(pid, "RSS", "bytes") for pid in names}
    most = {pid: max(e["args"]["bytes"] for e in counters if e["pid"] == pid) for pid in names}
    assert most == {4242: 10 * MIB, 4343: 60 * MIB, 4344: 70 * MIB}
    last = {e["pid"]: (e["ts"], e["args"]["bytes"]) for e in counters}
    assert last == {4242: (100_000, 0), 4343: (80_000, 0), 4344: (100_000, 0)}
    slices = {e["pid"]: (e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"}
    assert slices == {4242: ("boss", 0, 100_000), 4343: ("worker", 20_000, 60_000)}


def test_export_perfetto_of_a_real_execution(hiwater: Hiwater) -> None:
    """Programs that follow each other in one process, and processes that live at once, make a trace without fault;
    nothing is left at its end."""
    command = ("sh", "-c", "sleep 0.02 & sleep 0.03; exec sleep 0.02")
    assert hiwater("run", "-q", "-o", "r.hiw", "--trace", "--", *command).returncode == 0
    events = checked_trace(hiwater("export", "r.hiw", "--format", "perfetto").stdout)
    assert sorted(e["name"] for e in events if e["ph"] == "X" and e["dur"] > 15_000)[-3:] == ["sleep"] * 3
    assert set({e["pid"]: e["args"]["bytes"] for e in events if e["ph"] == "C"}.values()) == {0}


def test_export_perfetto_tells_reused_pids_apart(hiwater: Hiwater, tmp_path: Path) -> None:
    """Two processes that had one pid get tracks of their own."""
    stream = Stream().facts().command(b"a").process(0, pid=77).process(1, 0, pid=77)
    (tmp_path / "c.hiw").write_bytes(stream.data)
    trace = json.loads(hiwater("export", "c.hiw", "--format", "perfetto").stdout)
    assert len({e["pid"] for e in trace["traceEvents"] if e["name"] == "process_name"}) == 3


@pytest.mark.parametrize(
    "words", [("report",), ("plot", "a.hiw"), ("plot", "a.hiw", "-o", "-", "--by", "colour"), ("export", "a.hiw"),
              ("export", "a.hiw", "--format", "xml"), ("show", "--tree", "--json", "a.hiw")]
)  # fmt: skip
def test_misuse(hiwater: Hiwater, words: tuple[str, ...]) -> None:
    """What is missing or unknown is status 2, with the usage."""
    done = hiwater(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: hiwater" in done.stderr


def test_show_tree(hiwater: Hiwater) -> None:
    """Behind the summary a line a process: peak, size and share at the tree's peak, lifetime, and its bars."""
    done = hiwater("show", "a.hiw", "--tree")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(hiwater("show", "a.hiw").stdout + "\nprocess ")
    lines = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"boss '<it>' +4242 +10\.0 +10\.0 +14% +0\.100 s +█+", lines[0])
    assert re.fullmatch(r"└─ worker --fast +4343 +60\.0 +60\.0 +86% +0\.060 s +▄+█▄+", lines[1])


@pytest.mark.parametrize("width", [50, 72, 100, 200])
def test_show_tree_fits_the_width(hiwater: Hiwater, width: int) -> None:
    """No line of the tree is wider than the terminal; where it is narrow, the bars give way."""
    text = hiwater("show", "a.hiw", "--tree", env=os.environ | {"COLUMNS": str(width)}).stdout
    lines = text.split("\n\n", 1)[1].splitlines()
    assert max(map(len, lines)) <= max(width, 60)
    assert ("█" in text) == (width > 80)


def test_show_tree_colour(hiwater: Hiwater) -> None:
    """None in a pipe; --color always forces it, NO_COLOR forbids it to auto."""
    assert "\x1b" not in hiwater("show", "a.hiw", "--tree").stdout
    assert "\x1b[1m└─ worker" in hiwater("show", "a.hiw", "--tree", "--color", "always").stdout
    forced = os.environ | {"FORCE_COLOR": "1"}
    assert "\x1b" in hiwater("show", "a.hiw", "--tree", env=forced).stdout
    assert "\x1b" not in hiwater("show", "a.hiw", "--tree", env=forced | {"NO_COLOR": "1"}).stdout


def test_show_tree_in_ascii(hiwater: Hiwater) -> None:
    """A terminal without the characters gets plain ones."""
    text = hiwater("show", "a.hiw", "--tree", env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}).stdout
    assert text.isascii()
    assert "`- worker --fast" in text


def test_a_real_execution(hiwater: Hiwater, tmp_path: Path) -> None:
    """What was recorded of a real command gives a page, a picture and a tree with its processes."""
    assert hiwater("run", "-q", "-o", "r.hiw", "--trace", "--", "sh", "-c", "sleep 0.05; true").returncode == 0
    assert hiwater("report", "r.hiw").returncode == 0
    assert hiwater("plot", "r.hiw", "-o", "r.svg").returncode == 0
    assert "─ sleep 0.05" in hiwater("show", "r.hiw", "--tree").stdout
    assert 'data-name="sleep"' in (tmp_path / "report.html").read_text()
