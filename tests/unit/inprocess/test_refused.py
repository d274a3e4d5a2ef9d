"""Kernels that refuse or lack something, played by a directory in the place of /proc/self."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.unit.inprocess.memory import MIB, held, spike

from hiwater.analysis.reading import UNKNOWN, Method
from hiwater.inprocess.mark import Mark
from hiwater.inprocess.proc import Look, Precision, ProcSelf
from hiwater.inprocess.region import Region
from hiwater.inprocess.track import Track, difference, exact_reading
from hiwater.recording.model import Rss


def played(directory: Path, *names: str) -> Mark:
    """A /proc/self that has only these files."""
    for name in names:
        (directory / name).symlink_to(f"/proc/self/{name}")
    return Mark(ProcSelf(str(directory)))


def wait_for_growth(region: Region, mib: int) -> None:
    """Until the sampler has met it."""
    deadline = time.monotonic() + 60
    while (region.growth.bytes or 0) < mib * MIB and time.monotonic() < deadline:
        time.sleep(0.001)


def test_a_mark_that_rises_needs_no_reset(tmp_path: Path) -> None:
    """Without a reset, a peak above all before it is still the kernel's own."""
    before = Mark(ProcSelf()).peak().bytes
    assert before is not None
    mark = played(tmp_path, "status", "statm")
    with Region(mark) as r:
        spike(before // MIB + 40)
    assert r.refused is not None and "clear_refs" in r.refused
    assert r.peak.method is Method.VMHWM_SAMPLED
    assert r.peak.bytes is not None and r.peak.bytes > before


def test_a_mark_that_does_not_rise(tmp_path: Path) -> None:
    """Below an earlier peak only samples tell; the earlier peak is the upper bound."""
    spike(150)
    mark = played(tmp_path, "status", "statm")
    earlier = mark.peak()
    with Region(mark) as r, held(30):
        wait_for_growth(r, 29)
    assert r.peak.method is Method.RSS_SAMPLED
    assert r.growth.bytes is not None and 29 * MIB <= r.growth.bytes < 40 * MIB
    assert earlier.bytes is not None and r.peak.high is not None and r.peak.high >= earlier.bytes


def test_no_mark_at_all(tmp_path: Path) -> None:
    """A kernel without VmHWM (gVisor): samples, and no upper bound."""
    lines = Path("/proc/self/status").read_text().splitlines(keepends=True)
    (tmp_path / "status").write_text("".join(line for line in lines if not line.startswith("VmHWM")))
    (tmp_path / "clear_refs").write_text("")
    mark = played(tmp_path, "statm")
    with Region(mark) as r, held(60):
        wait_for_growth(r, 30)
    assert r.refused is not None and "VmHWM" in r.refused
    assert r.peak.method is Method.RSS_SAMPLED and r.peak.high is None and r.peak.low is not None
    assert mark.peak().method is Method.RSS_SAMPLED and mark.peak().high is None


def test_no_proc(tmp_path: Path) -> None:
    """Without /proc nothing is known, and nothing is guessed."""
    mark = played(tmp_path)
    with Region(mark) as r:
        spike(1)
    assert (r.baseline, r.peak.bytes, r.growth.bytes, r.left.bytes) == (UNKNOWN, None, None, None)
    assert r.refused is not None and mark.peak() == UNKNOWN


def test_the_sampler_ends_with_the_last_region(tmp_path: Path) -> None:
    """Its thread runs only while a region needs it."""
    mark = played(tmp_path, "status", "statm")
    with Region(mark):
        with Region(mark):
            pass
        sampler = mark.sampler
        assert sampler is not None
    assert mark.sampler is None
    sampler._thread.join(60)
    assert not sampler._thread.is_alive()


EXACT = Precision(error_bytes=100, exact=True)
COARSE = Precision(error_bytes=100, exact=False)
UNBOUNDED = Precision(error_bytes=None, exact=False)


def look(mark: int | None, rss: int) -> Look:
    """What a status file said."""
    return Look(mark, Rss(rss, None, None, None), 1)


@pytest.mark.parametrize(
    ("looks", "precision", "expected"),
    [
        ([look(1050, 1000)], EXACT, (1000, 1000, 1150)),
        ([look(1050, 1000), look(1050, 990)], EXACT, (1000, 1000, 1150)),
        ([look(1050, 1000), look(2000, 990)], EXACT, (2000, 1900, 2100)),
        ([look(1050, 1000), look(2000, 2000)], EXACT, (2000, 2000, 2100)),
        ([look(1050, 1000), look(2000, 2000), look(1950, 900)], EXACT, (2000, 2000, 2100)),
        ([look(1050, 1000), look(2000, 2000)], COARSE, (2000, 1900, 2100)),
        ([look(1050, 1000), look(2000, 2000)], UNBOUNDED, (2000, None, None)),
        ([look(None, 1000), look(None, 1500)], EXACT, (1500, 1500, None)),
    ],
)
def test_track(looks: list[Look], precision: Precision, expected: tuple[int, int | None, int | None]) -> None:
    """What stood in the mark at entry is no peak; what rose above it is, within the error of the counters."""
    track = Track(reference=looks[0].hwm_bytes)
    for one in looks:
        track.fold(one, precision)
    reading = track.reading()
    assert (reading.bytes, reading.low, reading.high) == expected


def test_window() -> None:
    """Other threads may have had a spike while the mark was being reset: the upper bound allows for it."""
    track = Track(reference=1000)
    track.fold(look(1000, 1000), EXACT)
    track.window(1000, EXACT, 1_000_000)
    assert track.reading().high == 1000 + 100 + 32 * MIB


def test_difference() -> None:
    """Bounds of a difference are the far ends of both; unknown stays unknown."""
    later, earlier = exact_reading(500, COARSE), exact_reading(300, COARSE)
    growth = difference(later, earlier, at_least=0)
    assert (growth.bytes, growth.low, growth.high) == (200, 0, 400)
    assert difference(later, UNKNOWN).bytes is None
