"""Heap profiles of other tools: gperftools, jemalloc, heaptrack, massif, dhat, memray, collapsed stacks.

    profile = read_profile("heaptrack.app.1234.zst")

The format is told from the contents. What a file has as bare addresses, gperftools' and jemalloc's, gets its names from
the programs and libraries themselves, as far as they are still there and the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import import_module

from hiwater.heap.model import HeapProfile
from hiwater.heap.readers import collapsed, dhat, heaps, heaptrack, massif, memray, series
from hiwater.heap.readers.errors import ProfileError, UnknownFormatError
from hiwater.heap.readers.mappings import fixed_program
from hiwater.heap.readers.packed import Packed
from hiwater.heap.readers.symbolized import Resolver, bare, changed_since, symbolized

EVERY = 10 << 20
_HEAD = 1 << 16
_MOST = 1 << 30
"""Bytes of a file that is read at once: every format but heaptrack's and memray's."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be read."""

    name: str
    title: str
    """Which files, in words."""
    recognises: Callable[[bytes], bool]
    """By the first bytes, unpacked."""


FORMATS = (
    Format("heaptrack", "heaptrack's files (.zst, .gz, plain, also --raw)", heaptrack.is_heaptrack),
    Format("heap", "gperftools' and jemalloc's .heap files, single or a series", heaps.is_heap),
    Format("massif", "massif.out of valgrind", massif.is_massif),
    Format("dhat", "dhat.out of valgrind", dhat.is_dhat),
    Format("memray", "memray's .bin files", memray.is_memray),
    Format("collapsed", "collapsed stacks: call;call BYTES", collapsed.is_collapsed),
)


def formats() -> tuple[Format, ...]:
    """All that ``read_profile`` knows; the first that recognises a file has it."""
    return FORMATS


def recognise(head: bytes) -> Format | None:
    """By the first bytes of a file, unpacked."""
    return next((form for form in FORMATS if form.recognises(head)), None)


def read_profile(
    path: str | os.PathLike[str], *, symbols: Resolver | None = None, symbolize: bool = True, every: int = EVERY
) -> HeapProfile:
    """A file; or the series of ``.heap`` files with that prefix, or in that folder.

    ``symbols``: what gives addresses their names, where a file has none; else that of this machine is made for it.
    ``symbolize`` false: addresses stay as they are. ``every`` bytes of growth give a snapshot each where a file tells
    every allocation. Raises ProfileError, and MissingExtraError where the format takes a package that is not installed.
    """
    name = os.fspath(path)
    try:
        written, profile = _read(name, every)
    except ProfileError as error:
        raise error.of(name) from None
    except OSError as error:
        raise ProfileError(error.strerror or str(error), path=name) from None
    return named(profile, symbols, written) if symbolize else profile


def read_heaptrack(path: str, modules: Iterable[bytes], *, every: int = EVERY) -> HeapProfile:
    """A file of heaptrack's whose modules are known besides; see :func:`hiwater.heap.readers.heaptrack.parse`."""
    packed = Packed(path)
    profile = heaptrack.parse(packed.pieces(), every=every, ended=lambda: not packed.cut_off, modules=modules)
    return named(profile, None, os.stat(path).st_mtime)


def named(profile: HeapProfile, symbols: Resolver | None, written: float) -> HeapProfile:
    """With names for its addresses. ``written``: when the profile was, in seconds since the epoch."""
    if not bare(profile):
        return profile
    note = changed_since(profile, written)
    profile = symbolized(profile, symbols or import_module("hiwater.heap.symbols.resolver").Symbols())
    return replace(profile, notes=(*profile.notes, note)) if note else profile


def _read(path: str, every: int) -> tuple[float, HeapProfile]:
    if not os.path.isfile(path):
        found = series.find(path)
        if found is not None:
            return _written(found), _series(found)
        if os.path.isdir(path):
            raise UnknownFormatError("a folder without a series of .heap files")
        if not os.path.exists(path):
            raise ProfileError("there is no such file, and no series of .heap files of that name")
    return os.stat(path).st_mtime, _file(path, every)


def _file(path: str, every: int) -> HeapProfile:
    packed = Packed(path)
    head = packed.head(_HEAD)
    form = recognise(head)
    if form is None:
        if not head:
            raise UnknownFormatError("the file is empty")
        known = ", ".join(each.name for each in FORMATS)
        raise UnknownFormatError(f"no heap profile in a format that hiwater reads ({known})")
    if form.name == "heaptrack":
        return heaptrack.parse(packed.pieces(), every=every, ended=lambda: not packed.cut_off)
    if form.name == "memray":
        if packed.is_packed:
            raise UnknownFormatError("memray reads no files packed by gzip or zstd: unpack it first")
        return memray.read(path, every=every)
    data = packed.whole(_MOST)
    if packed.cut_off:
        raise ProfileError("the file is cut off: it cannot be unpacked to its end")
    if form.name == "heap":
        return heaps.profile([(os.path.basename(path), heaps.parse(data, fixed_program))])
    parse = {"massif": massif.parse, "dhat": dhat.parse, "collapsed": collapsed.parse}[form.name]
    return parse(data)


def read_series(found: series.Series, *, symbols: Resolver | None = None, symbolize: bool = True) -> HeapProfile:
    """All files of a process as one profile: its growth, its peak as far as they show it, its end."""
    profile = _series(found)
    return named(profile, symbols, _written(found)) if symbolize else profile


def _written(found: series.Series) -> float:
    return os.stat(found.files[0]).st_mtime


def _series(found: series.Series) -> HeapProfile:
    dumps = []
    for path in found.files:
        try:
            dumps.append((os.path.basename(path), heaps.parse(Packed(path).whole(_MOST), fixed_program)))
        except ProfileError as error:
            raise error.of(path) from None
    final = None if found.final is None else os.path.basename(found.final)
    return replace(heaps.profile(dumps, final), name=os.path.basename(found.prefix))
