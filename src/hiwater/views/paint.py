"""Colours and marks for a terminal, and their absence elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_CODES = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


@dataclass(frozen=True, slots=True)
class Paint:
    """How a view may decorate its text."""

    colour: bool = False
    unicode: bool = True

    def __call__(self, style: str, text: str) -> str:
        """``text`` in a style: red, green, yellow, bold or dim."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and text else text

    def mark(self, good: bool | None) -> str:
        """One character: right, wrong, or neither."""
        if good is None:
            return self("yellow", "–" if self.unicode else "-")
        if good:
            return self("green", "✓" if self.unicode else "+")
        return self("red", "✗" if self.unicode else "x")


def paint_for(stream: TextIO, environ: Mapping[str, str]) -> Paint:
    """What this stream can show. NO_COLOR wins over FORCE_COLOR, either counts when it is not empty."""
    colour = bool(environ.get("FORCE_COLOR")) or (stream.isatty() and environ.get("TERM") != "dumb")
    try:
        "✓✗–×".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return Paint(colour and not environ.get("NO_COLOR"), unicode=False)
    return Paint(colour and not environ.get("NO_COLOR"))


def width_for(stream: TextIO, environ: Mapping[str, str], columns: int) -> int:
    """COLUMNS if it is set, the terminal's ``columns``, and 100 where there is no terminal. Never below 40."""
    asked = environ.get("COLUMNS", "")
    width = int(asked) if asked.isdigit() and int(asked) > 0 else columns if stream.isatty() else 100
    return max(40, width)
