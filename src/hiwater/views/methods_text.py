"""The table of ``hiwater methods`` for people."""

from __future__ import annotations

import shlex
from itertools import groupby
from textwrap import wrap

from hiwater.methods.model import Comparison, Launcher, Row, Verdict
from hiwater.units import format_size
from hiwater.views.names import visible
from hiwater.views.paint import Paint

_TITLE, _FIGURE = 27, 11
_NARROWEST_WHY = 42
"""With less room than this beside the figures, the reasons go below them."""


def render(comparison: Comparison, width: int, paint: Paint) -> str:
    """The whole text, with a newline at its end."""
    lines = [*_head(comparison, width, paint), ""]
    beside = 2 + _TITLE + 2 * (2 + _FIGURE) + 3
    reasons = width - beside if width - beside >= _NARROWEST_WHY else None
    head = f"  {'method':{_TITLE}}  {'reported':>{_FIGURE}}  {'off by':>{_FIGURE}}"
    lines.append(paint("bold", head + ("   why" if reasons else "")))
    for title, rows in groupby(comparison.rows, key=lambda row: _group(row, comparison.ballast_bytes)):
        lines += ["", paint("dim", "  " + title)]
        for row in rows:
            lines += _row(row, reasons, width, paint)
    for note in _notes(comparison):
        lines += ["", *wrap(note, width, break_on_hyphens=False)]
    return "\n".join(lines) + "\n"


def _head(comparison: Comparison, width: int, paint: Paint) -> list[str]:
    command = visible(shlex.join(comparison.command))
    if len(command) > 3 * width:
        command = command[: 3 * width] + " ..."
    truth = comparison.truth
    if truth is None:
        found = "hiwater could not measure it, so that nothing below can be judged."
    else:
        bounds = (
            f"at least {format_size(truth.low_bytes)}"
            if truth.high_bytes is None
            else f"between {format_size(truth.low_bytes)} and {format_size(truth.high_bytes)}"
        )
        found = f"It needed {format_size(truth.bytes)}: {bounds}."
    return [paint("bold", line) for line in wrap(command, width, break_on_hyphens=False)] + wrap(found, width)


def _group(row: Row, ballast_bytes: int) -> str:
    ballast = format_size(ballast_bytes)
    if row.method.title in _OWN_LAUNCHER:
        return f"not fooled by the launcher, which holds {ballast} here, too"
    return {
        Launcher.HOLDS: f"started by a process that holds {ballast}",
        Launcher.FREED: f"started by a process that held {ballast} and has freed them",
        Launcher.SMALL: "started by a small process",
        Launcher.AFTER_BIGGER: f"started by a small process that has waited for a child of {ballast} before",
    }[row.method.launcher]


_OWN_LAUNCHER = frozenset({"GNU time", "RSS, 10 times a second", "VmHWM at exit", "hiwater run", "hiwater run --trace"})


def _row(row: Row, reasons: int | None, width: int, paint: Paint) -> list[str]:
    good = {Verdict.WITHIN: True, Verdict.HIGH: False, Verdict.LOW: False, Verdict.UNKNOWN: None}[row.verdict]
    style = {True: "green", False: "red", None: "yellow"}[good]
    reported = "no figure" if row.outcome.reported_bytes is None else format_size(row.outcome.reported_bytes)
    figures = f"{paint.mark(good)} {row.method.title:{_TITLE}}  {reported:>{_FIGURE}}"
    off_by = _off_by(row)
    if off_by or reasons is not None:
        figures += "  " + paint(style, f"{off_by:>{_FIGURE}}")
    if reasons is None:
        return [figures, *(paint("dim", "    " + line) for line in wrap(row.why, width - 4))]
    first, *rest = wrap(row.why, reasons) or [""]
    indent = " " * (width - reasons)
    return [f"{figures}   {first}", *(indent + line for line in rest)]


def _off_by(row: Row) -> str:
    if row.off_by_bytes is None:
        return ""
    size = format_size(abs(row.off_by_bytes))
    if size == format_size(0):
        return size  # no sign before what is shown as nothing
    return f"{'+' if row.off_by_bytes > 0 else '-'}{size}"


def _notes(comparison: Comparison) -> list[str]:
    failures = comparison.failures
    if not failures:
        return []
    ends = sorted({_end(row) for row in failures})
    note = f"The command failed in {len(failures)} of {len(comparison.rows)} executions ({', '.join(ends)})."
    said = next((row.outcome.errors for row in failures if row.outcome.errors), "")
    return [f"{note} It said: {visible(said.splitlines()[-1])}" if said else note]


def _end(row: Row) -> str:
    if row.outcome.term_signal is not None:
        return f"signal {row.outcome.term_signal}"
    return f"exit status {row.outcome.exit_code}"
