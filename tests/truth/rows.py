"""The rows of the truth table: what was true, and what hiwater said."""

import csv
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

FLOOR = 256 * 1024
"""Below this an error does not matter: the counters of the kernel come in batches of pages."""

TOLERANCES = {"peak": 0.005, "tree": 0.02}
"""The largest median error of the executions, as a fraction of the truth."""

MEDIAN = "the median error is"
"""In faults of estimates, not of bounds."""


@dataclass(frozen=True)
class Row:
    """One figure of one execution, in bytes; None: hiwater had no number."""

    case: str
    mode: str
    user: str
    launcher: str
    figure: str
    truth: int
    lower: int | None
    estimate: int | None
    upper: int | None
    method: str | None
    """Which way of measuring gave the estimate, in hiwater's own words."""
    missed: int = 0
    """The truth may be so much more: the program that counted cannot tell."""

    @property
    def is_bounded(self) -> bool:
        """The guarantee: the truth lies between two numbers that were stated."""
        if self.lower is None or self.upper is None:
            return False
        return self.lower <= self.truth + self.missed and self.truth <= self.upper

    @property
    def error(self) -> float:
        return float("inf") if self.estimate is None else abs(self.estimate - self.truth)


def faults(rows: Sequence[Row]) -> list[str]:
    """What is wrong with the executions of one case."""
    found = []
    for figure in sorted({row.figure for row in rows}):
        same = [row for row in rows if row.figure == figure]
        outside = [row for row in same if not row.is_bounded]
        if outside:
            found.append(f"{figure}: the truth is not within the bounds in {len(outside)} of {len(same)} executions")
        tolerance = max(FLOOR, TOLERANCES[figure] * statistics.median(row.truth for row in same))
        error = statistics.median(row.error for row in same)
        if error > tolerance:
            found.append(f"{figure}: {MEDIAN} {error / 1024:.0f} KiB, allowed are {tolerance / 1024:.0f}")
    return found


def inexact(rows: Sequence[Row]) -> list[str]:
    """What is wrong with those where every change was followed: the peak RSS is the truth, to the page."""
    wrong = [row for row in rows if row.mode == "exact" and row.figure == "peak"]
    wrong = [row for row in wrong if row.estimate != row.truth]
    return [f"{len(wrong)} of {len(rows) // 2} peaks are not exact"] if wrong else []


def _mark(row: Row) -> str:
    return "" if row.is_bounded else "  <-- outside"


def table(rows: Iterable[Row]) -> str:
    """The rows for people, in KiB."""
    lines = [
        f"{'case':31} {'mode':6} {'user':12} {'figure':6} {'truth':>9} {'lower':>9} {'estimate':>9} {'upper':>9} method"
    ]
    for row in rows:
        numbers = (row.truth, row.lower, row.estimate, row.upper)
        shown = " ".join(f"{'-' if number is None else format(number / 1024, '.0f'):>9}" for number in numbers)
        lines.append(f"{row.case:31} {row.mode:6} {row.user:12} {row.figure:6} {shown} {row.method or '-'}{_mark(row)}")
    return "\n".join(lines)


def write(path: Path, rows: Sequence[Row]) -> None:
    """All rows for machines: CSV where the name says so, JSON otherwise."""
    if path.suffix != ".csv":
        path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        return
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [column.name for column in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
