"""The marker ``hiwater_heap``: budgets of call sites, held against every command that a test executes with
``hiwater.heap``. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hiwater.errors import MisuseError
from hiwater.heap.budget import At, HeapBudget
from hiwater.units import parse_size

Whose = tuple["str | None", "str | None", "str | None", At]
"""Site, file, library and moment: of two budgets of the same, the closest to the test counts."""
NAMES = ("site", "file", "library")


def heap_budget(size: object, site: object, file: object, library: object, at: object) -> HeapBudget:
    """Parsed before the command starts: a misspelt size shall not cost an execution."""
    if at not in ("peak", "exit"):
        raise MisuseError(f"at={at!r}: a budget of the heap is for the 'peak' or for the 'exit'")
    if not isinstance(size, str):
        raise MisuseError(f"a budget is a size in quotes with its unit, such as '10 MiB', not {size!r}")
    for name, value in zip(NAMES, (site, file, library), strict=True):
        if value is not None and (not isinstance(value, str) or not value):
            raise MisuseError(f"{name}={value!r}: a name, or a pattern, in quotes")
    return HeapBudget(parse_size(size), site, library, At(at), file)  # type: ignore[arg-type] # checked


def parse(args: Sequence[object], kwargs: Mapping[str, object], where: str) -> tuple[Whose, HeapBudget | None]:
    """``@pytest.mark.hiwater_heap("10 MiB", site="load")``; ``None`` for the size lifts one from further out."""
    given = dict(kwargs)
    if len(args) > 1:
        raise MisuseError(f"{where}: one size by position; name the others")
    if args:
        if "budget" in given:
            raise MisuseError(f"{where}: the budget is given twice")
        given["budget"] = args[0]
    if "budget" not in given:
        raise MisuseError(f"{where}: there is no budget: write hiwater_heap('10 MiB', site='load')")
    for key in given:
        if key not in ("budget", *NAMES, "at"):
            raise MisuseError(f"{where}: unknown key {key!r}: there are budget, {', '.join(NAMES)}, at")
    size = given.pop("budget")
    site, file, library = (given.get(name) for name in NAMES)
    try:
        budget = heap_budget("0B" if size is None else size, site, file, library, given.get("at", "peak"))
    except MisuseError as error:
        raise MisuseError(f"{where}: {error}") from None
    return (budget.site, budget.file, budget.library, budget.at), None if size is None else budget


def resolve(markers: Iterable[tuple[Whose, HeapBudget | None]]) -> tuple[HeapBudget, ...]:
    """All that hold; the closest to the test comes last."""
    found: dict[Whose, HeapBudget | None] = {}
    for whose, budget in markers:
        found.pop(whose, None)
        found[whose] = budget
    return tuple(budget for budget in found.values() if budget is not None)
