"""The terminal below Textual: drawn on, but not owned.

Textual's own driver switches the terminal's signals off and asks for a keyboard protocol in which Ctrl-C is no signal
any more. Here the command is what Ctrl-C and Ctrl-Z are for, so the terminal goes on turning them into signals. Nothing
is asked of the terminal either: an answer that comes when the view is gone would be typed into the shell. There is no
thread: keys are read in the event loop.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import signal
import termios
from collections.abc import Iterator
from typing import Any

from textual import events
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""The alternate screen, without a cursor, and without wrapping at its edge."""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_POINTER = "\x1b]22;"  # the shape of the mouse pointer, which is none of our business
_INPUT, _OUTPUT = 0, 1
_LFLAG, _IFLAG, _CC = 3, 0, 6  # places in what tcgetattr gives
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1bO.|\x1b?.", re.DOTALL)
_KEYS = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\x1b[5~": "pageup", "\x1b[6~": "pagedown",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end",
    "\r": "enter", "\n": "enter", "\x1b": "escape", "\x7f": "backspace", "\x08": "backspace", " ": "space",
    "/": "slash",
}  # fmt: skip


def keys(text: str) -> Iterator[events.Key]:
    """What was typed; what is no key that the view knows is left out."""
    for found in _SEQUENCE.findall(text):
        if found in _KEYS:
            yield events.Key(_KEYS[found], found if found.isprintable() else None)
        elif found.isprintable():
            yield events.Key(found, found)


class TerminalDriver(Driver):
    """Draws on descriptors 0 and 1, which are the terminal."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.shown = False
        """Whether the screen is ours just now."""
        self._closed = False
        self._before: list[Any] | None = None
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def write(self, data: str) -> None:
        """All of it, at once; dropped while the screen is not ours."""
        if self.shown and not data.startswith(_POINTER):
            self._write(data)

    def _write(self, data: str) -> None:
        left = memoryview(data.encode("utf-8", "replace"))
        try:
            while left:
                left = left[os.write(_OUTPUT, left) :]
        except OSError:
            self._gone()

    def _gone(self) -> None:
        """The terminal was closed."""
        self.shown = False
        self._app.call_later(self._app.exit)

    def start_application_mode(self) -> None:
        """Takes the screen, if we are in the foreground."""
        self._loop.add_signal_handler(signal.SIGWINCH, self.tell_size)
        self.enter()

    def enter(self) -> bool:
        """Takes the screen; False if it is another process group's turn."""
        if self.shown or self._closed or not in_foreground():
            return self.shown
        try:
            self._before = termios.tcgetattr(_INPUT)
            raw = termios.tcgetattr(_INPUT)
            raw[_LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)  # ISIG stays
            raw[_IFLAG] &= ~(termios.IXON | termios.ICRNL)
            raw[_CC][termios.VMIN], raw[_CC][termios.VTIME] = 1, 0
            termios.tcsetattr(_INPUT, termios.TCSANOW, raw)
        except termios.error:
            self._gone()
            return False
        self.shown = True
        self._write(ENTER)
        self._loop.add_reader(_INPUT, self._read)
        self.tell_size()
        return True

    def leave(self) -> None:
        """Gives the screen back as it was."""
        if not self.shown:
            return
        self._loop.remove_reader(_INPUT)
        self._write(LEAVE)
        self.shown = False
        with contextlib.suppress(termios.error):
            termios.tcsetattr(_INPUT, termios.TCSAFLUSH, self._before or [])

    def tell_size(self) -> None:
        """The terminal has another size, or had it all the time."""
        with contextlib.suppress(OSError):
            width, height = os.get_terminal_size(_OUTPUT)
            size = Size(width or 80, height or 24)
            self.send_message(events.Resize(size, size))

    def _read(self) -> None:
        try:
            data = os.read(_INPUT, 4096)
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(_INPUT)
            self._gone()
            return
        for key in keys(self._decode(data)):
            self.process_message(key)

    def disable_input(self) -> None:
        """Keys are of no use any more."""
        if self.shown:
            self._loop.remove_reader(_INPUT)

    def stop_application_mode(self) -> None:
        """The end."""
        self._closed = True
        self.leave()


def in_foreground() -> bool:
    """Whether what we draw would be seen, and nobody else's screen be spoilt."""
    try:
        return os.tcgetpgrp(_INPUT) == os.getpgrp()
    except OSError:
        return False
