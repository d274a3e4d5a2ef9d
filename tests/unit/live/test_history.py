"""Sizes over time in bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hiwater.live.history import CELLS, Clock, History

SECOND = 1 << 30
"""Nearly; cells do not begin at whole seconds."""


def test_the_largest_of_each_stretch() -> None:
    """A spike is seen however short it was; a value holds until the next."""
    clock = Clock()
    history = History(clock)
    for t_ns, value in ((0, 5), (SECOND, 90), (SECOND + 1, 7), (2 * SECOND, 6)):
        clock.reach(t_ns)
        history.add(t_ns, value)
    clock.reach(4 * SECOND - 1)
    assert history.outline(4) == [5, 90, 7, 6]


def test_nothing_before_the_beginning_and_behind_the_end() -> None:
    """There is nothing where a process did not live."""
    clock = Clock()
    history = History(clock)
    clock.reach(4 * SECOND)
    history.add(4 * SECOND, 8)
    clock.reach(6 * SECOND)
    history.add(6 * SECOND, None)
    clock.reach(8 * SECOND - 1)
    assert history.outline(8) == [None, None, None, None, 8, 8, 8, None]


def test_nothing_at_all() -> None:
    """A history without a value is empty."""
    assert History(Clock()).outline(3) == [None, None, None]


def test_bounded() -> None:
    """Days take no more memory than minutes, and their maximum is still there."""
    clock = Clock()
    history = History(clock)
    for second in range(0, 100_000, 7):
        clock.reach(second * SECOND)
        history.add(second * SECOND, 1000 if second == 70 else 1)
    assert len(history._most) <= CELLS
    assert max(size for size in history.outline(80) if size is not None) == 1000
    assert history.outline(80)[0] == 1000


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20 * SECOND), st.integers(0, 1000)), min_size=1, max_size=60),
    st.integers(1, 100),
)
def test_no_maximum_is_lost(steps: list[tuple[int, int]], columns: int) -> None:
    """Whatever happened when, the outline shows its maximum, and at no time more than was there."""
    clock = Clock()
    history = History(clock)
    now, most = 0, 0
    for gap, value in steps:
        now += gap
        clock.reach(now)
        history.add(now, value)
        most = max(most, value)
    outline = history.outline(columns)
    assert len(outline) == columns
    assert max(size for size in outline if size is not None) == most
    assert outline[-1] is not None
