"""The history of checks as a list, and as a line of characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from hiwater.analysis.budget import Figure
from hiwater.checks.history import Point
from hiwater.checks.verdict import percent
from hiwater.units import format_size
from hiwater.views.names import visible
from hiwater.views.paint import Paint

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*#@"
_PASSES = ("ok", "improved", "unsure")


def render(
    history: Mapping[str, Sequence[Point]], figure: Figure, width: int, paint: Paint, *, brief: bool = False
) -> str:
    """Of each check a line that shows its course, then its commits, the latest last."""
    lines = []
    for name, points in history.items():
        lines.append(
            f"{paint('bold', visible(name))}  {_course(points, figure, width - len(name) - 40, paint)}".rstrip()
        )
        if not brief:
            lines += [_line(before, point, paint) for before, point in zip([None, *points], points)]  # noqa: B905
    return "".join(line + "\n" for line in lines)


def _course(points: Sequence[Point], figure: Figure, room: int, paint: Paint) -> str:
    known = [point.size for point in points if point.size is not None]
    if not known:
        return f"{figure.words} never known"
    drawn = sparkline([point.size for point in points][-max(8, room) :], _BLOCKS if paint.unicode else _ASCII)
    return f"{drawn}  {figure.words} {format_size(min(known))} to {format_size(max(known))}"


def sparkline(sizes: Sequence[int | None], steps: str = _BLOCKS) -> str:
    """A character for each size, between the smallest and the largest; a gap for what is unknown.

    What differs by less than 1 % of the largest is drawn level: noise is no mountain.
    """
    known = [size for size in sizes if size is not None]
    low, high = min(known, default=0), max(known, default=0)
    span = max(high - low, high // 100, 1)
    top = len(steps) - 1
    return "".join(" " if size is None else steps[round((size - low) / span * top)] for size in sizes)


def _line(before: Point | None, point: Point, paint: Paint) -> str:
    name = "no commit" if point.commit is None else point.commit[:10]
    when = f"{datetime.fromtimestamp(point.time, timezone.utc):%Y-%m-%d %H:%M}"
    change = ""
    if before is not None and before.size and point.size:
        change = f"{percent(point.size / before.size)} %"
    good = point.status in _PASSES
    mark = paint.mark(None if point.status == "unsure" else good)
    size = format_size(point.size)
    state = name + ("+" if point.dirty else "")
    return f"  {state:<11}  {when}  {size:>12}  {change:>9}  n={len(point.sizes):<3} {mark} {point.status}"
