"""A benchmark as a Markdown table, for a pull request."""

from __future__ import annotations

from hiwater.analysis.benchmark import Report, Row
from hiwater.views.bench_words import METRICS, interval, notes, pairs_to_tell, percent, seconds, size, verdict
from hiwater.views.names import visible


def render(report: Report) -> str:
    """The whole text."""
    benchmark = report.benchmark
    head = (
        "#",
        "Command",
        f"Median {METRICS[benchmark.metric]}",
        f"{percent(benchmark.confidence)} CI [MiB]",
        "Min ... max [MiB]",
        "Runs",
        "Time",
    )
    lines = [_line(head), "|---:|:---|---:|---:|---:|---:|---:|"]
    lines += [_line(_cells(row)) for row in report.rows]
    sentences = [
        verdict(f"command {pair.first}", f"command {pair.second}", pair.memory, report.pair_confidence)
        for pair in pairs_to_tell(report)
    ]
    sentences += notes(report)
    if benchmark.message:
        sentences.append(f"Stopped: {_escaped(benchmark.message)}")
    return "\n".join(lines) + "\n" + ("\n" + "".join(f"- {s[0].upper()}{s[1:]}\n" for s in sentences))


def _cells(row: Row) -> tuple[str, ...]:
    number, command = str(row.number), f"<code>{_escaped(row.command.name)}</code>"
    if row.memory is None:
        return (number, command, "?", "?", "?", str(row.executions), seconds(row.wall))
    extremes = f"{row.memory.minimum / (1 << 20):.2f} ... {row.memory.maximum / (1 << 20):.2f}"
    median = size(row.memory.median)
    return (number, command, median, interval(row.memory), extremes, str(row.executions), seconds(row.wall))


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """No character of a command ends a cell or begins a tag."""
    safe = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("|", "&#124;").replace("`", "&#96;").replace("*", "&#42;").replace("_", "&#95;")
