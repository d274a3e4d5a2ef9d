"""Ramp, plateau or spike: what the course of a heap was, and who made its peak."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

from hiwater.heap.model import HeapProfile, Snapshot
from hiwater.heap.rows import HeapRow, rows
from hiwater.heap.sites import By

SPIKE = 0.1
"""Of the peak: what has to be gone again at the end to be worth a word."""
BRIEF = 0.25
"""Of the whole time: what stays longer than this is no spike."""
STRAIGHT = 0.12
"""Of the peak: as far as a straight ramp may lie from its line, on average."""


class Shape(str, Enum):
    """What the course looks like."""

    RAMP = "ramp"
    """It grows from the begin to the end, and what is allocated stays."""
    PLATEAU = "plateau"
    """It is reached early, and stays."""
    SPIKE = "spike"
    """For a short time only."""
    HILL = "hill"
    """For a longer time, and then most of it is given back."""
    UNKNOWN = "unknown"
    """The end was not seen, or the profile is empty."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Form:
    """The shape with its figures."""

    shape: Shape
    peak_bytes: int | None = None
    exit_bytes: int | None = None
    gone_bytes: int | None = None
    """Of the peak, what was no longer there at the end."""
    at_seconds: float | None = None
    """When the peak was."""
    share_of_time: float | None = None
    """How much of the time the heap was within half of what is gone from its peak."""
    cause: HeapRow | None = None
    """The function that held most of what is gone; ``None`` where none can be told."""
    cause_bytes: int | None = None
    straight: bool = False
    """Of a ramp: it grew at one pace."""


def form(profile: HeapProfile) -> Form:
    """Peak against exit."""
    peak, end = profile.peak, profile.exit
    if peak is None or end is None or not peak.in_use_bytes:
        return Form(Shape.UNKNOWN, None if peak is None else peak.in_use_bytes)
    gone = peak.in_use_bytes - end.in_use_bytes
    error = (peak.standard_error_bytes**2 + end.standard_error_bytes**2) ** 0.5
    told = Form(Shape.UNKNOWN, peak.in_use_bytes, end.in_use_bytes, max(gone, 0), peak.at_seconds)
    if gone > max(SPIKE * peak.in_use_bytes, 3 * error):
        high = _time_above(profile, peak.in_use_bytes - gone / 2)
        cause, size = _cause(profile, peak, end)
        shape = Shape.SPIKE if high is not None and high < BRIEF else Shape.HILL
        return replace(told, shape=shape, share_of_time=high, cause=cause, cause_bytes=size)
    high = _time_above(profile, 0.85 * peak.in_use_bytes)
    if high is None:
        return told
    if high >= 0.5:
        return replace(told, shape=Shape.PLATEAU, share_of_time=high)
    return replace(told, shape=Shape.RAMP, share_of_time=high, straight=_straight(profile))


def _time_above(profile: HeapProfile, level: float) -> float | None:
    """The share of the time in which the heap held at least so much; each point holds until the next."""
    points = profile.course
    if len(points) < 3 or points[-1].at_seconds <= points[0].at_seconds:
        return None
    above = sum(after.at_seconds - one.at_seconds for one, after in pairwise(points) if one.in_use_bytes >= level)
    return above / (points[-1].at_seconds - points[0].at_seconds)


def _straight(profile: HeapProfile) -> bool:
    """Whether the course lies near the line from its first to its highest point."""
    points = profile.course
    top = max(range(len(points)), key=lambda at: points[at].in_use_bytes)
    first, last = points[0], points[top]
    span, rise = last.at_seconds - first.at_seconds, last.in_use_bytes - first.in_use_bytes
    if top < 3 or span <= 0 or rise <= 0:
        return False
    away = [
        abs(one.in_use_bytes - first.in_use_bytes - rise * (one.at_seconds - first.at_seconds) / span)
        for one in points[: top + 1]
    ]
    return sum(away) / len(away) <= STRAIGHT * rise


def _cause(profile: HeapProfile, peak: Snapshot, end: Snapshot) -> tuple[HeapRow | None, int | None]:
    """Which function held most of the difference, if that is surely something."""
    left = {row.key: row for row in rows(profile, end, By.FUNCTION)}
    best, most = None, 0
    for row in rows(profile, peak, By.FUNCTION):
        if row.key.mapped:
            continue
        stayed = left.get(row.key)
        gone = row.in_use_bytes - (stayed.in_use_bytes if stayed is not None else 0)
        variance = row.variance + (stayed.variance if stayed is not None else 0.0)
        if gone > most and gone > 3 * variance**0.5:
            best, most = row, gone
    return (best, most) if best is not None else (None, None)
