"""A benchmark for machines (``hiwater.bench/1``). Sizes in bytes, unknown is null."""

from __future__ import annotations

import json
import os
import platform

from hiwater._version import __version__
from hiwater.analysis.benchmark import Pair, Report, Row
from hiwater.analysis.statistics import Spread
from hiwater.bench.model import Execution
from hiwater.views.names import valid

SCHEMA = "hiwater.bench/1"


def render(report: Report) -> str:
    """The whole document."""
    return json.dumps(document(report), indent=2, ensure_ascii=False) + "\n"


def document(report: Report) -> dict[str, object]:
    """Plain values."""
    benchmark = report.benchmark
    return {
        "schema": SCHEMA,
        "hiwater_version": __version__,
        "metric": benchmark.metric.value,
        "runs": benchmark.runs,
        "confidence": benchmark.confidence,
        "pair_confidence": report.pair_confidence,
        "stop": benchmark.stop and benchmark.stop.value,
        "message": benchmark.message and valid(benchmark.message),
        "host": {"kernel": platform.release(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "results": [
            _result(row, result.executions) for row, result in zip(report.rows, benchmark.results, strict=True)
        ],
        "comparisons": [_pair(pair, report) for pair in report.pairs],
    }


def _result(row: Row, executions: tuple[Execution, ...]) -> dict[str, object]:
    command = row.command
    return {
        "command": valid(command.name),
        "arguments": [valid(argument) for argument in command.arguments],
        "parameters": {valid(name): valid(value) for name, value in command.parameters.items()},
        "memory": _spread(row.memory, "bytes"),
        "wall": _spread(row.wall, "seconds"),
        "user_seconds": row.user_seconds,
        "system_seconds": row.system_seconds,
        "executions": [_execution(execution) for execution in executions],
    }


def _spread(spread: Spread | None, unit: str) -> dict[str, object] | None:
    if spread is None:
        return None
    figures: dict[str, float | None] = {
        "median": spread.median,
        "low": spread.interval.low if spread.interval else None,
        "high": spread.interval.high if spread.interval else None,
        "mean": spread.mean,
        "deviation": spread.deviation,
        "robust_deviation": spread.robust_deviation,
        "min": spread.minimum,
        "max": spread.maximum,
    }
    return {
        "count": spread.count,
        **{
            f"{name}_{unit}": round(value) if unit == "bytes" and value is not None else value
            for name, value in figures.items()
        },
        "outliers": list(spread.outliers),
    }


def _execution(execution: Execution) -> dict[str, object]:
    return {
        "peak_rss_bytes": execution.peak_rss_bytes,
        "tree_peak_bytes": execution.tree_peak_bytes,
        "wall_seconds": execution.wall_seconds,
        "user_seconds": execution.user_seconds,
        "system_seconds": execution.system_seconds,
        "exit_code": execution.exit_code,
        "term_signal": execution.term_signal,
        "ended_by": execution.ended_by,
    }


def _pair(pair: Pair, report: Report) -> dict[str, object]:
    """``ratio``: how much more ``second`` takes than ``first``; both are places in ``results``."""
    return {
        "first": pair.first - 1,
        "second": pair.second - 1,
        "ratio": pair.memory.ratio,
        "ratio_low": pair.memory.low,
        "ratio_high": pair.memory.high,
        "confidence": report.pair_confidence,
        "verdict": pair.memory.verdict.value,
    }
