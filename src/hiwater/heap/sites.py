"""Call sites: which places of a program held the memory of a snapshot.

The place is the innermost frame that is no plumbing (:mod:`hiwater.heap.plumbing`). For pictures of whole stacks see
:func:`hiwater.heap.tree.tree` and :func:`hiwater.heap.graph.call_graph`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from enum import Enum

from hiwater.heap.model import Frame, HeapProfile, Holding, Kind, Language, Snapshot, Stack
from hiwater.heap.plumbing import Plumbing
from hiwater.heap.symbols.names import short_name

UNKNOWN = "(unknown)"
"""The function of which nothing is known, not even an address."""


class By(str, Enum):
    """What is one place."""

    FUNCTION = "function"
    LINE = "line"
    LIBRARY = "library"
    """The file of a frame's code; of Python the module's file."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class CallSite:
    """One place that held memory."""

    function: str | None
    """``None``: it has no name, or the place is a library."""
    file: str | None
    line: int | None
    """``None`` also where the place is a function or a library."""
    library: str | None
    in_use_bytes: int
    """Estimated where the engine samples."""
    standard_error_bytes: int
    """Of ``in_use_bytes``; 0 for exact engines."""
    allocations: int
    """Blocks, estimated likewise."""
    stack: Stack
    """The one that holds most of it, innermost first, the allocator's frames left out."""
    kind: Kind
    stacks: int = 1
    """How many different stacks led here."""
    address: int | None = None
    """In the library's own terms, where the function has no name."""
    language: Language = Language.NATIVE


@dataclass(slots=True)
class _Sum:
    frame: Frame | None
    kind: Kind
    bytes: int = 0
    variance: float = 0.0
    allocations: int = 0
    largest: tuple[int, Stack] = (-1, ())
    stacks: set[int] = field(default_factory=set)


def call_sites(
    profile: HeapProfile, snapshot: Snapshot, by: By = By.LINE, plumbing: Plumbing | None = None
) -> tuple[CallSite, ...]:
    """The places that held memory at that moment, the largest first; memory mapped by the program itself is apart."""
    plumbing = plumbing or Plumbing()
    places = [plumbing.site(stack) for stack in profile.stacks]
    sums: dict[object, _Sum] = {}
    for held in snapshot.holdings:
        stack, place = profile.stacks[held.stack], places[held.stack]
        frame = None if place is None else stack[place]
        entry = sums.setdefault((held.kind, frame and identity(frame, by)), _Sum(frame, held.kind))
        _add(entry, held, stack[place or 0 :])
    sites = (_site(entry, by) for entry in sums.values())
    return tuple(
        sorted(sites, key=lambda site: (-site.in_use_bytes, site.function or "", site.file or "", site.line or 0))
    )


def _add(entry: _Sum, held: Holding, stack: Stack) -> None:
    entry.bytes += held.in_use_bytes
    entry.variance += held.variance
    entry.allocations += held.allocations
    entry.stacks.add(held.stack)
    if held.in_use_bytes > entry.largest[0]:
        entry.largest = held.in_use_bytes, stack


def _site(entry: _Sum, by: By) -> CallSite:
    frame = entry.frame or Frame(None)
    return CallSite(
        function=None if by is By.LIBRARY else frame.function,
        file=None if by is By.LIBRARY and frame.language is Language.NATIVE else frame.file,
        line=frame.line if by is By.LINE else None,
        library=frame.library,
        in_use_bytes=entry.bytes,
        standard_error_bytes=round(math.sqrt(entry.variance)),
        allocations=entry.allocations,
        stack=entry.largest[1],
        kind=entry.kind,
        stacks=len(entry.stacks),
        address=frame.address if frame.function is None and by is not By.LIBRARY else None,
        language=frame.language,
    )


def identity(frame: Frame, by: By) -> tuple[object, ...]:
    """What two frames of one place have in common."""
    if by is By.LIBRARY:
        return (frame.library or (frame.file if frame.language is Language.PYTHON else None),)
    name: object = frame.function if frame.function is not None else frame.address
    if by is By.FUNCTION:
        return (name, frame.library, frame.file)
    return (name, frame.library, frame.file, frame.line)


class Numbers:
    """A number for each place. Frames are looked up as objects first: a stack's are mostly another's, too, and telling
    by their contents takes long. They have to live as long as this."""

    def __init__(self, by: By) -> None:
        self._by = by
        self._of_object: dict[int, int] = {}
        self._of_place: dict[tuple[object, ...], int] = {}

    def of(self, frame: Frame) -> int:
        """That of a frame's place."""
        number = self._of_object.get(id(frame))
        if number is None:
            number = self._of_place.setdefault(identity(frame, self._by), len(self._of_place))
            self._of_object[id(frame)] = number
        return number


def label(frame: Frame, by: By = By.FUNCTION, templates: bool = False) -> str:
    """A frame in a few words. ``templates``: with the arguments of templates."""
    library = os.path.basename(frame.library) if frame.library else None
    if by is By.LIBRARY:
        return library or (frame.file if frame.language is Language.PYTHON and frame.file else UNKNOWN)
    if frame.function is None:
        place = f"{frame.address:#x}" if frame.address is not None else None
        return f"{library or '?'}+{place}" if place else library or UNKNOWN
    python = frame.language is Language.PYTHON
    name = frame.function if python or templates else short_name(frame.function)
    if by is By.LINE and frame.file:
        return f"{name} ({os.path.basename(frame.file)}{'' if frame.line is None else f':{frame.line}'})"
    return name
