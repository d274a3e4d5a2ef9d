"""Stacks merged into a tree: what a flame graph draws."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum

from hiwater.heap.model import Frame, HeapProfile, Kind, Snapshot, Stack
from hiwater.heap.plumbing import Plumbing
from hiwater.heap.sites import By, Numbers, identity, label

HEAP = frozenset({Kind.MALLOC, Kind.PYTHON, Kind.FAULT})
"""What ``in_use_bytes`` of a snapshot counts: all but what the program maps itself."""


class Direction(str, Enum):
    """Where a tree begins."""

    FROM_ROOT = "from_root"
    """At main: which calls led to the memory."""
    FROM_SITE = "from_site"
    """Inverted, at the call sites: who called each."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A call, merged from the stacks that have it at the same place."""

    name: str
    frame: Frame | None
    """The first that was merged; ``None`` at the root."""
    total_bytes: int
    """Held by it and by what it called."""
    self_bytes: int
    """Held by stacks that end here."""
    allocations: int
    """Blocks, of ``total_bytes``."""
    variance: float
    """Of ``total_bytes``, in bytes squared."""
    children: tuple[Node, ...]
    """The largest first."""

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Every node with its depth, parents before children. Stacks may be deeper than Python's recursion goes."""
        waiting = [(0, self)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting.extend((depth + 1, child) for child in reversed(node.children))


@dataclass(slots=True)
class _Building:
    frame: Frame | None
    total: int = 0
    self_bytes: int = 0
    allocations: int = 0
    variance: float = 0.0
    children: dict[int, _Building] = field(default_factory=dict)


def tree(
    profile: HeapProfile,
    snapshot: Snapshot,
    by: By = By.FUNCTION,
    direction: Direction = Direction.FROM_ROOT,
    *,
    plumbing: Plumbing | None = None,
    kinds: Collection[Kind] = HEAP,
    name: Callable[[Frame], str] | None = None,
    root: str = "all",
) -> Node:
    """The stacks of a snapshot, merged. Its root's ``total_bytes`` is the sum of the holdings of these kinds.

    ``plumbing``: leave out the frames of allocators and containers below the call site; ``None`` keeps all.
    ``by``: which frames are one; neighbours of one library are merged with ``By.LIBRARY``. ``name``: what nodes are
    called.
    """
    top = _Building(None)
    numbers = Numbers(by)
    cut: dict[int, Stack] = {}
    for held in snapshot.holdings:
        if held.kind not in kinds:
            continue
        if held.stack not in cut:
            cut[held.stack] = _path(profile.stacks[held.stack], by, direction, plumbing)
        node = top
        _weigh(node, held.in_use_bytes, held.allocations, held.variance)
        for frame in cut[held.stack]:
            number = numbers.of(frame)
            child = node.children.get(number)
            if child is None:
                child = node.children[number] = _Building(frame)
            node = child
            _weigh(node, held.in_use_bytes, held.allocations, held.variance)
        node.self_bytes += held.in_use_bytes
    return _finished(top, name or (lambda frame: label(frame, by)), root)


def _path(stack: Stack, by: By, direction: Direction, plumbing: Plumbing | None) -> Stack:
    if plumbing is not None:
        stack = stack[plumbing.site(stack) or 0 :]
    if by is By.LIBRARY:
        stack = tuple(
            frame
            for index, frame in enumerate(stack)
            if not index or identity(frame, by) != identity(stack[index - 1], by)
        )
    return stack[::-1] if direction is Direction.FROM_ROOT else stack


def _weigh(node: _Building, size: int, allocations: int, variance: float) -> None:
    node.total += size
    node.allocations += allocations
    node.variance += variance


def _finished(top: _Building, name: Callable[[Frame], str], root: str) -> Node:
    """Children before parents, without recursion."""
    order: list[_Building] = [top]
    for node in order:
        order.extend(node.children.values())
    done: dict[int, Node] = {}
    for node in reversed(order):
        children = sorted(
            (done.pop(id(child)) for child in node.children.values()), key=lambda child: -child.total_bytes
        )
        title = root if node.frame is None else name(node.frame)
        done[id(node)] = Node(
            title, node.frame, node.total, node.self_bytes, node.allocations, node.variance, tuple(children)
        )
    return done[id(top)]
