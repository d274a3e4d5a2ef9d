"""What a command needs under other settings of malloc: executed in turn, several times each, and compared.

Pure but for :func:`execute`, which is given what executes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from hiwater.heap.malloc_settings import Setting

RUNS = 3
SURE = 2.0
"""So many times the wider of two ranges have to lie between two medians that are called different. Where nothing
differs, that and ranges that do not touch come about by chance in one comparison of 180 (three executions each; in one
of 15 with two, one of 50,000 with five; simulated with normal noise, less often with outliers)."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class Peak:
    """One execution."""

    bytes: int
    """Its peak RSS, as ``hiwater run`` measures it; between"""
    low: int
    high: int
    cpu_seconds: float | None
    """User and system time of the command and its descendants."""


@dataclass(frozen=True, slots=True)
class Tried:
    """All executions under one setting."""

    name: str | None
    """``None``: the command as it is."""
    environment: tuple[tuple[str, str], ...]
    what: str
    peaks: tuple[Peak, ...]
    failure: str | None = None
    """Why it was given up."""

    @property
    def bytes(self) -> int | None:
        """The median; ``None`` without an execution."""
        return round(median(one.bytes for one in self.peaks)) if self.peaks else None

    @property
    def low(self) -> int | None:
        """The lowest bound of all executions."""
        return min((one.low for one in self.peaks), default=None)

    @property
    def high(self) -> int | None:
        """The highest bound."""
        return max((one.high for one in self.peaks), default=None)

    @property
    def cpu_seconds(self) -> float | None:
        """The median."""
        known = [one.cpu_seconds for one in self.peaks if one.cpu_seconds is not None]
        return median(known) if known else None


@dataclass(frozen=True, slots=True)
class Change:
    """One setting against the command as it is."""

    bytes: int
    """Between the medians; negative: it needs less."""
    sure: bool
    """More than the differences among executions under the same setting (:data:`SURE`)."""
    cpu_ratio: float | None


@dataclass(frozen=True, slots=True)
class Trials:
    """The command as it is, and under each setting."""

    plain: Tried
    settings: tuple[Tried, ...]
    runs: int
    """Executions of each that were asked for."""
    note: str | None = None
    """Why there are fewer, or none."""

    def change(self, tried: Tried) -> Change | None:
        """``None`` where one of the two was never executed."""
        plain = self.plain
        if plain.bytes is None or tried.bytes is None:
            return None
        cpu, own = plain.cpu_seconds, tried.cpu_seconds
        ratio = own / cpu if cpu and own is not None else None
        return Change(tried.bytes - plain.bytes, _apart(plain.peaks, tried.peaks), ratio)

    @property
    def best(self) -> Tried | None:
        """The setting that surely needs the least; ``None`` where none surely needs less than none."""
        less = [(found.bytes, one) for one in self.settings if (found := self.change(one)) and found.sure]
        saving = [pair for pair in less if pair[0] < 0]
        return min(saving, key=lambda pair: pair[0])[1] if saving else None


def _apart(one: Sequence[Peak], other: Sequence[Peak]) -> bool:
    if min(len(one), len(other)) < 2:
        return False
    ranges = [(min(peak.low for peak in peaks), max(peak.high for peak in peaks)) for peaks in (one, other)]
    if ranges[0][1] >= ranges[1][0] and ranges[1][1] >= ranges[0][0]:
        return False
    widest = max(high - low for low, high in ranges)
    return abs(median(peak.bytes for peak in one) - median(peak.bytes for peak in other)) > SURE * widest


Once = Callable[[Mapping[str, str]], "Peak | str"]
"""Executes the command with variables that are set besides: its peak, or how it failed."""


def execute(
    settings: Sequence[Setting], once: Once, runs: int = RUNS, told: Callable[[str], None] = lambda _: None
) -> Trials:
    """In turn, so that what changes on the machine meanwhile changes all of them. ``told`` hears what comes next."""
    named: list[Setting | None] = [None, *settings]
    peaks: list[list[Peak]] = [[] for _ in named]
    failures: list[str | None] = [None] * len(named)
    note = None
    try:
        for run in range(runs):
            for at, setting in enumerate(named):
                if failures[at] is not None:
                    continue
                told(f"{run + 1} of {runs}: {'as it is' if setting is None else setting.name}")
                found = once({} if setting is None else dict(setting.environment))
                if isinstance(found, str):
                    failures[at] = found
                else:
                    peaks[at].append(found)
            if failures[0] is not None:
                note = f"the command, executed once more as it is, {failures[0]}"
                break
    except KeyboardInterrupt:
        note = "interrupted: these are the executions until then"
    made = [
        Tried(None, (), "as it is", tuple(peaks[at]), failures[at])
        if setting is None
        else Tried(setting.name, setting.environment, setting.what, tuple(peaks[at]), failures[at])
        for at, setting in enumerate(named)
    ]
    return Trials(made[0], tuple(made[1:]), runs, note)


def dumps(trials: Trials) -> bytes:
    """What a recording keeps of it: UTF-8 JSON."""
    document = {
        "version": VERSION,
        "runs": trials.runs,
        "note": trials.note,
        "tried": [
            [
                one.name, [list(pair) for pair in one.environment], one.what, one.failure,
                [[peak.bytes, peak.low, peak.high, peak.cpu_seconds] for peak in one.peaks],
            ]
            for one in (trials.plain, *trials.settings)
        ],
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def loads(data: bytes) -> Trials | None:
    """``None`` where that is none of this version, or a damaged one."""
    try:
        document = json.loads(data)
        if document["version"] != VERSION:
            return None
        plain, *settings = [_tried(*fields) for fields in document["tried"]]
        runs, note = document["runs"], document["note"]
        if not isinstance(runs, int) or not (note is None or isinstance(note, str)):
            return None
        return Trials(plain, tuple(settings), runs, note)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _tried(*fields: Any) -> Tried:
    name, environment, what, failure, peaks = fields
    texts = [what, *(text for text in (name, failure) if text is not None), *(t for pair in environment for t in pair)]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    return Tried(name, tuple((key, value) for key, value in environment), what, tuple(map(_peak, peaks)), failure)


def _peak(fields: Any) -> Peak:
    size, low, high, cpu = fields
    if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in (size, low, high)):
        raise TypeError
    if not (cpu is None or (isinstance(cpu, (int, float)) and 0 <= cpu < float("inf"))):
        raise TypeError
    return Peak(size, low, high, cpu)
