"""What ``methods`` and ``doctor`` share: a table on stdout, the same as JSON in a file, progress on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from hiwater.errors import HiwaterError, OutputError
from hiwater.output import OutputFile, fill
from hiwater.views.names import visible
from hiwater.views.paint import Paint, can_mark
from hiwater.views.style import Color, columns, use_color

_NARROWEST = 40


class Document:
    """Where --json goes: nowhere, to stdout, or to a file that is there, whole, only if all went well."""

    def __init__(self, file: OutputFile | None, is_stdout: bool) -> None:
        self.file = file
        self.is_stdout = is_stdout

    def write(self, value: object) -> None:
        """The whole document."""
        text = json.dumps(value, indent=2, ensure_ascii=True) + "\n"
        if self.is_stdout:
            sys.stdout.write(text)
        elif self.file is not None:
            file, self.file = self.file, None
            fill(file, text.encode("ascii"))

    def __enter__(self) -> Document:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.file is not None:
            self.file.discard()


def open_json(path: str | None, force: bool) -> Document:
    """Checked now, written later: nobody waits for a measurement that cannot be kept."""
    if path is None or path == "-":
        return Document(None, path == "-")
    return Document(OutputFile(path, force=force), False)


def show(render: Callable[[int, Paint], str], color: Color, *, stream: TextIO | None = None) -> None:
    """Prints a view on stdout or another stream, as wide as the terminal is (COLUMNS overrides it), and as colourful as
    it can be."""
    stream = sys.stdout if stream is None else stream
    asked = os.environ.get("COLUMNS", "")
    width = int(asked) if asked.isdecimal() and asked != "0" else columns(stream)
    paint = Paint(use_color(color, stream.isatty(), os.environ), can_mark(stream.encoding))
    text = render(max(_NARROWEST, width), paint)
    encoding = stream.encoding or "ascii"
    # Names may hold bytes that are no text at all: shown as escapes, never a reason to fail.
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if stream is sys.stdout:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  what is flushed later must not fail once more
        raise OutputError(error.errno, f"cannot write the table: {error.strerror}") from None


def progress(text: str) -> None:
    """One line on the terminal that replaces itself; nothing elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def complain(subcommand: str, error: HiwaterError, status: int) -> int:
    """Says on stderr what went wrong; returns the exit status."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{visible(str(error.filename))}: {error.strerror}" if error.filename else error.strerror
    progress("")
    print(f"hiwater {subcommand}: {text}", file=sys.stderr)
    return status
