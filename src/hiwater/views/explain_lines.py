"""A ledger as lines of a table: what is shown, and what is folded. Text and Markdown are made of these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hiwater.analysis.ledger_model import HeapLedger, Known, ProcessLedger, Row, TreeLedger
from hiwater.units import MIB
from hiwater.views.explain_words import amount, label
from hiwater.views.names import visible
from hiwater.views.process_names import ProcessName

MOST_DETAILS = 5
MOST_PROCESSES = 12
SMALL = 0.01
"""Details below this share of the peak are folded, unless everything is asked for."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    level: int
    """0: a section, whose rows follow; 1: a row; 2: a detail of the row above."""
    text: str
    bytes: int
    known: Known
    adds: bool
    """Whether it is one of the addends: the others are sums or details of these."""
    aside: str = ""


def process_lines(ledger: ProcessLedger, everything: bool) -> Iterator[Line]:
    """Down to the remainder; the sum itself is left to the caller."""
    for section in ledger.sections:
        if len(section.rows) == 1:
            yield from _row(section.rows[0], 0, ledger.peak_bytes, everything)
            continue
        yield Line(0, section.label, section.bytes, Known.EXACT, False)
        for row in section.rows:
            yield from _row(row, 1, ledger.peak_bytes, everything)


def _row(row: Row, level: int, whole: int, everything: bool) -> Iterator[Line]:
    if len(row.details) == 1 and row.key != "remainder":
        yield Line(level, f"{label(row)}: {label(row.details[0])}", row.bytes, row.known, True)
        return
    yield Line(level, label(row), row.bytes, row.known, True)
    least = max(SMALL * whole, MIB // 10)
    shown = list(row.details)
    if row.key == "remainder":
        shown = shown if everything or abs(row.bytes) >= least else []
    elif not everything:
        shown = [detail for detail in shown[:MOST_DETAILS] if detail.bytes >= least and not _merged(detail)]
    for detail in shown:
        yield Line(level + 1, label(detail), detail.bytes, detail.known, False)
    folded = row.details[len(shown) :]
    if shown and folded:
        count = sum(detail.count or 1 if detail.key == "mapping" else 1 for detail in folded)
        rest = sum(detail.bytes for detail in folded)
        yield Line(level + 1, f"{count} {'other' if count == 1 else 'others'}", rest, row.known, False)


def _merged(row: Row) -> bool:
    """Whether it is several mappings, none of which is worth a line."""
    return row.key == "mapping" and row.address is None


def heap_lines(heap: HeapLedger, everything: bool) -> Iterator[Line]:
    """What the heap consists of, down to what is not explained."""
    least = max(SMALL * heap.bytes, MIB // 10)
    for row in heap.rows:
        yield Line(0, visible(row.label), row.bytes, row.known, True, spread(row))
        shown = list(row.details)
        if not everything:
            shown = [detail for detail in shown[:MOST_DETAILS] if abs(detail.bytes) >= least]
            if len(row.details) - len(shown) == 1:
                shown = list(row.details)
        for detail in shown:
            yield Line(1, visible(detail.label), detail.bytes, detail.known, False, spread(detail))
        folded = row.details[len(shown) :]
        if shown and folded:
            yield Line(1, f"{len(folded)} more", sum(detail.bytes for detail in folded), row.known, False)


def spread(row: Row) -> str:
    """The standard error of what was sampled."""
    return f"± {amount(row.error_bytes)}" if row.error_bytes else ""


def tree_lines(tree: TreeLedger, names: dict[int, ProcessName], everything: bool) -> Iterator[Line]:
    """The processes, the small ones as one line; then what counts more than once, and the remainder."""
    shown = list(tree.processes)
    if not everything:
        shown = [process for process in shown[:MOST_PROCESSES] if process.bytes >= SMALL * tree.sum_bytes]
        if len(tree.processes) - len(shown) == 1:
            shown = list(tree.processes)
    for process in shown:
        called = names[process.process]
        told = f"{called.name}, pid {process.pid}"
        yield Line(0, told, process.bytes, Known.EXACT, True, called.shown_arguments(60))
    others = tree.processes[len(shown) :]
    if others:
        yield Line(0, f"{len(others)} others", sum(process.bytes for process in others), Known.EXACT, True)
    for row in (tree.shared, tree.remainder):
        if row.bytes:
            yield Line(0, row.label, row.bytes, row.known, True)
