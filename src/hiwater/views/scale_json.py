"""Growth along a parameter, for machines (``hiwater.scale/1``). Sizes of memory in bytes, unknown is null."""

from __future__ import annotations

import json
import os
import platform
from math import isfinite

from hiwater._version import __version__
from hiwater.analysis.laws import Estimate, Fit
from hiwater.analysis.scale_report import ScaleReport
from hiwater.bench.model import Benchmark
from hiwater.views.names import valid

SCHEMA = "hiwater.scale/1"


def render(report: ScaleReport) -> str:
    """The whole document."""
    return json.dumps(document(report), indent=2, ensure_ascii=False) + "\n"


def document(report: ScaleReport) -> dict[str, object]:
    """Plain values."""
    found, benchmark = report.scaling, report.benchmark
    chosen = found.chosen
    return {
        "schema": SCHEMA,
        "hiwater_version": __version__,
        "command": [valid(word) for word in report.command],
        "parameter": valid(report.parameter),
        "metric": benchmark.metric.value,
        "confidence": found.confidence,
        "stop": benchmark.stop and benchmark.stop.value,
        "message": benchmark.message and valid(benchmark.message),
        "host": {"kernel": platform.release(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "points": _points(report.parameter, benchmark),
        "law": chosen and _fit(chosen),
        "per_unit_bytes": chosen and chosen.slope_at(found.points[-1].size),
        "noise": {"deviation": found.noise.deviation, "proportional": found.noise.proportional},
        "plausible": [str(fit.law) for fit in found.plausible],
        "fits": [_fit(fit) for fit in found.fits],
        "refusals": list(found.refusals),
        "predictions": [
            {
                "size": told.size,
                "bytes": _whole(told.bytes),
                "low_bytes": _whole(told.low),
                "high_bytes": _whole(told.high),
                "refusal": told.refusal,
            }
            for told in report.predictions
        ],
        "limit": report.reach
        and {
            "bytes": _whole(report.reach.limit),
            "size": report.reach.size,
            "low_size": report.reach.low,
            "high_size": report.reach.high,
            "note": report.reach.note,
            "answered": report.reach.answered,
        },
    }


def _points(parameter: str, benchmark: Benchmark) -> list[dict[str, object]]:
    return [
        {
            "size": float(result.command.parameters[parameter]),
            "memory_bytes": [execution.memory(benchmark.metric) for execution in result.executions],
            "wall_seconds": [execution.wall_seconds for execution in result.executions],
        }
        for result in benchmark.results
    ]


def _fit(fit: Fit) -> dict[str, object]:
    """memory = fixed_bytes + factor_bytes x shape(size); errors are standard errors."""
    return {
        "law": fit.law.value,
        "fixed_bytes": fit.fixed.value,
        "fixed_error_bytes": fit.fixed.error,
        **_estimate("factor_bytes", fit.factor),
        **_estimate("exponent", fit.exponent),
        "deviation": fit.deviation,
        "aicc": fit.aicc if isfinite(fit.aicc) else None,
    }


def _estimate(name: str, estimate: Estimate | None) -> dict[str, object]:
    if estimate is None:
        return {name: None, f"{name}_error": None}
    return {name: estimate.value, f"{name}_error": estimate.error}


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
