"""The laws of growth: recovered where the measurements carry them, refused where they do not."""

from collections.abc import Callable, Sequence
from math import ceil, log, log2
from random import Random

import pytest

from hiwater.analysis.laws import Law
from hiwater.analysis.scaling import Point, Scaling, predict, reach, scaling
from hiwater.errors import MisuseError

pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")

MIB = 1 << 20
FEW = [10_000, 20_000, 30_000, 40_000, 50_000]
DOUBLING = [1_000 * 2**power for power in range(8)]

LAWS: dict[Law, Callable[[float], float]] = {
    Law.CONSTANT: lambda n: 20 * MIB,
    Law.LOGARITHMIC: lambda n: 5 * MIB + 2e6 * log(n),
    Law.LINEAR: lambda n: 5 * MIB + 3276 * n,
    Law.N_LOG_N: lambda n: 5 * MIB + 300 * n * log(n),
    Law.QUADRATIC: lambda n: 5 * MIB + 0.1 * n * n,
    Law.POWER: lambda n: 5 * MIB + 30 * n**1.5,
}


def measured(law: Callable[[float], float], sizes: Sequence[float], noise: float = 0.0, seed: int = 1) -> Scaling:
    """What three executions at each size would give, in pages."""
    random = Random(seed)
    points = [
        Point(size, tuple(max(1, round(law(size) * random.gauss(1, noise) / 4096)) * 4096.0 for _ in range(3)))
        for size in sizes
    ]
    return scaling(points)


@pytest.mark.parametrize("sizes", [FEW, DOUBLING])
@pytest.mark.parametrize("law", Law)
def test_laws_are_recovered_without_noise(law: Law, sizes: Sequence[float]) -> None:
    """Every law is recognised, and four times the largest size predicted within 5 %; a power takes eight sizes."""
    found = measured(LAWS[law], sizes)
    if law is Law.POWER and len(sizes) < 6:
        assert found.refusals  # three figures cannot be had of five sizes, and no other law fits
        return
    assert found.chosen is not None and found.chosen.law is law
    told = predict(found, 4 * sizes[-1])
    truth = LAWS[law](4 * sizes[-1])
    assert told.bytes == pytest.approx(truth, rel=0.05)
    assert told.low is not None and told.high is not None and told.low <= truth <= told.high


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("law", Law)
def test_laws_are_recovered_from_noise(law: Law, seed: int) -> None:
    """With 1 % of noise the law is recognised or still plausible, and twice the largest size within 5 %."""
    found = measured(LAWS[law], DOUBLING, 0.01, seed)
    assert law in [fit.law for fit in found.plausible]
    told = predict(found, 2 * DOUBLING[-1])
    if told.refusal is None:
        assert told.bytes == pytest.approx(LAWS[law](2 * DOUBLING[-1]), rel=0.05)
    else:
        assert "the interval would be wider" in told.refusal


def test_fixed_cost_and_cost_per_unit() -> None:
    """The figures of a linear law are what went into it, with standard errors."""
    found = measured(lambda n: 40 * MIB + 3277 * n, FEW, 0.005)
    assert found.chosen is not None and found.chosen.law is Law.LINEAR and found.chosen.factor is not None
    assert abs(found.chosen.factor.value - 3277) < 4 * found.chosen.factor.error < 0.05 * 3277
    assert abs(found.chosen.fixed.value - 40 * MIB) < 4 * found.chosen.fixed.error
    assert found.chosen.slope_at(30_000) == pytest.approx(found.chosen.factor.value, rel=1e-3)
    assert found.noise.proportional and found.noise.deviation == pytest.approx(0.005, rel=0.5)


def test_prediction_intervals_cover() -> None:
    """Of the intervals of 95 %, one execution in twenty falls outside, and not many more."""
    random = Random(4)
    law, outside = LAWS[Law.LINEAR], 0
    for seed in range(300):
        found = measured(law, FEW, 0.003, seed)
        told = predict(found, 100_000)
        assert told.low is not None and told.high is not None
        outside += not told.low <= law(100_000) * random.gauss(1, 0.003) <= told.high
    assert outside <= 30


def test_limit() -> None:
    """The size at which a limit is reached, and between which sizes it may be."""
    told = reach(measured(LAWS[Law.LINEAR], FEW, 0.005), 512 * MIB)
    truth = (512 * MIB - 5 * MIB) / 3276
    assert told.size == pytest.approx(truth, rel=0.05)
    assert told.low is not None and told.high is not None and told.low < truth < told.high
    linear = measured(LAWS[Law.LINEAR], FEW)
    as_much = "even the smallest size that was measured needs as much"
    assert reach(linear, 10 * MIB).note == as_much
    assert reach(measured(LAWS[Law.CONSTANT], FEW), 10 * MIB).note == as_much
    assert reach(linear, 1 << 50).note == "not before 1,000,000, which is as far as can be told"
    flat = reach(measured(LAWS[Law.CONSTANT], FEW), 512 * MIB)
    assert (flat.note, flat.answered) == ("the memory does not grow with it", True)


def test_too_few_sizes() -> None:
    """Four sizes tell no law from another."""
    found = measured(LAWS[Law.LINEAR], FEW[:4])
    assert (found.chosen, found.refusals) == (
        None,
        ("4 sizes are too few to tell one law from another: at least 5",),
    )
    assert predict(found, 60_000).refusal == found.refusals[0]
    assert reach(found, 512 * MIB).answered is False


def test_too_narrow_a_range() -> None:
    """From 10,000 to 12,000 every law is a line."""
    found = measured(LAWS[Law.LINEAR], [10_000, 10_500, 11_000, 11_500, 12_000])
    assert "from 10,000 to 12,000 is too narrow a range" in found.refusals[0]
    assert predict(found, 50_000).bytes is None


def test_steps_are_no_law() -> None:
    """A table that doubles grows in steps: no law explains it, and nothing is extrapolated."""
    found = measured(lambda n: 5 * MIB + 400 * 2 ** ceil(log2(n)), [9_000 * step for step in range(1, 9)])
    assert any("memory that grows in steps" in refusal for refusal in found.refusals)
    assert predict(found, 100_000).bytes is None


def test_a_bend_that_is_left() -> None:
    """A law that none of the known ones is leaves a bend in the residuals, which is told."""
    found = measured(lambda n: 20 * MIB + 2 * n**1.5, FEW)
    assert any("residuals still bend" in refusal or "no law explains it" in refusal for refusal in found.refusals)


def test_noise_is_no_law() -> None:
    """Memory that varies without the size is not explained, or the interval is as wide as it varies."""
    found = measured(lambda n: 100 * MIB, FEW, 0.5, 3)
    told = predict(found, 200_000)
    assert told.bytes is None and told.refusal


def test_far_beyond_the_range() -> None:
    """Twenty times the largest size is the furthest anything is said of."""
    found = measured(LAWS[Law.LINEAR], FEW)
    assert predict(found, 1_000_000).bytes == pytest.approx(LAWS[Law.LINEAR](1_000_000), rel=0.01)
    assert predict(found, 1_000_001).refusal == "1,000,001 is more than 20 times the largest size measured"


def test_plausible_laws_widen_the_interval() -> None:
    """Where n log n is not told from n, the interval holds both, and far out there is none."""
    found = measured(LAWS[Law.N_LOG_N], FEW, 0.02, 5)
    assert len(found.plausible) > 1
    near, far = predict(found, 60_000), predict(found, 1_000_000)
    assert near.bytes is not None
    assert far.bytes is None and far.refusal is not None and "the interval would be wider than 30 %" in far.refusal


def test_sizes_from_zero() -> None:
    """A size of 0 is a size: the laws that have none there are left out."""
    found = measured(lambda n: 5 * MIB + 1000 * n, [0, 10_000, 20_000, 30_000, 40_000, 50_000])
    assert found.chosen is not None and found.chosen.law is Law.LINEAR
    assert {fit.law for fit in found.fits}.isdisjoint({Law.LOGARITHMIC, Law.N_LOG_N, Law.POWER})


def test_a_size_counts_once() -> None:
    """Executions of one size belong into one point."""
    with pytest.raises(MisuseError):
        scaling([Point(1, (1.0,)), Point(1, (2.0,))])
