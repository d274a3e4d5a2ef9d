"""The statistics of repeated executions, on samples as memory gives them: few values, in pages, often equal."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from random import Random

import pytest

from hiwater.analysis.statistics import (
    Comparison,
    Decision,
    Interval,
    Verdict,
    compare,
    exceeds,
    repeat_until_sure,
    schedule,
    spend,
    summary,
)
from hiwater.errors import MissingExtraError, MisuseError

pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")

PAGE = 4096
BASE = 64 << 20


def pages(value: float) -> float:
    return round(value / PAGE) * PAGE


def bell(random: Random) -> float:
    return pages(random.gauss(BASE, BASE / 100))


def equal(random: Random) -> float:
    return BASE


def one_page(random: Random) -> float:
    return BASE + PAGE * (random.random() < 0.3)


def two_modes(random: Random) -> float:
    return pages(BASE * (1.25 if random.random() < 0.2 else 1) + random.gauss(0, 20_000))


def long_tail(random: Random) -> float:
    return pages(BASE + random.expovariate(1) ** 2 * BASE / 100)


MEMORY = [bell, equal, one_page, two_modes, long_tail]
Draw = Callable[[Random], float]


def sample(draw: Draw, random: Random, count: int) -> list[float]:
    return [draw(random) for _ in range(count)]


def most_of(tries: int, rate: float) -> float:
    """So many alarms of this rate are exceeded in one of 10,000 cases."""
    return float(import_module("scipy.stats").binom.ppf(1 - 1e-4, tries, rate))


def test_summary_of_a_sample() -> None:
    """Median with its interval from order statistics, mean, deviations, extremes, and the place of an outlier."""
    found = summary([100.0, 102.0, 101.0, 99.0, 100.0, 180.0, 101.0], confidence=0.95)
    assert (found.count, found.median, found.minimum, found.maximum) == (7, 101.0, 99.0, 180.0)
    assert found.interval == Interval(99.0, 180.0, 0.95)
    assert found.mean == pytest.approx(111.857, abs=1e-3)
    assert found.robust_deviation == pytest.approx(1.4826, abs=1e-4)
    assert found.deviation == pytest.approx(30.06, abs=0.01)
    assert found.outliers == (5,)


def test_summary_of_few_values() -> None:
    """What a small sample cannot tell is unknown, not 0."""
    found = summary([7.0])
    assert (found.median, found.interval, found.deviation, found.outliers) == (7.0, None, None, ())
    assert summary([1.0, 2, 3, 4, 5]).interval is None
    assert summary([1.0, 2, 3, 4, 5, 6]).interval == Interval(1, 6, 0.95)


def test_equal_values_have_no_outlier_a_page_away() -> None:
    """Where all executions but one agree to the page, one page more is no outlier; a tenth more is one."""
    assert summary([BASE] * 9 + [BASE + PAGE]).outliers == ()
    assert summary([BASE] * 9 + [BASE * 1.1]).outliers == (9,)


@pytest.mark.parametrize("draw", MEMORY)
def test_interval_of_the_median_covers_it(draw: Draw) -> None:
    """The interval of the median holds the true one as often as it says, whatever the distribution."""
    random = Random(1)
    truth = sorted(sample(draw, random, 20_001))[10_000]
    missed = 0
    for _ in range(200):
        interval = summary(sample(draw, random, 9)).interval
        assert interval is not None
        missed += not interval.low <= truth <= interval.high
    assert missed <= most_of(200, 0.05)


def test_comparison_of_two_samples() -> None:
    """The ratio is the middle of the ratios of all pairs; 1.8 times as much is told with its interval."""
    old = [100.0, 101, 99, 100, 102, 98]
    found = compare(old, [1.8 * value for value in old], confidence=0.95)
    assert found.ratio == pytest.approx(1.8) and found.verdict is Verdict.MORE
    assert found.low is not None and found.high is not None
    assert 1.7 < found.low < 1.8 < found.high < 1.9
    assert compare([2 * value for value in old], old).verdict is Verdict.LESS


def test_equal_samples_are_not_different() -> None:
    """Executions that agree to the byte are no reason to see a difference, nor to fail."""
    assert compare([5.0] * 5, [5.0] * 5) == Comparison(1, 1, 1, 0.99, Verdict.NO_DIFFERENCE)
    assert compare([5.0] * 5, [6.0] * 5).verdict is Verdict.MORE


def test_too_few_values_carry_no_answer() -> None:
    """Four against four cannot reach 99 %, five against five can; one value never can."""
    low, high = [10.0, 11, 12, 13, 14], [20.0, 21, 22, 23, 24]
    found = compare(low[:4], high[:4])
    assert (found.low, found.high, found.verdict) == (None, None, Verdict.TOO_FEW)
    assert found.ratio == pytest.approx(1.875, abs=0.1)
    assert compare(low, high).verdict is Verdict.MORE
    assert exceeds([1.0], [9.0] * 50, 0.05) is Decision.UNSURE


@pytest.mark.parametrize("count", [5, 7, 12, 30])
@pytest.mark.parametrize("draw", MEMORY)
def test_no_difference_is_seen_where_there_is_none(draw: Draw, count: int) -> None:
    """Two samples of one distribution are told apart no more often than the confidence allows."""
    random = Random(count)
    seen = 0
    for _ in range(500):
        found = compare(sample(draw, random, count), sample(draw, random, count), confidence=0.95)
        seen += found.verdict is not Verdict.NO_DIFFERENCE
    assert seen <= most_of(500, 0.05)


@pytest.mark.parametrize("draw", MEMORY)
def test_interval_of_the_ratio_covers_it(draw: Draw) -> None:
    """The interval holds the true factor between two samples as often as it says."""
    random = Random(3)
    missed = 0
    for _ in range(500):
        new = [1.25 * value for value in sample(draw, random, 8)]
        found = compare(sample(draw, random, 8), new, confidence=0.9)
        assert found.low is not None and found.high is not None
        missed += not found.low - 1e-9 <= 1.25 <= found.high + 1e-9
    assert missed <= most_of(500, 0.1)


def test_tolerance_decides() -> None:
    """Above the tolerance is yes, below is no, and around it nothing is said."""
    old = [100.0, 100, 101, 100, 99, 100]
    assert exceeds(old, [value * 1.10 for value in old], 0.05) is Decision.SURE_YES
    assert exceeds(old, [value * 1.02 for value in old], 0.05) is Decision.SURE_NO
    assert exceeds(old, [value * 1.05 for value in old], 0.05) is Decision.UNSURE
    assert exceeds(old, [value * 0.50 for value in old], 0.0) is Decision.SURE_NO
    assert exceeds([100.0] * 5, [100.0] * 5, 0.0) is Decision.SURE_NO


def test_looks_at_growing_numbers_share_the_error() -> None:
    """The looks are few and fixed, and what they may err is together what was allowed."""
    assert schedule(30) == (5, 8, 13, 20, 30)
    assert schedule(5) == (5,)
    assert schedule(3) == (3,)
    for limit in range(1, 200):
        looks = schedule(limit)
        assert looks[-1] == limit and list(looks) == sorted(set(looks))
        errors = [1 - spend(0.99, look, len(looks)) for look in range(1, len(looks) + 1)]
        assert sum(errors) == pytest.approx(0.01)


@pytest.mark.parametrize("draw", MEMORY)
def test_200_checks_without_a_change_keep_the_false_alarm_rate(draw: Draw) -> None:
    """200 checks of an unchanged program, each repeated until it is sure, raise no alarm more often than stated, at
    the sharpest tolerance there is; each has a baseline of its own, as chance had a say in that too."""
    for confidence in (0.99, 0.9):
        random = Random(2_000)
        alarms = 0
        for _ in range(200):
            old = sample(draw, random, 10)
            found = repeat_until_sure(old, partial(draw, random), tolerance=0.0, confidence=confidence)
            alarms += found.decision is Decision.SURE_YES
        assert alarms <= most_of(200, 1 - confidence)


def test_alarms_stay_rare_however_often_it_looks() -> None:
    """Over thousands of unchanged checks with many looks the rate of false alarms stays below what is stated."""
    random = Random(77)
    alarms = 0
    for _ in range(3_000):
        old = [random.gauss(100, 1) for _ in range(12)]
        found = repeat_until_sure(old, lambda: random.gauss(100, 1), tolerance=0.0, confidence=0.95, limit=60)
        alarms += found.decision is Decision.SURE_YES
    assert alarms <= 3_000 * 0.05


@pytest.mark.parametrize(("tolerance", "baseline", "at_most"), [(0.0, 10, 10), (0.01, 20, 15)])
def test_three_per_cent_in_one_per_cent_of_noise_are_caught(tolerance: float, baseline: int, at_most: int) -> None:
    """A planted regression of 3 % in a program with 1 % of noise is caught within 30 executions, 99 times in 100."""
    random = Random(5)
    caught, executions = 0, 0
    for _ in range(200):
        old = sample(bell, random, baseline)
        found = repeat_until_sure(old, lambda: pages(1.03 * bell(random)), tolerance=tolerance, confidence=0.99)
        caught += found.decision is Decision.SURE_YES
        executions += len(found.new)
    assert caught >= 198
    assert executions / 200 < at_most  # and mostly long before the thirtieth


def test_a_deterministic_program_is_decided_at_the_first_look() -> None:
    """Where nothing varies, five executions are enough for either answer."""
    same = repeat_until_sure([BASE] * 5, lambda: BASE, tolerance=0.01)
    more = repeat_until_sure([BASE] * 5, lambda: BASE * 1.02, tolerance=0.01)
    assert (same.decision, len(same.new)) == (Decision.SURE_NO, 5)
    assert (more.decision, len(more.new)) == (Decision.SURE_YES, 5)


def test_unsure_at_the_limit() -> None:
    """When the limit of executions is reached it says that it is not sure, with all that was measured."""
    values = iter(range(100, 200))
    found = repeat_until_sure([100.0, 120, 110, 130, 105], lambda: next(values), tolerance=0.0, limit=8)
    assert found.decision is Decision.UNSURE
    assert found.new == tuple(range(100, 108))


@pytest.mark.parametrize(
    "call",
    [
        lambda: summary([]),
        lambda: summary([1.0], confidence=1),
        lambda: compare([1.0], []),
        lambda: compare([0.0], [1.0]),
        lambda: compare([1.0, float("nan")], [1.0]),
        lambda: exceeds([1.0], [1.0], -1.0),
        lambda: schedule(0),
        lambda: spend(0.99, 3, 2),
    ],
)
def test_misuse_is_told(call: Callable[[], object]) -> None:
    """What cannot be judged is an error, not a verdict."""
    with pytest.raises(MisuseError):
        call()


def test_many_values_are_compared_quickly() -> None:
    """Hundreds of executions are judged by the normal approximation, with the same sense."""
    random = Random(9)
    old: Sequence[float] = [random.gauss(100, 1) for _ in range(300)]
    found = compare(old, [random.gauss(100.5, 1) for _ in range(300)])
    assert found.verdict is Verdict.MORE and found.ratio == pytest.approx(1.005, abs=0.002)


def test_without_scipy_the_extra_is_named() -> None:
    """Where SciPy is missing the error says how to get it, and importing the module costs nothing."""
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from hiwater.analysis.statistics import compare\n"
        "from hiwater import MissingExtraError\n"
        "try:\n    compare([1.0] * 5, [1.0] * 5)\nexcept MissingExtraError as error:\n    print(error.extra, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "bench statistics take SciPy, which is not installed: pip install 'hiwater[bench]'\n"
    assert issubclass(MissingExtraError, ImportError)
