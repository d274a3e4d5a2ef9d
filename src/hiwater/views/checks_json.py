"""The JSON of ``hiwater check``, schema ``hiwater.check/1`` (``hiwater.check-1.schema.json`` beside this file)."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from hiwater._version import __version__
from hiwater.analysis.budget import Figure
from hiwater.checks.model import CheckResult, Execution, Growth, Report
from hiwater.heap.budget import HeapJudgement
from hiwater.views import json_view
from hiwater.views.names import valid

SCHEMA = "hiwater.check/1"


def render(report: Report) -> str:
    """The document as text, with a newline at its end."""
    return json.dumps(document(report), indent=2, ensure_ascii=False) + "\n"


def document(report: Report) -> dict[str, object]:
    """The document as plain dictionaries and lists."""
    failed = [result.check.name for result in report.results if not result.status.passes]
    return {
        "schema": SCHEMA,
        "hiwater_version": __version__,
        "status": "ok" if report.passes else "failed",
        "reason": f"not passed: {', '.join(failed)}" if failed else "all checks pass",
        "config": valid(report.plan.path),
        "against": None if report.against is None else valid(report.against),
        "confidence": report.plan.confidence,
        "started_at": f"{datetime.fromtimestamp(report.started_at, timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}",
        "commit": None
        if report.commit is None
        else {"id": report.commit.id, "time": report.commit.time, "dirty": report.commit.dirty},
        "host": {
            "machine": report.host.machine,
            "kernel": report.host.kernel,
            "cpus": report.host.cpus,
            "page_size_bytes": report.host.page_size,
        },
        "warnings": list(report.warnings),
        "checks": [_result(result) for result in report.results],
    }


def _result(result: CheckResult) -> dict[str, object]:
    check = result.check
    figures: dict[str, object] = {}
    for figure in Figure:
        reading = result.shown(figure)
        figures[f"{figure}_bytes"] = reading.bytes if reading is not None else None
        figures[f"{figure}_lower_bytes"] = reading.low if reading is not None else None
        figures[f"{figure}_upper_bytes"] = reading.high if reading is not None else None
    return {
        "name": check.name,
        "status": result.status,
        "reason": valid(result.reason),
        "notes": [valid(note) for note in result.notes],
        "command": [valid(word) for word in check.command],
        "line": check.line,
        "statistic": check.statistic,
        **figures,
        "budget": json_view.budget(result.judgements) if result.judgements else None,
        "heap": [_heap(judgement) for judgement in result.heap],
        "baseline": None if result.growth is None else _growth(result.growth),
        "executions": [_execution(execution) for execution in result.executions],
        "output": valid(result.output) or None,
    }


def _heap(judgement: HeapJudgement) -> dict[str, object]:
    budget = judgement.budget
    return {
        "site": None if budget.site is None else valid(budget.site),
        "file": None if budget.file is None else valid(budget.file),
        "library": None if budget.library is None else valid(budget.library),
        "at": budget.at,
        "limit_bytes": budget.limit_bytes,
        "in_use_bytes": judgement.in_use_bytes,
        "standard_error_bytes": judgement.standard_error_bytes,
        "status": judgement.status,
        "reason": valid(judgement.reason),
    }


def _growth(growth: Growth) -> dict[str, object]:
    return {
        "figure": growth.figure,
        "bytes": growth.old_bytes,
        "executions_bytes": list(growth.old),
        "ratio": growth.ratio,
        "ratio_lower": growth.low,
        "ratio_upper": growth.high,
        "confidence": growth.confidence,
        "tolerance": growth.tolerance,
    }


def _execution(execution: Execution) -> dict[str, object]:
    return {
        "peak_rss_bytes": execution.peak_rss.bytes,
        "peak_rss_lower_bytes": execution.peak_rss.low,
        "peak_rss_upper_bytes": execution.peak_rss.high,
        "tree_peak_bytes": execution.tree_peak.bytes,
        "tree_peak_lower_bytes": execution.tree_peak.low,
        "tree_peak_upper_bytes": execution.tree_peak.high,
        "wall_seconds": execution.wall_seconds,
        "failure": None if execution.failure is None else valid(execution.failure),
    }
