"""Functions of a program's own that only hand out memory: their callers are the places, as with malloc itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hiwater.errors import MisuseError
from hiwater.heap.model import HeapProfile, Holding, Snapshot, Stack
from hiwater.heap.plumbing import Plumbing


def pass_over(profile: HeapProfile, wrappers: Sequence[str]) -> HeapProfile:
    """A profile whose stacks begin with the callers of these functions, wherever nothing but plumbing is below them.

    ``wrappers``: regular expressions for whole short names (``my_alloc``, ``Pool::.*``). A stack of nothing but these
    keeps its outermost frame. Raises MisuseError of what is no regular expression.
    """
    if not wrappers:
        return profile
    for each in wrappers:
        try:
            re.compile(each)
        except re.error as error:
            raise MisuseError(f"{each!r} is no regular expression: {error}") from None
    usual, with_these = Plumbing(), Plumbing(tuple(wrappers))
    stacks: dict[Stack, int] = {}
    number = [stacks.setdefault(_cut(stack, usual, with_these), len(stacks)) for stack in profile.stacks]

    def moved(snapshot: Snapshot) -> Snapshot:
        return replace(
            snapshot, holdings=_merged(replace(held, stack=number[held.stack]) for held in snapshot.holdings)
        )

    return replace(
        profile,
        stacks=tuple(stacks),
        peak=None if profile.peak is None else moved(profile.peak),
        exit=None if profile.exit is None else moved(profile.exit),
        growth=tuple(moved(snapshot) for snapshot in profile.growth),
    )


def _cut(stack: Stack, usual: Plumbing, with_these: Plumbing) -> Stack:
    before, after = usual.site(stack), with_these.site(stack)
    return stack if before is None or after is None or after <= before else stack[after:]


def _merged(holdings: Iterable[Holding]) -> tuple[Holding, ...]:
    """Stacks that are the same now hold together."""
    found: dict[tuple[object, ...], Holding] = {}
    for held in holdings:
        old = found.get((held.stack, held.kind))
        found[held.stack, held.kind] = held if old is None else replace(
            held,
            in_use_bytes=old.in_use_bytes + held.in_use_bytes,
            allocations=old.allocations + held.allocations,
            variance=old.variance + held.variance,
        )  # fmt: skip
    return tuple(sorted(found.values(), key=lambda held: -held.in_use_bytes))
