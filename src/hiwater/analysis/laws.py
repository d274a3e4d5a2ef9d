"""The laws by which memory may grow with a parameter, each fitted by least squares. Pure; SciPy does the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from math import inf, log, log1p, sqrt
from typing import Any

from hiwater.analysis.statistics import require_scipy

GRAIN = 4096.0
"""Memory comes in pages: no fit is told from another by less than this."""

SMALLEST_EXPONENT, LARGEST_EXPONENT = 0.1, 4.0


class Law(str, Enum):
    """How memory grows; n is the parameter, a the fixed cost."""

    CONSTANT = "constant"
    LOGARITHMIC = "logarithmic"
    LINEAR = "linear"
    N_LOG_N = "n log n"
    QUADRATIC = "quadratic"
    POWER = "power"

    def __str__(self) -> str:
        return self.value

    @property
    def parameters(self) -> int:
        """How many figures it has to be given."""
        return {Law.CONSTANT: 1, Law.POWER: 3}.get(self, 2)

    @property
    def complexity(self) -> int:
        """Of two that explain the measurements as well the simpler one is taken; a line is simpler than a curve."""
        return {Law.CONSTANT: 0, Law.LINEAR: 1, Law.POWER: 3}.get(self, 2)


_SHAPES: dict[Law, Callable[[float], float]] = {
    Law.LOGARITHMIC: log,
    Law.LINEAR: lambda n: n,
    Law.N_LOG_N: lambda n: n * log(n) if n > 0 else 0.0,
    Law.QUADRATIC: lambda n: n * n,
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Fit:
    """One law with the figures that suit the measurements best: fixed + factor x shape(n)."""

    law: Law
    fixed: Estimate
    factor: Estimate | None
    exponent: Estimate | None
    """Of a power law: fixed + factor x n^exponent."""
    deviation: float
    """Standard deviation of the residuals, each divided by its weight."""
    aicc: float
    """Akaike's criterion, corrected for small samples: the smaller the better."""
    residuals: tuple[float, ...]
    freedom: int
    """Degrees of freedom that are left."""
    _largest: float = field(repr=False)
    _scale: float = field(repr=False)
    _covariance: Any = field(repr=False, compare=False)

    def shape(self, size: float) -> float:
        """What the factor is multiplied with."""
        if self.law is Law.CONSTANT:
            return 0.0
        if self.exponent is not None:
            return float(size**self.exponent.value)
        return _SHAPES[self.law](size)

    def at(self, size: float) -> float:
        """The memory at a size."""
        return self.fixed.value + (self.factor.value * self.shape(size) if self.factor is not None else 0.0)

    def error_at(self, size: float) -> float:
        """Standard error of that, as far as it comes from the figures."""
        gradient = [1.0]
        if self.factor is not None:
            gradient.append(self.shape(size) / self._scale)
        if self.exponent is not None and self.factor is not None:
            gradient.append(self.factor.value * self.shape(size) * log(size / self._largest) if size > 0 else 0.0)
        numpy, _ = require_scipy()
        vector = numpy.asarray(gradient)
        return sqrt(max(0.0, float(vector @ self._covariance @ vector)))

    def slope_at(self, size: float) -> float:
        """Bytes for one more at a size."""
        step = max(abs(size) * 1e-6, 1e-9)
        return (self.at(size + step) - self.at(size)) / step


def fit(law: Law, sizes: Sequence[float], memory: Sequence[float], weights: Sequence[float]) -> Fit | None:
    """``None`` where the law makes no sense for these sizes, or has too many figures for so few of them.

    ``weights``: how far each measurement may be off, compared to the others.
    """
    freedom = len(sizes) - law.parameters
    if freedom - 2 < 0 or not _applies(law, sizes):
        return None
    return _fit_power(sizes, memory, weights) if law is Law.POWER else _fit_linear(law, sizes, memory, weights)


def _applies(law: Law, sizes: Sequence[float]) -> bool:
    if law is Law.LOGARITHMIC or law is Law.POWER:
        return min(sizes) > 0
    if law is Law.N_LOG_N:
        return min(sizes) >= 1 and max(sizes) > 1
    return True


def _fit_linear(law: Law, sizes: Sequence[float], memory: Sequence[float], weights: Sequence[float]) -> Fit:
    numpy, _ = require_scipy()
    columns = [numpy.ones(len(sizes))]
    scale = 1.0
    if law is not Law.CONSTANT:
        shape = numpy.asarray([_SHAPES[law](size) for size in sizes])
        scale = float(numpy.abs(shape).max()) or 1.0
        columns.append(shape / scale)  # of the size of 1, as the other column is
    matrix = numpy.column_stack(columns)
    target, weight = numpy.asarray(memory, dtype=float), numpy.asarray(weights, dtype=float)
    figures, *_ = numpy.linalg.lstsq(matrix / weight[:, None], target / weight, rcond=None)
    return _finished(law, figures, matrix, target - matrix @ figures, weight, scale, max(sizes), None)


def _fit_power(sizes: Sequence[float], memory: Sequence[float], weights: Sequence[float]) -> Fit:
    """For a given exponent the law is linear, so only the exponent is searched for."""
    numpy, _ = require_scipy()
    optimize = import_module("scipy.optimize")
    relative = numpy.asarray(sizes, dtype=float) / max(sizes)
    target, weight = numpy.asarray(memory, dtype=float), numpy.asarray(weights, dtype=float)

    def solved(exponent: float) -> tuple[Any, Any, Any]:
        matrix = numpy.column_stack([numpy.ones(len(sizes)), relative**exponent])
        figures, *_ = numpy.linalg.lstsq(matrix / weight[:, None], target / weight, rcond=None)
        return matrix, figures, target - matrix @ figures

    def misfit(exponent: float) -> float:
        return log1p(float(((solved(exponent)[2] / weight) ** 2).sum()))

    bounds = (SMALLEST_EXPONENT, LARGEST_EXPONENT)
    exponent = float(optimize.minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x)
    matrix, figures, residuals = solved(exponent)
    scale = max(sizes) ** exponent
    by_exponent = figures[1] * relative**exponent * numpy.log(relative)
    gradient = numpy.column_stack([matrix, by_exponent])
    return _finished(Law.POWER, figures, gradient, residuals, weight, scale, max(sizes), exponent)


def _finished(
    law: Law,
    figures: Any,
    gradient: Any,
    residuals: Any,
    weight: Any,
    scale: float,
    largest: float,
    exponent: float | None,
) -> Fit:
    numpy, _ = require_scipy()
    count, parameters = len(residuals), law.parameters
    freedom = count - parameters
    squares = float(((residuals / weight) ** 2).sum())
    weighted = gradient / weight[:, None]
    grain = GRAIN / float(weight.max())
    deviation = sqrt(squares / freedom)
    units = numpy.abs(weighted).max(axis=0)  # columns of one magnitude, or the inverse would lose the smaller ones
    units[units == 0] = 1.0
    inverse = numpy.linalg.pinv((weighted / units).T @ (weighted / units)) / numpy.outer(units, units)
    covariance = inverse * max(deviation, grain / 4) ** 2
    errors = [sqrt(max(0.0, float(variance))) for variance in numpy.diag(covariance)]
    return Fit(
        law=law,
        fixed=Estimate(float(figures[0]), errors[0]),
        factor=Estimate(float(figures[1]) / scale, errors[1] / scale) if law is not Law.CONSTANT else None,
        exponent=None if exponent is None else Estimate(exponent, errors[2]),
        deviation=deviation,
        aicc=_aicc(squares, count, parameters + 1, grain),
        residuals=tuple(float(residual) for residual in residuals),
        freedom=freedom,
        _largest=largest,
        _scale=scale,
        _covariance=covariance,
    )


def _aicc(squares: float, count: int, figures: int, grain: float) -> float:
    """``figures``: those of the law and the variance."""
    rest = count - figures - 1
    if rest <= 0:
        return inf
    return count * log(squares / count + grain**2) + 2 * figures + 2 * figures * (figures + 1) / rest
