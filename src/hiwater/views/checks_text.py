"""The table of ``hiwater check``, for people."""

from __future__ import annotations

from hiwater.analysis.budget import Figure
from hiwater.checks.model import CheckResult, Report, Status
from hiwater.checks.verdict import percent
from hiwater.units import mib
from hiwater.views.names import shorten, visible
from hiwater.views.paint import Paint

_HEADER = ("check", "peak RSS", "budget", "tree peak", "tree budget", "baseline", "change", "n", "verdict")
_STYLES = {Status.UNSURE: "yellow", Status.IMPROVED: "green", Status.OK: "green"}


def render(report: Report, width: int, paint: Paint) -> str:
    """Sizes in MiB; columns that nobody uses are left out; then what there is to say about each check."""
    rows = [_row(result) for result in report.results]
    used = [column for column in range(len(_HEADER)) if column in (0, 1, 8) or any(row[column] for row in rows)]
    longest = max(12, width - 70)
    table = [[row[column] for column in used] for row in [_HEADER, *rows]]
    for row in table:
        row[0] = shorten(row[0], longest)
    widths = [max(len(row[place]) for row in table) for place in range(len(used))]
    lines = [paint("dim", _line(table[0], widths))]
    for result, row in zip(report.results, table[1:], strict=True):
        status = row.pop()
        mark = paint.mark(None if result.status is Status.UNSURE else result.status.passes)
        lines.append(f"{_line([*row, ''], widths)}{mark} {paint(_STYLES.get(result.status, 'red'), status)}".rstrip())
    for result in report.results:
        lines += _said(result, paint)
    lines += [paint("yellow", f"warning: {visible(warning)}") for warning in report.warnings]
    return "".join(line + "\n" for line in lines)


def _row(result: CheckResult) -> tuple[str, ...]:
    cells = [visible(result.check.name)]
    for figure in Figure:
        reading, limit = result.shown(figure), result.limit(figure)
        size = "?" if reading is None or reading.bytes is None else mib(reading.bytes)
        cells += [size, "" if limit is None else mib(limit)]
    if not cells[4] and cells[3] in (cells[1], "?"):
        cells[3] = ""  # no tree to speak of
    growth = result.growth
    cells += ["", ""] if growth is None else [mib(growth.old_bytes), f"{percent(growth.ratio)} %"]
    return (*cells, str(len(result.executions)), str(result.status))


def _line(cells: list[str] | tuple[str, ...], widths: list[int]) -> str:
    """Names to the left, figures to the right."""
    first, *middle, last = cells
    figures = [cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)]
    return "  ".join([first.ljust(widths[0]), *figures, last])


def _said(result: CheckResult, paint: Paint) -> list[str]:
    """The reason of what is not plainly fine, and the end of what a failed command printed."""
    told = [] if result.status is Status.OK and result.growth is None else [visible(result.reason)]
    told += [visible(note) for note in result.notes]
    if not told:
        return []
    lines = [f"{visible(result.check.name)}: {'; '.join(told)}"]
    lines += [paint("dim", f"    | {visible(line)}") for line in result.output.splitlines()]
    return lines
