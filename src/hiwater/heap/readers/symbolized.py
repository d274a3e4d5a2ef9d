"""Gives bare addresses in a profile their names: functions, files, lines, inlined calls."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Protocol

from hiwater.heap.model import Frame, HeapProfile, Stack

_SLACK_SECONDS = 1.0


class Resolver(Protocol):
    """What knows names: :class:`hiwater.heap.symbols.resolver.Symbols`."""

    def resolve(self, module_path: str, build_id: str, address: int) -> tuple[Frame, ...]:
        """Of an address in the file's own terms: innermost first, inlined ones with what they are inlined in. Empty:
        nothing is known. ``build_id`` empty: it is not known."""


def bare(profile: HeapProfile) -> set[tuple[str, int]]:
    """Libraries and addresses of frames that have no name."""
    return {
        (frame.library, frame.address)
        for stack in profile.stacks
        for frame in stack
        if frame.function is None and frame.library is not None and frame.address is not None
    }


def symbolized(profile: HeapProfile, resolver: Resolver) -> HeapProfile:
    """The same profile with names, as far as the resolver knows them."""
    wanted = bare(profile)
    if not wanted:
        return profile
    prepare = getattr(resolver, "prepare", None)  # of those that are quicker if they know all at once
    if prepare is not None:
        prepare([(library, "", address) for library, address in sorted(wanted)])
    return replace(profile, stacks=tuple(_named(stack, resolver) for stack in profile.stacks))


def _named(stack: Stack, resolver: Resolver) -> Stack:
    frames: list[Frame] = []
    for frame in stack:
        if frame.function is None and frame.library is not None and frame.address is not None:
            frames.extend(resolver.resolve(frame.library, "", frame.address) or (frame,))
        else:
            frames.append(frame)
    return tuple(frames)


def changed_since(profile: HeapProfile, written: float) -> str | None:
    """A sentence where programs or libraries were built anew since: then the names are wrong."""
    newer = sorted({library for library, _ in bare(profile) if _modified(library) > written + _SLACK_SECONDS})
    if not newer:
        return None
    names = ", ".join(newer[:3]) + (", ..." if len(newer) > 3 else "")
    return f"Changed since the profile was written, so that names may be wrong: {names}."


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except (OSError, ValueError):
        return 0.0
