"""The smallest memory, for machines (``hiwater.fit/1``). Sizes in bytes, times in seconds, unknown is null."""

from __future__ import annotations

import json
import os
import platform

from hiwater._version import __version__
from hiwater.analysis.edge import CREDIBILITY, Interval
from hiwater.fit.model import FitReport, Found, Point, Trial
from hiwater.views.names import valid

SCHEMA = "hiwater.fit/1"


def render(report: FitReport) -> str:
    """The whole document."""
    return json.dumps(document(report), indent=2, ensure_ascii=False) + "\n"


def document(report: FitReport) -> dict[str, object]:
    """Plain values."""
    s = report.settings
    return {
        "schema": SCHEMA,
        "hiwater_version": __version__,
        "command": [valid(word) for word in report.command],
        "host": {"kernel": platform.release(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "precision": s.precision,
        "probability": s.probability,
        "credibility": CREDIBILITY,
        "max_slowdown": s.max_slowdown,
        "swap_bytes": s.swap_bytes,
        "stop": report.stop and report.stop.value,
        "message": report.message and valid(report.message),
        "notes": [valid(note) for note in report.notes],
        "unlimited": {
            "wall_seconds": report.unlimited_seconds,
            "executions": [_trial(trial) for trial in report.unlimited],
        },
        **_found("smallest", report.smallest),
        **_found("comfortable", report.comfortable),
        "curve": [_point(point, report) for point in report.curve],
        "success_probability": [
            {"limit_bytes": limit, "probability": chance.value, "low": chance.low, "high": chance.high}
            for limit, chance in report.chances
        ],
    }


def _found(name: str, found: Found | None) -> dict[str, object]:
    if found is None:
        return {f"{name}_limit_bytes": None, name: None}
    return {
        f"{name}_limit_bytes": round(found.limit.value),
        name: {
            **_interval("limit", found.limit),
            **_interval("half", found.half),
            "precise": found.precise,
            "executions": found.tried,
            "successes": found.successes,
        },
    }


def _interval(name: str, interval: Interval) -> dict[str, object]:
    return {
        f"{name}_bytes": round(interval.value),
        f"{name}_low_bytes": round(interval.low),
        f"{name}_high_bytes": round(interval.high),
    }


def _point(point: Point, report: FitReport) -> dict[str, object]:
    return {
        "limit_bytes": point.limit_bytes,
        "executions": len(point.trials),
        "successes": point.successes,
        "success_rate": point.successes / len(point.trials),
        "wall_seconds": point.wall_seconds,
        "slowdown": report.slowdown(point.wall_seconds),
        "major_faults": point.major_faults,
        "refaulted_bytes": point.refaulted_bytes,
        "failures": point.failures,
        "trials": [_trial(trial) for trial in point.trials],
    }


def _trial(trial: Trial) -> dict[str, object]:
    return {
        "success": trial.success,
        "how": trial.how,
        "wall_seconds": trial.wall_seconds,
        "cgroup_peak_bytes": trial.peak_bytes,
        "peak_rss_bytes": trial.peak_rss_bytes,
        "tree_peak_bytes": trial.tree_peak_bytes,
        "anon_bytes": trial.anon_bytes,
        "file_bytes": trial.file_bytes,
        "shmem_bytes": trial.shmem_bytes,
        "kernel_bytes": trial.kernel_bytes,
        "major_faults": trial.major_faults,
        "refaulted_bytes": trial.refaulted_bytes,
        "limit_hits": trial.limit_hits,
    }
