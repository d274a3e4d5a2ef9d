"""Stacks merged into a call graph: each function once, with what it holds itself and with all that it calls."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from hiwater.heap.model import Frame, HeapProfile, Kind, Snapshot
from hiwater.heap.plumbing import Plumbing
from hiwater.heap.sites import By, Numbers, label
from hiwater.heap.tree import HEAP

MAX_NODES = 80
MIN_NODE_SHARE = 0.005
MIN_EDGE_SHARE = 0.001
"""The defaults of pprof: 80 boxes, none below 0.5 % of the whole, no arrow below 0.1 %."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A function."""

    name: str
    frame: Frame
    """The first that was merged."""
    self_bytes: int
    """Held by stacks that end here."""
    total_bytes: int
    """Held by stacks that it is on, each counted once however often it is on it."""
    allocations: int
    """Blocks of ``self_bytes``."""


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """A call."""

    caller: int
    """Index into ``CallGraph.nodes``."""
    callee: int
    """The caller itself, where a function calls itself."""
    bytes: int
    """Held by stacks that have this call, each counted once."""
    indirect: bool
    """Functions between the two were left out."""
    inlined: bool
    """The callee's code was part of the caller everywhere."""


@dataclass(frozen=True, slots=True)
class CallGraph:
    """The whole."""

    nodes: tuple[GraphNode, ...]
    """The largest total first."""
    edges: tuple[GraphEdge, ...]
    """The largest first."""
    total_bytes: int
    shown_bytes: int
    """The sum of ``self_bytes``: the rest is held by functions that were left out."""
    left_out_nodes: int
    left_out_edges: int


@dataclass(slots=True)
class _Node:
    frame: Frame
    self_bytes: int = 0
    total: int = 0
    allocations: int = 0
    into: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    out: dict[int, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True)
class _Edge:
    bytes: int = 0
    indirect: bool = False
    inlined: bool = True


# A stack as keys and frames, innermost first, with bytes and blocks.
_Path = tuple[list[tuple[int, Frame]], int, int]


def call_graph(
    profile: HeapProfile,
    snapshot: Snapshot,
    by: By = By.FUNCTION,
    *,
    plumbing: Plumbing | None = None,
    kinds: Collection[Kind] = HEAP,
    max_nodes: int = MAX_NODES,
    min_node_share: float = MIN_NODE_SHARE,
    min_edge_share: float = MIN_EDGE_SHARE,
) -> CallGraph:
    """The call graph of a snapshot. ``plumbing``: leave out frames below the call site; ``None`` keeps all.

    Of too many functions those stay that hold something themselves or where paths part: a function that only hands on
    tells nothing. Calls that lead over functions that were left out become indirect ones.
    """
    paths = _paths(profile, snapshot, by, plumbing, kinds)
    total = sum(size for _, size, _ in paths)
    nodes = _nodes(paths)
    least = total * min_node_share
    kept = [key for key, node in nodes.items() if node.total >= least and node.total > 0]
    kept = sorted(kept, key=lambda key: (-_worth(nodes[key]), -nodes[key].total))[:max_nodes]
    order = sorted(kept, key=lambda key: -nodes[key].total)
    number = {key: index for index, key in enumerate(order)}
    edges = _edges(paths, number)
    shown = [(ends, edge) for ends, edge in edges.items() if edge.bytes >= total * min_edge_share]
    told = tuple(
        GraphNode(label(node.frame, by), node.frame, node.self_bytes, node.total, node.allocations)
        for node in (nodes[key] for key in order)
    )
    return CallGraph(
        nodes=told,
        edges=tuple(
            GraphEdge(caller, callee, edge.bytes, edge.indirect, edge.inlined)
            for (caller, callee), edge in sorted(shown, key=lambda item: (-item[1].bytes, item[0]))
        ),
        total_bytes=total,
        shown_bytes=sum(node.self_bytes for node in told),
        left_out_nodes=len(nodes) - len(told),
        left_out_edges=len(edges) - len(shown),
    )


def _paths(
    profile: HeapProfile, snapshot: Snapshot, by: By, plumbing: Plumbing | None, kinds: Collection[Kind]
) -> list[_Path]:
    paths: list[_Path] = []
    numbers = Numbers(by)
    for held in snapshot.holdings:
        if held.kind in kinds:
            stack = profile.stacks[held.stack]
            stack = stack[(plumbing.site(stack) or 0) if plumbing else 0 :]
            paths.append(([(numbers.of(frame), frame) for frame in stack], held.in_use_bytes, held.allocations))
    return paths


def _nodes(paths: list[_Path]) -> dict[int, _Node]:
    nodes: dict[int, _Node] = {}
    for path, size, allocations in paths:
        seen: set[int] = set()
        calls: set[tuple[int, int]] = set()
        for index, (key, frame) in enumerate(path):
            node = nodes.setdefault(key, _Node(frame))
            if key not in seen:
                seen.add(key)
                node.total += size
            if index:
                callee = path[index - 1][0]
                if (key, callee) not in calls:
                    calls.add((key, callee))
                    node.out[callee] += size
                    nodes[callee].into[key] += size
        if path:
            node = nodes[path[0][0]]
            node.self_bytes += size
            node.allocations += allocations
    return nodes


def _worth(node: _Node) -> float:
    """How much a node tells: its bytes, times how evenly they part into its callers, its callees and itself."""
    return node.self_bytes + node.total * (_spread(node.into.values()) + _spread([*node.out.values(), node.self_bytes]))


def _spread(parts: Collection[int]) -> float:
    """Shannon's entropy of the shares, in bits."""
    total = sum(parts)
    return -sum(part / total * math.log2(part / total) for part in parts if part > 0) if total > 0 else 0.0


def _edges(paths: list[_Path], number: dict[int, int]) -> dict[tuple[int, int], _Edge]:
    edges: dict[tuple[int, int], _Edge] = {}
    for path, size, _ in paths:
        counted: set[tuple[int, int]] = set()
        callee: int | None = None
        direct, inlined = True, True
        for key, frame in path:
            caller = number.get(key)
            if caller is None:
                direct = False
                continue
            if callee is not None:
                edge = edges.setdefault((caller, callee), _Edge())
                edge.indirect |= not direct
                edge.inlined &= inlined
                if (caller, callee) not in counted:
                    counted.add((caller, callee))
                    edge.bytes += size
            callee, direct, inlined = caller, True, frame.inlined
    return edges
