"""Growth along a parameter, for people on a terminal."""

from __future__ import annotations

from textwrap import wrap

from hiwater.analysis.scale_report import ScaleReport
from hiwater.bench.model import Stop
from hiwater.views import scale_words as words
from hiwater.views.bench_words import METRICS
from hiwater.views.names import command_line, shorten, visible
from hiwater.views.paint import Paint


def render(report: ScaleReport, width: int, paint: Paint) -> str:
    """The whole text, with a newline at its end."""
    lines = [paint("bold", shorten(command_line(report.command), width)), "", *_table(report, paint), ""]
    for place, sentence in enumerate(words.law(report)):
        lines += [paint("bold" if place == 0 else "", line) for line in _wrapped(sentence, width)]
    answers = [words.prediction(told, report) for told in report.predictions]
    if report.reach is not None:
        answers.append(words.limit(report.reach, report))
    for sentence in answers:
        lines += [paint("bold", line) for line in _wrapped(sentence, width)]
    for note in words.notes(report):
        lines += [paint("yellow", line) for line in _wrapped(f"note: {note}", width)]
    if report.benchmark.stop is Stop.INTERRUPTED:
        lines.append(paint("yellow", "interrupted: these are the executions until then"))
    return "\n".join(lines) + "\n"


def _wrapped(sentence: str, width: int) -> list[str]:
    return wrap(sentence[0].upper() + sentence[1:], width, subsequent_indent="  ", break_on_hyphens=False)


def _table(report: ScaleReport, paint: Paint) -> list[str]:
    chosen = report.scaling.chosen
    head = (visible(report.parameter), f"median {METRICS[report.benchmark.metric]}", "runs", "law", "off by")
    rows = []
    for point in report.scaling.points:
        law = off = ""
        if chosen is not None:
            fitted = chosen.at(point.size)
            law, off = words.human(fitted), f"{_percent(point.median / fitted - 1)}"
        rows.append((words.number(point.size), words.human(point.median), str(len(point.memory)), law, off))
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    aligned = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
    if chosen is None:
        aligned[0] = "  ".join(cell.rjust(width) for cell, width in zip(head[:3], widths, strict=False))
    return [paint("dim", aligned[0]), *aligned[1:]]


def _percent(share: float) -> str:
    """``+1.3 %``; what rounds to nothing has no sign."""
    text = f"{100 * share:+.1f} %"
    return "0.0 %" if text[1:] == "0.0 %" else text
