"""The heap in the ledger: what lies between the bytes that the program asked for and those that are resident.

The rows of a heap add up to the resident set of ``[heap]``, the arenas and the other anonymous mappings, to the byte.
What the program holds is sampled; what malloc holds it says itself (mallinfo2(3)); what of its memory was never
touched, the kernel says (smaps). Nothing is scaled to fit: what no row explains is the last one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hiwater.analysis.ledger_model import HeapLedger, Known, Row, Section

if TYPE_CHECKING:
    from hiwater.heap.log import HeapLog, Mallinfo
    from hiwater.heap.model import HeapProfile
    from hiwater.heap.profile import Resolver
    from hiwater.heap.replay import Replay
    from hiwater.heap.sites import CallSite
    from hiwater.recording.model import Image, Recording

BASE = ("heap", "arenas", "other", "anonymous")
"""Keys of the rows that are broken down; the last one where no mappings were read."""
MOST_SITES = 20
MOST_ACCOUNTS = 4
"""Of malloc's, which are looked at."""
_PYMALLOC_MOST = 512
"""Larger objects of Python's come from malloc (Objects/obmalloc.c, SMALL_REQUEST_THRESHOLD)."""
_LARGE = 64 << 10
"""Smaller blocks have no mapping of their own."""
_PAGE = 4096


class Followed:
    """The heaps that were followed in the execution that a recording is of."""

    def __init__(self, recording: Recording, logs: Sequence[HeapLog], resolver: Resolver) -> None:
        from hiwater.heap import moments

        self._recording, self._resolver = recording, resolver
        found = [(log, moments.image_of(log, recording)) for log in logs]
        self._logs = {image.number: log for log, image in found if image is not None}

    def ledger(self, image: Image, sections: Sequence[Section], t_ns: int | None) -> HeapLedger | None:
        """``None`` where this image was not followed. ``t_ns``: when its mappings, or its largest RSS, were read."""
        base, log = _base(sections), self._logs.get(image.number)
        if t_ns is None or log is None or not base:
            return None
        from hiwater.heap.profile import profile_at, zero
        from hiwater.heap.replay import Replay

        replay, start = Replay(log), zero(self._recording, log, image)
        at = start + t_ns
        account, then = _account_near(log, replay, at)
        rows = _held(profile_at(self._recording, log, self._resolver, at, replay=replay))
        freed = None
        if account is not None and then is not None:
            rows += _account(account, log, then)
            rows += _since(base, account, then, _asked(replay, at))
            freed = sum(row.bytes for row in rows if row.key in ("free", "free_since")) - account.top_bytes
        rows += _arenas(replay, at)
        rows += _untouched(base, replay, at)
        return HeapLedger(
            sum(row.bytes for row in base),
            (*rows, _remainder(base, rows)),
            None if freed is None else max(0, freed),
            t_ns,
            None if account is None else account.t_ns - start,
            False,
        )


def of_other_execution(heap: HeapLedger | None, sections: Sequence[Section]) -> HeapLedger | None:
    """The heap of an execution with the sampler for the ledger of one without it: by how much they differ is a row."""
    base = _base(sections)
    if heap is None or not base:
        return None
    size = sum(row.bytes for row in base)
    rows = list(heap.rows[:-1])
    if size != heap.bytes:
        rows.append(Row("executions", "by how much the two executions differ", size - heap.bytes, Known.EXACT))
    return replace(heap, bytes=size, rows=(*rows, heap.remainder), other_execution=True)


def of_profile(profile: HeapProfile | None, sections: Sequence[Section]) -> HeapLedger | None:
    """That of another tool: only what was in use."""
    base = _base(sections)
    if profile is None or profile.peak is None or not base:
        return None
    rows, seconds = _held(profile), profile.peak.at_seconds
    at = None if seconds is None else round(seconds * 1e9)
    return HeapLedger(sum(row.bytes for row in base), (*rows, _remainder(base, rows)), None, at, None, True)


def _base(sections: Sequence[Section]) -> list[Row]:
    return [row for section in sections if section.key == "anonymous" for row in section.rows if row.key in BASE]


def _remainder(base: list[Row], rows: list[Row]) -> Row:
    left = sum(row.bytes for row in base) - sum(row.bytes for row in rows)
    return Row("remainder", "not explained", left, Known.REMAINDER)


def _held(profile: HeapProfile) -> list[Row]:
    """What the program held, by call site."""
    from hiwater.heap.model import Kind
    from hiwater.heap.sites import call_sites

    if profile.peak is None:
        return []
    known = Known.EXACT if profile.samples is None and profile.engine.value != "hiwater" else Known.SAMPLED
    sites = call_sites(profile, profile.peak)
    found = []
    for key, label, kind, how in (
        ("in_use", "in use, from malloc", Kind.MALLOC, known),
        ("python_in_use", "in use, from Python's allocators", Kind.PYTHON, known),
        ("mapped", "mapped by the program itself", Kind.MMAP, Known.EXACT),
    ):
        own = [site for site in sites if site.kind is kind]
        if own:
            found.append(_by_site(key, label, own, how))
    return found


def _by_site(key: str, label: str, sites: list[CallSite], known: Known) -> Row:
    details = [_site(site, known) for site in sites[:MOST_SITES]]
    rest = sites[MOST_SITES:]
    if rest:
        size, error = sum(site.in_use_bytes for site in rest), _error(rest, known)
        details.append(Row("site", f"{len(rest)} more", size, known, error_bytes=error))
    size = sum(site.in_use_bytes for site in sites)
    return Row(key, label, size, known, details=tuple(details), error_bytes=_error(sites, known))


def _error(sites: Sequence[CallSite], known: Known) -> int | None:
    if known is not Known.SAMPLED:
        return None
    return round(math.sqrt(sum(site.standard_error_bytes**2 for site in sites)))


def _site(site: CallSite, known: Known) -> Row:
    from hiwater.heap.model import Frame, Language
    from hiwater.heap.sites import By, label

    language = Language.PYTHON if site.library is None and site.file is not None else Language.NATIVE
    frame = Frame(site.function, site.file, site.line, site.library, site.address, language=language)
    error = site.standard_error_bytes if known is Known.SAMPLED else None
    return Row("site", label(frame, By.LINE), site.in_use_bytes, known, error_bytes=error)


def _account_near(log: HeapLog, replay: Replay, at: int) -> tuple[Mallinfo | None, _Asked | None]:
    """malloc's account nearest to a moment, and what it had been asked for then. One that says less than that was given
    while other threads freed: malloc goes through one arena after the other."""
    nearest = sorted(log.mallinfo, key=lambda one: abs(one.t_ns - at))[:MOST_ACCOUNTS]
    found = [(account, _asked(replay, account.t_ns)) for account in nearest]
    for account, then in found:
        if account.in_use_bytes + account.mmapped_bytes >= then.arena_bytes + then.mapped_bytes:
            return account, then
    return found[0] if found else (None, None)


def _account(account: Mallinfo, log: HeapLog, then: _Asked) -> list[Row]:
    """What malloc has beside what it was asked for; both are of the moment of its account."""
    spent = account.in_use_bytes + account.mmapped_bytes - then.arena_bytes - then.mapped_bytes
    headers = then.blocks * log.head.word_bytes
    details = (
        Row(
            "part", f"headers, {log.head.word_bytes} bytes for each of {then.blocks:,} blocks", headers, Known.INFERRED
        ),
        Row("part", "rounding, and threads' caches", spent - headers, Known.INFERRED),
    )
    return [
        Row("overhead", "headers and rounding of malloc", spent, Known.INFERRED, details=details),
        Row("free", "free in malloc's arenas", account.free_bytes, Known.EXACT),
    ]


def _since(base: list[Row], account: Mallinfo, then: _Asked, now: _Asked) -> list[Row]:
    """How the free memory of the arenas has changed between malloc's account and this moment: they have grown by so
    much, and of that so much is in use."""
    arenas = [row.mapped_bytes for row in base if row.key in ("heap", "arenas")]
    sizes = [size for size in arenas if size is not None]
    if len(sizes) < len(arenas) or not arenas:
        return []
    size = sum(sizes) - account.arena_bytes - (now.arena_bytes - then.arena_bytes)
    label = f"change {'since' if account.t_ns <= now.t_ns else 'until'} malloc's account"
    return [Row("free_since", label, size, Known.INFERRED)] if size else []


@dataclass(frozen=True, slots=True)
class _Asked:
    """What malloc had given out at a moment, as it was asked for: Python's small objects lie in arenas of its own."""

    t_ns: int
    arena_bytes: int
    mapped_bytes: int
    """In chunks that were mapped one by one: these begin so many bytes after a page's begin (malloc/malloc.c,
    sysmalloc_mmap(): two words of a header)."""
    blocks: int


def _asked(replay: Replay, t_ns: int) -> _Asked:
    size = mapped = blocks = 0.0
    header = 2 * replay.log.head.word_bytes
    for address, (_, kind, asked, _), weight in replay.live_at(t_ns):
        if _in_arena(kind, asked):
            continue
        blocks += weight.blocks
        if asked >= _LARGE and address % _PAGE == header:
            mapped += weight.bytes
        else:
            size += weight.bytes
    return _Asked(t_ns, round(size), round(mapped), round(blocks))


def _in_arena(kind: int, asked: int) -> bool:
    from hiwater.heap.wire import AllocKind

    return kind in (AllocKind.PY_MEM, AllocKind.PY_OBJ) and asked <= _PYMALLOC_MOST


def _arenas(replay: Replay, t_ns: int) -> list[Row]:
    """What Python's arenas, which are mapped one by one, hold beside the objects."""
    size = replay.at(t_ns).arena_bytes
    if not size:
        return []
    held = sum(weight.bytes for _, (_, kind, asked, _), weight in replay.live_at(t_ns) if _in_arena(kind, asked))
    return [Row("python_free", "free in Python's arenas, and rounding", size - round(held), Known.INFERRED)]


def _untouched(base: list[Row], replay: Replay, t_ns: int) -> list[Row]:
    """Address space of the heap that was never touched, or was given back: it is in no RSS."""
    details = [
        Row("part", f"of the {row.label}", row.bytes - row.mapped_bytes, Known.EXACT)
        for row in base
        if row.key != "other" and row.mapped_bytes is not None and row.mapped_bytes > row.bytes
    ]
    other = next((row for row in base if row.key == "other"), None)
    if other is not None:
        blocks = [(where, kind[2]) for where, kind, _ in replay.live_at(t_ns) if kind[2] >= _LARGE]
        blocks += [(area.start, area.bytes) for area in replay.at(t_ns).areas]
        starts = sorted(address for address, _ in blocks)
        space = sum(_gap(mapping, starts) for mapping in other.details)
        if space:
            details.append(Row("part", "of mappings with large blocks", -space, Known.INFERRED))
    if not details:
        return []
    known = Known.INFERRED if any(row.known is Known.INFERRED for row in details) else Known.EXACT
    row = Row("untouched", "reserved, never touched or given back", sum(row.bytes for row in details), known)
    return [replace(row, details=tuple(details))]


def _gap(mapping: Row, starts: list[int]) -> int:
    """What is not resident of a mapping in which a block begins."""
    from bisect import bisect_left

    begin, size = mapping.address, mapping.mapped_bytes
    if begin is None or size is None or size <= mapping.bytes:
        return 0
    at = bisect_left(starts, begin)
    return size - mapping.bytes if at < len(starts) and starts[at] < begin + size else 0
