"""The table of ``hiwater methods`` for machines. Sizes in bytes, unknown is null."""

from __future__ import annotations

from hiwater.methods.model import Comparison, Row

SCHEMA = "hiwater.methods/1"


def render(comparison: Comparison) -> dict[str, object]:
    """Plain values, ready for json.dump."""
    truth = comparison.truth
    return {
        "schema": SCHEMA,
        "command": list(comparison.command),
        "ballast_bytes": comparison.ballast_bytes,
        "peak_rss_bytes": truth and truth.bytes,
        "peak_rss_lower_bytes": truth and truth.low_bytes,
        "peak_rss_upper_bytes": truth and truth.high_bytes,
        "peak_rss_interface": truth and truth.interface.value,
        "methods": [_row(row) for row in comparison.rows],
    }


def _row(row: Row) -> dict[str, object]:
    method, outcome = row.method, row.outcome
    return {
        "key": method.key,
        "title": method.title,
        "interface": method.interface.value,
        "start": method.start.value,
        "launcher": method.launcher.value,
        "reported_bytes": outcome.reported_bytes,
        "off_by_bytes": row.off_by_bytes,
        "verdict": row.verdict.value,
        "why": row.why,
        "problem": outcome.problem,
        "exit_code": outcome.exit_code,
        "term_signal": outcome.term_signal,
        "wall_seconds": outcome.wall_seconds,
        "launcher_rss_bytes": outcome.launcher_rss_bytes,
        "launcher_peak_bytes": outcome.launcher_hwm_bytes,
        "reported_lower_bytes": outcome.low_bytes,
        "reported_upper_bytes": outcome.high_bytes,
    }
