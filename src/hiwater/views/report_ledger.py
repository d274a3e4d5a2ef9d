"""The part of the report that says where the peak went: ledgers as tables that add up, and what they mean."""

from __future__ import annotations

from html import escape
from itertools import count

from hiwater.analysis.ledger_model import HeapLedger, Known, Ledger, ProcessLedger, Row, TreeLedger
from hiwater.recording.model import Recording
from hiwater.units import mib as plain_mib
from hiwater.views.explain_lines import MOST_PROCESSES, SMALL, spread
from hiwater.views.explain_words import (
    amount,
    heap_known,
    heap_title,
    label,
    mib,
    moment,
    part,
    seconds,
    sentences,
    who,
)
from hiwater.views.names import shorten, visible
from hiwater.views.process_names import ProcessName

MOST_LEDGERS = 12
"""Processes that can be chosen."""
MOST_DETAILS = 30
"""Details of one row; the smaller ones are one line."""
_KNOWN = {
    Known.EXACT: "named by the kernel",
    Known.SAMPLED: "sampled",
    Known.INFERRED: "concluded",
    Known.REMAINDER: "what is left",
}


def section(recording: Recording, ledger: Ledger, names: dict[int, ProcessName], number: int) -> str:
    """Everything about the ledgers of one recording; nothing if the peak is unknown."""
    if ledger.peak is None:
        return ""
    shown = ledger.processes[:MOST_LEDGERS]
    ids = count()
    parts = [_process(recording, ledger, one, who(one, names), f"l{number}p{at}", ids) for at, one in enumerate(shown)]
    options = "".join(
        f'<option value="l{number}p{at}">{escape(who(one, names))}: {mib(one.peak_bytes)}</option>'
        for at, one in enumerate(shown)
    )
    choice = f'<label class="choice" hidden>Process <select>{options}</select></label>' if len(shown) > 1 else ""
    tree = "" if ledger.tree is None else _tree(ledger.tree, names)
    return f"""<section class="panel ledger" aria-label="Where the peak went">
<div class="bar"><h2>Where the peak went</h2>{choice}</div>
{"".join(parts)}{tree}</section>
"""


def _process(recording: Recording, ledger: Ledger, one: ProcessLedger, called: str, name: str, ids: count[int]) -> str:
    first = one is ledger.peak
    added = _inherited(ledger) if first else ""
    body, done = [], 0
    for kind in one.sections:
        if len(kind.rows) > 1:
            body.append(
                f'<tbody><tr class="kind"><th scope="rowgroup">{_swatch(kind.key)}{escape(kind.label)}</th>'
                f'{_figures(kind.bytes, one.peak_bytes)}<td class="falls"></td><td class="how"></td></tr></tbody>\n'
            )
        for row in kind.rows:
            body.append(_row(row, kind.key, len(kind.rows) > 1, done, one.peak_bytes, f"{name}d{next(ids)}"))
            done += row.bytes
    told = sentences(recording, ledger, one)
    bounds = _bounds(recording) if first else ""
    when = f". {escape(moment(one))}" if one.moment is not None else ""
    return f"""<div class="ledger-of" id="{name}" role="group" aria-label="{escape(called)}">
<p class="sub">Peak RSS of <b>{escape(called)}</b>, {mib(one.peak_bytes)}{when}.</p>
{_strip(one)}
<div class="scroll" tabindex="0" role="region" aria-label="Table of owners">
<table><caption class="sr">What the peak of {escape(called)} consists of; the rows add up to it</caption>
<thead><tr><th scope="col" class="plain">Whose</th><th scope="col" class="num plain">MiB</th>
<th scope="col" class="num plain">Share</th><th scope="col" class="plain falls"><span class="sr">Drawn</span></th>
<th scope="col" class="plain how">How it is known</th></tr></thead>
{added}{"".join(body)}<tfoot><tr><th scope="row">Peak RSS</th><td class="num">{amount(one.bytes)}</td>
<td class="num">100 %</td><td class="falls"></td><td class="how"></td></tr>
<tr class="sum"><td colspan="5">The rows add up to {one.bytes:,} bytes, which is the peak.{bounds}</td></tr></tfoot>
</table></div>
{_beside(one.of_which, one.beyond)}{_heap(one.heap, name, ids)}{_told([sentence.text for sentence in told])}</div>
"""


def _inherited(ledger: Ledger) -> str:
    who = ledger.inherited
    if not who.misleads:
        return ""
    name = escape(visible(who.launcher_name or "the launcher"))
    return (
        f'<tbody><tr class="added"><th scope="row">wait4 in {name} would add, inherited</th>'
        f'<td class="num">{amount(ledger.inherited_bytes)}</td><td></td><td class="falls"></td>'
        '<td class="how">not in the sum</td></tr></tbody>\n'
    )


def _bounds(recording: Recording) -> str:
    reading = recording.summary.peak_rss
    high = "nothing bounds it from above" if reading.high is None else f"at most {plain_mib(reading.high)}"
    return f" It is at least {plain_mib(reading.low)}, {high} MiB." if reading.low is not None else ""


def _strip(one: ProcessLedger) -> str:
    """The kinds of memory side by side; the table says the same."""
    if one.peak_bytes <= 0:
        return ""
    parts = "".join(
        f'<i class="k-{kind.key}" style="width:{100 * kind.bytes / one.peak_bytes:.3f}%"></i>'
        for kind in one.sections
        if kind.bytes > 0
    )
    return f'<div class="strip" aria-hidden="true">{parts}</div>'


def _swatch(key: str) -> str:
    return f'<span class="swatch k-{key}" aria-hidden="true"></span>'


def _figures(size: int, whole: int) -> str:
    return f'<td class="num">{escape(amount(size))}</td><td class="num">{part(size, whole)}</td>'


def _row(row: Row, key: str, below: bool, done: int, whole: int, name: str, how: str | None = None) -> str:
    """A row and, in a body of their own that can be folded, its details."""
    swatch = "" if below else _swatch(key)
    title = escape(label(row))
    details = [] if row.key == "remainder" and abs(row.bytes) < SMALL * whole else list(row.details)
    if len(details) == 1 and row.key != "remainder":
        title += f': <span class="mono">{escape(label(details[0]))}</span>'
        details = []
    if details:
        title = f'<button type="button" class="fold" aria-expanded="true" aria-controls="{name}">{title}</button>'
    kind = ' class="in"' if below else ' class="kind"'
    line = (
        f'<tbody><tr{kind}><th scope="row">{swatch}{title}</th>{_figures(row.bytes, whole)}'
        f'<td class="falls">{_fall(done, row.bytes, whole, key)}</td><td class="how">'
        f"{escape(how or _known(row))}</td></tr></tbody>\n"
    )
    if not details:
        return line
    folded = details[MOST_DETAILS:]
    inner = "".join(_detail(label(detail), detail.bytes, whole) for detail in details[:MOST_DETAILS])
    if folded:
        inner += _detail(f"{len(folded)} others", sum(detail.bytes for detail in folded), whole)
    return f'{line}<tbody class="details" id="{name}">{inner}</tbody>\n'


def _known(row: Row) -> str:
    return "nameless" if row.key == "other" else _KNOWN[row.known]


def _detail(text: str, size: int, whole: int) -> str:
    return (
        f'<tr><th scope="row" title="{escape(text)}">{escape(shorten(text, 90))}</th>{_figures(size, whole)}'
        '<td class="falls"></td><td class="how"></td></tr>'
    )


def _fall(done: int, size: int, whole: int, key: str) -> str:
    """A bar that begins where the one above ended."""
    if whole <= 0:
        return ""
    begin, end = sorted((done, done + size))
    left = min(100.0, max(0.0, 100 * begin / whole))
    width = min(100 - left, 100 * (end - begin) / whole)
    kind = "less" if size < 0 else key
    return f'<i class="k-{kind}" style="margin-left:{left:.3f}%;width:{width:.3f}%"></i>'


def _heap(heap: HeapLedger | None, name: str, ids: count[int]) -> str:
    """What the anonymous memory of malloc consists of."""
    if heap is None:
        return ""
    body, done = [], 0
    for row in heap.rows:
        how = f"sampled, {spread(row)}" if row.known is Known.SAMPLED and spread(row) else _HEAP_KNOWN[row.known]
        body.append(_row(row, "anonymous", True, done, heap.bytes, f"{name}d{next(ids)}", how))
        done += row.bytes
    title = escape(heap_title(heap)[0].upper() + heap_title(heap)[1:])
    known = heap_known(heap, marks=False)
    known = f" {escape(known[0].upper() + known[1:])}." if known else ""
    return f"""<h3>{title}</h3>
<div class="scroll" tabindex="0" role="region" aria-label="Table of the heap">
<table><caption class="sr">What the heap consists of; the rows add up to what of it is resident</caption>
<thead><tr><th scope="col" class="plain">What</th><th scope="col" class="num plain">MiB</th>
<th scope="col" class="num plain">Share</th><th scope="col" class="plain falls"><span class="sr">Drawn</span></th>
<th scope="col" class="plain how">How it is known</th></tr></thead>
{"".join(body)}<tfoot><tr><th scope="row">Resident</th><td class="num">{amount(heap.bytes)}</td>
<td class="num">100 %</td><td class="falls"></td><td class="how"></td></tr>
<tr class="sum"><td colspan="5">The rows add up to {heap.bytes:,} bytes.{known}</td></tr></tfoot>
</table></div>
"""


_HEAP_KNOWN = _KNOWN | {Known.EXACT: "counted"}


def _beside(of_which: tuple[Row, ...], beyond: tuple[Row, ...]) -> str:
    lists = []
    for title, rows in (("In these rows already, MiB", of_which), ("Beside them, in no RSS, at most, MiB", beyond)):
        if rows:
            told = "".join(f"<dt>{escape(row.label)}</dt><dd>{escape(amount(row.bytes))}</dd>" for row in rows)
            lists.append(f"<div><h3>{title}</h3><dl>{told}</dl></div>")
    return f'<div class="two beside">{"".join(lists)}</div>\n' if lists else ""


def _told(texts: list[str]) -> str:
    if not texts:
        return ""
    return f'<ul class="told">{"".join(f"<li>{escape(text)}</li>" for text in texts)}</ul>\n'


def _tree(tree: TreeLedger, names: dict[int, ProcessName]) -> str:
    shown = [one for one in tree.processes[:MOST_PROCESSES] if one.bytes >= SMALL * tree.sum_bytes]
    others = tree.processes[len(shown) :]
    lines, done = [], 0
    for one in shown:
        called = names[one.process]
        arguments = escape(called.shown_arguments(48))
        title = f'{escape(called.name)}<span class="args mono">pid {one.pid} {arguments}</span>'
        lines.append(_tree_row(title, one.bytes, tree.sum_bytes, done, "process"))
        done += one.bytes
    if others:
        size = sum(one.bytes for one in others)
        lines.append(_tree_row(f"{len(others)} others", size, tree.sum_bytes, done, "unknown"))
        done += size
    for row in (tree.shared, tree.remainder):
        if row.bytes:
            lines.append(_tree_row(escape(row.label), row.bytes, tree.sum_bytes, done, "remainder"))
            done += row.bytes
    high = "nothing bounds it from above" if tree.peak.high is None else f"at most {plain_mib(tree.peak.high)} MiB"
    return f"""<h3>The tree's peak by process, {len(tree.processes)} processes at {seconds(tree.t_ns)}</h3>
<div class="scroll" tabindex="0" role="region" aria-label="Table of the processes at the tree's peak">
<table><caption class="sr">What each process held at the tree's peak, less what several of them share</caption>
<thead><tr><th scope="col" class="plain">Whose</th><th scope="col" class="num plain">MiB</th>
<th scope="col" class="num plain">Share</th>
<th scope="col" class="plain falls"><span class="sr">Drawn</span></th></tr></thead>
<tbody>{"".join(lines)}</tbody>
<tfoot><tr><th scope="row">Tree peak</th><td class="num">{amount(tree.bytes)}</td><td></td><td class="falls"></td></tr>
<tr class="sum"><td colspan="4">The rows add up to {tree.bytes:,} bytes, which is the estimate of the tree's peak.
It is at least {plain_mib(tree.peak.low)}, {high}. Shares are of the sum of the processes.</td></tr></tfoot>
</table></div>
{_beside((), tree.beyond)}"""


def _tree_row(title: str, size: int, whole: int, done: int, key: str) -> str:
    return (
        f'<tr><th scope="row">{title}</th>{_figures(size, whole)}'
        f'<td class="falls">{_fall(done, size, whole, key)}</td></tr>\n'
    )
