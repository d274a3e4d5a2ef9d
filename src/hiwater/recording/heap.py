"""The heap in a recording: the sampler's files and the names of their addresses, as records behind ``HW_END``.

The monitor never writes these; they are appended once an execution is over, and read only when somebody asks. Readers
of older versions stop at ``HW_END`` and do not see them.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hiwater.errors import OutputError, RecordingError
from hiwater.heap import plain
from hiwater.recording import wire
from hiwater.recording.wire import HeapFlags, RecordType

if TYPE_CHECKING:
    from hiwater.heap.log import HeapLog
    from hiwater.heap.model import Frame, HeapProfile
    from hiwater.heap.tried import Trials
    from hiwater.recording.model import Recording

PIECE = 1 << 20
"""Bytes of a file in one record, before they are deflated."""
MOST_BYTES = 4 << 30
"""No file of the sampler is larger than that."""
Symbols = Mapping[tuple[str, str, int], "tuple[Frame, ...]"]
"""By path of the file, build-id in hexadecimal, address in the file's own terms."""


def append_heap(
    target: str | os.PathLike[str] | int,
    logs: Sequence[HeapLog],
    symbols: Symbols,
    *,
    execution: Recording | None = None,
    profile: HeapProfile | None = None,
) -> None:
    """Appends them to a recording's file, or to an open descriptor of one that can be read and written. ``execution``:
    the recording of the execution that the logs are of, where that is another than the one in the file. ``profile``: of
    another tool, where there are no logs. What was appended before is replaced. A recording that was cut in the middle
    of a record loses that beginning of one."""
    if isinstance(target, int):
        _append(target, logs, symbols, execution, profile)
        return
    try:
        fd = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise OutputError(f"{os.fspath(target)}: {error.strerror or error}") from error
    try:
        _append(fd, logs, symbols, execution, profile)
    finally:
        os.close(fd)


def _append(
    fd: int, logs: Sequence[HeapLog], symbols: Symbols, execution: Recording | None, profile: HeapProfile | None
) -> None:
    from hiwater.output import read_all

    data = read_all(fd)
    order, at = _end_of_own(data)
    begin = at
    try:
        os.ftruncate(fd, at)
        for piece in _records(order, logs, symbols, execution, profile):
            left = memoryview(piece)
            while left:
                done = os.pwrite(fd, left, at)
                at, left = at + done, left[done:]
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, begin)
        raise OutputError(f"the heap cannot be written to the recording: {error.strerror or error}") from error


def append_tried(fd: int, trials: Trials) -> None:
    """Appends what other settings of malloc gave, to the open descriptor of a recording that has its heap already."""
    from hiwater.heap import tried
    from hiwater.output import read_all
    from hiwater.recording.reader import read_header

    data = read_all(fd)
    order, at = read_header(data).order, len(data)
    try:
        for piece in _pieces(order, tried.dumps(trials), 0, 0):
            left = memoryview(_record(order, RecordType.HEAP_TRIED, piece))
            while left:
                done = os.pwrite(fd, left, at)
                at, left = at + done, left[done:]
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, len(data))
        raise OutputError(f"what was tried cannot be written to the recording: {error.strerror or error}") from error


def with_heap(
    data: bytes,
    logs: Sequence[HeapLog],
    symbols: Symbols,
    *,
    execution: Recording | None = None,
    profile: HeapProfile | None = None,
) -> bytes:
    """The same for a recording in memory."""
    order, at = _end_of_own(data)
    return data[:at] + b"".join(_records(order, logs, symbols, execution, profile))


def _end_of_own(data: bytes) -> tuple[str, int]:
    """The byte order, and where the last whole record ends that the monitor wrote."""
    from hiwater.recording.reader import read_header

    header = read_header(data)
    end = header.size
    for kind, _, _, stop in _walk(data, header.order, header.size):
        if kind not in _OURS:
            end = stop
    return header.order, end


_OURS = (
    RecordType.HEAP_LOG,
    RecordType.HEAP_SYMBOLS,
    RecordType.HEAP_EXECUTION,
    RecordType.HEAP_PROFILE,
    RecordType.HEAP_TRIED,
)


def _walk(data: bytes, order: str, at: int) -> Iterator[tuple[int, int, int, int]]:
    """Type, flags, where the payload begins and where it ends, of all whole records."""
    head = struct.Struct(order + wire.RECORD)
    while len(data) - at >= head.size:
        size, kind, flags = head.unpack_from(data, at)
        if size < head.size or size % 8 or size > len(data) - at:
            return
        yield kind, flags, at + head.size, at + size
        at += size


def _records(
    order: str,
    logs: Sequence[HeapLog],
    symbols: Symbols,
    execution: Recording | None,
    profile: HeapProfile | None = None,
) -> Iterator[bytes]:
    if profile is not None:
        for piece in _pieces(order, plain.dumps(profile), 0, 0):
            yield _record(order, RecordType.HEAP_PROFILE, piece)
    for log in logs:
        for piece in _pieces(order, log.data, *log.key):
            yield _record(order, RecordType.HEAP_LOG, piece)
    if execution is not None:
        for piece in _pieces(order, execution.data, 0, 0):
            yield _record(order, RecordType.HEAP_EXECUTION, piece)
    text = json.dumps(_plain(symbols), ensure_ascii=True, separators=(",", ":")).encode()
    for piece in _pieces(order, text, 0, 0):
        yield _record(order, RecordType.HEAP_SYMBOLS, piece)


def _pieces(order: str, data: bytes, pid: int, number: int) -> Iterator[bytes]:
    for offset in range(0, max(1, len(data)), PIECE):
        piece = zlib.compress(data[offset : offset + PIECE], 3)
        yield struct.pack(order + wire.HEAP_PIECE, pid, number, offset, len(data), len(piece), 0) + piece


def _record(order: str, kind: RecordType, payload: bytes) -> bytes:
    payload += bytes(-len(payload) % 8)
    return struct.pack(order + wire.RECORD, 8 + len(payload), kind, HeapFlags.DEFLATED) + payload


def _plain(symbols: Symbols) -> dict[str, object]:
    """Strings once each; a frame is [function, file, line, first line, inlined, library, address]."""
    strings: dict[str | None, int] = {None: 0}

    def number(text: str | None) -> int:
        return strings.setdefault(text, len(strings))

    found = [
        [number(path), number(build_id), address]
        + [
            [
                number(frame.function), number(frame.file), frame.line, frame.first_line, int(frame.inlined),
                number(frame.library), frame.address,
            ]
            for frame in frames
        ]
        for (path, build_id, address), frames in sorted(symbols.items())
    ]  # fmt: skip
    return {"strings": list(strings), "addresses": found}


@dataclass(frozen=True, slots=True)
class Stored:
    """What a recording holds of the heap."""

    files: tuple[bytes, ...]
    """The sampler's, one for each image."""
    execution: bytes | None
    """The recording of the execution that they are of, if that is another one."""
    symbols: bytes
    profile: bytes | None = None
    """What another tool made, as :mod:`hiwater.heap.plain` writes it."""
    tried: bytes | None = None
    """What other settings of malloc gave, as :mod:`hiwater.heap.tried` writes it."""

    def logs(self) -> list[HeapLog]:
        """Read; those of forks continue their parents'. A file that is none is left out."""
        from hiwater.heap.log import HeapLogError, continued, parse

        found = []
        for data in self.files:
            try:
                found.append(parse(data))
            except HeapLogError:
                continue
        return continued(found)


class StoredSymbols:
    """A resolver that knows what was resolved when the recording was made."""

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols

    def resolve(self, module_path: str, build_id: str, address: int) -> tuple[Frame, ...]:
        """The calls at an address."""
        return self.symbols.get((module_path, build_id, address), ())


def stored(data: bytes) -> Stored | None:
    """From the bytes of a recording; ``None`` if it has no heap. What is damaged or not whole is left out."""
    from hiwater.recording.reader import read_header

    try:
        header = read_header(data)
    except RecordingError:
        return None
    pieces: dict[tuple[int, int, int], _Whole] = {}
    for kind, flags, at, end in _walk(data, header.order, header.size):
        if kind in _OURS:
            _gather(pieces, header.order, kind, flags, data[at:end])
    files = tuple(whole.data for (kind, _, _), whole in pieces.items() if kind == RecordType.HEAP_LOG and whole.data)
    profile = pieces.get((RecordType.HEAP_PROFILE, 0, 0))
    if not files and profile is None:
        return None
    execution = pieces.get((RecordType.HEAP_EXECUTION, 0, 0))
    symbols = pieces.get((RecordType.HEAP_SYMBOLS, 0, 0))
    tried = pieces.get((RecordType.HEAP_TRIED, 0, 0))
    return Stored(
        files,
        (execution and execution.data) or None,
        b"" if symbols is None else symbols.data,
        None if profile is None else profile.data,
        None if tried is None else tried.data,
    )


class _Whole:
    """Gathers the pieces of one file; the first that is not where the one before ended is the end."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.broken = False

    @property
    def data(self) -> bytes:
        """What there is of it."""
        return b"".join(self.parts)


def _gather(pieces: dict[tuple[int, int, int], _Whole], order: str, kind: int, flags: int, payload: bytes) -> None:
    fixed = struct.Struct(order + wire.HEAP_PIECE)
    if len(payload) < fixed.size:
        return
    pid, number, offset, total, length, _ = fixed.unpack_from(payload)
    whole = pieces.setdefault((kind, pid, number), _Whole())
    if whole.broken or offset != whole.size or total > MOST_BYTES or length > len(payload) - fixed.size:
        whole.broken = True
        return
    piece = payload[fixed.size : fixed.size + length]
    if flags & HeapFlags.DEFLATED:
        try:
            piece = zlib.decompressobj().decompress(piece, PIECE)
        except zlib.error:
            whole.broken = True
            return
    whole.parts.append(piece)
    whole.size += len(piece)


def unpack_symbols(text: bytes) -> dict[tuple[str, str, int], tuple[Frame, ...]]:
    """What does not have its shape is left out."""
    from hiwater.heap.model import Frame

    found: dict[tuple[str, str, int], tuple[Frame, ...]] = {}
    try:
        plain = json.loads(text or b"{}")
        strings = plain["strings"]
        if not all(text is None or isinstance(text, str) for text in strings):
            return {}
        for path, build_id, address, *frames in plain["addresses"]:
            numbers = [one for frame in frames for one in (frame[2], frame[3], frame[6])]
            if not all(one is None or isinstance(one, int) for one in (address, *numbers)):
                return {}
            found[strings[path], strings[build_id], address] = tuple(
                Frame(
                    function=strings[function],
                    file=strings[file],
                    line=line,
                    library=strings[library],
                    address=where,
                    inlined=bool(inlined),
                    first_line=first,
                )
                for function, file, line, first, inlined, library, where in frames
            )
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        pass
    return found


def load_logs(path: str | Path) -> list[HeapLog]:
    """The sampler's logs in a recording's file."""
    found = stored(Path(path).read_bytes())
    return [] if found is None else found.logs()
