"""A flame graph as a picture: SVG that needs no script to be read. What a box is, it tells when pointed at."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from html import escape

from hiwater.heap.model import HeapProfile, Snapshot
from hiwater.heap.plumbing import Plumbing
from hiwater.heap.sites import By
from hiwater.heap.tree import Direction, Node, tree
from hiwater.units import format_size
from hiwater.views import heap_words as words
from hiwater.views.flame import GREY, Box, Call, boxes, calls, colors, difference, owner
from hiwater.views.names import shorten, visible, xml_text

WIDTH, ROW, SIDE, TOP = 1200, 18, 12, 64
INK, SOFT, PAPER = "#17202b", "#5b6775", "#fff"
LEAST = 0.6 / WIDTH
"""Narrower boxes are not drawn."""
_LETTER = 6.6
"""Width of a letter of 11 pixels; names in code have many wide ones."""
_SEPARATOR = re.compile(r"(::(?![^<]*>))")
GREW, SHRANK = (217, 93, 32), (48, 108, 190)
"""Orange and blue: apart for all eyes."""


class Way(str, Enum):
    """Where the root stands."""

    FLAME = "flame"
    """Below, as a fire stands."""
    ICICLE = "icicle"
    """Above."""

    def __str__(self) -> str:
        return self.value


def render(
    profile: HeapProfile,
    snapshot: Snapshot,
    *,
    by: By = By.FUNCTION,
    way: Way = Way.ICICLE,
    inverted: bool = False,
    least: float = LEAST,
) -> str:
    """One snapshot. ``inverted``: from the call sites to their callers."""
    root = calls(_tree(profile, snapshot, by, inverted))
    lines = [
        f"{words.who(profile)}: the heap {words.moment(profile, snapshot)}",
        words.sizes(profile, snapshot) + (". From the call sites to their callers" if inverted else ""),
    ]
    palette = colors(root)
    legend = [(tone, words.base(whose)) for whose, tone in palette.items()]
    if len(palette) > 1 and root.children:
        legend.append((GREY, "others"))

    def tone(call: Call) -> str:
        return palette.get(owner(call.frame) or "", GREY)

    return draw(root, lines, legend, tone, way, least)


def render_difference(
    old: HeapProfile,
    new: HeapProfile,
    before: Snapshot,
    after: Snapshot,
    *,
    by: By = By.FUNCTION,
    way: Way = Way.ICICLE,
    inverted: bool = False,
) -> str:
    """What changed from one profile to another: each call as wide as the larger of the two, in orange where it grew and
    blue where it shrank."""
    root = difference(_tree(old, before, by, inverted), _tree(new, after, by, inverted))
    change = (after.in_use_bytes - before.in_use_bytes) / (1 << 20)
    lines = [
        f"{words.who(new)}: the heap {words.moment(new, after)}, compared with another profile",
        f"{format_size(before.in_use_bytes)} before, {format_size(after.in_use_bytes)} now: {change:+.1f} MiB. "
        "Differences within the errors of sampling are coloured too",
    ]
    grew, shrank = Call("", None, 1, before_bytes=0), Call("", None, 0, before_bytes=1)
    legend = [(change_color(grew), "grew"), (GREY, "unchanged"), (change_color(shrank), "shrank")]
    return draw(root, lines, legend, change_color, way)


def _tree(profile: HeapProfile, snapshot: Snapshot, by: By, inverted: bool) -> Node:
    """All calls from the root inwards; or from the call sites outwards, without what they called to allocate."""
    if inverted:
        return tree(profile, snapshot, by, Direction.FROM_SITE, plumbing=Plumbing())
    return tree(profile, snapshot, by)


def draw(
    root: Call,
    head: list[str],
    legend: list[tuple[str, str]],
    tone: Callable[[Call], str],
    way: Way,
    least: float = LEAST,
) -> str:
    """Boxes, a headline with a line below, what the colours mean."""
    found = list(boxes(root, least))
    deepest = max((box.depth for box in found), default=0)
    rows = _legend_rows(legend)
    top = TOP + 20 * len(rows)
    height = top + ROW * (deepest + 1) + SIDE
    title, *more = [xml_text(line) for line in head]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="11" fill="{INK}" '
        'role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        f'<g font-family="system-ui, sans-serif"><text x="{SIDE}" y="24" font-size="15" font-weight="600">'
        f"{escape(shorten(title, 120))}</text>",
    ]
    parts += [
        f'<text x="{SIDE}" y="{44 + 16 * at}" font-size="12" fill="{SOFT}">{escape(shorten(line, 170))}</text>'
        for at, line in enumerate(more[:1])
    ]
    for at, row in enumerate(rows):
        y = 56 + 20 * at
        for x, color, name in row:
            parts.append(f'<rect x="{x}" y="{y}" width="11" height="11" rx="2" fill="{color}"/>')
            parts.append(f'<text x="{x + 16}" y="{y + 10}" font-size="12">{escape(xml_text(name))}</text>')
    parts.append("</g>")
    if not root.width:
        parts.append(f'<text x="{SIDE}" y="{top + 12}">nothing was held</text>')
    for box in found:
        y = top + ROW * (box.depth if way is Way.ICICLE else deepest - box.depth)
        parts.append(_box(box, y, tone(box.call), root))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _box(box: Box, y: int, color: str, root: Call) -> str:
    room = WIDTH - 2 * SIDE
    x, width = SIDE + room * box.left, room * box.width
    label = visible(box.call.name)
    fits = int((width - 6) / _LETTER)
    shown = fitted(label, fits)
    text = f'<text x="{x + 3:.1f}" y="{y + 13}">{escape(xml_text(shown))}</text>' if shown else ""
    return (
        f"<g><title>{escape(xml_text(told(box.call, root)))}</title>"
        f'<rect x="{x:.2f}" y="{y}" width="{max(0.4, width - 0.6):.2f}" height="{ROW - 1}" rx="1.5" '
        f'fill="{color}"/>{text}</g>'
    )


def fitted(name: str, letters: int) -> str:
    """As much of a name as there is room for: its last parts tell the most."""
    if len(name) <= letters:
        return name
    parts = _SEPARATOR.split(name)
    while len(parts) > 2 and len(name) > letters:
        name = name[len(parts[0]) + len(parts[1]) :]
        parts = parts[2:]
    if len(name) <= letters:
        return name
    return f"{name[: letters - 1]}…" if letters >= 4 else ""


def told(call: Call, root: Call) -> str:
    """What a box tells when pointed at."""
    whole = root.in_use_bytes or 1
    lines = [visible(call.name)]
    frame = call.frame
    if frame is not None and frame.function is not None and frame.function != call.name:
        lines[0] = shorten(visible(frame.function), 300)
    lines.append(f"{words.amount(call.in_use_bytes, round(call.variance**0.5))}, {call.in_use_bytes / whole:.1%}")
    if call.before_bytes is not None:
        change = (call.in_use_bytes - call.before_bytes) / (1 << 20)
        lines.append(f"before {format_size(call.before_bytes)}, {change:+.1f} MiB")
    if call.own_bytes and call.children:
        lines.append(f"of that {format_size(call.own_bytes)} ends here")
    if frame is not None:
        lines.append(", ".join(part for part in (words.base(owner(frame)), words.base(frame.file)) if part))
    return "\n".join(line for line in lines if line)


def change_color(call: Call) -> str:
    """Grown towards orange, shrunk towards blue, as far as it changed."""
    before = call.before_bytes or 0
    if call.in_use_bytes == before:
        return GREY
    share = (call.in_use_bytes - before) / max(call.width, 1)
    end = GREW if share > 0 else SHRANK
    strong = 0.15 + 0.6 * min(1.0, abs(share))
    mixed = [round(235 + (part - 235) * strong) for part in end]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _legend_rows(legend: list[tuple[str, str]]) -> list[list[tuple[int, str, str]]]:
    """In as many rows as the names take."""
    rows: list[list[tuple[int, str, str]]] = []
    x = WIDTH
    for color, name in legend:
        name = shorten(name, 40)
        width = 34 + round(7.2 * len(name))
        if x + width > WIDTH - SIDE:
            rows.append([])
            x = SIDE
        rows[-1].append((x, color, name))
        x += width
    return rows
