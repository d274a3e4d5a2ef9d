"""The process tree for the terminal: each process's peak, lifetime, share at the tree's peak, and its memory over time
in a row of small bars."""

from __future__ import annotations

from collections.abc import Sequence

from hiwater.analysis.process_tree import Node, nodes
from hiwater.analysis.stack import peak_ns
from hiwater.analysis.timeline import course
from hiwater.recording.model import Recording
from hiwater.units import format_seconds, mib
from hiwater.views.names import shorten
from hiwater.views.process_names import ProcessName, process_names
from hiwater.views.style import Style

_BLOCKS, _PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
_BRANCHES, _PLAIN_BRANCHES = ("├─ ", "└─ ", "│  ", "   "), ("|- ", "`- ", "|  ", "   ")
_FIXED = 44
"""What the columns of numbers take."""
_DEEPEST = 10


def render(recording: Recording, *, width: int = 100, color: bool = False, unicode: bool = True) -> str:
    """A line a process. The bars span the time of the recording; the tallest one is the process's own peak."""
    style = Style(color)
    rows = course(recording)
    at = peak_ns(recording, rows)
    room = max(16, width - _FIXED)
    cells = 0 if room < 36 else min(60, room // 3)
    found = nodes(recording, rows, at, max(1, cells))
    if not found:
        return "no process was found\n"
    names = room - cells - (2 if cells else 0)
    head = f"{'process':<{names}}{'pid':>8}{'peak MiB':>10}{'at peak':>15}{'lived':>11}"
    lines = [style.aside(head + ("  memory over time" if cells >= 16 else ""))]
    peak = recording.summary.peak_process
    called = process_names(recording)
    for node, branch in zip(found, branches([node.depth for node in found], unicode=unicode), strict=True):
        name = _name(called[node.process.number], branch, names)
        bold = style.figure if peak is not None and peak.pid == node.process.pid else str
        drawn = bars(node.outline, unicode=unicode).rstrip() if cells else ""
        lines.append((bold(name) + _numbers(node) + (f"  {drawn}" if drawn else "")).rstrip())
    return "".join(line + "\n" for line in lines)


def _name(called: ProcessName, branch: str, width: int) -> str:
    text = branch + called.name
    if called.arguments:
        text += f" {called.shown_arguments(max(8, width - 2 - len(text)))}"
    return f"{shorten(text, width - 1):<{width}}"


def _numbers(node: Node) -> str:
    life = None if node.end_seconds is None else max(0.0, node.end_seconds - node.start_seconds)
    share = "" if not node.at_peak_bytes or node.share is None else f"{mib(node.at_peak_bytes)} {node.share:4.0%}"
    lived = "to the end" if life is None else format_seconds(life)
    return f"{node.process.pid:>8}{mib(node.peak_bytes):>10}{share:>15}{lived.replace(' min ', ':'):>11}"


def bars(outline: Sequence[int | None], *, unicode: bool = True) -> str:
    """A row of small bars, the tallest one for the largest size; blank where there is none."""
    blocks = _BLOCKS if unicode else _PLAIN_BLOCKS
    most = max((size for size in outline if size is not None), default=0)
    if not most:
        return " " * len(outline)
    return "".join(" " if size is None else blocks[max(0, size * len(blocks) - 1) // most] for size in outline)


def branches(depths: Sequence[int], *, unicode: bool = True) -> list[str]:
    """What stands before each name of a tree: which process is whose child. Parents come before their children."""
    more, last, through, gap = _BRANCHES if unicode else _PLAIN_BRANCHES
    lines = []
    open_at: dict[int, bool] = {}
    for depth in reversed(depths):  # from below it is known whether a sibling follows
        follows = open_at.get(depth, False)
        before = "".join(through if open_at.get(level, False) else gap for level in range(1, min(depth, _DEEPEST)))
        lines.append(before + (more if follows else last) if depth else "")
        open_at = {level: open_ for level, open_ in open_at.items() if level < depth}
        open_at[depth] = True
    return lines[::-1]
