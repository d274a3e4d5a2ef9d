"""The smallest memory as one HTML file: the answers, the picture, the table. Nothing is fetched."""

from __future__ import annotations

from html import escape

from hiwater.fit.model import FitReport, Point
from hiwater.units import format_seconds, format_size
from hiwater.views import fit_svg
from hiwater.views import fit_words as words
from hiwater.views.names import command_line

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}"
    ".note{color:#8a5a00}svg{max-width:100%;height:auto}"
)
_HEAD = ("limit", "succeeds", "time", "slower", "major faults", "read again", "otherwise")


def render(report: FitReport) -> str:
    """The whole file."""
    title = escape(command_line(report.command))
    said = "".join(f"<li>{_sentence(sentence)}</li>\n" for sentence in words.sentences(report))
    noted = "".join(f'<li class="note">{_sentence(note)}</li>\n' for note in words.notes(report))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1><code>{title}</code></h1>\n"
        f"<ul>\n{said}{noted}</ul>\n{fit_svg.render(report)}{_table(report)}</body>\n</html>\n"
    )


def _sentence(text: str) -> str:
    return escape(text[0].upper() + text[1:])


def _table(report: FitReport) -> str:
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    rows = "".join(f"<tr>{_row(point, report)}</tr>\n" for point in reversed(report.curve))
    return f"<table>\n<tr>{head}</tr>\n{rows}</table>\n"


def _row(point: Point, report: FitReport) -> str:
    slower, faults, again = report.slowdown(point.wall_seconds), point.major_faults, point.refaulted_bytes
    cells = (
        words.mib(point.limit_bytes),
        f"{point.successes} of {len(point.trials)}",
        "" if point.wall_seconds is None else format_seconds(point.wall_seconds),
        "" if slower is None else f"{slower:.2f}x",
        "" if faults is None else f"{faults:,.0f}",
        "" if again is None else format_size(round(again)),
        words.ending(point),
    )
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells)
