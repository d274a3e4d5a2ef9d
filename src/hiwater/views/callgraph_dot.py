"""The call graph as text in the language of Graphviz: boxes as large as what they hold, arrows as wide as what goes
through them."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from hiwater.heap.graph import CallGraph, GraphEdge, GraphNode, call_graph
from hiwater.heap.model import HeapProfile, Language, Snapshot
from hiwater.heap.plumbing import Plumbing
from hiwater.heap.sites import By
from hiwater.units import mib
from hiwater.views import heap_words as words
from hiwater.views.names import shorten, visible

MOST = 60
"""Boxes that one can still look at."""
_INK, _EDGE = "#17202b", "#5b6775"
_FONT = 'fontname="Helvetica,Arial,sans-serif"'


def render(profile: HeapProfile, snapshot: Snapshot, *, by: By = By.FUNCTION, most: int = MOST) -> str:
    """One snapshot. Stacks begin at their call sites."""
    found = call_graph(profile, snapshot, by, plumbing=Plumbing(), max_nodes=most)
    head = [f"{words.who(profile)}: the heap {words.moment(profile, snapshot)}", words.sizes(profile, snapshot)]
    if found.left_out_nodes:
        head.append(f"{len(found.nodes)} boxes; {found.left_out_nodes:,} that tell less are left out")
    lines = [
        "digraph heap {",
        f"graph [labelloc=t labeljust=l {_FONT} fontsize=14 nodesep=0.25 ranksep=0.35 "
        f"label={_lines((shorten(line, 120) for line in head), left=True)}]",
        f'node [shape=box style=filled {_FONT} color="{_EDGE}" fontcolor="{_INK}" margin="0.1,0.06"]',
        f'edge [{_FONT} fontsize=10 fontcolor="{_INK}" color="{_EDGE}" arrowsize=0.6]',
    ]
    lines += [_node(at, node, found, by) for at, node in enumerate(found.nodes)]
    lines += [_edge(edge, found) for edge in found.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _node(at: int, node: GraphNode, found: CallGraph, by: By) -> str:
    whole = found.total_bytes or 1
    label = [shorten(visible(node.name), 60)]
    if by is not By.LIBRARY:
        python = node.frame.language is Language.PYTHON
        label.append(shorten(words.base(node.frame.file if python or node.frame.file else node.frame.library), 60))
    own = f"{size(node.self_bytes)} ({node.self_bytes / whole:.1%})"
    if node.self_bytes == node.total_bytes:
        label.append(own)
    else:
        label.append(f"{own if node.self_bytes else 0} of {size(node.total_bytes)} ({node.total_bytes / whole:.1%})")
    font = 9 + 15 * sqrt(node.self_bytes / whole)
    told = _lines(part for part in label if part)
    tip = _quoted(visible(node.frame.function or node.name))
    color = tone(node.total_bytes / whole)
    return f'n{at} [label={told} fontsize={font:.1f} fillcolor="{color}" tooltip={tip}]'


def _edge(edge: GraphEdge, found: CallGraph) -> str:
    share = edge.bytes / (found.total_bytes or 1)
    label = f"  {size(edge.bytes)}" + (" (inline)" if edge.inlined and not edge.indirect else "")
    looks = f"weight={1 + round(share * 100)} penwidth={0.6 + 4 * share:.2f}" + " style=dashed" * edge.indirect
    return f'n{edge.caller} -> n{edge.callee} [label="{label}" {looks}]'


def size(count: int) -> str:
    """Short, as boxes need it."""
    return f"{mib(count, 1 if count >= 10 << 20 else 2)} MiB"


def tone(share: float) -> str:
    """From nearly white to amber: the more is held, the darker; dark text can be read on all."""
    strong = sqrt(min(1.0, max(0.0, share)))
    levels = ((246, 238), (247, 166), (249, 84))
    return "#" + "".join(f"{round(begin + (end - begin) * strong):02x}" for begin, end in levels)


def _lines(parts: Iterable[str], *, left: bool = False) -> str:
    """A label of several lines."""
    end = r"\l" if left else r"\n"
    text = end.join(_quoted(part)[1:-1] for part in parts)
    return f'"{text}{end if left else ""}"'


def _quoted(text: str) -> str:
    """A string of DOT: a backslash and a quote are themselves."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
