"""Two heap profiles: what grew, what shrank, what cannot be told."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.heapprofiles import APP, CLIENT, MEAN, STACKS, exact, held, shuffle, snapshot
from tests.streams import MIB

from hiwater.heap.compare import Verdict, compare, portable
from hiwater.heap.model import Frame, HeapProfile, Snapshot
from hiwater.heap.rows import Key
from hiwater.heap.sites import By


def whole(profile: HeapProfile) -> Snapshot:
    """Its peak."""
    assert profile.peak is not None
    return profile.peak


def test_what_grew_and_what_did_not() -> None:
    """A new call site grew; what is as it was is not called a change; what a program maps is left out."""
    found = compare(shuffle(), shuffle(spike=20), whole(shuffle()), whole(shuffle(spike=20)))
    (grew,) = found.of(Verdict.GREW)
    assert (grew.key.function, grew.before_bytes, grew.change_bytes) == ("sort_all", 0, 20 * MIB)
    assert found.of(Verdict.SHRANK) == ()
    assert {change.key.function for change in found.of(Verdict.UNSURE)} == {
        "Library::load",
        "mpd_pair_dup",
        "parse_options",
    }
    assert found.whole.verdict is Verdict.GREW and found.whole.change_bytes == 20 * MIB
    assert found.whole.standard_error_bytes > grew.standard_error_bytes > 0


def test_what_was_counted_is_sure_to_the_byte() -> None:
    """Without sampling there is no error: equal is the same, and one byte is a change."""
    old = exact()
    more = replace(
        whole(old), holdings=(replace(whole(old).holdings[0], in_use_bytes=12 * MIB + 1), *whole(old).holdings[1:])
    )
    assert {change.verdict for change in compare(old, old, whole(old), whole(old)).changes} == {Verdict.SAME}
    (grew,) = compare(old, old, whole(old), more).of(Verdict.GREW)
    assert grew.change_bytes == 1 and grew.standard_error_bytes == 0


def test_what_disappeared_shrank() -> None:
    """From the peak to the exit of one profile as well as between two."""
    profile = shuffle(spike=20, at_exit=0)
    assert profile.exit is not None
    found = compare(profile, profile, whole(profile), profile.exit, By.LIBRARY)
    assert {change.key.library for change in found.of(Verdict.SHRANK)} == {APP, CLIENT}
    assert all(change.after_bytes == 0 for change in found.changes)


def test_another_build_in_another_folder() -> None:
    """Folders, versions of libraries, lines and addresses move between versions: the call site is still the same."""

    def moved(frame: Frame) -> Frame:
        library = (
            None
            if frame.library is None
            else frame.library.replace("/opt/radio", "/opt/radio-2").replace(".so.2.20", ".so.2.21")
        )
        return replace(frame, library=library, address=77, line=None if frame.line is None else frame.line + 5)

    old = shuffle()
    new = replace(old, stacks=tuple(tuple(moved(frame) for frame in stack) for stack in STACKS))
    for by in (By.FUNCTION, By.LIBRARY):
        found = compare(old, new, whole(old), whole(new), by)
        assert {change.verdict for change in found.changes} == {Verdict.UNSURE}
        assert all(change.before_bytes == change.after_bytes > 0 for change in found.changes)


def test_what_is_portable_of_a_name() -> None:
    """The version of a library is not; two folders of a module of Python are."""
    assert portable(Key("f<int>", "/a/b.c", 3, "/usr/lib/libz.so.1.2.13")) == Key("f", "b.c", 3, "libz.so")
    assert portable(Key("f", None, None, "/lib/libc-2.31.so")).library == "libc.so"
    assert portable(Key("f", "/site/pkg/__init__.py", 3)).file == "pkg/__init__.py"


def test_noise_is_seldom_called_a_change() -> None:
    """Two samplings of the same heap, 200 times: hardly ever does any of 40 sites seem to have changed."""
    rng = random.Random(3)
    stacks = tuple((Frame(f"site{at}", "a.c", at, APP),) for at in range(40))
    base = replace(shuffle(), stacks=stacks)

    def sampled() -> Snapshot:
        rows = []
        for at in range(40):
            mean = (at + 1) * 4
            count = round(rng.gauss(mean, mean**0.5))
            if count > 0:
                rows.append(held(at, count * MEAN, 16))
        return snapshot(rows, 1.0)

    wrong = sum(
        any(
            change.verdict in (Verdict.GREW, Verdict.SHRANK)
            for change in compare(base, base, sampled(), sampled()).changes
        )
        for _ in range(200)
    )
    assert wrong <= 8
