"""``hiwater check`` as CSV (RFC 4180): a line for each check, sizes in bytes, unknown is empty."""

from __future__ import annotations

import csv
import io

from hiwater.analysis.budget import Figure
from hiwater.checks.model import CheckResult, Report
from hiwater.views.names import valid

COLUMNS = (
    "name",
    "status",
    "peak_rss_bytes",
    "peak_rss_lower_bytes",
    "peak_rss_upper_bytes",
    "budget_bytes",
    "tree_peak_bytes",
    "tree_peak_lower_bytes",
    "tree_peak_upper_bytes",
    "budget_tree_bytes",
    "executions",
    "baseline_bytes",
    "ratio",
    "ratio_lower",
    "ratio_upper",
    "reason",
)


def render(report: Report) -> str:
    """With a header; lines end with CR LF."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(_row(result) for result in report.results)
    return text.getvalue()


def _row(result: CheckResult) -> list[object]:
    row: list[object] = [result.check.name, result.status]
    for figure in Figure:
        reading = result.shown(figure)
        row += [None] * 3 if reading is None else [reading.bytes, reading.low, reading.high]
        row.append(result.limit(figure))
    growth = result.growth
    row.append(len(result.executions))
    row += [None] * 4 if growth is None else [growth.old_bytes, growth.ratio, growth.low, growth.high]
    return [*row, valid(result.reason)]
