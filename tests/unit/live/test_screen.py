"""What stands on the screen of the live view."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.streams import MIB, Stream
from tests.timelines import family, row
from tests.unit.live.test_state import fed, two

from hiwater.live.chart import area, ceiling
from hiwater.live.rows import Order
from hiwater.live.screen import Choice, Looks, draw, move
from hiwater.live.state import LiveState

SECOND = 1_000_000_000


def text(state: LiveState, choice: Choice | None = None, width: int = 80, height: int = 24, looks: Looks | None = None,
         now_ns: int = 65 * SECOND) -> list[str]:  # fmt: skip
    """The lines without their styles."""
    lines = draw(state, choice or Choice(), width, height, looks or Looks(), now_ns)
    return ["".join(piece for piece, _ in line) for line in lines]


@pytest.fixture
def state(tmp_path: Path) -> LiveState:
    return fed(two().tree_peak(70 * MIB, 70 * MIB, 2), tmp_path / "a.hiw")


def test_head(state: LiveState) -> None:
    """What is executed and for how long, what it holds and of what kind, the peak so far and when it was."""
    title, now, peak = text(state, width=100)[:3]
    assert title.startswith("boss -x  ")
    assert title.endswith("65.0 s · 2 processes")
    assert now == ("now       50.0 MiB  anon 43.0 · file 7.0 · shmem 0.0 · swap 2.0  shared pages in each process")
    assert peak == "peak      70.0 MiB  at 0.050 s, 2 processes · largest: worker, pid 11, 60.0 MiB"


def test_list(state: LiveState) -> None:
    """Each process with what it holds, its share, its peak and its memory over time."""
    lines = text(state)
    at = next(at for at, line in enumerate(lines) if line.startswith("process"))
    assert lines[at].split() == ["process", "pid", "now", "MiB", "share", "peak", "MiB"]
    assert lines[at + 1].split()[:6] == ["boss", "-x", "10", "10.0", "20%", "10.0"]
    assert lines[at + 2].split()[:6] == ["└─", "worker", "11", "40.0", "80%", "60.0"]
    assert lines[at + 2].endswith("  ▄▄▄▄▄▄▄▄▄██████")


def test_timeline(state: LiveState) -> None:
    """The tree's memory over time, with its scale; it never rises above the peak."""
    lines = text(state)
    assert lines[3].startswith("   80.0 MiB ")
    assert "█" in lines[7]
    assert lines[8].split() == ["0", "s", "0.051", "s"]


@pytest.mark.parametrize("width", [1, 2, 5, 10, 20, 35, 36, 44, 60, 79, 80, 81, 100, 200, 400])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 9, 10, 15, 16, 24, 60])
def test_every_size(state: LiveState, width: int, height: int) -> None:
    """No line is longer than the terminal is wide, and there are as many as it has, however small it is."""
    for choice in (Choice(), Choice(ended=True, order=Order.PEAK, typing=True, pattern="o"), Choice(chosen=1)):
        lines = text(state, choice, width, height)
        assert len(lines) == height
        assert max(map(cell_len, lines)) <= width


def test_before_the_first_record() -> None:
    """There is a screen before anything is known."""
    lines = text(LiveState())
    assert lines[0].startswith("starting")
    assert "? MiB" in lines[2]


def test_hundreds(tmp_path: Path) -> None:
    """Of hundreds of processes those are drawn that fit; the title says which, and one can go through all."""
    stream = Stream().facts().process().image()
    for number in range(1, 500):
        stream.process(number, 0, pid=number).image(number, number, comm=b"p%d" % number)
    stream.samples([row(1, number, 1) for number in range(500)])
    state = fed(stream, tmp_path / "a.hiw")
    choice = Choice()
    assert any("process 1-12 of 500" in line for line in text(state, choice))
    seen = set()
    for _ in range(499):
        move(choice, 1)
        lines = text(state, choice)
        assert choice.chosen is not None
        seen.add(choice.chosen)
        assert any(line.split()[1:2] == [f"p{choice.chosen}"] or choice.chosen == 0 for line in lines)
    assert len(seen) == 499
    move(choice, -1000)
    assert (choice.chosen, choice.first) == (0, 0)
    move(choice, choice.page)
    text(state, choice)
    assert choice.first == 1


def test_explained(state: LiveState) -> None:
    """Of the chosen process the whole command is shown, and when it lived."""
    assert text(state, Choice(chosen=1))[-2] == "pid 11, from 0.020 s: worker"


def test_ended(tmp_path: Path) -> None:
    """Those that have ended are listed on demand, and say how they ended."""
    state = fed(family(), tmp_path / "a.hiw")
    assert not any("worker --fast" in line for line in text(state))
    lines = text(state, Choice(ended=True, chosen=1))
    assert any("worker --fast" in line and "exit 3" in line for line in lines)
    assert lines[-2] == "pid 4343, from 0.020 s to 0.080 s, exit 3: worker --fast"


def test_warnings_are_shown(tmp_path: Path) -> None:
    """What the monitor warns of stands at the bottom."""
    assert text(fed(family(), tmp_path / "a.hiw"))[-2] == "a <test> warning"


def test_keys(state: LiveState) -> None:
    """The last line says which keys there are, and what q does here."""
    assert text(state, looks=Looks(quit_does="detach"))[-1].startswith("q detach  space pause  t tree")
    assert text(state, Choice(typing=True, pattern="wo"))[-1].startswith("/wo_")
    assert "space go on" in text(state, Choice(paused=True))[-1]


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1"])
def test_terminals_that_take_less(tmp_path: Path, encoding: str) -> None:
    """A terminal that takes no Unicode gets other bars and branches, and escapes for the rest of a name."""
    stream = Stream().process().image(comm=b"a\xc3\xa9\xe2\x82\xac\x1b[31m", exe=b"").process(1, 0).image(1, 1)
    state = fed(stream.samples([row(1, 0, 10), row(2, 1, 5)]), tmp_path / "a.hiw")
    lines = text(state, looks=Looks(encoding))
    for line in lines:
        line.encode(encoding)
        assert "\x1b" not in line
    assert any("`- prog" in line for line in lines)
    assert any("@@" in line for line in lines)


def test_wide_characters(tmp_path: Path) -> None:
    """Characters of two cells do not move the columns behind them."""
    stream = Stream().process(pid=77).image(comm="日本語".encode(), exe=b"").process(1, 0, pid=78).image(1, 1)
    lines = text(fed(stream.samples([row(1, 0, 10), row(2, 1, 5)]), tmp_path / "a.hiw"))
    places = [cell_len(line[: line.index(pid) + 2]) for pid in ("77", "78") for line in lines if f" {pid} " in line]
    assert len(set(places[:2])) == 1


@pytest.mark.parametrize(
    ("most", "top"), [(0, 0.1), (0.05, 0.1), (3, 3), (3.1, 4), (24, 30), (64, 80), (101, 150), (5000, 5000)]
)
def test_scale(most: float, top: float) -> None:
    """The scale ends at a round number."""
    assert abs(ceiling(int(most * MIB)) - top * MIB) <= MIB // 100


def test_area() -> None:
    """Eighths of a line; what is more than nothing is seen."""
    assert area([0, 1, 8, 12, 16, None], 2, 16) == ["   ▄█ ", " ▁███ "]
    assert area([0, 8, 16], 1, 16, unicode=False) == [" :#"]
