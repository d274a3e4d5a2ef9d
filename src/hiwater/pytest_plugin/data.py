"""The figures of one test as plain values, for reports, JUnit and JSON: null is unknown, sizes are bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hiwater.analysis.reading import Reading
from hiwater.inprocess.region import Block
from hiwater.pytest_plugin.verdict import Verdict
from hiwater.recording.model import Recording
from hiwater.views.names import valid


@dataclass(frozen=True, slots=True)
class Data:
    """What the JSON says of a test."""

    values: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """A copy that can be sent anywhere."""
        return dict(self.values)

    def get(self, key: str) -> int | None:
        """A size."""
        value = self.values.get(key)
        return value if isinstance(value, int) else None

    @property
    def largest_command_bytes(self) -> int | None:
        """The largest tree peak among the commands that the test measured; of those without, the peak RSS."""
        sizes = [
            command["tree_peak_bytes"] if command["tree_peak_bytes"] is not None else command["peak_rss_bytes"]
            for command in self.values["commands"]
        ]
        return max((size for size in sizes if size is not None), default=None)

    def properties(self) -> list[tuple[str, object]]:
        """For JUnit: what is known."""
        names = [name for name in self.values if name.endswith("_bytes") or name == "peak_method"]
        found = [(name, self.values[name]) for name in names if self.values[name] is not None]
        if self.largest_command_bytes is not None:
            found.append(("largest_command_bytes", self.largest_command_bytes))
        return found


def _bounded(name: str, reading: Reading) -> dict[str, Any]:
    return {
        f"{name}_bytes": reading.bytes,
        f"{name}_lower_bytes": reading.low,
        f"{name}_upper_bytes": reading.high,
    }


def command_data(recording: Recording) -> dict[str, Any]:
    """A command of the fixture; the names are those of ``hiwater.run/1``."""
    method = recording.peak_rss.method
    return {
        "command": [valid(word) for word in recording.command],
        "exit_code": recording.exit_code,
        **_bounded("peak_rss", recording.peak_rss),
        "peak_rss_method": str(method) if method is not None else None,
        **_bounded("tree_peak", recording.tree_peak),
    }


def figures_data(
    block: Block | None, verdicts: Sequence[Verdict], commands: list[dict[str, Any]], heaps: list[dict[str, Any]]
) -> Data:
    """``block`` is None where the test itself was not measured. ``heaps``: the verdicts on budgets of call sites."""
    values: dict[str, Any] = {}
    if block is not None:
        method = block.peak.method
        values = {
            "baseline_bytes": block.baseline.bytes,
            **_bounded("peak", block.peak),
            "peak_method": str(method) if method is not None else None,
            "mark_refused": block.refused,
            **_bounded("growth", block.growth),
            "left_bytes": block.left.bytes,
        }
    budgets = [
        {"figure": verdict.figure, "limit_bytes": verdict.limit_bytes, "status": str(verdict.status)}
        for verdict in verdicts
    ]
    return Data({**values, "budgets": budgets, "commands": commands, "heap_budgets": heaps})
