"""``hiwater explain`` for the terminal: the rows of a ledger, each where the ones before it end, up to the peak."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from hiwater.analysis.ledger_model import HeapLedger, Known, ProcessLedger, Row, TreeLedger
from hiwater.recording.model import Recording
from hiwater.units import format_size
from hiwater.units import mib as plain_mib
from hiwater.views.explain_lines import Line, heap_lines, process_lines, tree_lines
from hiwater.views.explain_words import amount, heap_known, heap_title, moment, part, seconds, sentences, who
from hiwater.views.names import command_line, shorten, visible
from hiwater.views.paint import Paint
from hiwater.views.process_names import ProcessName, process_names
from hiwater.views.style import DASH

_FIGURES = 18
"""The columns of the sizes and their shares."""
_LEAST_LABEL, _MOST_LABEL = 38, 62
_LEAST_BAR, _MOST_BAR = 12, 40


def render(
    recording: Recording, process: ProcessLedger | None, width: int, paint: Paint, *, everything: bool = False
) -> str:
    """The ledger of ``process``; with that of the tree, if it is the process that peaked."""
    ledger, names = recording.ledger, process_names(recording)
    table = _Table(width, paint)
    command = command_line(recording.arguments) or "(unknown command)"
    lines = [paint("bold", shorten(command, width))]
    if process is None:
        lines += table.text("peak RSS unknown: nothing could be read, so that there is nothing to break down")
    else:
        lines += _process(recording, process, names, table, everything)
    if process is not None and process.heap is not None:
        lines += ["", *_heap(process.heap, table, everything)]
    if process is ledger.peak and ledger.tree is not None:
        lines += ["", *_tree(ledger.tree, names, table, everything)]
    told = sentences(recording, ledger, process)
    lines += [""] * bool(told)
    for sentence in told:
        first, *rest = wrap(sentence.text, max(30, min(width, 110) - 2), break_on_hyphens=False)
        lines += [f"{table.dot} {first}", *(f"  {line}" for line in rest)]
    if not everything and process is ledger.peak:
        lines += _others(recording, names, table)
    return "".join(line.rstrip() + "\n" for line in lines)


def _process(
    recording: Recording, process: ProcessLedger, names: dict[int, ProcessName], table: _Table, everything: bool
) -> list[str]:
    ledger, paint = recording.ledger, table.paint
    lines = [*table.text(f"peak RSS of {who(process, names)}, in MiB"), ""]
    if process is ledger.peak and ledger.inherited.misleads:
        name = visible(ledger.inherited.launcher_name or "the launcher")
        text = f"wait4 in {name} would add, inherited"
        lines += [paint("yellow", table.plain(text, ledger.inherited_bytes, "not in the sum")), ""]
    lines += table.rows(process_lines(process, everything), process.peak_bytes)
    lines += [table.rule(), paint("bold", table.plain("peak RSS", process.peak_bytes))]
    lines += table.under(f"{process.bytes:,} bytes, the sum of the rows above")
    if process is ledger.peak:
        reading = recording.summary.peak_rss
        high = "?" if reading.high is None else plain_mib(reading.high)
        bounds = f"the truth lies between {plain_mib(reading.low)} and {high}"
        lines += table.under(bounds)
    if process.of_which:
        lines += ["", *table.text("in these rows already", "dim")]
        for row in process.of_which:
            lines.append(table.plain(f"  {row.label}", row.bytes, part(row.bytes, process.peak_bytes)))
    lines += _beyond(process.beyond, table)
    notes = [moment(process)] if process.moment is not None else []
    if any(row.known is Known.INFERRED for section in process.sections for row in section.rows):
        notes.append("~ concluded, not told by the kernel")
    for note in notes:
        lines += ["", *table.text(note, "dim")]
    return lines


def _heap(heap: HeapLedger, table: _Table, everything: bool) -> list[str]:
    lines = [*table.text(f"{heap_title(heap)}, in MiB"), ""]
    lines += table.rows(heap_lines(heap, everything), heap.bytes)
    lines += [table.rule(), table.paint("bold", table.plain("resident", heap.bytes))]
    lines += table.under(f"{heap.bytes:,} bytes, the sum of the rows above")
    return [*lines, "", *table.text(heap_known(heap), "dim")]


def _tree(tree: TreeLedger, names: dict[int, ProcessName], table: _Table, everything: bool) -> list[str]:
    paint = table.paint
    lines = table.text(f"peak of the tree, {len(tree.processes)} processes at {seconds(tree.t_ns)}, in MiB")
    lines += ["", *table.rows(tree_lines(tree, names, everything), tree.sum_bytes)]
    high = "?" if tree.peak.high is None else plain_mib(tree.peak.high)
    lines += [table.rule(), paint("bold", table.plain("tree peak", tree.bytes))]
    bounds = f"the truth lies between {plain_mib(tree.peak.low)} and {high}"
    lines += [*table.under(f"{tree.bytes:,} bytes, the sum of the rows above"), *table.under(bounds)]
    return lines + _beyond(tree.beyond, table)


def _beyond(rows: tuple[Row, ...], table: _Table) -> list[str]:
    if not rows:
        return []
    head = table.text("beside them, in no RSS; the most that was read", "dim")
    return ["", *head, *(table.plain(f"  {row.label}", row.bytes) for row in rows)]


def _name(one: ProcessLedger, names: dict[int, ProcessName]) -> str:
    return "?" if one.process is None else names[one.process].label(30)


def _others(recording: Recording, names: dict[int, ProcessName], table: _Table) -> list[str]:
    peak, *others = recording.ledger.processes or (None,)
    others = [one for one in others if peak is not None and one.peak_bytes >= peak.peak_bytes // 10]
    if not others:
        return []
    named = ", ".join(f"{_name(one, names)} {one.pid} ({format_size(one.peak_bytes)})" for one in others[:4])
    more = f" and {len(others) - 4} more" if len(others) > 4 else ""
    return ["", *table.text(f"--process PID explains another one: {named}{more}", "dim")]


class _Table:
    """Columns of a fixed place: what, how much, which share, and a bar where there is room."""

    def __init__(self, width: int, paint: Paint) -> None:
        self.width, self.paint = width, paint
        room = width - _FIGURES - 2
        bar = min(_MOST_BAR, (room - _LEAST_LABEL) * 2 // 3)
        self.bar = bar if bar >= _LEAST_BAR else 0
        self.label = max(16, min(_MOST_LABEL, room - (self.bar + 2 if self.bar else 0)))
        self.blocks = ("█", "▏", "░", "─") if paint.unicode else ("#", "|", ".", "-")
        self.dot = "·" if paint.unicode else "-"
        self.dash = DASH if paint.unicode else "-"

    def text(self, text: str, style: str | None = None) -> list[str]:
        """A sentence, on as many lines as it takes."""
        lines = wrap(text, self.width, break_on_hyphens=False)
        return [self.paint(style, line) for line in lines] if style else lines

    def plain(self, text: str, size: int, aside: str = "") -> str:
        """A line without a bar."""
        line = f"{shorten(text, self.label):<{self.label}} {amount(size):>9}"
        return f"{line}  {aside}" if len(line) + 2 + len(aside) <= self.width else line

    def under(self, text: str) -> list[str]:
        """What belongs to the size above, ending where that ends."""
        end = self.label + 10
        return [self.paint("dim", f"{line:>{end}}") for line in wrap(text, end)]

    def rule(self) -> str:
        """Above a sum."""
        return f"{'':<{self.label + 1}}{self.blocks[3] * 9}"

    def rows(self, lines: Iterable[Line], whole: int) -> list[str]:
        """Each bar begins where the one before ended."""
        found, done = [], 0
        for line in lines:
            bar = ""
            if line.adds and self.bar:
                bar = "  " + self._bar(done, line.bytes, whole, line.known)
            done += line.bytes if line.adds else 0
            found.append(self._row(line, whole, bar))
        return found

    def _row(self, line: Line, whole: int, bar: str) -> str:
        indent = "  " * line.level
        mark = "~" if line.known is Known.INFERRED else " "
        text = shorten(line.text, self.label - len(indent))
        left = self.label - len(indent) - len(text)
        aside = line.aside if self.paint.unicode else line.aside.replace("±", "+-")
        aside = shorten(f"  {aside}", left) if line.aside and left >= 8 else ""
        space = " " * (left - len(aside))
        figures = f"{mark}{amount(line.bytes):>9} {part(line.bytes, whole):>7}"
        if line.level == 0:
            text = self.paint("bold", text)
        elif not line.adds:
            text, figures = self.paint("dim", text), self.paint("dim", figures)
        return f"{indent}{text}{self.paint('dim', aside)}{space}{figures}{bar}"

    def _bar(self, before: int, size: int, whole: int, known: Known) -> str:
        full, sliver, light, _ = self.blocks

        def cell(at: int) -> int:
            return max(0, min(self.bar, round(at * self.bar / whole))) if whole > 0 else 0

        begin, end = sorted((cell(before), cell(before + size)))
        block = light if known is Known.REMAINDER or size < 0 else full
        if begin == end:
            return " " * min(begin, self.bar - 1) + (self.paint("dim", sliver) if size else "")
        return " " * begin + self.paint("dim" if block == light else "green", block * (end - begin))
