"""Names of programs and their arguments, made safe to show: what the kernel gives are bytes, not text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(name: str) -> str:
    """Control characters and bytes that are no UTF-8 as escapes, so that no name can move a cursor or forge a line."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else _escape(character) for character in name)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return _SHORT.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def valid(name: str) -> str:
    """For JSON, which holds text only: bytes that are no UTF-8 as ``\\xNN``, all else as it is."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def xml_text(text: str) -> str:
    """What XML can hold: control characters and bytes that are no UTF-8 as escapes."""
    return _NO_XML.sub(lambda match: _escape(match.group()), text)


def command_line(arguments: Sequence[str]) -> str:
    """As one would type it, on one line."""
    return visible(shlex.join(arguments))


def title(arguments: Sequence[str]) -> str | None:
    """What a process wrote over its arguments to say what it does: a sentence in the place of the first one, and
    nothing behind it. ``None`` where these are arguments."""
    if not arguments or any(arguments[1:]):
        return None
    words = arguments[0].strip()
    if " " not in words:
        return None
    program, _, rest = words.partition(" ")
    # Chromium's children: their whole command line in one piece
    return f"{program.rpartition('/')[2]} {rest}" if program.startswith("/") else words


def shorten(text: str, width: int) -> str:
    """Cut in its middle: both ends of a command line tell more than its middle."""
    if len(text) <= width or width < 5:
        return text
    tail = (width - 1) // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"
