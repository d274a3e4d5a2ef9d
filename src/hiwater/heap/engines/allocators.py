"""``--engine jemalloc`` and ``--engine tcmalloc``: the profilers that these allocators have inside, for programs that
are linked with them. Others keep their own allocator: exchanged for another, it would be another program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hiwater.errors import MisuseError
from hiwater.heap.engines.model import DEFAULTS, EngineError, Prepared, Wanted, without_exit
from hiwater.heap.model import HeapProfile
from hiwater.heap.preflight import preflight
from hiwater.heap.readers import read_series, series

EVERY = 10 << 20
TCMALLOC_EVERY = 1 << 20
"""The largest of its profiles stands for the peak: that is to be near. Writing one costs little beside the stacks."""
JEMALLOC_SAMPLE = 1 << 17
"""jemalloc's own is 2^19, made for services of gigabytes."""
_JEMALLOC_VARIABLES = ("MALLOC_CONF", "JE_MALLOC_CONF", "_RJEM_MALLOC_CONF")
"""jemalloc(3) TUNING, by the prefix that it was built with: none, that of its own packages, that of Rust's."""


class _Allocator:
    """One execution under the profiler of an allocator."""

    name: str
    exact: bool

    def missing(self) -> str | None:
        """It is part of the program, or it is not."""
        return None

    def unfit(self, command: Sequence[str], env: Mapping[str, str]) -> str | None:
        verdict = preflight(command, env)
        found = verdict.allocator
        if found is None or found.name != self.name:
            return (
                f"{verdict.path or command[0]} does not allocate by {self.name}"
                f"{f' but by {found.name}' if found else ''}: --engine {self.name} is for programs that do"
            )
        if found.profiling is False:
            return f"{found.path} is {self.name} {self.without}"
        return None

    without: str
    """How one without its profiler is called."""

    def collect(self, folder: Path, *, killed: bool = False) -> HeapProfile:
        found = series.all_of(str(path) for path in folder.glob(f"{self.name}.*.heap"))
        found += series.all_of(str(path) for path in folder.glob(f"{self.name}_*.heap"))
        if not found:
            raise EngineError(f"{self.name} wrote no profile: {self.silent}")
        profiles = [read_series(each) for each in found]
        profile = max(profiles, key=lambda each: each.peak.in_use_bytes if each.peak else 0)
        if len(profiles) > 1:
            note = f"Of {len(profiles)} processes this is the one with most in use."
            profile = replace(profile, notes=(*profile.notes, note))
        return without_exit(profile, killed)

    silent: str
    """Why there may be no file."""

    def abandon(self) -> None:
        """There is nothing that runs."""


class Jemalloc(_Allocator):
    """One execution with jemalloc's profiler."""

    name = "jemalloc"
    exact = False
    without = "built without its profiler (./configure --enable-prof): its memory cannot be told by call"
    silent = "it was built without its profiler (--enable-prof), or the process was killed before the first one"

    def prepare(
        self, command: Sequence[str], folder: Path, *, env: Mapping[str, str], wanted: Wanted = DEFAULTS
    ) -> Prepared:
        if "," in str(folder):
            raise MisuseError(f"{folder}: jemalloc takes no folder with a comma in its name")
        conf = (
            f"prof:true,prof_active:true,prof_final:true,prof_prefix:{folder}/jemalloc,"
            f"lg_prof_sample:{_log2(wanted.sample_bytes or JEMALLOC_SAMPLE)},"
            f"lg_prof_interval:{_log2(wanted.every_bytes or EVERY)}"
        )
        variables = {name: ",".join(filter(None, (env.get(name), conf))) for name in _JEMALLOC_VARIABLES}
        return Prepared(tuple(command), variables)


class Tcmalloc(_Allocator):
    """One execution with gperftools' heap profiler."""

    name = "tcmalloc"
    exact = True
    without = "without its heap profiler, which libtcmalloc has and libtcmalloc_minimal has not"
    silent = "the process was killed before it had grown enough, or this tcmalloc has no heap profiler"

    def prepare(
        self, command: Sequence[str], folder: Path, *, env: Mapping[str, str], wanted: Wanted = DEFAULTS
    ) -> Prepared:
        variables = {
            "HEAPPROFILE": f"{folder}/tcmalloc",
            "HEAP_PROFILE_INUSE_INTERVAL": str(min(wanted.every_bytes or TCMALLOC_EVERY, TCMALLOC_EVERY)),
            "HEAP_PROFILE_ALLOCATION_INTERVAL": "0",
            "PERFTOOLS_VERBOSE": "-2",  # else it writes a line for each profile to stderr, which is the command's
        }
        note = (
            "tcmalloc's heap profiler takes a stack at every allocation: programs that allocate much become 10 to 50 "
        )
        return Prepared(tuple(command), variables, notes=(note + "times slower.",))


def _log2(size: int) -> int:
    """The nearest power of two."""
    low = max(size, 1).bit_length() - 1
    return low + 1 if size - (1 << low) > (1 << (low + 1)) - size else low
