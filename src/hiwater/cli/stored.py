"""What the commands that turn a recording into another file share: the file is checked first and written last."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator

from hiwater.errors import OutputError
from hiwater.output import OutputFile, fill, write_all

_CHUNK = 1 << 20


class Output:
    """A file, or stdout where ``file`` is None."""

    def __init__(self, file: OutputFile | None) -> None:
        self.file = file


@contextlib.contextmanager
def open_output(path: str, *, force: bool) -> Iterator[Output]:
    """``-`` is stdout. A file that nothing was put into is not there afterwards."""
    output = Output(None if path == "-" else OutputFile(path, force=force))
    try:
        yield output
    finally:
        if output.file is not None:
            output.file.discard()


def put(output: Output, parts: Iterable[str | bytes]) -> None:
    """Writes all of it, in pieces of a moderate size; the file has its name when all is there."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "backslashreplace")
        waiting.append(data)
        size += len(data)
        if size >= _CHUNK:
            _write(output, b"".join(waiting))
            waiting, size = [], 0
    rest = b"".join(waiting)
    if output.file is None:
        _write(output, rest)
        sys.stdout.buffer.flush()
    else:
        file, output.file = output.file, None
        fill(file, rest)


def _write(output: Output, data: bytes) -> None:
    if output.file is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return
    try:
        write_all(output.file.fd, data)
    except OSError as error:
        raise OutputError(error.errno, f"cannot write {output.file.path}: {error.strerror}") from None
