"""Wrappers of a program's own."""

from __future__ import annotations

import pytest
from tests.unit.heap.profiles import profile

from hiwater.errors import MisuseError
from hiwater.heap.sites import call_sites
from hiwater.heap.wrappers import pass_over

ROWS = (
    "main > load > Pool::grab<Song> > page_get > malloc: 100",
    "main > load > Pool::grab<Song> > page_get: 50",
    "main > page_get > sort: 30",
    "page_get: 7",
)


def test_callers_of_wrappers_are_the_places() -> None:
    """Of every snapshot; a function that is called by a wrapper and is none itself stays the place."""
    told, _ = profile(*ROWS, variance=4.0)
    found = pass_over(told, ["Pool::.*", "page_\\w+"])
    assert found.peak is not None
    sites = call_sites(found, found.peak)
    assert [(site.function, site.in_use_bytes, site.standard_error_bytes) for site in sites] == [
        ("load", 150, 3), ("sort", 30, 2), ("page_get", 7, 2)
    ]  # fmt: skip
    assert [frame.function for frame in found.stacks[found.peak.holdings[0].stack]] == ["load", "main"]
    assert len(found.peak.holdings) == 3 and found.peak.in_use_bytes == 187


def test_without_wrappers_nothing_changes() -> None:
    """And what is no expression is the user's mistake."""
    told, _ = profile(*ROWS)
    assert pass_over(told, []) is told
    with pytest.raises(MisuseError, match="no regular expression"):
        pass_over(told, ["("])
