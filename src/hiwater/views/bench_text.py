"""A benchmark for people, on a terminal."""

from __future__ import annotations

from textwrap import wrap

from hiwater.analysis.benchmark import Report, Row
from hiwater.analysis.statistics import Verdict
from hiwater.bench.model import Stop
from hiwater.views.bench_words import METRICS, interval, notes, pairs_to_tell, percent, seconds, size, verdict
from hiwater.views.names import shorten, visible
from hiwater.views.paint import Paint


def render(report: Report, width: int, paint: Paint) -> str:
    """The whole text, with a newline at its end."""
    benchmark = report.benchmark
    lines = [paint("bold", f"{row.number}  {shorten(visible(row.command.name), width - 4)}") for row in report.rows]
    lines += ["", *_table(report, paint)]
    told = pairs_to_tell(report)
    if told:
        lines.append("")
    for pair in told:
        sentence = verdict(f"command {pair.first}", f"command {pair.second}", pair.memory, report.pair_confidence)
        colour = "bold" if pair.memory.verdict in (Verdict.MORE, Verdict.LESS) else "dim"
        lines += [paint(colour, line) for line in _wrapped(sentence[0].upper() + sentence[1:], width)]
    found = notes(report)
    if found:
        lines.append("")
    for note in found:
        lines += [paint("yellow", line) for line in _wrapped(f"note: {note}", width)]
    if benchmark.stop is Stop.INTERRUPTED:
        lines += ["", paint("yellow", "interrupted: these are the executions until then")]
    return "\n".join(lines) + "\n"


def _wrapped(sentence: str, width: int) -> list[str]:
    return wrap(sentence, width, subsequent_indent="      ", break_on_hyphens=False)


def _table(report: Report, paint: Paint) -> list[str]:
    benchmark = report.benchmark
    head = (
        "",
        f"median {METRICS[benchmark.metric]}",
        f"{percent(benchmark.confidence)} CI [MiB]",
        "min ... max [MiB]",
        "runs",
        "time",
    )
    rows = [_cells(row) for row in report.rows]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [paint("dim", _aligned(head, widths))]
    return lines + [_aligned(row, widths) for row in rows]


def _cells(row: Row) -> tuple[str, ...]:
    if row.memory is None:
        return (str(row.number), "not measured", "", "", str(row.executions), seconds(row.wall))
    extremes = f"{row.memory.minimum / (1 << 20):.2f} ... {row.memory.maximum / (1 << 20):.2f}"
    return (
        str(row.number),
        size(row.memory.median),
        interval(row.memory),
        extremes,
        str(row.executions),
        seconds(row.wall),
    )


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
