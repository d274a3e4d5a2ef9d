"""How memory grows with a parameter: which law explains the measurements, what it says about sizes that were not
measured, and when it must not say anything. Pure.

The law is picked by Akaike's criterion, corrected for small samples, and of laws that explain the measurements as well
(within 4) the simplest is taken. A prediction holds the intervals of *all* laws that are still plausible (within 8):
who cannot tell n from n log n cannot say what ten times as much will take, and the interval shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from math import log, sqrt
from statistics import median, variance

from hiwater.analysis.laws import GRAIN, Fit, Law, fit
from hiwater.analysis.statistics import require_scipy
from hiwater.errors import MisuseError

FEWEST_SIZES = 5
NARROWEST_RANGE = 2.0
"""The largest size is at least so many times the smallest."""
FARTHEST = 20.0
"""Nothing is said of sizes beyond so many times the largest that was measured."""
WORST_RESIDUAL = 0.1
"""A law that misses a measurement by more than this share of the growth explains it not."""
WORST_STRUCTURE = 0.02
"""A bend that is left in the residuals is held against the law from this share of the growth on."""
WIDEST = 0.3
"""A prediction whose interval reaches further than this share to either side is none."""

_SAME, _PLAUSIBLE = 4.0, 8.0
_STRUCTURE_ERROR = 0.01


@dataclass(frozen=True, slots=True)
class Point:
    """The executions at one size."""

    size: float
    memory: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.memory)


@dataclass(frozen=True, slots=True)
class Noise:
    """How executions of one size differ."""

    deviation: float
    """Standard deviation: in bytes, or as a share of the memory if it is proportional."""
    proportional: bool
    """Whether it grows with the memory, which decides what each measurement weighs."""

    def weight(self, memory: float) -> float:
        """What the deviation is multiplied with."""
        return max(memory, GRAIN) if self.proportional else 1.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """The memory at a size."""

    size: float
    bytes: float | None
    """``None``, as the bounds, where the measurements do not carry it: ``refusal`` says why."""
    low: float | None
    high: float | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Reach:
    """The size at which a limit is reached."""

    limit: float
    size: float | None
    """``None``: not within what can be told; ``note`` says more."""
    low: float | None
    """The limit may be reached from here on."""
    high: float | None
    """And will be by here; ``None``: that is beyond what can be told."""
    note: str | None
    """Why there is no size."""
    answered: bool = True
    """False: that could not be told. Not to be reached at all is an answer."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the measurements say."""

    points: tuple[Point, ...]
    """Ascending."""
    fits: tuple[Fit, ...]
    """Of all laws that could be fitted, the best criterion first."""
    chosen: Fit | None
    plausible: tuple[Fit, ...]
    """Those that are not ruled out; the chosen one among them."""
    noise: Noise
    confidence: float
    refusals: tuple[str, ...]
    """Why nothing may be said of sizes that were not measured; empty if something may."""


def scaling(points: Sequence[Point], *, confidence: float = 0.95) -> Scaling:
    """Fits all laws and picks one."""
    require_scipy()
    ordered = tuple(sorted(points, key=lambda point: point.size))
    if len({point.size for point in ordered}) < len(ordered):
        raise MisuseError("a size stands twice among the points")
    noise = _noise(ordered)
    sizes, memory = [point.size for point in ordered], [point.median for point in ordered]
    weights = [noise.weight(value) for value in memory]
    laws = tuple(Law) if len(ordered) >= FEWEST_SIZES else ()
    found = [one for law in laws if (one := fit(law, sizes, memory, weights)) is not None]
    fits = tuple(sorted((one for one in found if _makes_sense(one, ordered)), key=lambda one: one.aicc))
    if not fits:
        return Scaling(ordered, (), None, (), noise, confidence, (_too_few(ordered),))
    best = fits[0].aicc
    chosen = min((one for one in fits if one.aicc <= best + _SAME), key=lambda one: (one.law.complexity, one.aicc))
    plausible = tuple(one for one in fits if one.aicc <= chosen.aicc + _PLAUSIBLE)
    return Scaling(ordered, fits, chosen, plausible, noise, confidence, tuple(_refusals(ordered, chosen)))


def predict(found: Scaling, size: float) -> Prediction:
    """The memory of one execution at a size, or why that cannot be told."""
    largest = found.points[-1].size if found.points else 0.0
    if found.chosen is None or found.refusals:
        return Prediction(size, None, None, None, found.refusals[0] if found.refusals else "there is no law")
    if size > FARTHEST * largest:
        return Prediction(
            size, None, None, None, f"{size:,.10g} is more than {FARTHEST:g} times the largest size measured"
        )
    if size < 0 or (size <= 0 and found.chosen.law in (Law.LOGARITHMIC, Law.POWER)):
        return Prediction(size, None, None, None, f"{size:,.10g} is not a size")
    value = found.chosen.at(size)
    low, high = _interval(found, size)
    if max(high - value, value - low) > WIDEST * value:
        laws = " and ".join(str(one.law) for one in found.plausible)
        why = f"{laws} growth explain the measurements as well" if len(found.plausible) > 1 else "they vary too much"
        return Prediction(
            size, None, None, None, f"the interval would be wider than {100 * WIDEST:.0f} % to one side, because {why}"
        )
    return Prediction(size, value, max(0.0, low), high, None)


def reach(found: Scaling, limit: float) -> Reach:
    """The size at which the memory reaches ``limit``, with what the intervals leave open."""
    if found.chosen is None or found.refusals:
        why = found.refusals[0] if found.refusals else "there is no law"
        return Reach(limit, None, None, None, why, answered=False)
    chosen, smallest, largest = found.chosen, found.points[0].size, found.points[-1].size
    if chosen.at(smallest) >= limit:
        return Reach(limit, None, None, None, "even the smallest size that was measured needs as much")
    if chosen.law is Law.CONSTANT or chosen.slope_at(largest) <= 0:
        return Reach(limit, None, None, None, "the memory does not grow with it")
    farthest = FARTHEST * largest
    if chosen.at(farthest) < limit:
        return Reach(limit, None, None, None, f"not before {farthest:,.10g}, which is as far as can be told")
    optimize = import_module("scipy.optimize")

    def crossing(height: object) -> float | None:
        assert callable(height)
        if height(smallest) >= limit:
            return smallest
        if height(farthest) < limit:
            return None
        return float(optimize.brentq(lambda size: height(size) - limit, smallest, farthest))

    size = crossing(chosen.at)
    assert size is not None
    told = predict(found, size)
    if told.refusal is not None:
        return Reach(limit, None, None, None, f"about {size:.3g}, but {told.refusal}", answered=False)
    return Reach(
        limit,
        size,
        crossing(lambda at: _interval(found, at)[1]),
        crossing(lambda at: _interval(found, at)[0]),
        None,
    )


def _interval(found: Scaling, size: float) -> tuple[float, float]:
    """In which one execution will be, whichever of the plausible laws is the true one."""
    _, stats = require_scipy()
    low = high = None
    for one in found.plausible:
        single = max(max(one.deviation, found.noise.deviation) * found.noise.weight(one.at(size)), GRAIN / 4)
        spread = float(stats.t.ppf((1 + found.confidence) / 2, one.freedom)) * sqrt(one.error_at(size) ** 2 + single**2)
        low = one.at(size) - spread if low is None else min(low, one.at(size) - spread)
        high = one.at(size) + spread if high is None else max(high, one.at(size) + spread)
    assert low is not None and high is not None
    return low, high


def _noise(points: Sequence[Point]) -> Noise:
    """Constant or proportional, whichever makes what was seen likelier; constant if it is within pages."""
    groups = [point for point in points if len(point.memory) > 1 and point.median > 0]
    freedom = sum(len(point.memory) - 1 for point in groups)
    if not freedom:
        return Noise(0.0, False)
    squares = [(variance(point.memory) * (len(point.memory) - 1), point) for point in groups]
    constant = sqrt(sum(square for square, _ in squares) / freedom)
    share = sqrt(sum(square / point.median**2 for square, point in squares) / freedom)
    mean_log = sum(log(point.median) * (len(point.memory) - 1) for point in groups) / freedom
    if constant < 2 * GRAIN or log(constant) <= log(share) + mean_log:
        return Noise(constant, False)
    return Noise(share, True)


def _makes_sense(one: Fit, points: Sequence[Point]) -> bool:
    """A program that needs less than nothing at some size is none: such a law is not a candidate."""
    if one.law is not Law.LOGARITHMIC and one.fixed.value + 3 * one.fixed.error < 0:
        return False
    return all(one.at(point.size) > 0 for point in points)


def _too_few(points: Sequence[Point]) -> str:
    return f"{len(points)} sizes are too few to tell one law from another: at least {FEWEST_SIZES}"


def _refusals(points: Sequence[Point], chosen: Fit) -> list[str]:
    smallest, largest = points[0].size, points[-1].size
    found = []
    if largest < NARROWEST_RANGE * smallest:
        found.append(
            f"from {smallest:,.10g} to {largest:,.10g} is too narrow a range: "
            f"the largest size is to be at least {NARROWEST_RANGE:g} times the smallest"
        )
    medians = [point.median for point in points]
    growth = max(medians) - min(medians)
    worst = max(abs(residual) for residual in chosen.residuals)
    tolerated = max(4 * GRAIN, 0.01 * max(medians))  # steps of an allocator are no structure
    if chosen.law is not Law.CONSTANT and worst > WORST_RESIDUAL * growth and worst > tolerated:
        place = max(range(len(points)), key=lambda index: abs(chosen.residuals[index]))
        found.append(
            f"no law explains it: the best, {chosen.law}, is off by {100 * worst / growth:.0f} % of the whole growth "
            f"at {points[place].size:,.10g}; memory that grows in steps, or noise, looks like that"
        )
    elif chosen.law is not Law.CONSTANT and worst > max(WORST_STRUCTURE * growth, tolerated) and _bends(points, chosen):
        found.append(
            f"the residuals still bend: {chosen.law} growth is not the whole story; more sizes may show which law it is"
        )
    elif chosen.law is Law.CONSTANT and worst > WIDEST * median(medians):
        found.append("the memory varies, but not by any law of the size")
    return found


def _bends(points: Sequence[Point], chosen: Fit) -> bool:
    """Whether the residuals follow a parabola, which chance seldom draws."""
    _, stats = require_scipy()
    middle = (points[0].size + points[-1].size) / 2
    parabola = [(point.size - middle) ** 2 for point in points]
    return bool(stats.linregress(parabola, chosen.residuals).pvalue < _STRUCTURE_ERROR)
