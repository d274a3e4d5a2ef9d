"""The sentences about a benchmark that several views have in common."""

from __future__ import annotations

from hiwater.analysis.benchmark import Pair, Report, Row
from hiwater.analysis.statistics import Comparison, Spread, Verdict
from hiwater.bench.model import Metric
from hiwater.units import format_seconds, format_size

MOST_PAIRS = 10
"""With more, people are told how the others compare to the smallest; JSON has all of them."""

METRICS = {Metric.PEAK_RSS: "peak RSS", Metric.TREE_PEAK: "tree peak", Metric.SMALLEST_LIMIT: "smallest limit"}


def percent(share: float) -> str:
    """``95 %``, ``99.5 %``, ``99.83 %``."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


def pairs_to_tell(report: Report) -> tuple[Pair, ...]:
    """All, or those with the smallest where that would be too many."""
    if len(report.pairs) <= MOST_PAIRS:
        return report.pairs
    return tuple(pair for pair in report.pairs if pair.first == report.smallest)


def verdict(first: str, second: str, comparison: Comparison, confidence: float) -> str:
    """What a person wants to know of two commands; ``second`` has the larger median."""
    if comparison.verdict is Verdict.TOO_FEW or comparison.low is None or comparison.high is None:
        return (
            f"{second} took {_factor(comparison.ratio)} times as much as {first}, "
            "but so few executions cannot tell that from chance: raise --runs"
        )
    interval = f"{percent(confidence)} CI {_range(comparison.low, comparison.high)}"
    if comparison.verdict is Verdict.MORE:
        return f"{second} needs {_factor(comparison.ratio)} times as much as {first} ({interval})"
    if comparison.verdict is Verdict.LESS:
        return f"{second} needs less than {first}: {_factor(comparison.ratio)} times as much ({interval})"
    first, second = sorted((first, second), key=lambda name: (len(name), name))
    return f"no difference found between {first} and {second} (ratio {_factor(comparison.ratio)}, {interval})"


def notes(report: Report) -> list[str]:
    """What to know before one believes the figures."""
    found = []
    for row in report.rows:
        name = f"command {row.number}"
        if row.failures:
            kinds = ", ".join(sorted(set(row.failures)))
            found.append(f"{name}: {len(row.failures)} of {row.executions} executions failed ({kinds})")
        if row.unmeasured:
            found.append(f"{name}: {row.unmeasured} of {row.executions} executions could not be measured")
        if row.memory is not None and row.memory.outliers:
            found.append(_outliers(name, row, report))
    if len(report.pairs) > 1:
        found.append(
            f"the comparisons hold together with {percent(report.benchmark.confidence)}: "
            f"each interval is one of {percent(report.pair_confidence)}"
        )
    if len(report.pairs) > MOST_PAIRS:
        found.append(f"only comparisons with the smallest are shown, of {len(report.pairs)}; --export-json has all")
    return found


def interval(spread: Spread) -> str:
    """``12.2 - 12.4``; ``?`` if there is none."""
    if spread.interval is None:
        return "?"
    return f"{_mib(spread.interval.low)} - {_mib(spread.interval.high)}"


def seconds(spread: Spread | None) -> str:
    """The median and how far the executions are apart."""
    if spread is None:
        return "?"
    if spread.count == 1:
        return format_seconds(spread.median)
    return f"{format_seconds(spread.median)} ± {format_seconds(spread.robust_deviation)}"


def size(value: float) -> str:
    """With as many decimals as say something."""
    return format_size(round(value), 2 if value < 100 * (1 << 20) else 1)


def _outliers(name: str, row: Row, report: Report) -> str:
    figures = [
        value
        for execution in report.benchmark.results[row.number - 1].executions
        if (value := execution.memory(report.benchmark.metric))
    ]
    places = row.memory.outliers if row.memory is not None else ()
    shown = ", ".join(f"{size(figures[place])} in execution {place + 1}" for place in places[:3])
    if len(places) > 3:
        shown += " ..."
    advice = "; the first one differs: --warmup 1 may help" if places == (0,) else ""
    return f"{name}: {len(places)} of {row.executions} executions stand apart ({shown}){advice}"


def _factor(ratio: float) -> str:
    return f"{ratio:.2f}" if abs(ratio - 1) >= 0.1 else f"{ratio:.4f}"


def _range(low: float, high: float) -> str:
    if min(abs(low - 1), abs(high - 1)) >= 0.1:
        return f"{low:.2f}-{high:.2f}"
    return f"{low:.4f}-{high:.4f}"


def _mib(value: float) -> str:
    return f"{value / (1 << 20):.{2 if value < 100 * (1 << 20) else 1}f}"
