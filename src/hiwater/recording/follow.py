"""Reads a recording while it grows: each call gives what was appended since the one before, as a recording of its own.

The layouts are the reader's. Nothing is read twice but a record that was only half written, and nothing is kept but who
is alive: what a caller wants to remember of an hour, it has to choose itself.
"""

from __future__ import annotations

import os
import struct

from hiwater.recording import wire
from hiwater.recording.model import Cut, Recording
from hiwater.recording.reader import Reader, read_header

PIECE = 1 << 20
"""Bytes that one call looks at, unless a single record is longer."""
_HEADER = struct.calcsize("<" + wire.HEADER)
_HEAD = struct.calcsize("<" + wire.RECORD)


class Follower:
    """Reads from a descriptor by position: whoever writes through the same one is not disturbed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._reader: Reader | None = None
        self._at = 0
        self._wanted = _HEADER  # bytes that must be there before it makes sense to read

    @property
    def finished(self) -> bool:
        """The last record was read, or one that cannot be true: nothing will follow."""
        reader = self._reader
        return reader is not None and (reader.end is not None or (reader.cut is not None and reader.cut.errno is None))

    def poll(self) -> Recording | None:
        """What was appended, up to the last whole record; ``None`` if there is no further whole one yet.

        In it are the processes and images that live or that ended meanwhile, the samples and warnings that are new, and
        the latest statistics and tree peak. Call it until it gives ``None`` to catch up. Raises what
        :func:`~hiwater.recording.reader.parse` raises for a file that is no recording.
        """
        if self.finished:
            return None
        if self._reader is None:
            header = read_header(data) if (data := self._read(_HEADER)) else None
            if header is None:
                return None
            self._reader, self._at, self._wanted = Reader(b"", header), header.size, _HEAD
        while data := self._read(PIECE):
            reader = self._reader.next(data)
            stop = reader.walk(0)
            self._wanted = _size_of(reader, stop)
            if reader.cut is not None and reader.cut.errno is None:
                reader.cut = Cut(f"the record at byte {self._at + stop} is damaged")
            elif stop == 0:
                if len(data) < self._wanted:
                    continue  # longer than a piece: it may be there nevertheless
                return None
            self._reader = reader
            self._at += stop
            return reader.recording()
        return None

    def _read(self, at_most: int) -> bytes:
        """From where the last whole record ended; nothing unless all that is wanted is there."""
        there = os.fstat(self._fd).st_size - self._at
        if there < self._wanted:
            return b""
        data = os.pread(self._fd, min(there, max(at_most, self._wanted)), self._at)
        return data if len(data) >= self._wanted else b""  # it can have been shortened (a full disk)


def _size_of(reader: Reader, at: int) -> int:
    """How much of the record at ``at`` must be there before it can be read."""
    if len(reader.data) - at < _HEAD:
        return _HEAD
    size: int = struct.unpack_from(reader.order + wire.RECORD, reader.data, at)[0]
    return max(_HEAD, size)
