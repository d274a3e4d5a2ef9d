"""Replays a log: which sampled blocks lived at a moment, and what they stand for.

A block of ``b`` bytes is sampled with probability p = 1 - exp(-b / mean). So each sample stands for 1 / p blocks and
b / p bytes (Horvitz and Thompson), whose sum is unbiased whatever the mean was; blocks are sampled independently of
each other, so the variances b^2 (1 - p) / p^2, estimated once more by 1 / p of what was seen, add up.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import exp, expm1

from hiwater.heap.log import HeapLog
from hiwater.heap.mappings import Area, Space
from hiwater.heap.model import Holding, Kind
from hiwater.heap.wire import AllocKind

_KINDS = {kind: Kind.PYTHON if kind >= AllocKind.PY_MEM else Kind.MALLOC for kind in AllocKind}


@dataclass(frozen=True, slots=True)
class Weight:
    """What one sample stands for."""

    bytes: float
    blocks: float
    variance: float
    """Of the bytes."""


def weight(size: int, mean: int) -> Weight:
    """``mean`` 0: every block was taken."""
    if mean <= 0:
        return Weight(size, 1.0, 0.0)
    p = -expm1(-max(size, 1) / mean)
    return Weight(size / p, 1 / p, size * size * exp(-max(size, 1) / mean) / (p * p))


@dataclass(frozen=True, slots=True)
class Live:
    """What lived at one moment. Stacks are those of the log."""

    t_ns: int
    holdings: tuple[Holding, ...]
    """The largest first."""
    samples: int
    """How many samples of blocks it is made of."""
    areas: tuple[Area, ...]
    """What the program had mapped, Python's arenas among it."""

    @property
    def in_use_bytes(self) -> int:
        """Sum of the holdings without what was mapped."""
        return sum(held.in_use_bytes for held in self.holdings if held.kind is not Kind.MMAP)

    @property
    def arena_bytes(self) -> int:
        """Of Python's arenas."""
        return sum(area.bytes for area in self.areas if area.arena)


class Replay:
    """The events of a log in the order of time, across its threads."""

    def __init__(self, log: HeapLog) -> None:
        self.log = log
        self._events = array("q")
        """Index of an allocation; of a free its complement."""
        self.times = array("q")
        """When each of them was."""
        self._sort()

    def _sort(self) -> None:
        """Matches frees with allocations.

        A free is told before the block is given back and an allocation after it was given, so what is told of one
        address is in the order of time, whichever threads it was. Where a free is missing, its block lives until its
        address is given out again."""
        samples = self.log.samples
        alloc_ns, address, free_ns, freed = samples.alloc_ns, samples.address, samples.free_ns, samples.freed
        count = len(free_ns)
        times = free_ns + alloc_ns  # at the same instant frees come first
        live: dict[int, int] = {}
        early: dict[int, int] = {}
        add, when = self._events.append, self.times.append
        for at in sorted(range(len(times)), key=times.__getitem__):
            t_ns = times[at]
            if at < count:
                block = live.pop(freed[at], None)
                if block is None:  # of a sample that was lost, or allocated and freed at the same instant
                    early[freed[at]] = t_ns
                else:
                    add(~block)
                    when(t_ns)
                continue
            block = at - count
            where = address[block]
            before = live.get(where)
            if before is not None:
                add(~before)
                when(t_ns)
            add(block)
            when(t_ns)
            if early and early.get(where) == t_ns:
                del early[where]
                live.pop(where, None)
                add(~block)
                when(t_ns)
            else:
                live[where] = block

    def __len__(self) -> int:
        return len(self._events)

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """Of the log's ``samples.kinds``."""
        return tuple(weight(size, mean) for _, _, size, mean in self.log.samples.kinds)

    def _changes(self, frees: bool) -> list[int]:
        sizes, what = [round(one.bytes) for one in self.weights], self.log.samples.what
        down = -1 if frees else 0
        return [sizes[what[at]] if at >= 0 else down * sizes[what[~at]] for at in self._events]

    @cached_property
    def in_use(self) -> array[int]:
        """After each event the estimate of what is in use, in bytes."""
        return array("q", accumulate(self._changes(True)))

    @cached_property
    def allocated(self) -> array[int]:
        """After each event the estimate of all that was ever allocated."""
        return array("q", accumulate(self._changes(False)))

    def mean_at(self, t_ns: int) -> int | None:
        """Mean distance of the samples that lived then: the median, each counted with the bytes that it stands for, as
        each thread adapts its own. ``None``: nothing lived."""
        live: dict[int, None] = {}
        _apply(live, self._events[: bisect_right(self.times, t_ns)])
        bytes_of: Counter[int] = Counter()
        for alike, count in Counter(map(self.log.samples.what.__getitem__, live)).items():
            bytes_of[self.log.samples.kinds[alike][3]] += round(count * self.weights[alike].bytes)
        half, passed = bytes_of.total() / 2, 0
        for mean in sorted(bytes_of):
            passed += bytes_of[mean]
            if passed >= half:
                return mean
        return self.log.head.mean_bytes

    def at(self, t_ns: int) -> Live:
        """What lived just after a moment."""
        return next(self.at_many([t_ns]))

    def at_many(self, moments: Iterable[int]) -> Iterator[Live]:
        """The same of several moments, which ascend, in one pass."""
        what = self.log.samples.what
        live: dict[int, None] = {}
        space, mapped, done, told = Space(self.log), self.log.mapped, 0, 0
        for t_ns in moments:
            stop = bisect_right(self.times, t_ns)
            _apply(live, self._events[done:stop])
            done = stop
            while told < len(mapped) and mapped[told].t_ns <= t_ns:
                space.apply(mapped[told])
                told += 1
            areas = tuple(space)
            held = self._holdings(Counter(map(what.__getitem__, live)), {})
            held += _mapped(areas, {})
            yield Live(t_ns, _largest_first(held), len(live), areas)

    def live_at(self, t_ns: int) -> Iterator[tuple[int, tuple[int, int, int, int], Weight]]:
        """The samples that lived just after a moment: where, (stack, kind, bytes, mean), and what it stands for."""
        samples = self.log.samples
        live: dict[int, None] = {}
        _apply(live, self._events[: bisect_right(self.times, t_ns)])
        for at in live:
            alike = samples.what[at]
            yield samples.address[at], samples.kinds[alike], self.weights[alike]

    def between(self, begin_ns: int, end_ns: int) -> tuple[Holding, ...]:
        """What each stack holds more, or less (negative), at the end than at the beginning, the largest growth first.
        What lived at both moments adds nothing to the variance."""
        ends = min(begin_ns, end_ns), max(begin_ns, end_ns)
        what = self.log.samples.what
        first, second = ({}, {})  # type: dict[int, None], dict[int, None]
        stops = [bisect_right(self.times, t_ns) for t_ns in ends]
        _apply(first, self._events[: stops[0]])
        second.update(first)
        _apply(second, self._events[stops[0] : stops[1]])
        new = Counter(what[at] for at in second if at not in first)
        old = Counter(what[at] for at in first if at not in second)
        areas = [live.areas for live in self.at_many(ends)]
        held = self._holdings(new, old) + _mapped(areas[1], _by_stack(areas[0]))
        if begin_ns > end_ns:
            held = [Holding(one.stack, one.kind, -one.in_use_bytes, -one.allocations, one.variance) for one in held]
        return _largest_first(held)

    def _holdings(self, more: Counter[int] | dict[int, int], less: Counter[int] | dict[int, int]) -> list[Holding]:
        kinds, weights = self.log.samples.kinds, self.weights
        sums: dict[tuple[int, Kind], list[float]] = {}
        for sign, part in ((1, more), (-1, less)):
            for alike, count in part.items():
                stack, number, _, _ = kinds[alike]
                one = weights[alike]
                held = sums.setdefault((stack, _KINDS.get(number, Kind.MALLOC)), [0.0, 0.0, 0.0])  # type: ignore[call-overload]
                held[0] += sign * count * one.bytes
                held[1] += sign * count * one.blocks
                held[2] += count * one.variance
        return [Holding(stack, kind, round(a), round(b), c) for (stack, kind), (a, b, c) in sums.items()]


def _apply(live: dict[int, None], events: array[int]) -> None:
    for at in events:
        if at >= 0:
            live[at] = None
        else:
            del live[~at]


def _by_stack(areas: Iterable[Area]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for area in areas:
        if not area.arena:
            size, count = found.get(area.stack, (0, 0))
            found[area.stack] = size + area.bytes, count + 1
    return found


def _mapped(areas: Iterable[Area], before: dict[int, tuple[int, int]]) -> list[Holding]:
    """Exact, so without a variance; less what was there before."""
    now = _by_stack(areas)
    held = []
    for stack in {**before, **now}:
        (size, count), (old_size, old_count) = now.get(stack, (0, 0)), before.get(stack, (0, 0))
        if (size, count) != (old_size, old_count):
            held.append(Holding(stack, Kind.MMAP, size - old_size, count - old_count))
    return held


def _largest_first(held: list[Holding]) -> tuple[Holding, ...]:
    return tuple(sorted(held, key=lambda one: (-one.in_use_bytes, one.stack, one.kind.value)))
