"""Ramp, plateau, spike or hill; and which moments of a profile can be asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.heapprofiles import exact, held, nothing, python_app, shuffle, snapshot
from tests.streams import MIB

from hiwater.errors import MisuseError
from hiwater.heap.choose import moment, moments
from hiwater.heap.course import Shape, form
from hiwater.heap.model import HeapProfile, Point
from hiwater.views.heap_words import shape


def with_course(*sizes: float, peak: float | None = None, end: float | None = None) -> HeapProfile:
    """A heap of so many MiB at each tenth of a second, held by the first call site."""
    points = tuple(Point(at / 10, round(size * MIB)) for at, size in enumerate(sizes))
    top = max(sizes) if peak is None else peak
    at = sizes.index(max(sizes)) / 10
    last = sizes[-1] if end is None else end
    return replace(
        shuffle(), growth=(), course=points, peak=snapshot([held(0, round(top * MIB))], at),
        exit=snapshot([held(0, round(last * MIB))] if last else [], (len(sizes) - 1) / 10),
    )  # fmt: skip


CASES = {
    "straight": (with_course(*range(21)), Shape.RAMP, True),
    "doubling": (with_course(0, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 64), Shape.RAMP, False),
    "plateau": (with_course(0, 20, *[40] * 18), Shape.PLATEAU, False),
    "spike": (with_course(*[10] * 15, 60, *[10] * 14), Shape.SPIKE, False),
    "hill": (with_course(*range(0, 60, 5), *[60] * 10, 30, 2, 0), Shape.HILL, False),
    "noise is no spike": (with_course(*range(11), peak=10.2, end=10), Shape.RAMP, True),
    "nothing of the end": (replace(with_course(*range(11)), exit=None), Shape.UNKNOWN, False),
    "nothing in between": (replace(with_course(*range(11)), course=()), Shape.UNKNOWN, False),
    "empty": (nothing(), Shape.UNKNOWN, False),
}


@pytest.mark.parametrize("name", CASES)
def test_the_shape_of_a_course(name: str) -> None:
    """It follows from the peak, the exit and the time spent near the peak, and errors of sampling are no shape."""
    profile, expected, straight = CASES[name]
    told = form(profile)
    assert (told.shape, told.straight) == (expected, straight)


def test_who_made_the_spike() -> None:
    """The function that holds most of what is gone at the exit is named, with how much of it was its own."""
    told = form(shuffle(spike=48))
    assert told.shape is Shape.SPIKE and told.gone_bytes == 48 * MIB and told.at_seconds == 1.6
    assert told.cause is not None and told.cause.key.function == "sort_all" and told.cause_bytes == 48 * MIB
    assert form(shuffle()).cause is None


SENTENCES = {
    "straight": "A straight ramp: what is allocated stays; 100% of the peak is there at exit.",
    "doubling": "A ramp, in steps: what is allocated stays; 100% of the peak is there at exit.",
    "plateau": "A plateau: it is reached early and kept; 100% of the peak is there at exit.",
    "spike": "A spike of 50.0 MiB at 1.50 s; 50.0 MiB of that was Library::load; 17% of the peak is there at exit.",
    "hill": "A hill: 60.0 MiB of its peak at 1.20 s is given back before the exit; 60.0 MiB of that was Library::load; "
    "none of the peak is there at exit.",
    "nothing in between": "100% of the peak is there at exit; what the course was in between is not known.",
    "nothing of the end": None,
    "empty": None,
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_shape_in_words(name: str) -> None:
    """One sentence."""
    assert shape(CASES[name][0]) == SENTENCES[name]


def test_moments_in_the_order_of_time() -> None:
    """Growth, peak and exit, each once."""
    assert [one.at_seconds for one in moments(shuffle())] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.6, 2.0]
    assert moments(nothing()) == ()


def test_a_moment_by_name_or_time() -> None:
    """A time means the last snapshot until then."""
    profile = shuffle()
    assert moment(profile, "peak") is profile.peak and moment(profile, "exit") is profile.exit
    assert moment(profile, "0.6") is profile.growth[1] and moment(profile, "0.25s") is profile.growth[0]
    assert moment(profile, "99") is profile.exit


@pytest.mark.parametrize(
    ("profile", "asked", "said"),
    [
        (python_app(), "exit", "does not hold what lived at the exit; there are: peak, times from 0.800 s to 0.800 s"),
        (shuffle(), "0.1", "no snapshot at or before 0.100 s; there are: peak, exit, times from 0.250 s to 2.00 s"),
        (shuffle(), "noon", "'noon' is no moment: write peak, exit, or a number of seconds"),
        (shuffle(), "-1", "is no moment"),
        (shuffle(), "nan", "is no moment"),
        (exact(), "3", "there are: peak"),
        (nothing(), "peak", "it is empty"),
    ],
)
def test_a_moment_that_is_not_there(profile: HeapProfile, asked: str, said: str) -> None:
    """It is refused, and what there is is said."""
    with pytest.raises(MisuseError) as refused:
        moment(profile, asked)
    assert said in str(refused.value)
