"""The live view as a Textual application: draws the screen, and turns keys into choices."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.driver import Driver
from textual.events import Key, Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from hiwater.live.rows import Order
from hiwater.live.screen import Choice, Line, Looks, draw, move
from hiwater.live.state import LiveState
from hiwater.recording.follow import Follower

PERIOD_SECONDS = 0.25
"""The monitor writes as often."""
_PIECES = 16
"""Read at most so many pieces at a time: a long recording is caught up with between one key and the next."""
_CLOSED, QUIT = 0, 3

_PLAIN = {"figure": "bold", "aside": "dim", "peak": "bold", "key": "bold", "chosen": "reverse", "alarm": "bold"}
_COLORS = _PLAIN | {"alarm": "bold yellow", "bar": "cyan", "peak": "bold yellow", "key": "bold cyan"}
_ORDERS = {"t": Order.TREE, "r": Order.RSS, "p": Order.PEAK, "i": Order.PID}


class Canvas(Widget):
    """Shows lines, and draws only those anew that are not what they were."""

    DEFAULT_CSS = "Canvas { width: 100%; height: 100%; background: ansi_default; color: ansi_default; }"
    ALLOW_SELECT = False

    def __init__(self, color: bool) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._styles = {name: Style.parse(text) for name, text in (_COLORS if color else _PLAIN).items()}

    def show(self, lines: list[Line]) -> None:
        """Replaces what is shown."""
        before, self._lines = self._lines, lines
        if len(before) != len(lines):
            self.refresh()
            return
        changed = [y for y, (old, new) in enumerate(zip(before, lines, strict=True)) if old != new]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """One line of it."""
        line = self._lines[y] if y < len(self._lines) else []
        plain = Style.null()
        strip = Strip([Segment(text, self._styles.get(style, plain)) for text, style in line])
        return strip.adjust_cell_length(self.size.width, plain)


class LiveApp(App[int], inherit_bindings=False):
    """Ends by itself when the recording does. Returns QUIT if the user closed it, else 0 (or None)."""

    CSS = "Screen { background: ansi_default; overflow: hidden; }"
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False

    def __init__(
        self,
        follower: Follower,
        looks: Looks,
        *,
        color: bool = True,
        driver_class: type[Driver] | None = None,
        shown: Callable[[], None] | None = None,
    ) -> None:
        """``shown`` is called when the first picture was drawn."""
        super().__init__(driver_class=driver_class, ansi_color=True)
        self.state = LiveState()
        self.choice = Choice()
        self._follower = follower
        self._looks = looks
        self._canvas = Canvas(color)
        self._started: float | None = None  # time.monotonic() when the recording began
        self._shown = shown
        self._drawn_second = -1

    def compose(self) -> ComposeResult:
        """One widget: the screen is a text."""
        yield self._canvas

    def on_mount(self) -> None:
        """Begins to read."""
        self.tick()
        self.set_interval(PERIOD_SECONDS, self.tick)
        if self._shown is not None:
            self.call_after_refresh(self._shown)

    def on_resize(self, _event: Resize) -> None:
        """The text is made for the size."""
        self.draw()

    def tick(self) -> None:
        """Reads what is new, and shows it."""
        if self.choice.paused:
            return  # what is not read waits in the file
        news = self._take_in()
        if self._follower.finished:
            self.draw()
            self.exit(_CLOSED)
        elif news or self._elapsed_ns() // 1_000_000_000 != self._drawn_second:
            self.draw()

    def _take_in(self) -> bool:
        """Whether there is more to see than that time goes by."""
        news = False
        for _ in range(_PIECES):
            part = self._follower.poll()
            if part is None:
                break
            processes = len(self.state.processes), self.state.alive
            self.state.apply(part)
            changed = len(part.timeline) + len(part.tree_timeline) + len(part.told_warnings) > 0
            news |= changed or processes != (len(self.state.processes), self.state.alive)
        if self.state.now_ns:
            begun = time.monotonic() - self.state.now_ns / 1e9
            self._started = begun if self._started is None else min(self._started, begun)
        return news

    def _elapsed_ns(self) -> int:
        if self.choice.paused or self._started is None:
            return self.state.now_ns
        return max(self.state.now_ns, int((time.monotonic() - self._started) * 1e9))

    def draw(self) -> None:
        """Shows what is known."""
        width, height = self.size
        elapsed = self._elapsed_ns()
        self._drawn_second = elapsed // 1_000_000_000
        self._canvas.show(draw(self.state, self.choice, width, height, self._looks, elapsed))

    # ---- keys ----

    def on_key(self, event: Key) -> None:
        """Turns a key into a choice."""
        event.stop()
        if self.choice.typing:
            self._type(event)
        elif event.key == "q":
            self.exit(QUIT)
            return
        else:
            self._choose(event.key)
        self.draw()

    def _type(self, event: Key) -> None:
        choice = self.choice
        if event.key in ("enter", "escape"):
            choice.typing = False
            if event.key == "escape":
                choice.pattern = ""
        elif event.key == "backspace":
            choice.pattern = choice.pattern[:-1]
        elif event.character is not None and event.character.isprintable():
            choice.pattern += event.character

    def _choose(self, key: str) -> None:
        choice = self.choice
        steps = {"up": -1, "down": 1, "k": -1, "j": 1, "pageup": -choice.page, "pagedown": choice.page}
        steps |= {"home": -len(choice.listed), "end": len(choice.listed)}
        if key in _ORDERS:
            choice.order, choice.first = _ORDERS[key], 0
        elif key == "e":
            choice.ended = not choice.ended
        elif key == "space":
            choice.paused = not choice.paused
            self.tick()
        elif key == "slash":
            choice.typing = True
        elif key == "escape":
            choice.chosen, choice.pattern = None, ""
        elif key in steps:
            move(choice, steps[key])
