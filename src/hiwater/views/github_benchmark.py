"""What github-action-benchmark reads as ``customSmallerIsBetter``."""

from __future__ import annotations

import json

from hiwater.analysis.budget import Figure
from hiwater.checks.model import Report
from hiwater.units import MIB


def render(report: Report) -> str:
    """An entry for each figure of each check, in MiB; its range is that of the executions."""
    entries = []
    for result in report.results:
        for figure in Figure:
            samples = result.samples(figure)
            reading = result.shown(figure)
            if reading is None or reading.bytes is None or not samples:
                continue
            entry: dict[str, object] = {
                "name": f"{result.check.name}: {figure.words}",
                "unit": "MiB",
                "value": round(reading.bytes / MIB, 4),
                "extra": f"{result.status}: {result.reason}",
            }
            if len(samples) > 1:
                entry["range"] = f"± {(max(samples) - min(samples)) / 2 / MIB:.4f}"
            entries.append(entry)
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
