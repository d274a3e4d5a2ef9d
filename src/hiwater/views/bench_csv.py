"""A benchmark as CSV (RFC 4180): a line a command, columns as hyperfine has them, sizes in bytes, unknown is empty."""

from __future__ import annotations

import csv
import io

from hiwater.analysis.benchmark import Report, Row
from hiwater.views.names import valid

COLUMNS = (
    "command",
    "runs",
    "median_bytes",
    "low_bytes",
    "high_bytes",
    "mean_bytes",
    "stddev_bytes",
    "min_bytes",
    "max_bytes",
    "median_seconds",
    "stddev_seconds",
    "user_seconds",
    "system_seconds",
    "min_seconds",
    "max_seconds",
)


def render(report: Report) -> str:
    """The whole file; a column for every parameter behind the others."""
    names = list(dict.fromkeys(name for row in report.rows for name in row.command.parameters))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, *(f"parameter_{valid(name)}" for name in names)])
    for row in report.rows:
        writer.writerow([*_cells(row), *(valid(row.command.parameters.get(name, "")) for name in names)])
    return text.getvalue()


def _cells(row: Row) -> list[object]:
    memory, wall = row.memory, row.wall
    cells: list[object] = [valid(row.command.name), row.executions]
    if memory is None:
        cells += [None] * 7
    else:
        low, high = (memory.interval.low, memory.interval.high) if memory.interval else (None, None)
        sizes = (memory.median, low, high, memory.mean, memory.deviation, memory.minimum, memory.maximum)
        cells += [None if size is None else round(size) for size in sizes]
    if wall is None:
        return cells + [None] * 6
    return [
        *cells,
        wall.median,
        wall.deviation,
        row.user_seconds,
        row.system_seconds,
        wall.minimum,
        wall.maximum,
    ]
