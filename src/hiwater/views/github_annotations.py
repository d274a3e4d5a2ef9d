"""Annotations of GitHub Actions: workflow commands on standard output, which it shows beside the changed lines."""

from __future__ import annotations

from hiwater.checks.model import CheckResult, Report, Status
from hiwater.views.names import valid

MOST = 10
"""GitHub shows so many errors and so many warnings of a step, and drops the rest without a word."""

_LEVELS = {Status.UNSURE: "warning", Status.IMPROVED: "notice"}
_WORST_FIRST = (Status.VIOLATED, Status.GROWN, Status.FAILED, Status.UNDECIDABLE, Status.UNSURE, Status.IMPROVED)


def render(report: Report) -> str:
    """A line for each check that has something to say, the worst first; the last counts those that found no room."""
    lines = []
    found = [result for result in report.results if result.status in _WORST_FIRST]
    found.sort(key=lambda result: _WORST_FIRST.index(result.status))
    for level in ("error", "warning", "notice"):
        of_level = [result for result in found if _LEVELS.get(result.status, "error") == level]
        shown = of_level if len(of_level) <= MOST else of_level[: MOST - 1]
        lines += [_command(level, report, result) for result in shown]
        if len(shown) < len(of_level):
            lines.append(f"::{level} title=hiwater::{len(of_level) - len(shown)} more: see the table of hiwater check")
    return "".join(line + "\n" for line in lines)


def _command(level: str, report: Report, result: CheckResult) -> str:
    properties = {"file": report.plan.path, "title": f"hiwater: {result.check.name}"}
    if result.check.line is not None:
        properties["line"] = str(result.check.line)
    words = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {words}::{_data(': '.join((str(result.status), result.reason)))}"


def _data(text: str) -> str:
    return valid(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
