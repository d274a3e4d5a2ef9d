"""The sentences about growth that several views have in common."""

from __future__ import annotations

from math import floor, log, log10

from hiwater.analysis.laws import Estimate, Fit, Law
from hiwater.analysis.scale_report import ScaleReport
from hiwater.analysis.scaling import Prediction, Reach
from hiwater.analysis.statistics import require_scipy
from hiwater.views.bench_words import percent
from hiwater.views.names import visible

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def human(size: float) -> str:
    """``3.20 KiB``, ``512 MiB``: three digits, whatever the size."""
    for scale, unit in _UNITS:
        if abs(size) >= scale * 0.9995:
            return f"{_digits(size / scale)} {unit}"
    return f"{_digits(size)} B"


def between(low: float, high: float) -> str:
    """``3.196 to 3.204 KiB``: with as many digits as tell the ends apart."""
    scale, name = next(((scale, name) for scale, name in _UNITS if abs(high) >= scale * 0.9995), (1, "B"))
    width = (high - low) / scale
    decimals = 2 if width <= 0 else min(6, max(1, 1 - floor(log10(width))))
    return f"{low / scale:.{decimals}f} to {high / scale:.{decimals}f} {name}"


def number(size: float) -> str:
    """A size as a person writes it: ``1,000,000``, ``0.25``."""
    return f"{size:,.0f}" if size == round(size) and abs(size) < 1e15 else f"{size:,.6g}"


def unit(parameter: str) -> str:
    """One of them: ``song`` for songs."""
    shown = visible(parameter)
    return shown[:-1] if len(shown) > 2 and shown.endswith("s") and not shown.endswith("ss") else shown


def law(report: ScaleReport) -> list[str]:
    """What the law says: the growth, the fixed cost and the cost of one more."""
    found = report.scaling
    chosen, one = found.chosen, unit(report.parameter)
    if chosen is None:
        return []
    if chosen.law is Law.CONSTANT:
        return [f"the memory does not depend on {visible(report.parameter)}: {human(chosen.fixed.value)}"]
    if found.refusals:
        return [f"the closest law is {chosen.law} growth: {_formula(chosen, report)}"]
    largest = found.points[-1].size
    sentences = [f"{chosen.law} growth: {_formula(chosen, report)}"]
    if chosen.law is not Law.LOGARITHMIC:
        sentences.append(f"fixed cost: {_with_interval(chosen.fixed, report)}")
    assert chosen.factor is not None
    if chosen.law is Law.LINEAR:
        sentences.append(f"cost per unit: {_with_interval(chosen.factor, report)} per {one}")
    elif chosen.law is Law.LOGARITHMIC:
        doubling = Estimate(chosen.factor.value * log(2), chosen.factor.error * log(2))
        sentences.append(f"cost of each doubling: {_with_interval(doubling, report)}")
    else:
        sentences.append(f"cost per unit: {human(chosen.slope_at(largest))} per {one} at {number(largest)}")
    if chosen.exponent is not None:
        low, high = _bounds(chosen.exponent, report)
        sentences.append(f"exponent: {chosen.exponent.value:.3f} ({low:.3f} to {high:.3f})")
    others = [str(other.law) for other in found.plausible if other is not chosen]
    if others:
        sentences.append(f"not ruled out either: {', '.join(others)}")
    return sentences


def prediction(told: Prediction, report: ScaleReport) -> str:
    """The answer to --at."""
    where = f"at {number(told.size)} {visible(report.parameter)}"
    if told.bytes is None or told.low is None or told.high is None:
        return f"{where}: no prediction; {told.refusal}"
    level = percent(report.scaling.confidence)
    return f"{where}: {human(told.bytes)} ({between(told.low, told.high)}, {level} prediction interval)"


def limit(told: Reach, report: ScaleReport) -> str:
    """The answer to --limit."""
    what = human(told.limit)
    if told.size is None:
        return f"{what}: {told.note}" if told.answered else f"{what}: cannot be told; {told.note}"
    name = visible(report.parameter)
    low = number(_rounded(told.low)) if told.low is not None else "?"
    high = number(_rounded(told.high)) if told.high is not None else "beyond what can be told"
    return f"{what} are reached at {number(_rounded(told.size))} {name} ({low} to {high})"


def notes(report: ScaleReport) -> list[str]:
    """What else there is to know."""
    answered = report.predictions or report.reach is not None
    first = 1 if answered else 0  # the answers have told the first reason
    found = [f"no extrapolation: {refusal}" for refusal in report.scaling.refusals[first:]]
    if report.unmeasured:
        found.append(f"{report.unmeasured} executions could not be measured")
    if report.benchmark.message:
        found.append(f"stopped: {visible(report.benchmark.message)}")
    return found


def _formula(chosen: Fit, report: ScaleReport) -> str:
    name = visible(report.parameter)
    assert chosen.factor is not None
    shape = {
        Law.LINEAR: name,
        Law.LOGARITHMIC: f"ln({name})",
        Law.N_LOG_N: f"{name} ln({name})",
        Law.QUADRATIC: f"{name}^2",
        Law.POWER: f"{name}^{chosen.exponent.value:.3f}" if chosen.exponent else "",
    }[chosen.law]
    sign = "-" if chosen.factor.value < 0 else "+"
    return f"{human(chosen.fixed.value)} {sign} {human(abs(chosen.factor.value))} x {shape}"


def _with_interval(estimate: Estimate, report: ScaleReport) -> str:
    low, high = _bounds(estimate, report)
    return f"{human(estimate.value)} ({between(low, high)})"


def _bounds(estimate: Estimate, report: ScaleReport) -> tuple[float, float]:
    _, stats = require_scipy()
    freedom = report.scaling.chosen.freedom if report.scaling.chosen else 1
    reach = float(stats.t.ppf((1 + report.scaling.confidence) / 2, freedom)) * estimate.error
    return estimate.value - reach, estimate.value + reach


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    decimals = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{decimals}f}" if abs(value) >= 0.005 else f"{value:.3g}"


def _rounded(size: float) -> float:
    return round(size) if size >= 100 else float(f"{size:.4g}")
