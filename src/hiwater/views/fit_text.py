"""The smallest memory, for people on a terminal."""

from __future__ import annotations

from textwrap import wrap

from hiwater.fit.model import FitReport, Point
from hiwater.units import format_seconds, format_size
from hiwater.views import fit_words as words
from hiwater.views.names import command_line, shorten
from hiwater.views.paint import Paint

_HEAD = ("limit", "succeeds", "time", "slower", "major faults", "read again", "")


def render(report: FitReport, width: int, paint: Paint) -> str:
    """The whole text, with a newline at its end."""
    lines = [paint("bold", shorten(command_line(report.command), width)), ""]
    if report.curve:
        lines += [*_table(report, width, paint), ""]
    for place, sentence in enumerate(words.sentences(report)):
        lines += [paint("bold" if place else "", line) for line in _wrapped(sentence, width)]
    for note in words.notes(report):
        lines += [paint("yellow", line) for line in _wrapped(f"note: {note}", width)]
    return "\n".join(lines) + "\n"


def _wrapped(sentence: str, width: int) -> list[str]:
    return wrap(sentence[0].upper() + sentence[1:], width, subsequent_indent="  ", break_on_hyphens=False)


def _table(report: FitReport, width: int, paint: Paint) -> list[str]:
    rows = [_row(report, point) for point in reversed(report.curve)]
    widths = [max(len(row[column]) for row in (_HEAD, *rows)) for column in range(len(_HEAD))]
    lines = []
    for number, row in enumerate((_HEAD, *rows)):
        cells = [cell.rjust(size) for cell, size in zip(row[:-1], widths[:-1], strict=True)]
        line = shorten("  ".join([*cells, row[-1]]).rstrip(), width)
        lines.append(paint("dim", line) if number == 0 else line)
    return lines


def _row(report: FitReport, point: Point) -> tuple[str, ...]:
    slower = report.slowdown(point.wall_seconds)
    faults = point.major_faults
    again = point.refaulted_bytes
    return (
        words.mib(point.limit_bytes),
        f"{point.successes} of {len(point.trials)}",
        "" if point.wall_seconds is None else format_seconds(point.wall_seconds),
        "" if slower is None else f"{slower:.2f}x",
        "" if faults is None else f"{faults:,.0f}",
        "" if again is None else format_size(round(again)),
        words.ending(point),
    )
