"""A picture of growth: the executions, the law, its prediction interval, and the limit. Plain SVG, nothing fetched."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10

from hiwater.analysis.scale_report import ScaleReport
from hiwater.analysis.scaling import Prediction, predict
from hiwater.views import scale_words as words
from hiwater.views.bench_words import METRICS
from hiwater.views.names import command_line, shorten, visible

WIDTH, HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 24, 46, 54
_STEPS = 120
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.t{font-size:14px;font-weight:bold}.g{stroke:#ddd}.a{stroke:#666;fill:none}"
    ".b{fill:#1f77b4;fill-opacity:.15}.l{stroke:#1f77b4;stroke-width:2;fill:none}.p{fill:#1f77b4}"
    ".m{stroke:#c0392b;stroke-width:1.5;stroke-dasharray:6 4}.n{fill:#c0392b}"
    ".e{stroke-dasharray:5 4}.x{fill:#fff;stroke:#1f77b4;stroke-width:2}"
)


class _Plot:
    """From figures to places."""

    def __init__(self, right: float, top: float) -> None:
        self.right, self.top = right or 1.0, top or 1.0

    def x(self, size: float) -> str:
        return f"{_LEFT + size / self.right * (WIDTH - _LEFT - _RIGHT):.1f}"

    def y(self, memory: float) -> str:
        share = min(1.0, max(0.0, memory / self.top))
        return f"{HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM):.1f}"

    def at(self, size: float, memory: float) -> str:
        return f"{self.x(size)},{self.y(memory)}"


def render(report: ScaleReport) -> str:
    """The whole file."""
    found, told = report.scaling, [one for one in report.predictions if one.bytes is not None]
    reached = report.reach.size if report.reach is not None else None
    sizes = [point.size for point in found.points] + [one.size for one in told] + ([reached] if reached else [])
    right = 1.04 * max(sizes, default=1.0)
    curve = _curve(report, right / 1.04)
    tops = [max(point.memory) for point in found.points] + [high for one in curve if (high := one.high) is not None]
    if report.reach is not None and (reached or not tops or report.reach.limit < 2 * max(tops)):
        tops.append(report.reach.limit)
    plot = _Plot(right, 1.08 * max(tops, default=1.0))
    measured = found.points[-1].size if found.points else 0.0
    body = [*_axes(plot, report), *_law(plot, curve, measured), *_limit(plot, report)]
    for point in found.points:
        body += [f'<circle class="p" cx="{plot.x(point.size)}" cy="{plot.y(m)}" r="3"/>' for m in point.memory]
    for one in told:
        assert one.bytes is not None
        label = f"{words.human(one.bytes)} at {words.number(one.size)}"
        body.append(f'<circle class="x" cx="{plot.x(one.size)}" cy="{plot.y(one.bytes)}" r="4"/>')
        body.append(_text(plot.x(one.size), str(float(plot.y(one.bytes)) - 9), label, "end"))
    title = escape(shorten(command_line(report.command), 90))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
        f'<text class="t" x="{_LEFT}" y="26">{title}</text>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _curve(report: ScaleReport, right: float) -> list[Prediction]:
    """The law where it may be told; between the measured sizes at least, without an interval."""
    found = report.scaling
    if found.chosen is None:
        return []
    smallest, largest = found.points[0].size, found.points[-1].size
    if found.refusals:
        right = largest
    curve = []
    for step in range(_STEPS + 1):
        size = smallest + (right - smallest) * step / _STEPS
        one = predict(found, size)
        if one.bytes is None and size <= largest:
            one = Prediction(size, found.chosen.at(size), None, None, None)
        if one.bytes is not None:
            curve.append(one)
    return curve


def _law(plot: _Plot, curve: list[Prediction], measured: float) -> list[str]:
    """Solid where something was measured, dashed beyond."""
    band = [(one.size, one.low, one.high) for one in curve if one.low is not None and one.high is not None]
    drawn = []
    if band:
        edge = [plot.at(size, high) for size, _, high in band] + [plot.at(size, low) for size, low, _ in reversed(band)]
        drawn.append(f'<polygon class="b" points="{" ".join(edge)}"/>')
    line = [(one.size, one.bytes) for one in curve if one.bytes is not None]
    inside = [place for place in line if place[0] <= measured]
    for style, part in (("l", inside), ("l e", line[max(0, len(inside) - 1) :])):
        if len(part) > 1:
            drawn.append(f'<polyline class="{style}" points="{" ".join(plot.at(*place) for place in part)}"/>')
    return drawn


def _limit(plot: _Plot, report: ScaleReport) -> list[str]:
    told = report.reach
    if told is None or told.limit > plot.top:
        return []
    y = plot.y(told.limit)
    drawn = [f'<line class="m" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>']
    label = f"limit {words.human(told.limit)}"
    if told.size is not None:
        drawn.append(f'<circle class="n" cx="{plot.x(told.size)}" cy="{y}" r="4"/>')
        label += f", reached at {words.number(round(told.size))}"
    return [*drawn, _text(str(_LEFT + 8), str(float(y) - 6), label, "start")]


def _axes(plot: _Plot, report: ScaleReport) -> list[str]:
    bottom, drawn = HEIGHT - _BOTTOM, []
    for size in ticks(plot.right):
        x = plot.x(size)
        drawn.append(f'<line class="g" x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom}"/>')
        drawn.append(_text(x, str(bottom + 18), words.number(size), "middle"))
    scale = _scale(plot.top)
    for steps in ticks(plot.top / scale):
        y = plot.y(steps * scale)
        drawn.append(f'<line class="g" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        drawn.append(_text(str(_LEFT - 8), str(float(y) + 4), words.human(steps * scale), "end"))
    drawn.append(f'<path class="a" d="M{_LEFT} {_TOP}V{bottom}H{WIDTH - _RIGHT}"/>')
    middle = (_LEFT + WIDTH - _RIGHT) // 2
    drawn.append(_text(str(middle), str(HEIGHT - 14), visible(report.parameter), "middle"))
    drawn.append(_text(str(_LEFT), str(_TOP - 6), METRICS[report.benchmark.metric], "end"))
    return drawn


def ticks(top: float) -> list[float]:
    """Four to nine round numbers from 0 up to ``top``."""
    raw = top / 6
    magnitude = 10.0 ** floor(log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.999)
    return [float(f"{step * place:.12g}") for place in range(ceil(top / step)) if step * place <= top]


def _scale(top: float) -> float:
    """The unit in which the figures are round."""
    return next((float(1 << bits) for bits in (40, 30, 20, 10) if top >= 1 << bits), 1.0)


def _text(x: str, y: str, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
