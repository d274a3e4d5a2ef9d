"""Files that hiwater writes: checked before the measurement, written beside their name, renamed when they are whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from os import PathLike

from hiwater.errors import OutputError, OutputExistsError

FIRST_FREE_FD = 10
"""Descriptors of ours stay above it, so that a descriptor 0, 1 or 2 that was closed when we were started is still
closed in the command, and nothing the command writes can land in a file of ours."""


class OutputFile:
    """A file that comes to its name only when it is whole.

    Until then it is ``PATH.part``; after a crash that is what is left, and a recording's ``.part`` loads. What exists
    already is refused unless it is empty or ``force``; devices, pipes and the like are written directly.
    """

    def __init__(self, path: str | PathLike[str], *, force: bool = False) -> None:
        self.path = os.fspath(path)
        self.force = force
        self.part = self.path + ".part"
        self.direct = False
        try:
            self.fd = self._open()
        except FileExistsError as error:
            raise OutputExistsError(
                f"{error.filename} exists already: choose another name, or --force overwrites it"
            ) from None
        except OSError as error:
            raise OutputError(error.errno, f"cannot write {self.path}: {error.strerror}") from None

    def _open(self) -> int:
        try:
            there = os.stat(self.path)
            self.direct = not stat.S_ISREG(there.st_mode)
        except FileNotFoundError:
            pass
        else:
            if self.direct:
                if os.path.isdir(self.path):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.path)
                return _move_up(os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY))
            if there.st_size == 0:
                self.force = True  # made for us (mktemp, tempfile): nothing is lost
            if not self.force:
                raise FileExistsError(errno.EEXIST, "", self.path)
        if self.force:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.part)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return _move_up(os.open(self.part, flags, 0o666))

    def finish(self) -> None:
        """The file is whole: gives it its name."""
        os.close(self.fd)
        if self.direct:
            return
        try:
            if self.force:
                os.replace(self.part, self.path)
                return
            try:
                os.link(self.part, self.path)
            except OSError as error:
                if isinstance(error, FileExistsError):
                    raise
                os.rename(self.part, self.path)
            else:
                os.unlink(self.part)
        except FileExistsError:
            raise OutputExistsError(f"{self.path} appeared meanwhile: it was left alone, see {self.part}") from None
        except OSError as error:
            raise OutputError(error.errno, f"cannot write {self.path}: {error.strerror}; see {self.part}") from None

    def discard(self) -> None:
        """Nothing worth keeping was written."""
        os.close(self.fd)
        if not self.direct:
            with contextlib.suppress(OSError):
                os.unlink(self.part)


def scratch() -> int:
    """A file without a name, for a recording that nobody asked to keep."""
    for directory in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp"):
        if directory:
            with contextlib.suppress(OSError):
                return _move_up(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    return _move_up(os.memfd_create("hiwater", os.MFD_CLOEXEC))


def _move_up(fd: int) -> int:
    if fd >= FIRST_FREE_FD:
        return fd
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD)
    os.close(fd)
    return moved


def read_all(fd: int) -> bytes:
    """The whole of a file, wherever its offset stands."""
    size = os.fstat(fd).st_size
    parts = []
    at = 0
    while at < size:
        part = os.pread(fd, min(size - at, 1 << 26), at)
        if not part:
            break
        parts.append(part)
        at += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write_all(fd: int, data: bytes) -> None:
    """All of it, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_whole(path: str | PathLike[str], data: bytes, *, force: bool = False) -> None:
    """Writes a file whole or not at all."""
    file = OutputFile(path, force=force)
    fill(file, data)


def fill(file: OutputFile, data: bytes) -> None:
    """Writes an open one and gives it its name."""
    try:
        write_all(file.fd, data)
    except OSError as error:
        file.discard()
        raise OutputError(error.errno, f"cannot write {file.path}: {error.strerror}") from None
    file.finish()
