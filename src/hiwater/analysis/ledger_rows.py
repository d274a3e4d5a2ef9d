"""From the mappings of one process to the rows of its ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from operator import attrgetter

from hiwater.analysis.ledger_model import Known, Row, Section
from hiwater.recording.ledger import LedgerSnapshot, Mapping
from hiwater.recording.model import Image, Rss
from hiwater.recording.wire import MapKind

_OWN = {
    MapKind.HEAP: ("heap", "heap (brk)", Known.EXACT),
    MapKind.ARENA: ("arenas", "malloc arenas of threads", Known.INFERRED),
    MapKind.THREAD_STACK: ("thread_stacks", "thread stacks", Known.INFERRED),
    MapKind.STACK: ("main_stack", "main stack", Known.EXACT),
    MapKind.ANON_NAMED: ("named", "named anonymous mappings", Known.EXACT),
    MapKind.ANON: ("other", "other anonymous mappings", Known.EXACT),
}
"""Kinds of mappings whose pages are all anonymous memory."""
_LIBRARY = re.compile(r"\.so(\.[0-9.]+)?$")


def sections(snapshot: LedgerSnapshot, image: Image) -> list[Section]:
    """Without a remainder: together they are the sum of the mappings' RSS, to the byte."""
    rows = [row for row in snapshot.rows if row.kind is not MapKind.UNMAPPED_SHMEM]
    files = [row for row in rows if row.kind is MapKind.FILE]
    shared = [row for row in rows if row.kind is MapKind.SHMEM]
    rest = [row for row in rows if row.kind not in _OWN and row.kind not in (MapKind.FILE, MapKind.SHMEM)]
    anonymous = [_owned(kind, [row for row in rows if row.kind is kind]) for kind in _OWN]
    anonymous.append(_copies([*files, *shared]))
    found = [
        _section("anonymous", "anonymous memory", anonymous),
        _section("file", "pages of files", _files(files, image)),
        _section("shmem", "shared memory", [_group("shared", "shared memory", shared, _not_copied, _shared)]),
        _section("special", "special mappings", [_group("special", "the kernel's own", rest, _rss, _named)]),
    ]
    return [section for section in found if section.rows]


def coarse(split: Rss) -> list[Section]:
    """What a reading of /proc/PID/status alone tells. An unknown part is left to the remainder."""
    parts = [
        ("anonymous", "anonymous memory", split.anon_bytes),
        ("file", "pages of files", split.file_bytes),
        ("shmem", "shared memory", split.shmem_bytes),
    ]
    return [Section(key, label, (Row(key, label, size, Known.EXACT),)) for key, label, size in parts if size]


def of_which(snapshot: LedgerSnapshot) -> tuple[Row, ...]:
    """What is worth telling of memory that the rows hold already."""
    own = [row for row in snapshot.rows if row.kind in _OWN]
    found = [
        ("huge_pages", "in transparent huge pages", sum(row.anon_huge_bytes or 0 for row in snapshot.rows)),
        ("lazily_freed", "given back with MADV_FREE, not yet taken", sum(r.lazyfree_bytes or 0 for r in snapshot.rows)),
        # Only of mappings without a file: there all pages are copies, so that a shared one was left by a fork.
        ("shared_cow", "shared with relatives since a fork", sum(min(_rss(r), r.shared_bytes or 0) for r in own)),
        ("locked", "locked into memory", sum(row.locked_bytes or 0 for row in snapshot.rows)),
    ]
    return tuple(Row(key, label, size, Known.EXACT) for key, label, size in found if size)


def unmapped(snapshot: LedgerSnapshot) -> Row | None:
    """Files on tmpfs and memfds that the process holds open and has not mapped."""
    rows = [row for row in snapshot.rows if row.kind is MapKind.UNMAPPED_SHMEM]
    row = _group("unmapped_shmem", "tmpfs files and memfds, written but not mapped", rows, _size, _shared)
    return row if row.bytes else None


def _section(key: str, label: str, rows: Iterable[Row]) -> Section:
    return Section(key, label, tuple(sorted((row for row in rows if row.bytes), key=lambda row: -row.bytes)))


def _rss(mapping: Mapping) -> int:
    return mapping.rss_bytes or 0


def _size(mapping: Mapping) -> int:
    return mapping.size_bytes or 0


def _copied(mapping: Mapping) -> int:
    """Of the mapping of a file, the pages that were written: they are anonymous memory now."""
    return min(mapping.anon_bytes or 0, _rss(mapping))


def _not_copied(mapping: Mapping) -> int:
    return _rss(mapping) - _copied(mapping)


def _owned(kind: MapKind, rows: list[Mapping]) -> Row:
    """The row of one kind of anonymous memory. A kind that has names, or is many mappings, has details."""
    key, label, known = _OWN[kind]
    if kind is MapKind.ANON_NAMED:
        return _group(key, label, rows, _rss, _named)
    # The largest first; those that the recording took together come last, however much they are together.
    single = sorted((row for row in rows if _rss(row)), key=lambda row: (row.count > 1, -_rss(row)))
    details = tuple(_mapping(row, known) for row in single) if kind is MapKind.ANON else ()
    return Row(key, label, sum(map(_rss, rows)), known, _count(rows), _mapped(rows), None, details)


def _mapping(row: Mapping, known: Known) -> Row:
    if row.count > 1:
        return Row("mapping", f"{row.count} smaller ones", _rss(row), known, row.count, row.size_bytes)
    return Row("mapping", "one mapping", _rss(row), known, 1, row.size_bytes, row.start)


def _copies(rows: list[Mapping]) -> Row:
    """Relocations and initialized variables of libraries, mostly."""
    return _group("private_copies", "private copies of file pages", rows, _copied, _file)


def _files(rows: list[Mapping], image: Image) -> list[Row]:
    labels = {"program": "program", "libraries": "libraries", "data": "data files"}
    sorts = [_sort(row, image) for row in rows]
    return [
        _group(key, label, [row for row, sort in zip(rows, sorts, strict=True) if sort == key], _not_copied, _file)
        for key, label in labels.items()
    ]


def _sort(row: Mapping, image: Image) -> str:
    if image.exe and row.name == image.exe.removesuffix(" (deleted)"):
        return "program"
    return "libraries" if _LIBRARY.search(row.name) else "data"


def _group(
    key: str, label: str, rows: list[Mapping], measure: Callable[[Mapping], int], name: Callable[[Mapping], str]
) -> Row:
    """One row of several mappings, with a detail for each name."""
    by_name: dict[str, list[Mapping]] = {}
    for row in rows:
        if measure(row):
            by_name.setdefault(name(row), []).append(row)
    details = [
        Row(_DETAIL.get(key, "file"), label, sum(map(measure, own)), Known.EXACT, _count(own), _mapped(own))
        for label, own in by_name.items()
    ]
    kept = [row for own in by_name.values() for row in own]
    return Row(
        key,
        label,
        sum(map(measure, rows)),
        Known.EXACT,
        _count(kept),
        _mapped(kept),
        None,
        tuple(sorted(details, key=attrgetter("bytes"), reverse=True)),
    )


_DETAIL = {"named": "name", "special": "name"}


def _count(rows: list[Mapping]) -> int:
    return sum(row.count for row in rows)


def _mapped(rows: list[Mapping]) -> int | None:
    sizes = [row.size_bytes for row in rows]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _named(row: Mapping) -> str:
    return row.name or ("without a name" if row.count == 1 else f"{row.count} smaller ones")


def _file(row: Mapping) -> str:
    return row.name or f"{row.count} smaller mappings"


def _shared(row: Mapping) -> str:
    """The kernel's names of memory that is shared without a file of its own (mm/shmem.c, ipc/shm.c)."""
    name = row.name
    if name == "/dev/zero":
        return "mmap(MAP_SHARED | MAP_ANONYMOUS)"
    if name.startswith("/memfd:"):
        return f"memfd {name[7:]}".rstrip()
    if name.startswith("/SYSV"):
        return f"System V, key 0x{name[5:]}"
    return name or f"{row.count} smaller ones"
