"""Rows of tables: which place holds how much."""

from __future__ import annotations

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind, Language, Snapshot
from hiwater.heap.rows import By, rows
from hiwater.views.heap_words import library


def test_a_place_without_a_library_is_not_pythons() -> None:
    """Formats that tell no library (dhat, massif) still tell what is no Python."""
    stacks = ((Frame("load", "app.c", 7),), (Frame("load", "app.py", 7, language=Language.PYTHON),))
    held = tuple(Holding(number, Kind.MALLOC, 20 - number, 1) for number in range(2))
    snapshot = Snapshot(None, None, 39, held)
    profile = HeapProfile(Engine.DHAT, stacks, snapshot, None)
    for by in (By.FUNCTION, By.LINE):
        assert [library(row.key) for row in rows(profile, snapshot, by)] == ["", "Python"]
