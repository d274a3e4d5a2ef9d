"""The history of checks as a picture: SVG that needs nothing from elsewhere, one panel a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from hiwater.analysis.budget import Figure
from hiwater.checks.history import Point
from hiwater.units import MIB, format_size
from hiwater.views.names import xml_text

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM = 860, 200, 90, 20, 34, 40
_Scale = Callable[[float], float]
_Place = Callable[[int], float]
_INK, _GRID, _LINE, _BAD = "#222", "#ddd", "#2563a8", "#c0392b"


def render(history: Mapping[str, Sequence[Point]], figure: Figure) -> str:
    """Sizes from zero, so that heights compare; the range of the executions as a bar; what did not pass in red."""
    height = PANEL * max(1, len(history))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' font-family="sans-serif" font-size="12" fill="{_INK}">',
        f"<title>{escape(figure.words)} by commit</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, (name, points) in enumerate(history.items()):
        parts.append(f'<g transform="translate(0 {number * PANEL})">')
        parts += _panel(name, points, figure)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(name: str, points: Sequence[Point], figure: Figure) -> list[str]:
    title = f'<text x="{LEFT}" y="20" font-weight="bold">{escape(xml_text(name))}: {escape(figure.words)}</text>'
    known = [(place, point) for place, point in enumerate(points) if point.sizes]
    if not known:
        return [title, f'<text x="{LEFT}" y="60">never known</text>']
    step = nice(max(max(point.sizes) for _, point in known))
    top = step * 4

    def x(place: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / len(points), 1)

    def y(size: float) -> float:
        return round(TOP + (PANEL - TOP - BOTTOM) * (1 - size / top), 1)

    parts = [title]
    for line in range(5):
        at = y(step * line)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="{_GRID}"/>')
        label = f"{step * line / MIB:g} MiB"
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{label}</text>')
    course = " ".join(f"{x(place)},{y(point.size or 0)}" for place, point in known)
    parts.append(f'<polyline points="{course}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>')
    for place, point in known:
        parts += _mark(x(place), y, point)
    return parts + _labels(known, len(points), x)


def _mark(x: float, y: _Scale, point: Point) -> list[str]:
    color = _LINE if point.status in ("ok", "improved", "unsure") else _BAD
    name = (point.commit or "no commit")[:10] + ("+" if point.dirty else "")
    told = f"{name}: {format_size(point.size)}, {len(point.sizes)} executions, {point.status}"
    low, high = y(min(point.sizes)), y(max(point.sizes))
    return [
        f'<line x1="{x}" x2="{x}" y1="{low}" y2="{high}" stroke="{color}" stroke-width="3" stroke-opacity=".4"/>',
        f'<circle cx="{x}" cy="{y(point.size or 0)}" r="3.5" fill="{color}" data-commit={quoteattr(name)}>'
        f"<title>{escape(told)}</title></circle>",
    ]


def _labels(known: list[tuple[int, Point]], count: int, x: _Place) -> list[str]:
    """The commits, as many as find room."""
    every = -(-count // 10)
    return [
        f'<text x="{x(place)}" y="{PANEL - 14}" text-anchor="middle" font-size="10">{(point.commit or "-")[:8]}</text>'
        for place, point in known
        if place % every == 0
    ]


def nice(largest: int) -> float:
    """A quarter of the axis: 1, 2, 2.5 or 5 times a power of ten of MiB, four of which reach the largest."""
    unit = MIB / 1000
    while True:
        for factor in (1, 2, 2.5, 5):
            if unit * factor * 4 >= largest:
                return unit * factor
        unit *= 10
