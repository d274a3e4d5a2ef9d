"""The search finds the edges of programs whose need is a formula, and claims no more than it saw."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.fit.programs import MACHINE, MIB, Program

from hiwater.errors import PreparationError
from hiwater.fit.model import Found, Settings, Stop, Trial
from hiwater.fit.search import Search


def known(found: Found | None) -> Found:
    assert found is not None
    return found


@pytest.mark.parametrize("need", [3.1, 20, 137, 1000.5])
@pytest.mark.parametrize("precision", [0.02, 0.1])
def test_sharp_edge(need: float, precision: float) -> None:
    """A program that needs what it needs: the interval is as narrow as was asked for, and holds the truth."""
    report = Program(lambda _: need).fit(precision=precision)
    found = known(report.smallest)
    assert (report.stop, found.precise) == (Stop.DONE, True)
    assert found.limit.low <= need * MIB <= found.limit.high
    assert found.limit.high / found.limit.low <= (1 + precision) * 1.0001
    assert need * MIB <= found.limit.value <= (1 + precision) * need * MIB
    assert (found.successes, found.tried >= 5) == (found.tried, True), "the answer itself was tried"


def test_it_is_cheap() -> None:
    """A sharp edge is found within 2 % in less than 45 executions, the comfortable limit with it."""
    program = Program(lambda _: 137)
    program.fit()
    assert len(program.executed) < 45


def test_random_need() -> None:
    """Where the need varies the answer is a probability: its interval holds the truth, and half lies apart from it."""
    right = sharp = 0
    for seed in range(6):
        report = Program(lambda r: r.gauss(137, 10), seed=seed).fit(at_most=60)
        found = known(report.smallest)
        sharp += found.precise
        right += found.limit.low <= 153.4 * MIB <= found.limit.high
    assert sharp == 0, "so few executions cannot tell 95 % within 2 % here"
    assert right >= 4, "of 6 intervals that hold the truth nine times of ten"


def test_need_above_what_was_seen() -> None:
    """If the executions without a limit happened to be small ones, larger limits are tried."""
    needs = iter([50.0] * 5)
    report = Program(lambda _: next(needs, 100.0)).fit(precision=0.1)
    found = known(report.smallest)
    assert found.limit.value >= 100 * MIB


def test_page_cache() -> None:
    """A program that only becomes slower has two answers."""
    program = Program(lambda _: 20, lambda limit: 1.0 if limit is None else max(1.0, 2 - limit / 100), reclaimable=200)
    report = program.fit()
    assert known(report.smallest).limit.value == pytest.approx(20 * MIB, rel=0.02)
    assert known(report.comfortable).limit.value == pytest.approx(80 * MIB, rel=0.02)


def test_comfortable_is_never_smaller() -> None:
    """Without anything that could slow it down, both are the same."""
    report = Program(lambda _: 60).fit()
    assert known(report.comfortable).limit.value >= known(report.smallest).limit.value
    assert known(report.comfortable).limit.value == pytest.approx(60 * MIB, rel=0.02)


def test_noise_in_time() -> None:
    """A machine that is now fast and now slow costs no memory: half of the executions have to be fast enough."""
    for seed in range(3):
        program = Program(lambda _: 137, seed=seed)
        program.seconds = lambda _, program=program: program.random.uniform(0.6, 1.5)  # type: ignore[misc]
        report = program.fit(at_most=120)
        assert known(report.comfortable).limit.value == pytest.approx(137 * MIB, rel=0.05)


def test_limit_that_was_never_met() -> None:
    """What the kernel never had to enforce has slowed nothing down, whatever the clock says."""
    program = Program(lambda _: 50)
    plain = program.execute

    def execute(limit: int | None, typical_seconds: float | None) -> Trial:
        trial = plain(limit, typical_seconds)
        hits = None if limit is None else int(limit < 90 * MIB)
        return replace(trial, limit_hits=hits, wall_seconds=1.0 if limit is None else 9.0, peak_bytes=120 * MIB)

    program.execute = execute  # type: ignore[method-assign]
    report = program.fit()
    assert known(report.comfortable).limit.value == pytest.approx(90 * MIB, rel=0.02)


def test_fails_without_a_limit() -> None:
    """There is nothing to search, and the reason is told."""
    program = Program(lambda _: 10)
    plain = program.execute

    def execute(limit: int | None, typical_seconds: float | None) -> Trial:
        return replace(plain(limit, typical_seconds), success=False, how="exit 3")

    program.execute = execute  # type: ignore[method-assign]
    report = program.fit()
    assert (report.stop, report.message) == (Stop.FAILED, "without any limit it fails already: exit 3")
    assert report.smallest is None


def test_largest_is_too_small() -> None:
    """--to may exclude the answer."""
    report = Program(lambda _: 100).fit(highest=50 * MIB)
    assert (report.stop, report.smallest) == (Stop.FAILED, None)
    assert report.message == "it fails under the largest limit as well, 50.0 MiB"


def test_smallest_is_enough() -> None:
    """--from may, too: no more is claimed than was tried."""
    report = Program(lambda _: 0.5).fit(lowest=4 * MIB)
    found = known(report.smallest)
    assert (found.limit.value, found.precise) == (4 * MIB, False)
    assert any("still succeeds with 4.0 MiB" in note for note in report.notes)


def test_as_many_as_are_allowed() -> None:
    """The rest is uncertainty, and said to be; the comfortable limit gets its share of the executions."""
    program = Program(lambda r: r.uniform(60, 120))
    report = program.fit(at_most=30)
    assert (len(program.executed), report.stop) == (30, Stop.EXHAUSTED)
    assert not known(report.smallest).precise
    assert report.comfortable is not None


def test_interruption() -> None:
    """What is known until then is kept."""
    report = Program(lambda _: 60, interrupted_after=9).fit()
    assert (report.stop, len(report.trials)) == (Stop.INTERRUPTED, 9)
    assert report.smallest is not None


def test_failed_preparation() -> None:
    """An error in between is told, with what is known."""

    class Unprepared(Program):
        def execute(self, limit: int | None, typical_seconds: float | None) -> Trial:
            if len(self.executed) > 4:
                raise PreparationError("it failed")
            return super().execute(limit, typical_seconds)

    report = Unprepared(lambda _: 60).fit()
    assert (report.stop, report.message, len(report.trials)) == (Stop.FAILED, "it failed", 5)


def test_observers() -> None:
    """Who shows progress is told what comes next, who writes files what is known."""
    nexts: list[int | None] = []
    known_: list[int] = []
    program = Program(lambda _: 60)
    settings = Settings(precision=0.1)
    Search(
        ("prog",), settings, program, lambda _, limit: nexts.append(limit), lambda r: known_.append(len(r.trials))
    ).execute()
    assert nexts == program.executed
    assert known_ == list(range(1, len(nexts) + 1))


def test_limits_are_pages() -> None:
    """The kernel would round them."""
    program = Program(lambda _: 60)
    program.fit()
    limits = [limit for limit in program.executed if limit is not None]
    assert all(limit % 4096 == 0 and limit < MACHINE for limit in limits)
    assert max(limits) / min(limits) < 4.2, "from the peak down to the first failure"
