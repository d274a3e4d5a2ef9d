"""A picture of limits: how often it succeeds, and how long it takes. Plain SVG, nothing fetched."""

from __future__ import annotations

from html import escape
from math import log

from hiwater.fit.model import FitReport, Found
from hiwater.units import MIB
from hiwater.views import fit_words as words
from hiwater.views.names import command_line, shorten
from hiwater.views.scale_svg import ticks

WIDTH, HEIGHT = 760, 520
_LEFT, _RIGHT = 90, 24
_UPPER, _LOWER = (60, 230), (290, 460)
"""Top and bottom of the two panels: success above, time below."""
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.t{font-size:14px;font-weight:bold}.g{stroke:#ddd}.a{stroke:#666;fill:none}"
    ".b{fill:#1f77b4;fill-opacity:.15}.l{stroke:#1f77b4;stroke-width:2;fill:none}.p{fill:#1f77b4}"
    ".m{stroke:#c0392b;stroke-width:1.5;stroke-dasharray:6 4}.c{stroke:#2e7d32;stroke-width:1.5;stroke-dasharray:2 3}"
    ".i{fill:#c0392b;fill-opacity:.12}.j{fill:#2e7d32;fill-opacity:.12}.d{stroke:#666;stroke-dasharray:1 3}"
)


class _Plot:
    """From figures to places; limits on a logarithmic axis, on which halving is as far as doubling."""

    def __init__(self, report: FitReport) -> None:
        limits = [float(point.limit_bytes) for point in report.curve] or [float(MIB)]
        self.low, self.high = min(limits) / 1.1, max(limits) * 1.1
        seconds = [trial.wall_seconds or 0.0 for point in report.curve for trial in point.trials if trial.success]
        base = report.unlimited_seconds or 0.0
        self.slowest = 1.15 * max([*seconds, base * report.settings.max_slowdown], default=1.0) or 1.0

    def x(self, limit: float) -> str:
        share = log(min(max(limit, self.low), self.high) / self.low) / log(self.high / self.low)
        return f"{_LEFT + share * (WIDTH - _LEFT - _RIGHT):.1f}"

    def chance(self, share: float) -> str:
        return f"{_UPPER[1] - share * (_UPPER[1] - _UPPER[0]):.1f}"

    def time(self, seconds: float) -> str:
        return f"{_LOWER[1] - min(1.0, seconds / self.slowest) * (_LOWER[1] - _LOWER[0]):.1f}"


def render(report: FitReport) -> str:
    """The whole file."""
    plot = _Plot(report)
    body = _axes(plot)
    smallest, comfortable = report.smallest, report.comfortable
    if smallest is not None and comfortable is not None and smallest.limit == comfortable.limit:
        body += _answer(plot, smallest, "m", "i", "smallest and comfortable", 50)
    else:
        body += _answer(plot, smallest, "m", "i", "smallest", 36)
        body += _answer(plot, comfortable, "c", "j", "comfortable", 50)
    body += _success(plot, report) + _time(plot, report)
    title = escape(shorten(command_line(report.command), 90))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
        f'<text class="t" x="{_LEFT}" y="20">{title}</text>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _success(plot: _Plot, report: FitReport) -> list[str]:
    drawn = []
    if len(report.chances) > 1:
        upper = [f"{plot.x(limit)},{plot.chance(chance.high)}" for limit, chance in report.chances]
        lower = [f"{plot.x(limit)},{plot.chance(chance.low)}" for limit, chance in reversed(report.chances)]
        line = [f"{plot.x(limit)},{plot.chance(chance.value)}" for limit, chance in report.chances]
        drawn.append(f'<polygon class="b" points="{" ".join([*upper, *lower])}"/>')
        drawn.append(f'<polyline class="l" points="{" ".join(line)}"/>')
    for point in report.curve:
        rate, count = point.successes / len(point.trials), len(point.trials)
        where = f'cx="{plot.x(point.limit_bytes)}" cy="{plot.chance(rate)}"'
        told = f"{words.mib(point.limit_bytes)}: {point.successes} of {count}"
        drawn.append(f'<circle class="p" {where} r="{2 + count**0.5:.1f}"><title>{told}</title></circle>')
    return drawn


def _time(plot: _Plot, report: FitReport) -> list[str]:
    drawn = []
    base = report.unlimited_seconds
    if base is not None:
        allowed = base * report.settings.max_slowdown
        for seconds, text, x, anchor in (
            (base, "without a limit", _LEFT + 4, "start"),
            (allowed, "allowed", WIDTH - _RIGHT - 4, "end"),
        ):
            y = plot.time(seconds)
            drawn.append(
                f'<line class="a" stroke-dasharray="1 3" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
            )
            drawn.append(_text(str(x), str(float(y) - 4), text, anchor))
    median = [(point.limit_bytes, point.wall_seconds) for point in report.curve if point.wall_seconds is not None]
    if len(median) > 1:
        line = " ".join(f"{plot.x(limit)},{plot.time(seconds)}" for limit, seconds in median)
        drawn.append(f'<polyline class="l" points="{line}"/>')
    for point in report.curve:
        for trial in point.trials:
            if trial.success and trial.wall_seconds is not None:
                where = f'cx="{plot.x(point.limit_bytes)}" cy="{plot.time(trial.wall_seconds)}"'
                drawn.append(f'<circle class="p" {where} r="2.5"/>')
    return drawn


def _answer(plot: _Plot, found: Found | None, line: str, band: str, name: str, y: int) -> list[str]:
    """The answer through both panels, with its interval."""
    if found is None:
        return []
    x, low, high = plot.x(found.limit.value), plot.x(found.limit.low), plot.x(found.limit.high)
    top, height = _UPPER[0], _LOWER[1] - _UPPER[0]
    anchor, beside = ("end", -5) if float(x) > WIDTH / 2 else ("start", 5)
    return [
        f'<rect class="{band}" x="{low}" y="{top}" width="{float(high) - float(low):.1f}" height="{height}"/>',
        f'<line class="{line}" x1="{x}" x2="{x}" y1="{top}" y2="{top + height}"/>',
        _text(str(float(x) + beside), str(y), f"{name} {words.mib(found.limit.value)}", anchor),
    ]


def _axes(plot: _Plot) -> list[str]:
    drawn = []
    for limit in _limits(plot):
        x = plot.x(limit)
        for top, bottom in (_UPPER, _LOWER):
            drawn.append(f'<line class="g" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
            drawn.append(_text(x, str(bottom + 18), f"{limit / MIB:g} MiB", "middle"))
    for share in (0, 0.5, 1):
        y = plot.chance(share)
        drawn.append(f'<line class="g" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        drawn.append(_text(str(_LEFT - 8), str(float(y) + 4), f"{100 * share:g} %", "end"))
    for seconds in ticks(plot.slowest):
        y = plot.time(seconds)
        drawn.append(f'<line class="g" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        drawn.append(_text(str(_LEFT - 8), str(float(y) + 4), f"{seconds:g} s", "end"))
    for (top, bottom), name in ((_UPPER, "succeeds"), (_LOWER, "time")):
        drawn.append(f'<path class="a" d="M{_LEFT} {top}V{bottom}H{WIDTH - _RIGHT}"/>')
        drawn.append(_text(str(_LEFT - 8), str(top - 8), name, "end"))
    drawn.append(_text(str((_LEFT + WIDTH - _RIGHT) // 2), str(HEIGHT - 14), "limit of memory", "middle"))
    return drawn


def _limits(plot: _Plot) -> list[float]:
    """Round numbers of MiB between the ends, few enough to be read."""
    found = [mantissa * 2.0**power for power in range(-4, 30) for mantissa in (1, 1.5)]
    inside = [size * MIB for size in found if plot.low <= size * MIB <= plot.high]
    return inside[:: max(1, len(inside) // 8 + 1)] if len(inside) > 8 else inside


def _text(x: str, y: str, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
