"""Growth along a parameter as one HTML file: the picture, the sentences, the table. Nothing is fetched."""

from __future__ import annotations

from html import escape

from hiwater.analysis.scale_report import ScaleReport
from hiwater.views import scale_svg
from hiwater.views import scale_words as words
from hiwater.views.bench_words import METRICS
from hiwater.views.names import command_line, visible

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}"
    ".note{color:#8a5a00}svg{max-width:100%;height:auto}"
)


def render(report: ScaleReport) -> str:
    """The whole file."""
    title = escape(command_line(report.command))
    sentences = words.law(report) + [words.prediction(told, report) for told in report.predictions]
    if report.reach is not None:
        sentences.append(words.limit(report.reach, report))
    said = "".join(f"<li>{_sentence(sentence)}</li>\n" for sentence in sentences)
    noted = "".join(f'<li class="note">{_sentence(note)}</li>\n' for note in words.notes(report))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1><code>{title}</code></h1>\n"
        f"<ul>\n{said}{noted}</ul>\n{scale_svg.render(report)}{_table(report)}</body>\n</html>\n"
    )


def _sentence(text: str) -> str:
    return escape(text[0].upper() + text[1:])


def _table(report: ScaleReport) -> str:
    chosen = report.scaling.chosen
    metric = METRICS[report.benchmark.metric]
    head = f"<tr><th>{escape(visible(report.parameter))}</th><th>median {metric}</th><th>runs</th><th>law</th></tr>\n"
    rows = "".join(
        f"<tr><td>{words.number(point.size)}</td><td>{words.human(point.median)}</td><td>{len(point.memory)}</td>"
        f"<td>{words.human(chosen.at(point.size)) if chosen else ''}</td></tr>\n"
        for point in report.scaling.points
    )
    return f"<table>\n{head}{rows}</table>\n"
