"""An initial file system for a kernel: a cpio archive in the "newc" format, which every Linux unpacks."""

from __future__ import annotations

import gzip
import lzma
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path


def _entry(name: str, mode: int, data: bytes, number: int) -> bytes:
    """One member (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + path
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


@dataclass
class FileSystem:
    """Files of a guest, by their path."""

    members: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def directory(self, path: str, mode: int = 0o755) -> None:
        at = path.strip("/")
        if at and at not in self.members:
            self.directory(at.rpartition("/")[0])
            self.members[at] = (stat.S_IFDIR | mode, b"")

    def file(self, path: str, data: bytes, mode: int = 0o755) -> None:
        self.directory(path.rpartition("/")[0])
        self.members[path.strip("/")] = (stat.S_IFREG | mode, data)

    def copy(self, source: Path, path: str) -> None:
        self.file(path, source.read_bytes())

    def link(self, path: str, target: str) -> None:
        self.directory(path.rpartition("/")[0])
        self.members[path.strip("/")] = (stat.S_IFLNK | 0o777, target.encode())

    def archive(self) -> bytes:
        entries = [_entry(name, mode, data, at + 1) for at, (name, (mode, data)) in enumerate(self.members.items())]
        return gzip.compress(b"".join(entries) + _entry("TRAILER!!!", 0, b"", 0), 1, mtime=0)


def _modinfo(data: bytes, key: str) -> list[str]:
    """The values of one key in a module's .modinfo section, which is NUL-terminated text."""
    return [found.decode() for found in re.findall(rb"\0" + key.encode() + rb"=([^\0]*)\0", data)]


def _decompressed(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def modules(tree: Path, wanted: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """(name, contents) of the wanted modules with what they depend on, in the order in which they can be loaded.

    One that the kernel has built in, or does not have at all, is left out."""
    files = {path.name.partition(".ko")[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        name = name.replace("-", "_")
        if name in found or name not in files:
            return
        data = _decompressed(files[name])
        for depends in _modinfo(data, "depends"):
            for other in filter(None, depends.split(",")):
                add(other)
        found[name] = data

    for name in wanted:
        add(name)
    return list(found.items())
