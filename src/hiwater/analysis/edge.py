"""A noisy edge: from which limit on does it go well, and how often? Pure arithmetic, without any dependency.

What is assumed: the chance to go well rises with the logarithm of the limit along a logistic curve, from nearly 0 to
nearly 1 (a few executions go wrong, or well, for other reasons). Where its middle is and how steep it is are unknown:
each pair of values on a grid has a weight, every execution multiplies those weights by how likely it was (Bayes), and
the next execution goes to the limit that is expected to narrow the answer most. So executions repeat near the edge by
themselves, the more the noisier it is. A sharp edge is the steepest curve of the grid, not a special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, floor, log

_WIDTHS = 14
_WIDEST = 0.35
"""Of the logistic curve, in the logarithm: from 5 % to 95 % the limit then grows eightfold."""
FINENESS = 8
"""Places of the grid within the precision."""
_STEEPER = 0.6
"""How much likelier a curve is held to be, before anything was seen, than the next less steep one: most programs need
what they need. A few executions that disagree outweigh it; without it, a sharp edge takes three times as many."""
_NEGLIGIBLE = 1e-6
_MINOR = 2e-3
"""Of the largest weight: what is lighter does not decide where to go next."""
_CANDIDATES = 32
CREDIBILITY = 0.9
"""Of the intervals: so much of the weight lies within them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and what it lies between (``CREDIBILITY``)."""

    value: float
    low: float
    high: float


class Edge:
    """What is known of one edge."""

    def __init__(self, low: float, high: float, precision: float, target: float, lapse: float) -> None:
        """The edge lies between ``low`` and ``high``. ``precision``: the relative error that is wanted. ``target``: the
        share of executions that are to go well at the answer. ``lapse``: the share that has other reasons."""
        self.step = log(1 + precision) / FINENESS
        self.origin = floor(log(low) / self.step) * self.step  # the places of all edges of one precision are the same
        count = ceil((log(high) - self.origin) / self.step) + 1
        self.places = range(count)
        self._lapse = lapse
        steepest = self.step / 3
        ratio = (_WIDEST / steepest) ** (1 / (_WIDTHS - 1))
        self._widths: list[float] = [steepest * ratio**place for place in range(_WIDTHS)]
        self._beyond = log(target / (1 - target))
        # Weights by middle and width.
        self._weights = {(place, width): _STEEPER**width for place in self.places for width in range(_WIDTHS)}
        self._chances = [self._curve(width) for width in self._widths]
        self._offset = count - 1

    def _curve(self, width: float) -> list[float]:
        """The chance, by how many places the limit is above the middle."""
        count = len(self.places)
        found = []
        for distance in range(-(count - 1), count):
            at = max(-40.0, min(40.0, distance * self.step / width))
            found.append(self._lapse + (1 - 2 * self._lapse) / (1 + exp(-at)))
        return found

    def limit(self, place: int) -> float:
        """The limit at a place of the grid."""
        return exp(self.origin + place * self.step)

    def place(self, limit: float) -> int:
        """The nearest place of the grid."""
        at = round((log(limit) - self.origin) / self.step)
        return min(max(at, 0), len(self.places) - 1)

    def place_above(self, limit: float) -> int:
        """The next place of the grid that is not below it."""
        at = ceil((log(limit) - self.origin) / self.step - 1e-9)
        return min(max(at, 0), len(self.places) - 1)

    def add(self, limit: float, good: bool) -> None:
        """One execution."""
        at = self.place(limit) + self._offset
        total = 0.0
        for key, weight in self._weights.items():
            chance = self._chances[key[1]][at - key[0]]
            weight *= chance if good else 1 - chance
            self._weights[key] = weight
            total += weight
        least = _NEGLIGIBLE / len(self._weights)
        self._weights = {key: weight / total for key, weight in self._weights.items() if weight > least * total}

    def chance(self, limit: float) -> Interval:
        """How often it goes well at a limit."""
        at = self.place(limit) + self._offset
        weighted = [(self._chances[width][at - place], weight) for (place, width), weight in self._weights.items()]
        return _interval(weighted, middle=sum(c * w for c, w in weighted) / sum(w for _, w in weighted))

    def answer(self) -> Interval:
        """The limit at which the target is reached; the interval takes in what lies between two places of the grid."""
        found = _interval([(self._target(key), weight) for key, weight in self._weights.items()])
        return Interval(exp(found.value), exp(found.low - self.step), exp(found.high + self.step))

    def middle(self) -> Interval:
        """The limit at which half of the executions go well."""
        found = _interval([(self.origin + place * self.step, weight) for (place, _), weight in self._weights.items()])
        return Interval(exp(found.value), exp(found.low), exp(found.high))

    def is_precise(self) -> bool:
        """Whether the answer is as narrow as was asked for."""
        found = self.answer()
        return log(found.high / found.low) <= (FINENESS + 1e-6) * self.step

    def next(self) -> float:
        """The limit whose execution is expected to leave the least variance in the answer."""
        enough = _MINOR * max(self._weights.values())
        weighted = [(key, weight, self._target(key)) for key, weight in self._weights.items() if weight > enough]
        mean = sum(w * t for _, w, t in weighted) / sum(w for _, w, _ in weighted)
        shifted = [(place, self._chances[width], weight, t - mean) for (place, width), weight, t in weighted]
        places = [place for place, _, _, _ in shifted]
        targets = [t for _, _, _, t in shifted]
        last = min(len(self.places) - 1, self.place(exp(mean + max(targets))))
        first = max(0, min(places) - 1)
        stride = max(1, (last - first) // _CANDIDATES)
        best, best_left = first, float("inf")
        for candidate in range(first, last + 1, stride):
            left = self._variance_left(candidate + self._offset, shifted)
            if left < best_left:
                best, best_left = candidate, left
        return self.limit(best)

    @staticmethod
    def _variance_left(at: int, shifted: list[tuple[int, list[float], float, float]]) -> float:
        good = good_t = total = total_t = total_tt = good_tt = 0.0
        for place, chances, weight, t in shifted:
            share = weight * chances[at - place]
            good += share
            good_t += share * t
            good_tt += share * t * t
            total += weight
            total_t += weight * t
            total_tt += weight * t * t
        bad, bad_t, bad_tt = total - good, total_t - good_t, total_tt - good_tt
        if good <= 0 or bad <= 0:
            return total_tt
        return good_tt - good_t**2 / good + bad_tt - bad_t**2 / bad

    def _target(self, key: tuple[int, int]) -> float:
        return self.origin + key[0] * self.step + self._beyond * self._widths[key[1]]


def _interval(weighted: list[tuple[float, float]], middle: float | None = None) -> Interval:
    ordered = sorted(weighted)
    total = sum(weight for _, weight in ordered)
    wanted = [total * (1 - CREDIBILITY) / 2, total / 2, total * (1 + CREDIBILITY) / 2]
    found, sofar = [], 0.0
    for value, weight in ordered:
        sofar += weight
        while wanted and sofar >= wanted[0]:
            found.append(value)
            wanted.pop(0)
    found += [ordered[-1][0]] * len(wanted)
    return Interval(found[1] if middle is None else middle, found[0], found[2])
