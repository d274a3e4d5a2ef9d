"""A ledger as a Markdown table, for an issue or a pull request."""

from __future__ import annotations

from collections.abc import Iterable

from hiwater.analysis.ledger_model import Known, ProcessLedger
from hiwater.recording.model import Recording
from hiwater.views.explain_lines import Line, heap_lines, process_lines, tree_lines
from hiwater.views.explain_words import amount, heap_known, heap_title, moment, part, seconds, sentences, who
from hiwater.views.names import command_line, visible
from hiwater.views.process_names import process_names


def render(recording: Recording, process: ProcessLedger | None, *, everything: bool = False) -> str:
    """The whole text."""
    ledger = recording.ledger
    told = sentences(recording, ledger, process)
    if process is None:
        return "The peak is not known: nothing could be read.\n"
    names = process_names(recording)
    command = _escaped(command_line(recording.arguments))
    lines = [f"**Peak RSS of {_escaped(who(process, names))}** in <code>{command}</code>", ""]
    lines += _table(process_lines(process, everything), process.peak_bytes)
    lines.append(_line("**peak RSS**", f"**{amount(process.peak_bytes)}**", f"{process.bytes:,} bytes"))
    if process.moment is not None:
        lines += ["", _escaped(moment(process)) + "."]
    if process.heap is not None:
        heap = process.heap
        lines += ["", f"**{_escaped(heap_title(heap)[0].upper() + heap_title(heap)[1:])}**", ""]
        lines += _table(heap_lines(heap, everything), heap.bytes)
        lines.append(_line("**resident**", f"**{amount(heap.bytes)}**", f"{heap.bytes:,} bytes"))
        lines += ["", _escaped(heap_known(heap))]
    if process is ledger.peak and ledger.tree is not None:
        tree = ledger.tree
        lines += ["", f"**Peak of the tree**, {len(tree.processes)} processes at {seconds(tree.t_ns)}", ""]
        lines += _table(tree_lines(tree, names, everything), tree.sum_bytes)
        lines.append(_line("**tree peak**", f"**{amount(tree.bytes)}**", f"{tree.bytes:,} bytes"))
    lines += [""] * bool(told) + [f"- {_escaped(sentence.text)}" for sentence in told]
    return "\n".join(lines) + "\n"


def _table(lines: Iterable[Line], whole: int) -> list[str]:
    rows = [_line("", "MiB", "share"), "|:---|---:|---:|"]
    for line in lines:
        text = "&emsp;" * line.level + (f"**{_escaped(line.text)}**" if line.level == 0 else _escaped(line.text))
        mark = "~" if line.known is Known.INFERRED else ""
        spread = f" {line.aside}" if line.known is Known.SAMPLED and line.aside else ""
        rows.append(_line(text, mark + amount(line.bytes) + spread, part(line.bytes, whole)))
    return rows


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """No character of a name ends a cell or begins a tag."""
    safe = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("|", "&#124;").replace("`", "&#96;").replace("*", "&#42;").replace("_", "&#95;")
