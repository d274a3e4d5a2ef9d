"""What people see, held against golden files (HIWATER_WRITE_GOLDEN=1 writes them anew)."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from tests.streams import MIB, Stream, simple, split

from hiwater.recording.reader import parse
from hiwater.recording.wire import CgroupWhen, EndedByCode, ImageEndedBy, ImageFlags
from hiwater.views import terminal
from hiwater.views.style import Color, columns, encodable, use_color

GOLDEN = Path(__file__).parent / "golden"


def build() -> Stream:
    """A parallel build under a fat launcher."""
    stream = Stream().facts(launcher_hwm_bytes=str(847 * MIB)).command(b"make", b"-j8").process(0, pid=4200)
    stream.image(0, comm=b"make", arguments=(b"make", b"-j8")).image_end(0, hwm=6 * MIB, max_rss=6 * MIB)
    stream.process(1, 0, 4242).image(1, 1, comm=b"cc1plus", exe=b"/usr/lib/gcc/cc1plus", arguments=(b"cc1plus", b"-O2"))
    stream.image_end(1, hwm=212 * MIB, max_rss=212 * MIB, at_max=split(212 * MIB, 180 * MIB, 32 * MIB, 0))
    stream.process_end(1, flags=0).process_end(0, maxrss=212 * MIB)  # type: ignore[arg-type]
    stream.tree_peak(1331 * MIB, 1290 * MIB, 9).tree_upper((0, 9, 1400 * MIB), (1, 8, 1300 * MIB))
    return stream.stats(max_alive=9, processes=113).end(212 * MIB, wall_ns=12_345_678_901)


def traced() -> Stream:
    """A traced program, with its first and its last instant."""
    stream = Stream().facts(mode="trace").command(b"./prog").process()
    stream.image(flags=ImageFlags.EVENT, start=split(1688207, 167772, 1520435, 0))
    stream.image_end(
        how=ImageEndedBy.EXIT_STOP,
        hwm=40 * MIB,
        max_rss=40 * MIB,
        vm_peak=41 * MIB,
        at_max=split(40 * MIB, 38 * MIB, 2 * MIB, 0),
        last=split(30 * MIB, 28 * MIB, 2 * MIB, 0),
    )
    return stream.process_end(maxrss=40 * MIB).stats().end(40 * MIB)


def beside() -> Stream:
    """A program that needed more than was resident."""
    stream = Stream().facts(swap_total_bytes=str(1 << 30)).command(b"./sparse").process().image(comm=b"sparse")
    stream.image_end(hwm=64 * MIB, max_rss=64 * MIB, swap=136 * MIB, pte=32 * MIB, hugetlb=8 * MIB)
    stream.process_end(maxrss=64 * MIB)
    stream.stats(swap=136 * MIB, pte=32 * MIB, hugetlb=8 * MIB, demand=240 * MIB)
    return stream.end(64 * MIB)


def hostile() -> Stream:
    """Names that would move the cursor, forge a line, or are no text at all."""
    name = b"a\x1b[2J\nhiwater: \xff\xe2\x80\xaeb"
    stream = Stream().facts(launcher_name="ba\x1bsh", launcher_hwm_bytes=str(99 * MIB)).command(name, b"tab\there")
    stream.process().image(comm=b"\x1b[31mred\n", exe=b"", arguments=(name,))
    stream.image_end(hwm=2 * MIB, max_rss=2 * MIB).process_end(maxrss=2 * MIB)
    return stream.warning("odd\n", "line\none").stats().end(2 * MIB)


def ended(status: int, by: EndedByCode) -> Stream:
    """A command of one process that ended so."""
    stream = Stream().facts().command(b"prog").process().image().image_end(hwm=2 * MIB).process_end(maxrss=2 * MIB)
    return stream.stats().end(2 * MIB, status, by, wall_ns=300 * 10**9)


def limited() -> Stream:
    """A program that was killed at its limit, in a group whose parts were seen."""
    stream = Stream().facts().command(b"prog").process().image().image_end(hwm=60 * MIB, max_rss=60 * MIB)
    begin = {"version": "2", "path": "/sys/fs/cgroup/hiwater-1", "memory.max": str(64 * MIB), "memory.swap.max": "0"}
    stat = f"anon {58 * MIB}\nfile {4 * MIB}\nkernel {2 * MIB}\nshmem {MIB}\n"
    events = {"memory.events": "oom_kill 1", "memory.events.local": "max 9\noom 1", "memory.peak": str(64 * MIB)}
    stream.cgroup(CgroupWhen.BEGIN, begin).cgroup(CgroupWhen.MAXIMUM, {"usage": str(64 * MIB), "memory.stat": stat})
    return stream.process_end(maxrss=60 * MIB).cgroup(CgroupWhen.END, events).stats().end(60 * MIB, 9, EndedByCode.OOM)


CASES = {
    "limited": (limited(), 100, False),
    "simple": (simple(), 100, False),
    "simple-color": (simple(), 100, True),
    "build": (build(), 100, False),
    "build-narrow": (build(), 40, False),
    "traced": (traced(), 100, False),
    "beside": (beside(), 100, False),
    "hostile": (hostile(), 100, False),
    "signal": (ended(11, EndedByCode.SIGNAL), 100, False),
    "oom": (ended(9, EndedByCode.OOM), 100, False),
    "timeout": (ended(15, EndedByCode.TIMEOUT), 100, False),
    "not-started": (ended(127 << 8, EndedByCode.NOT_STARTED), 100, False),
    "cut": (Stream().facts().command(b"prog").process().image(), 100, False),
    "nothing": (Stream(), 100, False),
    "long-command": (
        Stream().facts().command(b"cc", *[b"-I/some/where"] * 40, b"last.c").process().end(MIB),
        80,
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    """The summary, character by character."""
    stream, width, color = CASES[name]
    text = terminal.render(parse(stream.data), width=width, color=color)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("HIWATER_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_no_control_characters(name: str) -> None:
    """Nothing but our own colours can control the terminal."""
    stream, width, _ = CASES[name]
    text = terminal.render(parse(stream.data), width=width)
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text) == []


@pytest.mark.parametrize(
    ("choice", "terminal", "environment", "expected"),
    [
        (Color.AUTO, True, {}, True),
        (Color.AUTO, False, {}, False),
        (Color.AUTO, True, {"TERM": "dumb"}, False),
        (Color.AUTO, True, {"NO_COLOR": "1"}, False),
        (Color.AUTO, True, {"NO_COLOR": ""}, True),
        (Color.AUTO, False, {"FORCE_COLOR": "1"}, True),
        (Color.AUTO, True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Color.ALWAYS, False, {"NO_COLOR": "1"}, True),
        (Color.NEVER, True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_color(choice: Color, terminal: bool, environment: dict[str, str], expected: bool) -> None:
    """--color, NO_COLOR, FORCE_COLOR and the terminal, in this order."""
    assert use_color(choice, terminal, environment) == expected


def test_streams_that_take_ascii_only() -> None:
    """Where the locale cannot show a dot or a dash, plain characters stand in."""
    assert encodable("a · b \N{EN DASH} c", "ascii") == "a | b - c"
    assert encodable("a · b", "utf-8") == "a · b"


def test_width_of_a_pipe() -> None:
    """A stream that is no terminal has the default width."""
    assert columns(io.StringIO(), 77) == 77
