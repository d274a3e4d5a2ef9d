"""Bencher Metric Format: what ``bencher run --adapter json`` reads."""

from __future__ import annotations

import json

from hiwater.analysis.budget import Figure
from hiwater.checks.model import Report

MEASURES = {Figure.PEAK_RSS: "peak-rss", Figure.TREE_PEAK: "tree-peak"}
"""The slugs of the measures, in bytes."""


def render(report: Report) -> str:
    """A benchmark for each check that has a figure; the bounds are those of the reading."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for result in report.results:
        for figure, measure in MEASURES.items():
            reading = result.shown(figure)
            if reading is None or reading.bytes is None:
                continue
            metric = {"value": reading.bytes}
            if reading.low is not None:
                metric["lower_value"] = reading.low
            if reading.high is not None:
                metric["upper_value"] = reading.high
            found.setdefault(result.check.name, {})[measure] = metric
    return json.dumps(found, indent=2) + "\n"
