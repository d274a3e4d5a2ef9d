"""A flame graph before it is drawn: boxes as wide as what was held through a call, and whose code has which colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hiwater.heap.compare import portable_frame
from hiwater.heap.model import Frame, Language
from hiwater.heap.tree import Node

COLORS = ("#79a8d8", "#efdd39", "#b2804d", "#4cf09e", "#a571f4", "#d98026", "#f04c8e")
"""Of the libraries, those that take the most room first. Dark text can be read on each, and any two of them and the
grey stay apart for eyes without one of the three kinds of cones."""
GREY = "#c9d0d8"
"""Of all other libraries, and of what is unknown."""
PYTHON = "Python"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A node of the tree, or the same node of two trees."""

    name: str
    frame: Frame | None
    """``None``: the root, which is all of it."""
    in_use_bytes: int
    own_bytes: int = 0
    """Held by what ends here."""
    variance: float = 0.0
    before_bytes: int | None = None
    """In the profile that this one is compared with."""
    children: tuple[Call, ...] = ()
    """The widest first."""

    @property
    def width(self) -> int:
        """In bytes: the larger one where two profiles are compared."""
        return max(self.in_use_bytes, self.before_bytes or 0)


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A call in its place: from 0 to 1 of the whole width."""

    call: Call
    depth: int
    left: float
    width: float


def calls(tree: Node) -> Call:
    """A tree to be drawn."""
    return _built([(tree, None)], compared=False)


def difference(old: Node, new: Node) -> Call:
    """Two trees over each other: what is the same call in another build is one."""
    return _built([(new, old)], compared=True)


def _built(roots: list[tuple[Node | None, Node | None]], *, compared: bool) -> Call:
    """Without recursion: stacks may be deeper than Python's goes."""
    order = roots
    places: list[list[int]] = []
    for now, was in order:
        pairs: dict[object, tuple[Node | None, Node | None]] = {}
        for child in now.children if now is not None else ():
            pairs[portable_frame(child.frame) if compared else id(child)] = (child, None)
        for child in was.children if was is not None else ():
            key = portable_frame(child.frame)
            pairs[key] = (pairs.get(key, (None, None))[0], child)
        places.append(list(range(len(order), len(order) + len(pairs))))
        order.extend(pairs.values())
    done: dict[int, Call] = {}
    for at in range(len(order) - 1, -1, -1):
        now, was = order[at]
        known = now if now is not None else was
        assert known is not None
        before = (was.total_bytes if was is not None else 0) if compared else None
        children = sorted((done.pop(place) for place in places[at]), key=lambda call: (-call.width, call.name))
        sizes = (0, 0, 0.0) if now is None else (now.total_bytes, now.self_bytes, now.variance)
        done[at] = Call(known.name, known.frame, *sizes, before, tuple(children))
    return done[0]


def boxes(root: Call, least: float) -> Iterator[Box]:
    """All that are at least so wide (a share of the whole), the callers before what they call."""
    whole = root.width
    if whole <= 0:
        return
    waiting = [(root, 0, 0.0)]
    while waiting:
        call, depth, left = waiting.pop()
        yield Box(call, depth, left, call.width / whole)
        for child in call.children:
            share = child.width / whole
            if share < least:
                break
            waiting.append((child, depth + 1, left))
            left += share


def owner(frame: Frame | None) -> str | None:
    """Whose code it is, as colours tell it apart: a path, or Python."""
    if frame is None:
        return None
    return PYTHON if frame.language is Language.PYTHON else frame.library


def colors(root: Call) -> dict[str, str]:
    """A colour for each of the libraries that take the most room in the drawing, in that order."""
    room: dict[str, int] = {}
    waiting = [root]
    while waiting:
        call = waiting.pop()
        whose = owner(call.frame)
        if whose is not None:
            room[whose] = room.get(whose, 0) + call.width
        waiting += call.children
    most = sorted(room, key=lambda one: (-room[one], one))[: len(COLORS)]
    return dict(zip(most, COLORS, strict=False))
