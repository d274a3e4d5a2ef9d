"""Colour and characters that a stream can take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from typing import TextIO

DASH = "\N{EN DASH}"
_PLAIN = str.maketrans({"·": "|", DASH: "-", "…": "~"})


class Color(str, Enum):
    """The --color option."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"

    def __str__(self) -> str:
        return self.value


def use_color(choice: Color, is_terminal: bool, environment: Mapping[str, str]) -> bool:
    """--color wins over NO_COLOR, that over FORCE_COLOR, that over what the stream is."""
    if choice is not Color.AUTO:
        return choice is Color.ALWAYS
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return is_terminal and environment.get("TERM") != "dumb"


class Style:
    """Marks up text, or leaves it as it is."""

    def __init__(self, color: bool) -> None:
        self.color = color

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text

    def figure(self, text: str) -> str:
        """What the eye is to find first."""
        return self._wrap("1", text)

    def aside(self, text: str) -> str:
        """Bounds, and what is said beside a figure."""
        return self._wrap("2", text)

    def alarm(self, text: str) -> str:
        """What must not be overlooked."""
        return self._wrap("33", text)


def columns(stream: TextIO, default: int = 100) -> int:
    """The width of the terminal; ``default`` where there is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or default
    except (OSError, ValueError):
        return default


def encodable(text: str, encoding: str | None) -> str:
    """The same in ASCII dress for a stream that cannot take more."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN)
    return text
