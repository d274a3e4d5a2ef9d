"""What stands on the screen, line by line: a pure function of what is known and of what the user chose.

A line is a row of pieces of text, each with the name of a style; whoever draws it knows colours and widgets.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from hiwater.live.chart import area, ceiling
from hiwater.live.rows import Order, rows
from hiwater.live.state import LiveProcess, LiveState
from hiwater.units import format_seconds, mib
from hiwater.views.names import command_line, visible
from hiwater.views.process_names import ProcessName, told_apart
from hiwater.views.tree_text import bars, branches

Piece = tuple[str, str]
"""Text, and its style: "", figure, aside, alarm, bar, peak, key, chosen."""
Line = list[Piece]

_CHART_LINES = 5
_PLAIN = str.maketrans({"·": "|", "…": "~", "→": ">", "–": "-"})  # noqa: RUF001 - a dash of the text
_KEYS = (
    ("q", "close view"),
    ("space", "pause"),
    ("t", "tree"),
    ("r", "RSS"),
    ("p", "peak"),
    ("i", "pid"),
    ("e", "ended"),
    ("/", "filter"),
)


@dataclass
class Choice:
    """What the user chose."""

    order: Order = Order.TREE
    ended: bool = False
    """List who has ended too."""
    pattern: str = ""
    typing: bool = False
    """The pattern is being typed."""
    paused: bool = False
    chosen: int | None = None
    """The number of the process that is explained at the bottom."""
    first: int = 0
    """The row that stands first."""
    page: int = 10
    """How many rows there is room for; set when the screen is drawn."""
    listed: list[int] = field(default_factory=list)
    """The processes that are listed, likewise."""
    names: dict[int, ProcessName] = field(default_factory=dict)
    """What to call them, and ``named`` of the state by which that was found."""
    named: int = -1


@dataclass(frozen=True)
class Looks:
    """What the terminal can show, and what q does."""

    encoding: str = "utf-8"
    quit_does: str = "close view"

    @property
    def unicode(self) -> bool:
        """Whether it takes the bars and branches."""
        try:
            "█├…".encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def safe(self, text: str) -> str:
        """The same as far as the terminal can show it."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return text.translate(_PLAIN).encode(self.encoding, "backslashreplace").decode(self.encoding)
        return text


def draw(state: LiveState, choice: Choice, width: int, height: int, looks: Looks, now_ns: int) -> list[Line]:
    """Exactly ``height`` lines of at most ``width`` cells. ``now_ns``: the time since the start."""
    lines = _head(state, choice, width, now_ns)[: max(1, height - 3)]
    if height >= 16:
        lines += _chart(state, width, looks, now_ns)
    foot = [_explained(state, choice), _keys(choice, looks)][-1 if height < 10 else 0 :]
    room = max(0, height - len(lines) - len(foot))
    lines += _list(state, choice, width, room, looks)
    lines += [[]] * (height - len(lines) - len(foot)) + foot
    return [_fitted(line, width, looks) for line in lines[:height]]


def _fitted(line: Line, width: int, looks: Looks) -> Line:
    """Cut to the width; a character of two cells is not cut in its middle."""
    found: Line = []
    for text, style in line:
        text = looks.safe(text)
        if (cells := cell_len(text)) > width:
            text, cells = set_cell_size(text, width), width
        if text:
            found.append((text, style))
        width -= cells
    return found


# ---- the head ----


def _head(state: LiveState, choice: Choice, width: int, now_ns: int) -> list[Line]:
    first = next(iter(state.processes.values()), None)
    words = state.command or (first.arguments if first is not None else ())
    name = command_line(words) if words else "starting" if first is None else visible(first.name)
    status = format_seconds(now_ns / 1e9) + (" · paused" if choice.paused else "")
    count = f"{state.alive} process" + ("es" if state.alive != 1 else "")
    right = f" {status} · {count}"
    title: Line = [(_cut(name, max(10, width - cell_len(right))), "figure")]
    title.append((" " * max(0, width - cell_len(title[0][0]) - cell_len(right)), ""))
    title.append((right, "alarm" if choice.paused else ""))
    return [title, _now(state), _peak(state)]


def _now(state: LiveState) -> Line:
    now = state.now
    line: Line = [("now  ", "aside"), (f"{mib(now.rss_bytes):>9} MiB", "figure")]
    parts = f"  anon {mib(now.anon_bytes)} · file {mib(now.file_bytes)} · shmem {mib(now.shmem_bytes)}"
    line.append((parts + f" · swap {mib(now.swap_bytes)}", ""))
    if not state.counted_once:
        line.append(("  shared pages in each process", "aside"))
    return line


def _peak(state: LiveState) -> Line:
    peak, largest = state.tree_peak, state.largest()
    line: Line = [("peak ", "aside"), (f"{mib(peak.estimate_bytes if peak else None):>9} MiB", "peak")]
    if peak is not None:
        many = f", {peak.processes} processes" if peak.processes > 1 else ""
        line.append((f"  at {format_seconds(peak.t_ns / 1e9)}{many}", ""))
    if largest is not None:
        line.append((f" · largest: {visible(largest.name)}, pid {largest.pid}, {mib(largest.peak_bytes)} MiB", ""))
    return line


def _chart(state: LiveState, width: int, looks: Looks, now_ns: int) -> list[Line]:
    columns = max(8, width - 12)
    values = state.tree.outline(columns)
    if (peak := state.tree_peak) is not None:
        # What was shared may have been known only later: the peak was corrected by it, what stood there then was not.
        values = [None if value is None else min(value, peak.estimate_bytes) for value in values]
    most = max((value for value in values if value is not None), default=0)
    top = ceiling(most)
    lines: list[Line] = []
    for place, text in enumerate(area(values, _CHART_LINES, top, unicode=looks.unicode)):
        label = f"{mib(top)} MiB" if place == 0 else ""
        lines.append([(f"{label:>11} ", "aside"), (text, "bar")])
    end = format_seconds(state.now_ns / 1e9)
    lines.append([(f"{'0 s':>15}{end:>{max(0, columns - 3)}}", "aside")])
    return lines


# ---- the list ----


def _list(state: LiveState, choice: Choice, width: int, room: int, looks: Looks) -> list[Line]:
    found = rows(state, choice.order, ended=choice.ended, pattern=choice.pattern)
    listed = [row.process.number for row in found]
    if choice.named != state.named or choice.listed != listed:
        choice.names = told_apart((row.process.number, row.process.name, row.process.arguments) for row in found)
    choice.listed, choice.named = listed, state.named
    choice.page = max(1, room - 1)
    if choice.chosen not in state.processes:
        choice.chosen = None
    choice.first = max(0, min(choice.first, len(found) - choice.page))
    if room < 1:
        return []
    columns = _Columns.of(width)
    signs = branches([row.depth for row in found], unicode=looks.unicode) if choice.order is Order.TREE else None
    shown = range(choice.first, min(len(found), choice.first + room - 1))
    total = sum(process.rss_bytes or 0 for process in state.processes.values())
    lines = [_title(choice, columns, shown, len(found), state.forgotten)]
    largest = state.largest()
    for at in shown:
        row = found[at]
        style = "aside" if row.process.ended else "figure" if row.process is largest else ""
        style = "chosen" if row.process.number == choice.chosen else style
        name = _name(signs[at] if signs else "", choice.names[row.process.number], columns.name - 1)
        lines.append(_row(row.process, looks.safe(name), columns, total, style, looks))
    return lines


@dataclass(frozen=True)
class _Columns:
    """How wide each is; 0: there is no room for it."""

    name: int
    pid: int
    now: int
    share: int
    peak: int
    bars: int

    @classmethod
    def of(cls, width: int) -> _Columns:
        pid = 8 if width >= 44 else 0
        share = 6 if width >= 52 else 0
        now, peak = (10, 10) if width >= 36 else (9, 0)
        rest = width - pid - share - now - peak
        cells = min(60, rest // 3) if rest >= 36 else 0
        return cls(max(4, rest - cells - (2 if cells else 0)), pid, now, share, peak, cells)


def _title(choice: Choice, columns: _Columns, shown: range, count: int, forgotten: int) -> Line:
    def head(text: str, width: int, order: Order | None = None) -> Piece:
        return (f"{text:>{width}}" if width else "", "figure" if order is choice.order else "aside")

    name = "process"
    if len(shown) < count:
        name += f" {shown.start + 1}-{shown.stop} of {count}"
    if forgotten:
        name += f", {forgotten} small ones ended"
    return [
        (set_cell_size(name, columns.name), "figure" if choice.order is Order.TREE else "aside"),
        head("pid", columns.pid, Order.PID),
        head("now MiB", columns.now, Order.RSS),
        head("share", columns.share),
        head("peak MiB", columns.peak, Order.PEAK),
        ("  memory over time" if columns.bars >= 16 else "", "aside"),
    ]


def _name(sign: str, called: ProcessName, width: int) -> str:
    text = sign + called.name
    if called.arguments:
        text += f" {called.shown_arguments(max(8, width - 1 - cell_len(text)))}"
    return _cut(text, width)


def _row(process: LiveProcess, name: str, columns: _Columns, total: int, style: str, looks: Looks) -> Line:
    now = _ending(process) if process.ended else mib(process.rss_bytes)
    share = "" if not process.rss_bytes or process.borrowed or not total else f"{process.rss_bytes / total:.0%}"
    numbers = (
        f"{process.pid:>{columns.pid}}" if columns.pid else "",
        f"{now:>{columns.now}}",
        f"{share:>{columns.share}}" if columns.share else "",
        f"{mib(process.peak_bytes):>{columns.peak}}" if columns.peak else "",
    )
    line: Line = [(set_cell_size(name, columns.name), style)]
    line.append(("".join(numbers), style))
    if columns.bars:
        drawn = bars(process.history.outline(columns.bars), unicode=looks.unicode)
        line.append(("  " + drawn, style if style == "aside" else "bar"))
    return line


def _ending(process: LiveProcess) -> str:
    """How it ended, as far as it was told."""
    if process.status is None:
        return "ended"
    if os.WIFSIGNALED(process.status):
        return f"signal {os.WTERMSIG(process.status)}"
    return f"exit {os.WEXITSTATUS(process.status)}"


def _cut(text: str, width: int) -> str:
    """Cut at its end: the place in the tree and the name stand in front."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"


# ---- the foot ----


def _explained(state: LiveState, choice: Choice) -> Line:
    """The whole command of who is chosen; else what the monitor warns of."""
    process = None if choice.chosen is None else state.processes.get(choice.chosen)
    if process is not None:
        begin = f"pid {process.pid}, from {format_seconds(process.start_ns / 1e9)}"
        if process.ended and process.end_ns is not None:
            begin += f" to {format_seconds(process.end_ns / 1e9)}, {_ending(process)}"
        return [(f"{begin}: ", "aside"), (command_line(process.arguments) or visible(process.name), "")]
    if state.cut is not None:
        return [(f"the recording is cut: {state.cut.reason}", "alarm")]
    if state.warnings:
        return [(visible(state.warnings[-1].message), "alarm")]
    return []


def _keys(choice: Choice, looks: Looks) -> Line:
    if choice.typing:
        return [("/", "key"), (visible(choice.pattern) + "_", "figure"), ("  Enter keeps it, Esc forgets it", "aside")]
    line: Line = []
    for key, does in _KEYS:
        if key == "q":
            does = looks.quit_does
        elif key == "e":
            does = "hide ended" if choice.ended else "show ended"
        elif key == "space" and choice.paused:
            does = "go on"
        elif key == "/" and choice.pattern:
            does = f"filter: {visible(choice.pattern)}"
        line += [(key, "key"), (f" {does}  ", "")]
    return line


def move(choice: Choice, steps: int) -> None:
    """Chooses another row, ``steps`` below, and scrolls as far as it takes."""
    if not choice.listed:
        return
    if choice.chosen in choice.listed:
        at = choice.listed.index(choice.chosen) + steps
    else:
        at = choice.first if steps >= 0 else choice.first + choice.page - 1
    at = max(0, min(len(choice.listed) - 1, at))
    choice.chosen = choice.listed[at]
    choice.first = min(max(choice.first, at - choice.page + 1), at)
