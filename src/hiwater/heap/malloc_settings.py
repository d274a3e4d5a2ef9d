"""The settings of malloc that are worth a try for a program, as variables of its environment. Executes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hiwater.heap.elf import ElfError, OpenElf
from hiwater.heap.libraries import CACHE, read_cache
from hiwater.heap.wire import HeadFlags

if TYPE_CHECKING:
    from hiwater.heap.log import HeapLog

DYNAMIC_OFF = "131072"
"""DEFAULT_MMAP_THRESHOLD of malloc/malloc.c: to set either threshold, were it to its default, keeps both from moving.
Else each mapped block that is freed raises the one to that block's size, up to 32 MiB, and the other, what malloc keeps
at the top of its heap, to twice that (mallopt(3), M_MMAP_THRESHOLD; malloc.c, __libc_free())."""
_TUNABLES, _PRELOAD = "GLIBC_TUNABLES", "LD_PRELOAD"
_OTHERS = (
    ("jemalloc", ("libjemalloc.so.2",)),
    ("tcmalloc", ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4")),
    ("mimalloc", ("libmimalloc.so.3", "libmimalloc.so.2")),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """Variables that are set for one execution."""

    name: str
    """As it is shown, and as a shell would take it in front of the command."""
    environment: tuple[tuple[str, str], ...]
    """Names and whole values."""
    what: str
    """What it changes, in a few words."""


def worthwhile(logs: Sequence[HeapLog], env: Mapping[str, str], cache: str = CACHE) -> tuple[Setting, ...]:
    """Those that can change anything for what was sampled; none where another allocator than glibc's served all of it.

    Left out: ``MALLOC_TOP_PAD_`` (128 KiB a heap at most), ``MALLOC_TRIM_THRESHOLD_`` (at its default it does what
    ``MALLOC_MMAP_THRESHOLD_`` does at its own), and what the environment has already.
    """
    if not any(log.head.flags & HeadFlags.PROBE for log in logs):
        return ()
    threads = max(log.threads for log in logs)
    found = []
    if threads > 1:
        found.append(_variable("MALLOC_ARENA_MAX", "1", "one arena for all threads"))
    if threads > 2:
        found.append(_variable("MALLOC_ARENA_MAX", "2", "two arenas for all threads"))
    found.append(_variable("MALLOC_MMAP_THRESHOLD_", DYNAMIC_OFF, "blocks of 128 KiB are mapped, always"))
    found.append(_tunable("glibc.malloc.tcache_count=0", env, "no cache for each thread"))
    if any(log.head.flags & HeadFlags.PYTHON for log in logs):
        found.append(_variable("PYTHONMALLOC", "malloc", "Python's small objects from malloc, too"))
    found += [_preloaded(name, path, env) for name, path in _installed(cache)]
    return tuple(one for one in found if any(env.get(name) != value for name, value in one.environment))


def _variable(name: str, value: str, what: str) -> Setting:
    return Setting(f"{name}={value}", ((name, value),), what)


def _tunable(text: str, env: Mapping[str, str], what: str) -> Setting:
    """The later one counts (elf/dl-tunables.c)."""
    before = env.get(_TUNABLES)
    return Setting(f"{_TUNABLES}={text}", ((_TUNABLES, f"{before}:{text}" if before else text),), what)


def _preloaded(name: str, path: str, env: Mapping[str, str]) -> Setting:
    before = env.get(_PRELOAD)
    value = f"{path}:{before}" if before else path
    return Setting(f"{_PRELOAD}={os.path.basename(path)}", ((_PRELOAD, value),), f"{name} instead of glibc's malloc")


def _installed(cache: str) -> list[tuple[str, str]]:
    """Other allocators that the dynamic linker knows, for programs of this Python's kind."""
    own, known = _kind("/proc/self/exe"), read_cache(cache)
    found = []
    for name, libraries in _OTHERS:
        paths = [path for library in libraries for path in known.get(library, ())]
        fitting = [path for path in paths if own is not None and _kind(path) == own and not set(path) & set(": \t\n")]
        if fitting:
            found.append((name, fitting[0]))
    return found


def _kind(path: str) -> tuple[int, bool, int] | None:
    try:
        with OpenElf(path) as elf:
            return elf.bits, elf.big_endian, elf.machine
    except (OSError, ElfError):
        return None
