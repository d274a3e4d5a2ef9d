"""Which of the troubles with names a reader of a profile has to hear of."""

from __future__ import annotations

from collections.abc import Iterable

from hiwater.heap.model import HeapProfile, Kind
from hiwater.heap.sites import By, call_sites
from hiwater.heap.symbols.trouble import SymbolWarning, Trouble

LEAST_SHARE = 0.05
"""Of what is in use, that a library has to hold for its missing names to matter: many of a system's are stripped."""

_OF_ONE_FILE = frozenset({Trouble.NO_NAMES, Trouble.FILE_MISSING, Trouble.FILE_DAMAGED, Trouble.DEBUGINFOD_FAILED})
_ONCE = frozenset({Trouble.NO_LINES_TOOL})


def sentences(warnings: Iterable[SymbolWarning], profile: HeapProfile) -> tuple[str, ...]:
    """What to tell beside a profile: names that are missing where much memory is, and all that could mislead."""
    holders = _holders(profile)
    told: dict[str, None] = {}
    seen: set[Trouble] = set()
    for warning in warnings:
        if warning.kind in _OF_ONE_FILE and warning.path not in holders:
            continue
        if warning.kind in _ONCE and warning.kind in seen:
            continue
        seen.add(warning.kind)
        told[warning.message] = None
    return tuple(told)


def _holders(profile: HeapProfile) -> frozenset[str]:
    """The files in which the places lie that hold most."""
    snapshots = [snapshot for snapshot in (profile.peak, profile.exit) if snapshot is not None]
    return frozenset(
        site.library
        for snapshot in snapshots
        for site in call_sites(profile, snapshot, By.LIBRARY)
        if site.library is not None
        and site.kind is not Kind.MMAP
        and site.in_use_bytes >= LEAST_SHARE * max(snapshot.in_use_bytes, 1)
    )
