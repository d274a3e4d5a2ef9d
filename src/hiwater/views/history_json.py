"""The history of checks as JSON, schema ``hiwater.history/1``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from hiwater.analysis.budget import Figure
from hiwater.checks.history import Point

SCHEMA = "hiwater.history/1"


def render(history: Mapping[str, Sequence[Point]], figure: Figure) -> str:
    """The document as text, with a newline at its end."""
    document = {
        "schema": SCHEMA,
        "figure": figure,
        "checks": {name: [_point(point) for point in points] for name, points in history.items()},
    }
    return json.dumps(document, indent=2) + "\n"


def _point(point: Point) -> dict[str, object]:
    return {
        "commit": point.commit,
        "dirty": point.dirty,
        "time": f"{datetime.fromtimestamp(point.time, timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "bytes": point.size,
        "executions_bytes": list(point.sizes),
        "status": point.status,
    }
