"""A profile that covers next to nothing of the memory is an error, not a result."""

from __future__ import annotations

import pytest

from hiwater.heap.coverage import CoverageError, check, coverage
from hiwater.heap.model import Engine, HeapProfile, Holding, Kind, Point, Snapshot

MIB = 1 << 20


def profile(*held: tuple[Kind, int], growth: int = 0, seen: int = 0) -> HeapProfile:
    holdings = tuple(Holding(0, kind, size, 1) for kind, size in held)
    in_use = sum(size for kind, size in held if kind is not Kind.MMAP)
    return HeapProfile(
        Engine.HEAPTRACK,
        stacks=((),),
        peak=Snapshot(None, None, in_use, holdings),
        exit=None,
        growth=(Snapshot(None, None, growth, ()),) if growth else (),
        course=(Point(0.0, seen),) if seen else (),
    )


def test_next_to_nothing_is_refused_with_what_to_try() -> None:
    """Under one hundredth of the anonymous memory is an error that says what is covered and what to try."""
    with pytest.raises(CoverageError) as raised:
        check(profile((Kind.MALLOC, MIB // 2)), 64 * MIB, "--engine massif")
    assert str(raised.value).startswith("the profile of heaptrack covers 0.5 MiB of 64.0 MiB anonymous memory (0.78%)")
    assert str(raised.value).endswith("Try --engine massif")


def test_without_a_better_proposal_it_names_faults() -> None:
    """What always works is proposed where the caller knows nothing better."""
    with pytest.raises(CoverageError, match="hiwater faults -- COMMAND"):
        check(profile(), 64 * MIB)


@pytest.mark.parametrize(
    ("made", "anon"),
    [
        (profile((Kind.MALLOC, MIB)), 64 * MIB),
        (profile((Kind.MMAP, 32 * MIB)), 64 * MIB),
        (profile(growth=32 * MIB), 64 * MIB),
        (profile(seen=32 * MIB), 64 * MIB),
        (profile(), MIB),
        (profile(), None),
    ],
    ids=["a hundredth", "mapped memory counts", "any snapshot counts", "the course counts", "small", "unknown"],
)
def test_what_explains_something_passes(made: HeapProfile, anon: int | None) -> None:
    """From one hundredth on, by any of its snapshots, and whenever there is nothing to judge by, a profile passes."""
    assert check(made, anon) == coverage(made, anon)
    assert not coverage(made, anon).is_next_to_nothing
