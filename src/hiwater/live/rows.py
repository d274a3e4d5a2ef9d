"""Which processes the view lists, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from hiwater.live.state import LiveProcess, LiveState


class Order(Enum):
    """What the list is sorted by."""

    TREE = "tree"
    """Parents before their children, siblings in the order in which they were found."""
    RSS = "now"
    """What they hold, the largest first."""
    PEAK = "peak"
    """The largest so far first."""
    PID = "pid"
    """The smallest number first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    process: LiveProcess
    depth: int
    """0 in any order but the tree's."""


def rows(state: LiveState, order: Order, *, ended: bool, pattern: str = "") -> list[Row]:
    """``ended``: list those that have ended too. ``pattern``: only whose name, arguments or pid contain it."""
    wanted = pattern.casefold()
    shown = [
        process
        for process in state.processes.values()
        if (ended or not process.ended) and (not wanted or wanted in _text(process))
    ]
    if order is Order.TREE:
        return _tree(state, shown)
    if order is Order.PID:
        shown.sort(key=lambda process: (process.pid, process.number))
    elif order is Order.PEAK:
        shown.sort(key=lambda process: (-(process.peak_bytes or 0), process.number))
    else:  # who has ended comes behind who lives
        shown.sort(key=lambda process: (process.ended, -(process.rss_bytes or 0), process.number))
    return [Row(process, 0) for process in shown]


def _text(process: LiveProcess) -> str:
    return " ".join((process.name, *process.arguments, str(process.pid))).casefold()


def _tree(state: LiveState, shown: Iterable[LiveProcess]) -> list[Row]:
    """Who is shown stands below the nearest ancestor that is shown."""
    known = {process.number: process for process in shown}
    children: dict[int | None, list[LiveProcess]] = {}
    for process in known.values():
        parent = process.parent
        while parent is not None and parent not in known:
            above = state.processes.get(parent)
            parent = None if above is None else above.parent
        children.setdefault(parent, []).append(process)
    found = []
    waiting = [(process, 0) for process in reversed(children.get(None, []))]
    while waiting:
        process, depth = waiting.pop()
        found.append(Row(process, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(process.number, []))]
    return found
