"""Which memory allocator a file brings along, and whether that one can profile itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from hiwater.heap.elf import SHT_NOBITS, Elf, ElfError


class Place(str, Enum):
    """How an allocator comes into a program: that decides what a preloaded library sees of it."""

    LIBRARY = "library"
    """A shared library defines malloc: a preloaded library comes before it and takes the calls first."""
    PROGRAM = "program"
    """The program itself defines malloc: it comes before everything that is preloaded."""
    PRIVATE = "private"
    """Under names of its own (``je_malloc``, ``mi_malloc``): malloc is not called at all."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Allocator:
    """An allocator that is not the C library's."""

    name: str
    """jemalloc, tcmalloc, ...; ``own`` where malloc is defined and nothing tells by whom."""
    place: Place
    path: str
    """The file that defines it."""
    profiling: bool | None
    """Whether it was built with its own heap profiler. ``None``: it cannot be told."""


# Names that a file defines -> the allocator. The first that fits counts.
_BY_NAME = (
    ("jemalloc", ("mallctl", "je_mallctl", "_rjem_mallctl", "_rjem_je_mallctl", "mallocx", "je_mallocx")),
    ("tcmalloc", ("tc_malloc", "TCMallocInternalMalloc", "MallocExtension_Internal_GetNumericProperty")),
    ("mimalloc", ("mi_malloc", "mi_heap_malloc", "mi_malloc_tld")),
    ("snmalloc", ("sn_malloc", "snmalloc_alloc", "sn_rust_alloc")),
    ("rpmalloc", ("rpmalloc", "rpmalloc_initialize")),
    ("scudo", ("__scudo_print_stats", "scudo_malloc_postinit", "__scudo_default_options")),
    ("hoard", ("xxmalloc",)),
    ("PartitionAlloc", ("PartitionAllocMalloc",)),
    ("mozjemalloc", ("jemalloc_stats_internal", "moz_arena_malloc")),
)
_BY_FILE = ("jemalloc", "tcmalloc", "mimalloc", "snmalloc", "rpmalloc", "scudo", "hoard", "hardened_malloc", "mesh")
# What each writes in front of its messages: the last clue in a program without symbols.
_BY_TEXT = ((b"<jemalloc>: ", "jemalloc"), (b"mimalloc: ", "mimalloc"))
_MAX_TEXT_BYTES = 256 << 20

_CPYTHON = frozenset({"Py_BytesMain", "Py_Main", "Py_RunMain", "_PyRuntime"})
"""CPython 3.13 has mimalloc inside, for builds without the GIL; its hooks are followed whatever serves it."""

# Parts of the C library, and libraries that pass malloc on and do not replace it.
_NOT_ONE = (
    "libc.so",
    "libc-",
    "ld-linux",
    "ld-",
    "ld64.so",
    "libmemusage",
    "libc_malloc_debug",
    "libmcheck",
    "libhiwater-heap",
)


def found_in(elf: Elf, path: str, program: bool) -> Allocator | None:
    """The allocator that a program or a library brings along. Raises ElfError and OSError as reading does."""
    file = path.rsplit("/", 1)[-1]
    if not program and (file.startswith(_NOT_ONE) or (elf.soname or "").startswith(_NOT_ONE)):
        return None
    if not program and not elf.mentions("malloc"):
        return None
    exported = elf.names(dynamic=True)
    if _CPYTHON & exported:
        return None
    public = "malloc" in exported
    if public:
        place = Place.PROGRAM if program else Place.LIBRARY
        named = _by_names(exported) or _by_names(elf.names(dynamic=False)) or _by_file(file) or _by_text(elf)
        return Allocator(named or "own", place, path, _profiling(elf, named, exported))
    if not program:
        return None
    inner = elf.names(dynamic=False)
    if _CPYTHON & inner:
        return None
    named = _by_names(inner) or (None if inner else _by_text(elf))
    return Allocator(named, Place.PRIVATE, path, _profiling(elf, named, exported | inner)) if named else None


def _by_names(names: Collection[str]) -> str | None:
    return next((allocator for allocator, marks in _BY_NAME if any(mark in names for mark in marks)), None)


def _by_file(file: str) -> str | None:
    return next((name for name in _BY_FILE if name in file), None)


def _by_text(elf: Elf) -> str | None:
    section = elf.section(".rodata")
    if section is None or section.type == SHT_NOBITS or section.bytes > _MAX_TEXT_BYTES:
        return None
    try:
        text = elf.content(section)
    except ElfError:
        return None
    return next((name for mark, name in _BY_TEXT if mark in text), None)


def _profiling(elf: Elf, name: str | None, defined: Collection[str]) -> bool | None:
    if name == "jemalloc":
        # Built with --enable-prof it takes stacks, by libgcc or libunwind; without, it has no use for them.
        wanted = elf.names(dynamic=True, defined=False)
        return any("prof_backtrace" in each for each in defined) or any(
            each == "_Unwind_Backtrace"
            or (each.startswith("_U") and each.endswith("_init_local"))
            or each == "unw_backtrace"
            for each in wanted
        )
    if name == "tcmalloc":
        return "HeapProfilerStart" in defined
    return None if name is None else False
