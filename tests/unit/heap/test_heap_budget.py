"""Budgets of call sites and libraries."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.heapprofiles import exact, faults, held, python_app, shuffle, snapshot
from tests.streams import MIB

from hiwater.heap.budget import At, HeapBudget, Kept, judge
from hiwater.heap.model import HeapProfile

CASES = {
    "kept": (HeapBudget(60 * MIB, "Library::load"), shuffle(), Kept.OK,
             "heap of Library::load at its peak 54.0 ± 1.62 MiB keeps its budget 60.0 MiB"),
    "broken": (HeapBudget(40 * MIB, "Library::load"), shuffle(), Kept.VIOLATED,
               "heap of Library::load at its peak 54.0 ± 1.62 MiB exceeds its budget 40.0 MiB by 14.0 MiB (35%)"),
    "within the errors, above": (HeapBudget(51 * MIB, "Library::load"), shuffle(), Kept.UNSURE,
                                 "heap of Library::load at its peak 54.0 ± 1.62 MiB: whether it exceeds its budget "
                                 "51.0 MiB cannot be told"),
    "within the errors, below": (HeapBudget(56 * MIB, "Library::load"), shuffle(), Kept.UNSURE, "cannot be told"),
    "a library": (HeapBudget(5 * MIB, library="libmpdclient.so"), shuffle(), Kept.UNSURE, "libmpdclient.so at"),
    "its version": (HeapBudget(9 * MIB, library="libmpdclient.so.2.20"), shuffle(), Kept.OK, "6.0 ± 0.61 MiB"),
    "both": (HeapBudget(MIB, "mpd_*", "libmpdclient.so"), shuffle(), Kept.VIOLATED, "mpd_* in libmpdclient.so"),
    "a source file": (HeapBudget(60 * MIB, file="library.cc"), shuffle(), Kept.OK, "library.cc at its peak"),
    "a file and its function": (HeapBudget(MIB, "Library::load", file="library.*"), shuffle(), Kept.VIOLATED,
                                "heap of Library::load in library.* at"),
    "another file": (HeapBudget(MIB, file="librari.cc"), shuffle(), Kept.UNDECIDABLE, "is 'library.cc' meant?"),
    "not both": (HeapBudget(MIB, "mpd_*", "shuffle"), shuffle(), Kept.UNDECIDABLE, "no call site is all of it"),
    "all": (HeapBudget(70 * MIB), shuffle(), Kept.OK, "heap of all at its peak 60.1 ± 1.73 MiB keeps"),
    "mapped memory is none of it": (HeapBudget(0, "map_cache"), shuffle(), Kept.UNSURE, "0.0 ± 0.06 MiB"),
    "at exit": (HeapBudget(MIB, "sort_all", at=At.EXIT), shuffle(20), Kept.OK, "at exit 0.0 ± 0.06 MiB keeps"),
    "no exit": (HeapBudget(MIB, at=At.EXIT), python_app(), Kept.UNDECIDABLE, "does not hold what lived at exit"),
    "Python": (HeapBudget(20 * MIB, "Records.load"), python_app(), Kept.VIOLATED, "Records.load"),
    "a module of Python": (HeapBudget(40 * MIB, library="report.py"), python_app(), Kept.OK, "33.0"),
    "misspelt": (HeapBudget(MIB, "Library::laod"), shuffle(), Kept.UNDECIDABLE,
                 "no call site is 'Library::laod'; is 'Library::load' meant?"),
    "counted, exactly so much": (HeapBudget(12 * MIB, "Library::load"), exact(), Kept.OK, "12.0 MiB keeps"),
    "counted, a byte more": (HeapBudget(12 * MIB - 1, "Library::load"), exact(), Kept.VIOLATED,
                             "12582912 bytes exceeds its budget 12582911 bytes by 1 bytes"),
    "page faults": (HeapBudget(MIB), faults(), Kept.UNDECIDABLE, "page faults do not tell who holds memory"),
    "no profile": (HeapBudget(MIB), None, Kept.UNDECIDABLE, "there is no heap profile"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_verdict(name: str) -> None:
    """Violated only beyond three standard errors; what cannot be judged is never kept."""
    budget, profile, status, reason = CASES[name]
    found = judge(budget, profile)
    assert found.status is status
    assert reason in found.reason


def test_templates_and_brackets() -> None:
    """A function is found by its name with or without the arguments of templates; operator[] is no pattern."""
    profile: HeapProfile = shuffle()
    for function, asked in (
        ("Pool<int, 3>::grow", "Pool::grow"),
        ("Pool<int, 3>::grow", "Pool<int, 3>::grow"),
        ("Table::operator[]", "Table::operator[]"),
        ("Table::operator[]", "Table::*"),
    ):
        stack = (replace(profile.stacks[2][0], function=function),)
        named = replace(profile, stacks=(stack,), peak=snapshot([held(0, 5 * MIB)], 1.0))
        assert judge(HeapBudget(MIB, asked), named).status is Kept.VIOLATED
