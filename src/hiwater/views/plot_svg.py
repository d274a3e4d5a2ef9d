"""The timeline of a recording as a picture: SVG for papers and README files, without a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from html import escape
from math import ceil

from hiwater.analysis.stack import Stack, peak_ns, stack
from hiwater.analysis.timeline import course
from hiwater.recording.model import Recording
from hiwater.units import MIB, format_size, mib
from hiwater.views.names import command_line, shorten, xml_text
from hiwater.views.process_names import process_names
from hiwater.views.report_data import KIND_WORDS
from hiwater.views.style import DASH

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 340, 92, 24, 46, 34
COLORS = ("#3f78c4", "#c48e4f", "#7033cc", "#d04369", "#ccc233", "#2b2b82", "#5d2828", "#8cd9a1")
KIND_COLORS = {"anon": "#3f78c4", "file": "#8cd9a1", "shmem": "#ccc233", "unknown": "#a3adb8", "swap": "#d04369"}
OTHERS = "#a3adb8"
_INK, _SOFT, _GRID, _MARK = "#1b2430", "#5b6775", "#e3e7ec", "#b3261e"
_LEGEND_ROW, _LETTER = 19, 7.3
"""Height of a line; width of a letter in the widest of the usual fonts."""
_NOTE = "Stack: the sum of what each process had resident. Tree peak: shared pages counted once, with its bounds."


class By(str, Enum):
    """What the stack consists of."""

    PROCESS = "process"
    KIND = "kind"


Layer = tuple[str, str, Sequence[int]]
"""Its name, its colour, its sizes."""
_Scale = Callable[[float], float]


def render(recording: Recording, by: By) -> str:
    """The stack of what was resident, and the tree's peak with its bounds."""
    rows = course(recording)
    at = peak_ns(recording, rows)
    shown = stack(rows, focus_ns=at, buckets=WIDTH, top=len(COLORS))
    layers = _by_kind(shown) if by is By.KIND else _by_process(recording, shown)
    tree = recording.summary.tree.reading
    sums = [sum(sizes) for sizes in zip(*(layer[2] for layer in layers), strict=True)]
    most = max([*sums, tree.bytes or 0], default=0)
    if tree.high is not None and tree.high < most * 1.3:
        most = max(most, tree.high)
    room = max(most, MIB // 16) * 1.04
    step = nice_step(room)
    lines = ceil(room / step)
    top, end = step * lines, rows.end_ns

    def x(t_ns: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * max(0, t_ns) / end, 1)

    def y(size: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - size / top), 1)

    legend = _legend(layers)
    height = HEIGHT + 32 + _LEGEND_ROW * len(legend)
    command = xml_text(shorten(command_line(recording.arguments) or "(unknown command)", 74))
    told = f"tree peak {format_size(tree.bytes)}" if tree.bytes is not None else "tree peak unknown"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(command)}: memory over time</title><desc id="d">{escape(told)}</desc>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="26" font-size="15" font-weight="600">{escape(command)}</text>',
    ]
    for line in range(lines + 1):
        at_y = y(step * line)
        label = f"{step * line / MIB:g} MiB" if line else "0"
        parts.append(f'<path d="M{LEFT} {at_y}H{WIDTH - RIGHT}" stroke="{_GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at_y + 4}" text-anchor="end" fill="{_SOFT}">{label}</text>')
    parts += _areas(layers, [x(t_ns) for t_ns in shown.time_ns], x(end), y)
    parts += _time_axis(end / 1e9)
    parts.append(f'<text x="{LEFT}" y="{height - 8}" font-size="11" fill="{_SOFT}">{_NOTE}</text>')
    if at is not None and tree.bytes is not None:
        words = f"{told} ({mib(tree.low)} {DASH} {mib(tree.high)})"
        low = y(tree.low if tree.low is not None else tree.bytes)
        high = TOP if tree.high is None else y(tree.high)
        parts += _peak(x(at), y(tree.bytes), low, high, words)
    return "\n".join([*parts, *(part for row in legend for part in row), "</svg>"]) + "\n"


def nice_step(largest: float) -> float:
    """A fifth of the axis: 1, 2, 2.5 or 5 times a power of ten of MiB, five of which reach the largest."""
    unit = MIB / 1000
    while True:
        for factor in (1, 2, 2.5, 5):
            if unit * factor * 5 >= largest:
                return unit * factor
        unit *= 10


def _by_process(recording: Recording, shown: Stack) -> list[Layer]:
    processes = {process.number: process for process in recording.observed_processes}
    names = process_names(recording)
    layers: list[Layer] = []
    for number, sizes in shown.by_process.items():
        process = processes[number]
        layers.append((f"{names[number].label(24)} ({process.pid})", COLORS[len(layers)], sizes))
    if any(shown.others):
        layers.append((f"{len(processes) - len(layers)} others", OTHERS, shown.others))
    return layers


def _by_kind(shown: Stack) -> list[Layer]:
    return [(KIND_WORDS[kind], KIND_COLORS[kind], sizes) for kind, sizes in shown.by_kind.items()]


def _areas(layers: list[Layer], places: list[float], end: float, y: _Scale) -> list[str]:
    """From the top of the stack down: each covers what is not its own."""
    below = [0] * len(places)
    paths = []
    for name, color, sizes in layers:
        below = [one + other for one, other in zip(below, sizes, strict=True)]
        path: list[str] = []
        last = None
        for place, size in zip(places, below, strict=True):
            level = y(size)
            if level != last:
                path.append(f"H{place:g}V{level:g}" if path else f"M{place:g} {y(0):g}V{level:g}")
                last = level
        if path:
            paths.append(
                f'<path d="{"".join(path)}H{end:g}V{y(0):g}Z" fill="{color}" stroke="{color}" stroke-width=".6">'
                f"<title>{escape(xml_text(name))}</title></path>"
            )
    return paths[::-1]


def _time_axis(end: float) -> list[str]:
    step = next(
        unit * factor
        for unit in (10.0**power for power in range(-6, 9))
        for factor in (1, 2, 5)
        if unit * factor * 8 >= end
    )
    parts = []
    for mark in range(int(end / step) + 1):
        place = round(LEFT + (WIDTH - LEFT - RIGHT) * mark * step / end, 1)
        text = f"{mark * step:g} s"
        parts.append(f'<text x="{place}" y="{HEIGHT - 12}" text-anchor="middle" fill="{_SOFT}">{text}</text>')
    return parts


def _peak(x: float, y: float, low: float, high: float, words: str) -> list[str]:
    left = x > WIDTH / 2
    anchor, at = ("end", x - 10) if left else ("start", x + 10)
    # A bound beyond the picture: an arrow, no end.
    end = f"V{high}M{x - 5} {high}h10" if high > TOP else f"V{TOP}M{x - 4} {TOP + 6}L{x} {TOP}L{x + 4} {TOP + 6}"
    return [
        f'<g class="peak"><path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="{_MARK}" stroke-dasharray="5 4" opacity=".7"/>',
        f'<path d="M{x - 5} {low}h10M{x} {low}{end}" fill="none" stroke="{_MARK}" stroke-width="1.5"/>',
        f'<circle cx="{x}" cy="{y}" r="4.5" fill="{_MARK}" stroke="#fff" stroke-width="1.5"/>',
        f'<text x="{at}" y="{max(y - 9, TOP + 4)}" text-anchor="{anchor}" fill="{_MARK}" font-weight="600"'
        f' stroke="#fff" stroke-width="4" stroke-linejoin="round" paint-order="stroke">{escape(words)}</text></g>',
    ]


def _legend(layers: list[Layer]) -> list[list[str]]:
    """In rows of as many columns as the longest name leaves room for."""
    texts = [f"{xml_text(name)}, {format_size(max(sizes, default=0))}" for name, _, sizes in layers]
    room = WIDTH - LEFT - RIGHT
    columns = max(1, min(3, int(room // (25 + _LETTER * max(map(len, texts), default=1)))))
    rows: list[list[str]] = []
    for number, (text, (_, color, _)) in enumerate(zip(texts, layers, strict=True)):
        if number % columns == 0:
            rows.append([])
        x = round(LEFT + room / columns * (number % columns))
        y = HEIGHT + 8 + _LEGEND_ROW * (len(rows) - 1)
        rows[-1].append(f'<rect x="{x}" y="{y}" width="11" height="11" rx="3" fill="{color}"/>')
        rows[-1].append(f'<text x="{x + 17}" y="{y + 10}">{escape(text)}</text>')
    return rows
