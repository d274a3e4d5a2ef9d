"""Budgets of call sites and libraries: how much of the heap one of them may hold. Pure verdicts."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from hiwater.heap.model import Engine, Frame, HeapProfile, Kind, Language, Snapshot, Stack
from hiwater.heap.plumbing import Plumbing
from hiwater.heap.symbols.names import short_name
from hiwater.units import format_size, mib

SURE = 3.0
"""Standard errors: so far an estimate has to be from the limit for a verdict."""


class Kept(str, Enum):
    """How a budget was kept."""

    OK = "ok"
    VIOLATED = "violated"
    UNSURE = "unsure"
    """The limit is within three standard errors of the estimate: it cannot be told, which is no alarm."""
    UNDECIDABLE = "undecidable"
    """There is nothing to judge. That is a failure, never a pass."""

    def __str__(self) -> str:
        return self.value


class At(str, Enum):
    """When."""

    PEAK = "peak"
    EXIT = "exit"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class HeapBudget:
    """The most that may be in use; what is ``None`` is not asked for, and with none of them it is the whole heap.

    All may be patterns of a shell, such as ``Library::*``.
    """

    limit_bytes: int
    site: str | None = None
    """The function that is the call site, with or without the arguments of templates."""
    library: str | None = None
    """The file of the call site's code: its name without folders, with or without its version (``libz.so``); of Python
    the name of the module's file."""
    at: At = At.PEAK
    file: str | None = None
    """The source file of the call site: its path as the debug information has it, or its name without folders."""

    @property
    def words(self) -> str:
        """As people read it."""
        whose = [] if self.site is None else [self.site]
        for name in (self.file, self.library):
            whose += [] if name is None else [f"in {name}" if whose else name]
        return f"heap of {' '.join(whose) or 'all'} at {'its peak' if self.at is At.PEAK else 'exit'}"


@dataclass(frozen=True, slots=True)
class HeapJudgement:
    """One budget held against one profile."""

    budget: HeapBudget
    status: Kept
    in_use_bytes: int | None
    standard_error_bytes: int | None
    reason: str


def judge(budget: HeapBudget, profile: HeapProfile | None) -> HeapJudgement:
    """Violated only if the estimate exceeds the limit by more than three of its standard errors."""
    if profile is None:
        return _undecidable(budget, "there is no heap profile")
    if profile.engine is Engine.FAULTS:
        return _undecidable(budget, "page faults do not tell who holds memory")
    snapshot = profile.peak if budget.at is At.PEAK else profile.exit
    if snapshot is None:
        return _undecidable(budget, f"the profile does not hold what lived at {budget.at}")
    plumbing = Plumbing()
    sites = [_site(plumbing, stack) for stack in profile.stacks]
    matching = {at for at, frame in enumerate(sites) if _matches(budget, frame)}
    if not matching:
        return _undecidable(budget, _nothing(budget, sites))
    size, variance = _held(snapshot, matching)
    if not size:
        # Nothing was sampled there: it may have held what one sample stands for.
        variance = float(profile.sample_bytes or 0) ** 2
    error = round(math.sqrt(variance))
    limit, reach = budget.limit_bytes, SURE * math.sqrt(variance)
    amount = f"{mib(size)} ± {mib(error, 2)} MiB" if error else format_size(size)
    if size - reach > limit:
        over = size - limit
        share = f" ({over / limit:.0%})" if limit else ""
        # What differs by less than the last digit shown is said in bytes: no "64.0 MiB exceeds 64.0 MiB".
        said = f"{amount} exceeds its budget {format_size(limit)} by {format_size(over)}{share}"
        if over < 1 << 17:
            said = f"{size} bytes exceeds its budget {limit} bytes by {over} bytes"
        return HeapJudgement(budget, Kept.VIOLATED, size, error, f"{budget.words} {said}")
    if size + reach > limit:
        reason = f"{budget.words} {amount}: whether it exceeds its budget {format_size(limit)} cannot be told"
        return HeapJudgement(budget, Kept.UNSURE, size, error, reason)
    return HeapJudgement(budget, Kept.OK, size, error, f"{budget.words} {amount} keeps its budget {format_size(limit)}")


def _undecidable(budget: HeapBudget, why: str) -> HeapJudgement:
    return HeapJudgement(budget, Kept.UNDECIDABLE, None, None, f"{budget.words} could not be judged: {why}")


def _site(plumbing: Plumbing, stack: Stack) -> Frame | None:
    at = plumbing.site(stack)
    return None if at is None else stack[at]


def _held(snapshot: Snapshot, stacks: set[int]) -> tuple[int, float]:
    own = [held for held in snapshot.holdings if held.kind is not Kind.MMAP and held.stack in stacks]
    return sum(held.in_use_bytes for held in own), math.fsum(held.variance for held in own)


def _matches(budget: HeapBudget, frame: Frame | None) -> bool:
    if budget.site is not None and not _fits(budget.site, _functions(frame)):
        return False
    if budget.file is not None and not _fits(budget.file, _files(frame)):
        return False
    return budget.library is None or _fits(budget.library, _libraries(frame))


def _fits(pattern: str, names: set[str]) -> bool:
    # A name as it stands first: operator[] is no pattern.
    return pattern in names or any(fnmatchcase(name, pattern) for name in names)


def _functions(frame: Frame | None) -> set[str]:
    if frame is None or frame.function is None:
        return set()
    return {frame.function} if frame.language is Language.PYTHON else {frame.function, short_name(frame.function)}


def _files(frame: Frame | None) -> set[str]:
    if frame is None or frame.file is None:
        return set()
    return {frame.file, frame.file.rpartition("/")[2]}


def _libraries(frame: Frame | None) -> set[str]:
    if frame is None:
        return set()
    path = frame.file if frame.language is Language.PYTHON else frame.library
    if path is None:
        return set()
    name = path.rpartition("/")[2]
    head, mark, _ = name.partition(".so")
    return {path, name, head + mark}


def _nothing(budget: HeapBudget, sites: list[Frame | None]) -> str:
    """A name that is misspelt would be kept for ever."""
    told = []
    for asked, known in ((budget.site, _functions), (budget.file, _files), (budget.library, _libraries)):
        if asked is None:
            continue
        names = {name for frame in sites for name in known(frame)}
        if not any(_fits(asked, {name}) for name in names):
            near = difflib.get_close_matches(asked, sorted(names), 1)
            told.append(f"no call site is {asked!r}" + (f"; is {near[0]!r} meant?" if near else ""))
    return "; ".join(told) or "no call site is all of it"
