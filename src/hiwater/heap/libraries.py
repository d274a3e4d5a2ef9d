"""Which libraries a program will be executed with: what ld.so(8) would find, found without starting anything.

``ldd`` starts the program's own dynamic linker, which a file of unknown origin chooses; nothing is started here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hiwater.heap.elf import Elf, ElfError, OpenElf

CACHE = "/etc/ld.so.cache"
PRELOAD = "/etc/ld.so.preload"
MAX_LIBRARIES = 4096
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64-v2", "power10", "power9", "z16", "z15", "z14", "z13")


@dataclass(frozen=True, slots=True)
class Library:
    """A library that will be loaded."""

    name: str
    """As the program, or another library, asks for it."""
    path: str
    chain: tuple[str, ...]
    """Why: the libraries that led to it, the one that the program itself asks for first; empty if it is that one."""
    preloaded: bool = False


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An object whose own needs are still to be looked at."""

    origin: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    default_folders: bool
    loader: _Loaded | None
    chain: tuple[str, ...]


def load_order(path: str, elf: Elf, env: Mapping[str, str], cache: str = CACHE) -> Iterator[Library]:
    """The libraries of a program in the order in which symbols are looked for: breadth first, each once.

    Preloaded ones come first. One that is not found is left out: the program will not start.
    """
    search = _Search(elf, env, cache)
    program = _loaded(path, elf, None, ())
    queue: list[tuple[str, _Loaded, bool]] = [(name, program, True) for name in _preloaded(env)]
    queue += [(name, program, False) for name in elf.needed]
    seen: set[str] = set()
    paths: set[str] = set()
    while queue and len(seen) < MAX_LIBRARIES:
        name, wanted_by, preloaded = queue.pop(0)
        if name in seen:
            continue
        seen.add(name)
        found = search.find(name, wanted_by)
        if found is None:
            continue
        library, loaded, soname = found
        if library in paths:  # under another name
            continue
        paths.add(library)
        seen.add(soname or name)
        yield Library(name, library, wanted_by.chain, preloaded)
        queue += [(each, loaded, False) for each in loaded.needed]


def _preloaded(env: Mapping[str, str]) -> list[str]:
    words = env.get("LD_PRELOAD", "").replace(":", " ").split()
    try:
        with open(PRELOAD, encoding="utf-8", errors="surrogateescape") as file:
            words += [word for line in file for word in line.split("#")[0].replace(":", " ").split()]
    except OSError:
        pass
    return words


def _loaded(path: str, elf: Elf, loader: _Loaded | None, chain: tuple[str, ...]) -> _Loaded:
    origin = os.path.dirname(os.path.realpath(path))
    return _Loaded(origin, elf.needed, elf.rpath, elf.runpath, elf.default_folders, loader, chain)


class _Search:
    """ld.so's search, for libraries of one word size and machine."""

    def __init__(self, program: Elf, env: Mapping[str, str], cache: str) -> None:
        self._traits = (program.bits, program.big_endian, program.machine)
        self._lib = "lib64" if program.bits == 64 else "lib"
        self._library_path = [part or "." for part in _split_library_path(env.get("LD_LIBRARY_PATH", ""))]
        self._interpreter = program.interpreter or ""
        self._cache_path = cache
        self._cache: dict[str, list[str]] | None = None

    def find(self, name: str, wanted_by: _Loaded) -> tuple[str, _Loaded, str | None] | None:
        for path in self._candidates(name, wanted_by):
            try:
                with OpenElf(path) as elf:
                    if (elf.bits, elf.big_endian, elf.machine) == self._traits:
                        return path, _loaded(path, elf, wanted_by, (*wanted_by.chain, name)), elf.soname
            except (OSError, ElfError):
                continue
        return None

    def _candidates(self, name: str, wanted_by: _Loaded) -> Iterator[str]:
        """In the order of ld.so(8); glibc's elf/dl-load.c, _dl_map_object()."""
        if "/" in name:
            yield self._expand(name, wanted_by.origin)
            return
        if not wanted_by.runpath:
            loader: _Loaded | None = wanted_by
            while loader is not None:
                if not loader.runpath:
                    yield from self._in(loader.rpath, loader.origin, name)
                loader = loader.loader
        yield from self._in(self._library_path, wanted_by.origin, name)
        yield from self._in(wanted_by.runpath, wanted_by.origin, name)
        if wanted_by.default_folders:
            yield from self._known(name)
            yield from self._in(self._default_folders(), wanted_by.origin, name)

    def _known(self, name: str) -> list[str]:
        if self._cache is None:
            self._cache = read_cache(self._cache_path)
        return self._cache.get(name, [])

    def _lib_token(self) -> str:
        """What $LIB stands for: where the C library itself lies, lib/x86_64-linux-gnu in Debian."""
        folders = (os.path.dirname(path).removeprefix("/usr").strip("/") for path in self._known("libc.so.6"))
        return next((folder for folder in folders if ("64" in folder) == (self._lib == "lib64")), self._lib)

    def _default_folders(self) -> list[str]:
        """Debian's, the classic ones, and that of a dynamic linker which lives with a C library of its own."""
        interpreter = os.path.realpath(self._interpreter) if self._interpreter else ""
        own = [os.path.dirname(interpreter)] if interpreter else []
        return [*own, f"/{self._lib}", f"/usr/{self._lib}", "/lib", "/usr/lib"]

    def _in(self, folders: list[str] | tuple[str, ...], origin: str, name: str) -> Iterator[str]:
        for folder in folders:
            folder = self._expand(folder, origin)
            for level in _LEVELS:
                path = os.path.join(folder, "glibc-hwcaps", level, name)
                if os.path.exists(path):
                    yield path
            yield os.path.join(folder, name)

    def _expand(self, text: str, origin: str) -> str:
        if "$" not in text:
            return text
        values = (("ORIGIN", origin), ("LIB", self._lib_token()), ("PLATFORM", os.uname().machine))
        for name, value in values:
            text = text.replace("${" + name + "}", value).replace("$" + name, value)
        return text


def _split_library_path(text: str) -> list[str]:
    return text.replace(";", ":").split(":") if text else []


def read_cache(path: str = CACHE) -> dict[str, list[str]]:
    """ld.so's cache: for each name the paths, the preferred first. Empty if there is none, or none that is understood.

    glibc's sysdeps/generic/dl-cache.h: ``struct cache_file_new``, since glibc 2.2, alone in the file since 2.32 and
    behind one of the older layout before.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(64 << 20)
    except OSError:
        return {}
    start = 0 if data.startswith(_CACHE_MAGIC) else data.find(_CACHE_MAGIC)
    if start < 0 or len(data) < start + 48:
        return {}
    order = "=" if data[start + 28] & 3 in (0, _OWN_ORDER) else "><"[_OWN_ORDER - 2]
    (count,) = struct.unpack_from(order + "I", data, start + 20)
    found: dict[str, list[str]] = {}
    count = min(count, (len(data) - start - 48) // 24)
    for index in range(count):
        _, key, value = struct.unpack_from(order + "iII", data, start + 48 + 24 * index)
        paths = found.setdefault(_string(data, start + key), [])
        if (library := _string(data, start + value)) not in paths:
            paths.append(library)
    return found


_OWN_ORDER = 2 if struct.pack("=H", 1) == b"\1\0" else 3
"""cache_file_new_flags_endian_little and _big; 0 is unset, of older ldconfigs: the machine's own."""


def _string(data: bytes, start: int) -> str:
    end = data.find(b"\0", start, start + 4096)
    return os.fsdecode(data[start:end]) if end >= 0 else ""
