"""Two heap profiles: who holds more than before, who less, and whether that is more than sampling alone explains."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from math import sqrt
from statistics import NormalDist

from hiwater.heap.model import Frame, HeapProfile, Language, Snapshot
from hiwater.heap.rows import HeapRow, Key, is_told, rows
from hiwater.heap.sites import By
from hiwater.heap.symbols.names import short_name

CHANCE = 0.01
"""That any one of all rows is called a change, and is none."""
_VERSION = re.compile(r"(\.so)[.\d]*$|-\d[.\d]*(\.so)[.\d]*$")


class Verdict(str, Enum):
    """What became of a row."""

    GREW = "grew"
    SHRANK = "shrank"
    UNSURE = "unsure"
    """The difference is no larger than sampling makes it."""
    SAME = "same"
    """Counted, and equal."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Change:
    """One row in both profiles; 0 bytes where it is in one of them only."""

    key: Key
    """As the newer profile has it, or the older one where it is gone."""
    before_bytes: int
    after_bytes: int
    variance: float
    """Of the difference, in bytes squared. A site without a sample may still have held something: it has the variance
    of one sample."""
    verdict: Verdict

    @property
    def change_bytes(self) -> int:
        """More than before, or less (negative)."""
        return self.after_bytes - self.before_bytes

    @property
    def standard_error_bytes(self) -> int:
        """Of the difference."""
        return round(sqrt(self.variance))


@dataclass(frozen=True, slots=True)
class HeapComparison:
    """What changed from one snapshot to another."""

    old: HeapProfile
    new: HeapProfile
    before: Snapshot
    after: Snapshot
    by: By
    whole: Change
    changes: tuple[Change, ...]
    """Each row, the largest differences first."""

    def of(self, verdict: Verdict) -> tuple[Change, ...]:
        """Those with one verdict."""
        return tuple(change for change in self.changes if change.verdict is verdict)


def compare(
    old: HeapProfile, new: HeapProfile, before: Snapshot, after: Snapshot, by: By = By.FUNCTION
) -> HeapComparison:
    """From ``before``, which is of ``old``, to ``after``, which is of ``new``. Memory that the programs mapped
    themselves is left out."""
    first, second = _table(old, before, by), _table(new, after, by)
    places = list(dict.fromkeys([*second, *first]))
    limit = NormalDist().inv_cdf(1 - CHANCE / 2 / max(1, len(places)))
    changes = []
    for place in places:
        was, now = first.get(place), second.get(place)
        key = (now or was or _NOTHING).key
        variance = _variance(was, old) + _variance(now, new)
        sizes = (was.in_use_bytes if was else 0, now.in_use_bytes if now else 0)
        told = is_told(*_larger(was, now))
        changes.append(Change(key, *sizes, variance, _verdict(sizes[1] - sizes[0], variance, limit, told)))
    changes.sort(key=lambda change: (-abs(change.change_bytes), str(change.key)))
    variance = sum(row.variance for row in (*first.values(), *second.values()))
    whole = before.in_use_bytes, after.in_use_bytes
    verdict = _verdict(whole[1] - whole[0], variance, NormalDist().inv_cdf(1 - CHANCE / 2), True)
    return HeapComparison(old, new, before, after, by, Change(Key(), *whole, variance, verdict), tuple(changes))


def portable(key: Key) -> Key:
    """The same call in another build: without what moves when a program is installed elsewhere or is a newer version,
    which are folders, the version of a library, the types of templates and addresses."""
    return _portable(key.function, key.file, key.library, key.line, key.native)


def portable_frame(frame: Frame | None) -> Key | None:
    """The same of a frame, without its line."""
    if frame is None:
        return None
    native = frame.library is None and frame.file is not None and frame.language is Language.NATIVE
    return _portable(frame.function, frame.file, frame.library, None, native)


def _portable(function: str | None, file: str | None, library: str | None, line: int | None, native: bool) -> Key:
    if file is not None:
        parts = file.rsplit("/", 2)
        # Of Python two parts of the path: very many files are called __init__.py.
        file = "/".join(parts[-2:]) if library is None and not native else parts[-1]
    if library is not None:
        library = _VERSION.sub(lambda found: found[1] or found[2], library.rpartition("/")[2])
    return Key(None if function is None else short_name(function), file, line, library, native=native)


_NOTHING = HeapRow(Key(), 0, 0.0)


def _table(profile: HeapProfile, snapshot: Snapshot, by: By) -> dict[Key, HeapRow]:
    found: dict[Key, HeapRow] = {}
    for row in rows(profile, snapshot, by):
        if row.key.mapped:
            continue
        place = portable(row.key)
        have = found.get(place)
        if have is not None:
            row = HeapRow(have.key, have.in_use_bytes + row.in_use_bytes, have.variance + row.variance)
        found[place] = row
    return found


def _variance(row: HeapRow | None, profile: HeapProfile) -> float:
    if row is not None and row.in_use_bytes:
        return row.variance
    return float(profile.sample_bytes or 0) ** 2


def _larger(was: HeapRow | None, now: HeapRow | None) -> tuple[float, float]:
    """The size and variance of that side which rests on more."""
    row = max((one for one in (was, now) if one is not None), key=lambda one: one.in_use_bytes, default=_NOTHING)
    return row.in_use_bytes, row.variance


def _verdict(change: int, variance: float, limit: float, told: bool) -> Verdict:
    if change == 0 and variance == 0:
        return Verdict.SAME
    if not told or abs(change) <= limit * sqrt(variance):
        return Verdict.UNSURE
    return Verdict.GREW if change > 0 else Verdict.SHRANK
