"""The process tree of the report, as a table that reads well without its script."""

from __future__ import annotations

import signal
from html import escape

from hiwater.analysis.process_tree import Node
from hiwater.analysis.summary import Summary
from hiwater.units import format_seconds, mib
from hiwater.views.names import command_line, shorten
from hiwater.views.process_names import ProcessName

LIMIT = 600
"""Rows; of more processes than that the largest are shown."""
_HEADS = (
    ("order", "Process", ""),
    ("pid", "pid", "num"),
    ("peak", "Peak, MiB", "num"),
    ("share", "At the tree's peak", "num"),
    ("start", "Began", "num"),
    ("life", "Lived", "num"),
)


def table(nodes: list[Node], names: dict[int, ProcessName], s: Summary, number: int) -> str:
    """One row a process."""
    shown = nodes
    if len(nodes) > LIMIT:
        largest = sorted(nodes, key=lambda node: -(node.peak_bytes or 0))[:LIMIT]
        kept = {node.process.number for node in largest}
        shown = [node for node in nodes if node.process.number in kept]
    said = f"{len(nodes)} process{'' if len(nodes) == 1 else 'es'}"
    if len(shown) < len(nodes):
        said += f", the {len(shown)} largest are listed"
    most = max((node.peak_bytes or 0 for node in shown), default=0) or 1
    peak_pid = s.peak_process.pid if s.peak_process is not None else None
    rows = "".join(
        _row(node, names[node.process.number], order, most, s.wall_seconds, peak_pid)
        for order, node in enumerate(shown)
    )
    heads = "".join(
        f'<th scope="col"{_sorted(key)}{_kind(kind)}><button type="button" data-key="{key}">{label}</button></th>'
        for key, label, kind in _HEADS
    )
    return f"""<section class="panel processes" aria-label="Processes">
<div class="bar"><h2>Processes</h2><span class="sub" style="margin:0" role="status">{said}</span>
<label class="filter"><span class="sr">Show only processes that contain</span>
<input type="search" id="filter{number}" placeholder="Filter by name, command, pid" autocomplete="off"></label></div>
<div class="scroll" tabindex="0" role="region" aria-label="Table of processes">
<table><caption class="sr">Processes with peak, lifetime and share; the headers sort</caption>
<thead><tr>{heads}<th scope="col" class="plain">Its memory over time</th>
<th scope="col" class="plain">Ended</th></tr></thead>
<tbody>{rows}</tbody></table></div>
</section>
"""


def _sorted(key: str) -> str:
    return ' aria-sort="ascending"' if key == "order" else ""


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _row(node: Node, called: ProcessName, order: int, most: int, wall: float | None, peak_pid: int | None) -> str:
    line = command_line(node.command)
    end = node.end_seconds if node.end_seconds is not None else wall
    life = None if end is None else max(0.0, end - node.start_seconds)
    name, pid = called.name, node.process.pid
    text = f"{name} {line} {pid}".lower()
    share = "" if node.share is None or not node.at_peak_bytes else f"{mib(node.at_peak_bytes)} · {node.share:.0%}"
    width = (node.peak_bytes or 0) * 100 // most
    peak = " class=peak" if pid == peak_pid else ""
    return (
        f'<tr{peak} data-order="{order}" data-name="{escape(name)}" data-pid="{pid}" data-peak="{_or(node.peak_bytes)}"'
        f' data-share="{_or(node.at_peak_bytes)}" data-start="{node.start_seconds:.6f}" data-life="{_or(life)}" '
        f'data-text="{escape(shorten(text, 400))}"><th scope="row" title="{escape(shorten(line, 1000))}">'
        f'<span style="padding-left:{min(node.depth, 12) * 16}px">{escape(name)}'
        f'<span class="args mono">{escape(called.shown_arguments(60))}</span></span></th>'
        f'<td class="num">{pid}</td><td class="num size" style="--w:{width}%">{mib(node.peak_bytes)}</td>'
        f'<td class="num">{share}</td><td class="num">{format_seconds(node.start_seconds)}</td>'
        f'<td class="num">{format_seconds(life)}</td><td>{_outline(node)}</td><td>{escape(ended(node))}</td></tr>\n'
    )


def _or(value: float | None) -> str:
    return "" if value is None else str(value)


def ended(node: Node) -> str:
    """How a process ended, in a few words; only who waits for a process is told its status."""
    end = node.process.end
    if end is None:
        return "still ran"
    if end.status is None:
        return "not told"
    number = end.status & 0x7F
    return _signal(number) if number else f"exit {end.status >> 8 & 0xFF}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _outline(node: Node) -> str:
    """Its RSS over the whole time of the recording, the tallest step its own peak."""
    most = max((size for size in node.outline if size is not None), default=0)
    if not most:
        return ""
    path, up = [], False
    for cell, size in enumerate(node.outline):
        if size is None:
            path.append(f"V20H{cell}" if up else "")
            up = False
            continue
        path.append(f"{'' if up else f'M{cell} 20'}V{20 - size * 19 // most}H{cell + 1}")
        up = True
    path.append("V20" if up else "")
    count = len(node.outline)
    return (
        f'<svg class="spark" viewBox="0 0 {count} 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{"".join(path)}"/></svg>'
    )
