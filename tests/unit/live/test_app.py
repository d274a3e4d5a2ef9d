"""The live view as an application: keys, resizing, its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.streams import MIB, Stream
from tests.timelines import family, row
from tests.unit.live.test_state import two
from textual.pilot import Pilot

from hiwater.live.app import QUIT, Canvas, LiveApp
from hiwater.live.driver import keys
from hiwater.live.rows import Order
from hiwater.live.screen import Looks
from hiwater.recording.follow import Follower


class Show:
    """The application on a recording that grows."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb", buffering=0)
        self.fd = os.open(path, os.O_RDONLY)
        self.app = LiveApp(Follower(self.fd), Looks(), color=False)
        self.pilot: Pilot[int]

    def run(self, steps: Callable[[], Awaitable[None]], size: tuple[int, int] = (100, 24)) -> int | None:
        """Takes the steps while it runs; what it returned."""

        async def run() -> None:
            async with self.app.run_test(size=size) as pilot:
                self.pilot = pilot
                await pilot.pause()
                await steps()

        asyncio.run(run())
        return self.app.return_value

    async def write(self, data: bytes) -> None:
        self.file.write(data)
        self.app.tick()
        await self.pilot.pause()

    def lines(self) -> list[str]:
        """What is drawn."""
        canvas = self.app.query_one(Canvas)
        return [canvas.render_line(y).text.rstrip() for y in range(canvas.size.height)]

    def pids(self) -> list[str]:
        """The listed processes from above."""
        lines = self.lines()
        at = next(at for at, line in enumerate(lines) if line.startswith("process"))
        return [word for line in lines[at:] for word in line.split() if word in ("10", "11", "12")]


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Show]:
    found = Show(tmp_path / "a.hiw")
    yield found
    found.file.close()
    os.close(found.fd)


def test_grows(show: Show) -> None:
    """It shows what is appended, and ends by itself when the recording does."""

    async def steps() -> None:
        assert show.lines()[0].startswith("starting")
        await show.write(two().data)
        assert show.pids() == ["10", "11"]
        assert show.lines()[1].startswith("now       50.0 MiB")
        assert show.app.is_running
        more = Stream().samples([row(90, 0, 33)]).end(MIB)
        await show.write(more.data[len(Stream().data) :])

    assert show.run(steps) == 0
    assert show.app.state.now.rss_bytes == 73 * MIB


def test_quit(show: Show) -> None:
    """q closes it, and its status says that it was the user."""

    async def steps() -> None:
        await show.write(two().data)
        await show.pilot.press("q")

    assert show.run(steps) == QUIT


def test_sorting(show: Show) -> None:
    """One key for each order."""

    async def steps() -> None:
        await show.write(two().process(2, 0, pid=12).image(2, 2).samples([row(60, 1, 1), row(60, 2, 50)]).data)
        for key, order, pids in (
            ("r", Order.RSS, ["12", "10", "11"]),
            ("p", Order.PEAK, ["11", "12", "10"]),
            ("i", Order.PID, ["10", "11", "12"]),
            ("t", Order.TREE, ["10", "11", "12"]),
        ):
            await show.pilot.press(key)
            await show.pilot.pause()
            assert show.app.choice.order is order
            assert show.pids() == pids

    show.run(steps)


def test_ended_and_filter(show: Show) -> None:
    """e lists who has ended; / takes a pattern, which Enter keeps and Esc forgets; q is a letter there."""

    async def steps() -> None:
        stream = two().process(2, 0, pid=12).image(2, 2, comm=b"quick", exe=b"").image_end(2).process_end(2)
        await show.write(stream.data)
        assert show.pids() == ["10", "11"]
        await show.pilot.press("e")
        assert show.pids() == ["10", "11", "12"]
        await show.pilot.press("slash", "q", "x", "backspace")
        assert show.app.is_running
        assert show.pids() == ["12"]
        await show.pilot.press("enter", "e")
        assert show.pids() == []
        await show.pilot.press("escape")
        assert show.pids() == ["10", "11"]

    show.run(steps)


def test_pause(show: Show) -> None:
    """Space holds the picture; what was written meanwhile is there when it goes on."""

    async def steps() -> None:
        await show.write(two().data)
        await show.pilot.press("space")
        await show.write(Stream().samples([row(90, 0, 33)]).data[len(Stream().data) :])
        assert "paused" in show.lines()[0]
        assert show.lines()[1].startswith("now       50.0 MiB")
        await show.pilot.press("space")
        assert show.lines()[1].startswith("now       73.0 MiB")

    show.run(steps)


def test_arrows(show: Show) -> None:
    """The arrows choose a process, whose command is then shown whole."""

    async def steps() -> None:
        await show.write(two().data)
        await show.pilot.press("down", "down")
        assert show.lines()[-2] == "pid 11, from 0.020 s: worker"
        await show.pilot.press("home")
        assert show.lines()[-2] == "pid 10, from 0.000 s: boss -x"

    show.run(steps)


def test_resize(show: Show) -> None:
    """It fits whatever size the terminal gets."""

    async def steps() -> None:
        await show.write(two().data)
        for width, height in ((40, 10), (20, 3), (120, 50), (1, 1)):
            await show.pilot.resize_terminal(width, height)
            await show.pilot.pause()
            assert show.app.query_one(Canvas).size == (width, height)
            assert len(show.lines()) == height

    show.run(steps)


def test_only_what_changed_is_drawn(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that finds nothing new draws nothing."""

    async def steps() -> None:
        await show.write(family().data[:-64])
        await show.pilot.press("space")  # the clock stands
        drawn: list[object] = []
        monkeypatch.setattr(show.app.query_one(Canvas), "refresh", lambda *regions, **_: drawn.append(regions))
        show.app.draw()
        assert drawn == []
        await show.pilot.press("e")
        assert len(drawn) == 1

    show.run(steps)


def test_what_is_no_recording(show: Show) -> None:
    """A file that is no recording ends the view with a failure."""

    async def steps() -> None:
        show.file.write(b"x" * 100)
        with pytest.raises(Exception, match="not a recording"):
            show.app.tick()

    show.run(steps)


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("q", ["q"]),
        ("\x1b[A\x1b[B\x1bOA", ["up", "down", "up"]),
        ("\x1b", ["escape"]),
        ("a\x1b[6~b /", ["a", "pagedown", "b", "space", "slash"]),
        ("\r\x7f", ["enter", "backspace"]),
        ("\x1b[200~\x1b[?1;2c\x1b[1;5A\x00\x03", []),
        ("é", ["é"]),
        ("\x1bq", []),
    ],
)
def test_what_a_terminal_sends(typed: str, names: list[str]) -> None:
    """Bytes of the terminal become keys; sequences that mean nothing here are no keys."""
    assert [key.key for key in keys(typed)] == names
