"""Files as they lie on the disk: plain, gzip or Zstandard, read piece by piece.

Zstandard is unpacked by ``compression.zstd`` (Python 3.14), else the package zstandard, else the command zstd.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import IO, Protocol

from hiwater.errors import MissingExtraError
from hiwater.heap.readers.errors import ProfileError

PIECE = 1 << 18
"""Bytes read at once: of the lines of heaptrack about fifty thousand."""
_PACKED_PIECE = 1 << 12
"""Bytes unpacked at once: they may become thirty thousand times as many."""
ZSTD = b"\x28\xb5\x2f\xfd"
GZIP = b"\x1f\x8b"


class Packed:
    """The contents of a file. ``cut_off`` tells after the last piece whether the packing has no proper end."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.cut_off = False
        self.is_packed = False

    def pieces(self) -> Iterator[bytes]:
        """From the beginning, until the end or the point behind which nothing can be unpacked."""
        try:
            with open(self.path, "rb") as file:
                head = file.read(4)
                file.seek(0)
                self.is_packed = head[:2] == GZIP or head == ZSTD
                if not self.is_packed:
                    yield from iter(lambda: file.read(PIECE), b"")
                    return
                stream = _unpacked(file, head != ZSTD)
                try:
                    yield from iter(lambda: stream.read(PIECE), b"")
                    self.cut_off = stream.failed
                finally:
                    stream.close()
        except OSError as error:
            raise ProfileError(error.strerror or str(error), path=self.path) from None

    def head(self, size: int = PIECE) -> bytes:
        """Its first bytes, at least as many if it has them."""
        found = b""
        pieces = self.pieces()
        for piece in pieces:
            found += piece
            if len(found) >= size:
                break
        pieces.close()  # type: ignore[attr-defined]
        return found

    def whole(self, most: int) -> bytes:
        """Everything; raises where that is more than ``most`` bytes."""
        found = bytearray()
        for piece in self.pieces():
            found += piece
            if len(found) > most:
                raise ProfileError(f"more than {most >> 20} MiB: too large for a profile of its format", path=self.path)
        return bytes(found)


class _Unpacker(Protocol):
    """A ``decompressobj``: that of zlib, of the package zstandard, of compression.zstd."""

    @property
    def eof(self) -> bool:
        """The frame is complete."""

    @property
    def unused_data(self) -> bytes:
        """What stands behind it."""

    def decompress(self, data: bytes, /) -> bytes:
        """As much as comes of it."""


class _Frames:
    """Frames or members one after another. Other than the stream objects of their modules this one gives all that can
    be unpacked before a missing end, and tells that it is missing."""

    def __init__(self, make: Callable[[], _Unpacker], file: IO[bytes]) -> None:
        self._make = make
        self._file = file
        self._unpacker = make()
        self._left = b""

    def read(self, size: int) -> bytes:
        found = bytearray(self._left)
        self._left = b""
        while len(found) < size:
            packed = self._unpacker.unused_data if self._unpacker.eof else b""
            packed = packed or self._file.read(_PACKED_PIECE)
            if not packed:
                break
            if self._unpacker.eof:
                self._unpacker = self._make()
            try:
                found += self._unpacker.decompress(packed)
            except _ERRORS:
                self._file.seek(0, os.SEEK_END)
                break
        self._left = bytes(found[size:])
        return bytes(found[:size])

    @property
    def failed(self) -> bool:
        return not self._unpacker.eof

    def close(self) -> None:
        """Nothing to end."""


class _Command:
    """``zstd -dc`` as a stream."""

    def __init__(self, command: str, file: IO[bytes]) -> None:
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # where Python has not read, only buffered
        self._process = subprocess.Popen(
            [command, "-dcq"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )

    def read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        found = bytearray()
        while len(found) < size:
            piece = self._process.stdout.read(size - len(found))
            if not piece:
                break
            found += piece
        return bytes(found)

    @property
    def failed(self) -> bool:
        """Known at the end."""
        return self._process.wait() != 0

    def close(self) -> None:
        """Ends it, whatever it was doing."""
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()


def _unpacked(file: IO[bytes], is_gzip: bool) -> _Frames | _Command:
    if is_gzip:
        return _Frames(lambda: zlib.decompressobj(wbits=31), file)
    standard, package, command = _optional("compression.zstd"), _optional("zstandard"), shutil.which("zstd")
    if standard is not None:
        return _Frames(standard.ZstdDecompressor, file)
    if package is not None:
        return _Frames(lambda: package.ZstdDecompressor().decompressobj(), file)
    if command is not None:
        return _Command(command, file)
    raise MissingExtraError("files packed by Zstandard", "the package zstandard or the command zstd", "zstd")


def _optional(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


_ERRORS: tuple[type[Exception], ...] = (
    EOFError,
    zlib.error,
    *(module.ZstdError for name in ("compression.zstd", "zstandard") if (module := _optional(name))),
)
