"""Verdicts for the eye: colours that mean right and wrong, and a mark for where there is no colour."""

from __future__ import annotations

from dataclasses import dataclass

_CODES = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
_MARKS = {True: ("green", "✓", "+"), False: ("red", "✗", "x"), None: ("yellow", "–", "-")}  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Paint:
    """How a view may decorate its text."""

    color: bool = False
    unicode: bool = True

    def __call__(self, style: str, text: str) -> str:
        """``text`` in a style: red, green, yellow, bold or dim; as it is with none ("")."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.color and style and text else text

    def mark(self, good: bool | None) -> str:
        """One character: right, wrong, or neither."""
        style, character, plain = _MARKS[good]
        return self(style, character if self.unicode else plain)


def can_mark(encoding: str | None) -> bool:
    """Whether a stream of this encoding takes the marks."""
    try:
        "".join(character for _, character, _ in _MARKS.values()).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
