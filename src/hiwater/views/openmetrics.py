"""OpenMetrics text: what GitLab's metrics report and Prometheus' textfile collector read."""

from __future__ import annotations

from collections.abc import Callable

from hiwater.analysis.budget import Figure
from hiwater.checks.model import CheckResult, Report

_Value = Callable[[CheckResult], "int | float | None"]


def _figure(figure: Figure, bound: str) -> _Value:
    def value(result: CheckResult) -> int | None:
        reading = result.shown(figure)
        return None if reading is None else {"": reading.bytes, "lower": reading.low, "upper": reading.high}[bound]

    return value


_METRICS: tuple[tuple[str, str, str, _Value], ...] = (
    *(
        (
            f"hiwater_{figure}{'_' if bound else ''}{bound}_bytes",
            "bytes",
            f"{text} of the command.",
            _figure(figure, bound),
        )
        for figure, words in ((Figure.PEAK_RSS, "peak RSS"), (Figure.TREE_PEAK, "tree peak"))
        for bound, text in (
            ("", f"Best estimate of the {words}"),
            ("lower", f"Lower bound of the {words}"),
            ("upper", f"Upper bound of the {words}"),
        )
    ),
    ("hiwater_budget_bytes", "bytes", "Budget of the peak RSS.", lambda result: result.limit(Figure.PEAK_RSS)),
    ("hiwater_budget_tree_bytes", "bytes", "Budget of the tree peak.", lambda result: result.limit(Figure.TREE_PEAK)),
    ("hiwater_executions", "", "How often the command was executed.", lambda result: len(result.executions)),
    ("hiwater_check_passed", "", "1 if the check passed, else 0.", lambda result: int(result.status.passes)),
)


def render(report: Report) -> str:
    """A gauge for each figure, a sample for each check in which it is known."""
    lines = []
    for name, unit, help_text, value in _METRICS:
        found = [(result.check.name, value(result)) for result in report.results]
        known = [(check, number) for check, number in found if number is not None]
        if not known:
            continue
        lines += [f"# TYPE {name} gauge", *([f"# UNIT {name} {unit}"] if unit else []), f"# HELP {name} {help_text}"]
        lines += [f'{name}{{check="{_escape(check)}"}} {number}' for check, number in known]
    return "".join(line + "\n" for line in [*lines, "# EOF"])


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
