"""What repeated executions tell: the middle of a sample with its interval, and whether one sample is above another.

Memory is no bell curve: a handful of executions, many of them equal to the page, a second mode when a thread came late.
So nothing here assumes a distribution. The interval of a median is made of order statistics; two samples are compared
by ranks (Mann-Whitney), and the interval of their ratio is that test inverted (Hodges-Lehmann): the ratios by which the
one sample can be multiplied without being told apart from the other. If both come from one distribution, whichever it
is, the test errs no more often than stated, also with five executions each; equal values count against a difference.

One more execution because the last was not conclusive is one more chance for chance. :func:`repeat_until_sure` looks
at fixed numbers of executions only, and shares the allowed error among these looks (:func:`spend`).

Pure. SciPy is imported when a figure needs it; it comes with ``pip install 'hiwater[bench]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib import import_module
from math import inf, isfinite
from statistics import median
from typing import Any

from hiwater.errors import MissingExtraError, MisuseError

OUTLIER_DEVIATIONS = 5.0
OUTLIER_SHARE = 0.01
"""An outlier is further from the median than so many robust standard deviations, and than this share of the median:
where all values but one are equal, a page more is no outlier."""

FIRST_LOOK = 5
FIRST_SHARE = 0.4
"""The first look spends two fifths of the allowed error: as much as five against five executions need at 99 %."""

_EXACT_PAIRS = 2_500
"""Up to so many pairs of values the exact distribution of the rank sum is used; above, the normal one is as good."""


class Verdict(str, Enum):
    """What a comparison found."""

    MORE = "more"
    """The new sample is above the old one."""
    LESS = "less"
    NO_DIFFERENCE = "no difference found"
    """Not: there is none. The interval says how large one could be."""
    TOO_FEW = "too few executions"
    """So few values cannot carry an answer of this confidence, whatever they are."""

    def __str__(self) -> str:
        return self.value


class Decision(str, Enum):
    """Whether a sample exceeds another by more than a tolerance."""

    SURE_YES = "yes"
    SURE_NO = "no"
    UNSURE = "unsure"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Interval:
    """The figure lies between ``low`` and ``high`` with this confidence."""

    low: float
    high: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Spread:
    """One sample in figures."""

    count: int
    median: float
    interval: Interval | None
    """Of the median; ``None`` if the sample is too small for the confidence (95 % takes six values)."""
    mean: float
    deviation: float | None
    """Standard deviation; ``None`` for a single value."""
    robust_deviation: float
    """1.4826 x the median distance from the median: the standard deviation of a bell curve, deaf to outliers."""
    minimum: float
    maximum: float
    outliers: tuple[int, ...]
    """Their places in the sample."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much larger the new sample is than the old one."""

    ratio: float
    """new / old: the median of the ratios of all pairs (Hodges-Lehmann)."""
    low: float | None
    """``None``, as ``high``, if the samples are too small for an interval of this confidence."""
    high: float | None
    confidence: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Repeated:
    """What :func:`repeat_until_sure` came to."""

    decision: Decision
    new: tuple[float, ...]
    """All that was measured."""
    confidence: float
    """That of the decision as a whole."""


def summary(values: Sequence[float], *, confidence: float = 0.95) -> Spread:
    """Median, spread and outliers of one sample."""
    _check(values, confidence)
    numpy, stats = require_scipy()
    sample = numpy.asarray(values, dtype=float)
    middle = float(numpy.median(sample))
    robust = float(stats.median_abs_deviation(sample, scale="normal"))
    threshold = max(OUTLIER_DEVIATIONS * robust, OUTLIER_SHARE * abs(middle))
    return Spread(
        count=len(values),
        median=middle,
        interval=_median_interval(sample, confidence),
        mean=float(sample.mean()),
        deviation=float(sample.std(ddof=1)) if len(values) > 1 else None,
        robust_deviation=robust,
        minimum=float(sample.min()),
        maximum=float(sample.max()),
        outliers=tuple(place for place, value in enumerate(values) if abs(value - middle) > threshold),
    )


def compare(old: Sequence[float], new: Sequence[float], *, confidence: float = 0.99) -> Comparison:
    """The ratio new / old with its two-sided interval; a difference is claimed where that does not hold 1.

    Of two samples of one distribution a difference is claimed with a probability of at most ``1 - confidence``.
    All values must be positive. 99 % takes five values on each side, or three and sixteen.
    """
    ratios = _ratios(old, new, confidence)
    ratio = float(median(ratios))
    rank = _rank(len(old), len(new), (1 - confidence) / 2)
    if rank == 0:
        return Comparison(ratio, None, None, confidence, Verdict.TOO_FEW)
    low, high = ratios[rank - 1], ratios[-rank]
    verdict = Verdict.MORE if low > 1 else Verdict.LESS if high < 1 else Verdict.NO_DIFFERENCE
    return Comparison(ratio, low, high, confidence, verdict)


def exceeds(old: Sequence[float], new: Sequence[float], tolerance: float, confidence: float = 0.99) -> Decision:
    """Whether ``new`` is larger than ``old`` by more than ``tolerance`` (0.05: by more than 5 %).

    If it is not, SURE_YES comes with a probability of at most ``1 - confidence``; if it is, so does SURE_NO. In between
    lies UNSURE: measure more (:func:`repeat_until_sure`), and do not take it for either. With a tolerance below the
    noise UNSURE is the usual answer to an unchanged program.
    """
    if not isfinite(tolerance) or tolerance <= -1:
        raise MisuseError(f"a tolerance is a share above -1, such as 0.05, not {tolerance!r}")
    ratios = _ratios(old, new, confidence)
    rank = _rank(len(old), len(new), 1 - confidence)
    if rank == 0:
        return Decision.UNSURE
    if ratios[rank - 1] > 1 + tolerance:
        return Decision.SURE_YES
    return Decision.SURE_NO if ratios[-rank] <= 1 + tolerance else Decision.UNSURE


def schedule(limit: int, first: int = FIRST_LOOK) -> tuple[int, ...]:
    """The numbers of executions after which to look: each half as many more, the last being ``limit``."""
    if limit < 1 or first < 1:
        raise MisuseError("the number of executions is at least 1")
    looks = [min(first, limit)]
    while looks[-1] < limit:
        following = looks[-1] * 3 // 2 + 1
        # A last stretch that is shorter than a third is not worth a look of its own.
        looks.append(following if following * 4 // 3 <= limit else limit)
    return tuple(looks)


def spend(confidence: float, look: int, looks: int) -> float:
    """The confidence to ask for at a look (the first is 1), so that all ``looks`` together keep ``confidence``."""
    if not 1 <= look <= looks:
        raise MisuseError(f"look {look} of {looks}")
    _check_confidence(confidence)
    if looks == 1:
        return confidence
    share = FIRST_SHARE if look == 1 else (1 - FIRST_SHARE) / (looks - 1)
    return 1 - (1 - confidence) * share


def repeat_until_sure(
    old: Sequence[float],
    measure: Callable[[], float],
    *,
    tolerance: float,
    confidence: float = 0.99,
    limit: int = 30,
) -> Repeated:
    """Calls ``measure``, ``limit`` times at most, until it is sure whether that exceeds ``old`` by more than allowed.

    However often it looks, the probability of a wrong SURE_YES is at most ``1 - confidence`` in all, and so is that of
    a wrong SURE_NO. UNSURE is the answer if ``limit`` was reached.
    """
    looks = schedule(limit)
    new: list[float] = []
    for look, count in enumerate(looks, 1):
        new.extend(measure() for _ in range(count - len(new)))
        decision = exceeds(old, new, tolerance, spend(confidence, look, len(looks)))
        if decision is not Decision.UNSURE:
            return Repeated(decision, tuple(new), confidence)
    return Repeated(Decision.UNSURE, tuple(new), confidence)


def require_scipy() -> tuple[Any, Any]:
    """numpy and scipy.stats; MissingExtraError where they are not installed, better before a measurement than after."""
    try:
        return import_module("numpy"), import_module("scipy.stats")
    except ImportError as error:
        raise MissingExtraError("statistics", "SciPy", "bench") from error


def _median_interval(sample: Any, confidence: float) -> Interval | None:
    """The order statistics between which the median lies, by the binomial distribution of how many are below it."""
    _, stats = require_scipy()
    found = stats.quantile_test(sample, p=0.5).confidence_interval(confidence)
    low, high = float(found.low), float(found.high)
    return Interval(low, high, confidence) if -inf < low and high < inf else None


def _ratios(old: Sequence[float], new: Sequence[float], confidence: float) -> list[float]:
    """Of all pairs, ascending."""
    _check(old, confidence)
    _check(new, confidence)
    if min(old) <= 0 or min(new) <= 0:
        raise MisuseError("only what is more than 0 has a ratio")
    return sorted(after / before for before in old for after in new)


@lru_cache(maxsize=1024)
def _rank(old: int, new: int, error: float) -> int:
    """The largest k such that the k-th smallest ratio of the pairs is above the true one with probability ``error`` at
    most; 0 if there is none."""
    below, above = 0, old * new // 2 + 1  # the probability of k grows with it, up to one half in the middle
    while above - below > 1:
        middle = (below + above) // 2
        if _probability(old, new, middle - 1) <= error:
            below = middle
        else:
            above = middle
    return below


def _probability(old: int, new: int, pairs: int) -> float:
    """That so many or fewer of the pairs have the greater value on the first side, both being of one distribution.

    SciPy gives it for samples; these are two of that many such pairs, without equal values.
    """
    numpy, stats = require_scipy()
    above_all, above_some = divmod(pairs, new)
    first = numpy.arange(old) / old / 4 - 1.0
    first[old - above_all :] += new + 1.0
    if above_some:
        first[old - above_all - 1] += above_some + 0.5
    method = "exact" if old * new <= _EXACT_PAIRS else "asymptotic"
    return float(stats.mannwhitneyu(first, numpy.arange(new), alternative="less", method=method).pvalue)


def _check(values: Sequence[float], confidence: float) -> None:
    if not len(values):
        raise MisuseError("there is no value to judge")
    if not all(isfinite(value) for value in values):
        raise MisuseError("a value is not a finite number")
    _check_confidence(confidence)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise MisuseError(f"a confidence lies between 0 and 1, such as 0.99, not {confidence!r}")
