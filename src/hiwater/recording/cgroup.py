"""What the cgroup of the command said: the kernel's own files, as numbers.

Sources: Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst; ``None`` where a kernel has no such number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hiwater.procfs.cgroup import parse_flat_keyed, parse_limit
from hiwater.procfs.errors import MalformedFileError

Texts = Mapping[str, str]
"""Names of files, and what was in them."""


@dataclass(frozen=True, slots=True)
class CgroupSplit:
    """What the group's memory was made of, where its largest usage was seen."""

    t_ns: int | None
    usage_bytes: int
    """What is counted against the limit, at that instant."""
    anon_bytes: int | None
    """Anonymous memory: heap, stacks (v1 ``rss``, v2 ``anon``)."""
    file_bytes: int | None
    """Page cache of files, mapped or not, that this group brought in first; without tmpfs."""
    shmem_bytes: int | None
    """tmpfs, memfd and shared memory, mapped or not (``shmem``)."""
    kernel_bytes: int | None
    """Page tables, kernel stacks, slabs (v1 ``memory.kmem.usage_in_bytes``; v2 ``kernel``, since Linux 5.18)."""
    page_tables_bytes: int | None
    """Part of the above (v2 ``pagetables``)."""
    swap_bytes: int | None
    """Beside it, swapped out."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A group from the start of the command to its end."""

    version: int
    path: str
    limit_bytes: int | None
    """``None``: no limit."""
    swap_limit_bytes: int | None
    """Beside the limit of memory; ``None``: none, or not counted."""
    complete: bool
    """Whether the counters below were read at the end; else only what was seen on the way is known."""
    peak_bytes: int | None
    """The kernel's own mark: v1 ``memory.max_usage_in_bytes``, v2 ``memory.peak`` (Linux 5.19); else the largest that
    was seen."""
    peak_method: str | None
    """The file that it is from, or ``sampled``."""
    swap_peak_bytes: int | None
    """v2 ``memory.swap.peak`` (Linux 6.5)."""
    memory_and_swap_peak_bytes: int | None
    """v1 ``memory.memsw.max_usage_in_bytes``: both together."""
    kernel_peak_bytes: int | None
    """v1 ``memory.kmem.max_usage_in_bytes``."""
    limit_hits: int | None
    """How often the limit was met, and memory had to be taken back or was refused: v1 ``failcnt``, with that of memory
    and swap together, which is asked first (mm/memcontrol.c try_charge_memcg()) but not counted by Linux 6.18: then
    ``None``; v2 ``max`` of ``memory.events.local``."""
    outer_hits: int | None
    """The same of the groups above, while the command ran."""
    oom_events: int | None
    """v2 ``oom`` of ``memory.events.local``: an allocation failed at this group's own limit."""
    oom_kills: int | None
    """Processes of the group that an OOM killer killed, whichever limit it was for (mm/oom_kill.c
    __oom_kill_process() counts it in the victim's group)."""
    maximum: CgroupSplit | None
    refaulted_anon: int | None
    """Pages that were swapped out and had to be read again."""
    refaulted_file: int | None
    """Pages of files that were dropped and had to be read again soon after."""
    major_faults: int | None
    pressure_some_us: int | None
    """v2 ``memory.pressure``: how long at least one process waited for memory."""
    pressure_full_us: int | None
    """How long all of them did."""

    @property
    def is_at_limit(self) -> bool:
        """Whether the peak says what the limit was, not what was needed."""
        return self.limit_bytes is not None and (
            bool(self.limit_hits) or (self.peak_bytes is not None and self.peak_bytes >= self.limit_bytes)
        )


def parse_cgroup_record(begin: Texts, maximum: Texts, end: Texts) -> Cgroup | None:
    """``None`` where no group was recorded."""
    if "version" not in begin:
        return None
    version = 2 if begin["version"] == "2" else 1
    split = _split(version, maximum)
    peak, method = _peak(version, end, split)
    stat = _table(end, "memory.stat")
    pressure = _pressure(end.get("memory.pressure", ""))
    limit = _limit(begin, "memory.max" if version == 2 else "memory.limit_in_bytes")
    hits = _hits(version, "", end)
    if hits == 0 and limit is not None and peak is not None and peak >= limit:
        hits = None  # v1: the limit of memory and swap together refused, which Linux 6.18 does not count
    return Cgroup(
        version=version,
        path=begin.get("path", ""),
        limit_bytes=limit,
        swap_limit_bytes=_swap_limit(version, begin, limit),
        complete=bool(end),
        peak_bytes=peak,
        peak_method=method,
        swap_peak_bytes=_number(end, "memory.swap.peak"),
        memory_and_swap_peak_bytes=_number(end, "memory.memsw.max_usage_in_bytes"),
        kernel_peak_bytes=_number(end, "memory.kmem.max_usage_in_bytes"),
        limit_hits=hits,
        outer_hits=_outer(version, begin, end),
        oom_events=_table(end, "memory.events.local").get("oom"),
        oom_kills=_table(end, "memory.events" if version == 2 else "memory.oom_control").get("oom_kill"),
        maximum=split,
        refaulted_anon=_of(stat, "workingset_refault_anon"),
        refaulted_file=_of(stat, "workingset_refault_file"),
        major_faults=_of(stat, "pgmajfault"),
        pressure_some_us=pressure.get("some"),
        pressure_full_us=pressure.get("full"),
    )


def _split(version: int, texts: Texts) -> CgroupSplit | None:
    usage = _number(texts, "usage")
    if usage is None:
        return None
    stat = _table(texts, "memory.stat")
    shmem = _of(stat, "shmem")
    cache = stat.get("file") if version == 2 else _of(stat, "cache")
    # Both versions count tmpfs among the page cache.
    file = None if cache is None or shmem is None else max(0, cache - shmem)
    if version == 2:
        anon, kernel, swap = stat.get("anon"), _kernel(stat), _number(texts, "memory.swap.current")
    else:
        anon, kernel = _of(stat, "rss"), _number(texts, "memory.kmem.usage_in_bytes")
        swap = _of(stat, "swap")
    return CgroupSplit(_number(texts, "t_ns"), usage, anon, file, shmem, kernel, stat.get("pagetables"), swap)


def _kernel(stat: Mapping[str, int]) -> int | None:
    if "kernel" in stat:
        return stat["kernel"]
    parts = [stat[name] for name in ("kernel_stack", "pagetables", "percpu", "slab", "sock") if name in stat]
    return sum(parts) if parts else None


def _peak(version: int, end: Texts, split: CgroupSplit | None) -> tuple[int | None, str | None]:
    name = "memory.peak" if version == 2 else "memory.max_usage_in_bytes"
    mark = _number(end, name)
    if mark is not None:
        return mark, name
    seen = _number(end, "largest_usage_seen")
    if seen is None and split is not None:
        seen = split.usage_bytes
    return seen, None if seen is None else "sampled"


def _swap_limit(version: int, begin: Texts, limit: int | None) -> int | None:
    if version == 2:
        return _limit(begin, "memory.swap.max")
    both = _limit(begin, "memory.memsw.limit_in_bytes")
    if both is not None and limit is not None:
        return both - limit
    return 0 if begin.get("memory.swappiness") == "0" and limit is not None else None


def _hits(version: int, above: str, texts: Texts) -> int | None:
    if version == 2:
        return _table(texts, f"{above}memory.events.local").get("max")
    found = [_number(texts, f"{above}{name}") for name in ("memory.failcnt", "memory.memsw.failcnt")]
    known = [one for one in found if one is not None]
    return sum(known) if known else None


def _outer(version: int, begin: Texts, end: Texts) -> int | None:
    total, above = None, "../"
    while any(key.startswith(f"{above}memory.") for key in end):
        before, after = _hits(version, above, begin), _hits(version, above, end)
        if before is not None and after is not None:
            total = (total or 0) + max(0, after - before)
        above += "../"
    return total


def _of(stat: Mapping[str, int], name: str) -> int | None:
    """v1 has the sum over the groups below as well."""
    return stat.get(f"total_{name}", stat.get(name))


def _table(texts: Texts, name: str) -> dict[str, int]:
    try:
        return parse_flat_keyed(texts.get(name, "").encode("utf-8", "surrogateescape"))
    except MalformedFileError:
        return {}


def _number(texts: Texts, name: str) -> int | None:
    text = texts.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _limit(texts: Texts, name: str) -> int | None:
    try:
        return parse_limit(texts[name].encode("utf-8", "surrogateescape")) if name in texts else None
    except MalformedFileError:
        return None


def _pressure(text: str) -> dict[str, int]:
    """``some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`` (Documentation/accounting/psi.rst), in microseconds."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        total = next((word[6:] for word in words if word.startswith("total=")), "")
        if words and total.isascii() and total.isdigit():
            found[words[0]] = int(total)
    return found
