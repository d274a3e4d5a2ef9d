"""The table of ``--hiwater``: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hiwater.pytest_plugin.data import Data
from hiwater.units import mib

_COLUMNS = ("growth", "peak", "between", "left", "commands", "test")


def render(tests: Mapping[str, Data], top: int) -> Iterator[str]:
    """The tests that made the process grow most, or whose commands took most. MiB throughout."""
    if not tests:
        yield "no test was measured"
        return
    ranked = sorted(tests.items(), key=lambda entry: -_demand(entry[1]))
    rows = [_row(node_id, data) for node_id, data in ranked[:top]]
    widths = [max(len(row[at]) for row in [_COLUMNS, *rows]) for at in range(len(_COLUMNS) - 1)]
    for row in [_COLUMNS, *rows]:
        yield "  ".join([*(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]])
    yield f"MiB of RSS; {len(rows)} of {len(tests)} tests. peak: of the whole process; commands: largest tree peak"
    for reason in sorted({str(data.values["mark_refused"]) for _, data in ranked if data.values.get("mark_refused")}):
        yield f"sampled, spikes can be missed: {reason}"


def _demand(data: Data) -> int:
    return max(data.get("growth_bytes") or 0, data.largest_command_bytes or 0)


def _row(node_id: str, data: Data) -> tuple[str, ...]:
    def size(key: str) -> str:
        return mib(data.get(key)) if key in data.values else ""

    between = ""
    if data.get("peak_bytes") is not None:
        between = f"{mib(data.get('peak_lower_bytes'))} - {mib(data.get('peak_upper_bytes'))}"
    largest = data.largest_command_bytes
    commands = mib(largest) if largest is not None else ""
    return size("growth_bytes"), size("peak_bytes"), between, size("left_bytes"), commands, _name(node_id, data)


def _name(node_id: str, data: Data) -> str:
    broken = [budget["figure"] for budget in data.values["budgets"] if budget["status"] != "ok"]
    return f"{node_id}  OVER BUDGET ({', '.join(broken)})" if broken else node_id
