"""JUnit XML: a test suite of one case for each check, its figures as properties."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from xml.etree import ElementTree

from hiwater.analysis.budget import Figure
from hiwater.checks.model import CheckResult, Report, Status
from hiwater.views.names import xml_text

_ERRORS = (Status.FAILED, Status.UNDECIDABLE)
"""What prevented a verdict is an error; a verdict against the command is a failure."""


def render(report: Report) -> str:
    """A suite for each check: within a suite every reader takes properties, within a case only some do."""
    results = report.results
    root = ElementTree.Element("testsuites", {"name": "hiwater check", **_counts(results)})
    for result in results:
        _suite(root, report, result)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _counts(results: Sequence[CheckResult]) -> dict[str, str]:
    errors = sum(result.status in _ERRORS for result in results)
    failures = sum(not result.status.passes for result in results) - errors
    seconds = f"{sum(map(_seconds, results)):.3f}"
    return {"tests": str(len(results)), "failures": str(failures), "errors": str(errors), "time": seconds}


def _suite(root: ElementTree.Element, report: Report, result: CheckResult) -> None:
    name = xml_text(result.check.name)
    when = f"{datetime.fromtimestamp(report.started_at, timezone.utc):%Y-%m-%dT%H:%M:%S}"
    facts = {"name": name, **_counts([result]), "timestamp": when, "file": xml_text(report.plan.path)}
    suite = ElementTree.SubElement(root, "testsuite", facts)
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _properties(result):
        ElementTree.SubElement(properties, "property", {"name": key, "value": value})
    facts = {"classname": "hiwater.check", "name": name, "time": f"{_seconds(result):.3f}"}
    case = ElementTree.SubElement(suite, "testcase", facts)
    if not result.status.passes:
        kind = "error" if result.status in _ERRORS else "failure"
        fault = ElementTree.SubElement(case, kind, {"type": str(result.status), "message": xml_text(result.reason)})
        fault.text = xml_text("\n".join([result.reason, *result.notes]))
    if result.output:
        ElementTree.SubElement(case, "system-out").text = xml_text(result.output)


def _properties(result: CheckResult) -> list[tuple[str, str]]:
    found = [("status", str(result.status)), ("executions", str(len(result.executions)))]
    for figure in Figure:
        reading = result.shown(figure)
        values = (None, None, None) if reading is None else (reading.bytes, reading.low, reading.high)
        found += [
            (f"{figure}{suffix}_bytes", str(value))
            for suffix, value in zip(("", "_lower", "_upper"), values, strict=True)
            if value is not None
        ]
    return found


def _seconds(result: CheckResult) -> float:
    return sum(execution.wall_seconds or 0.0 for execution in result.executions)
