"""Profiles of programs that know what they hold: from the sampler's files to the ledger."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

import hiwater
from hiwater.analysis.ledger_model import HeapLedger
from hiwater.binaries import find_heap_sampler
from hiwater.errors import BinaryNotFoundError
from hiwater.heap.log import HeapLog, read_logs
from hiwater.heap.model import HeapProfile, Kind, Snapshot
from hiwater.heap.profile import Remembering, profile, profile_between
from hiwater.heap.sites import By, CallSite, call_sites
from hiwater.heap.symbols.resolver import Symbols
from hiwater.heap.wire import HeadFlags
from hiwater.recording.heap import append_heap
from hiwater.recording.model import Recording

PROGRAMS = Path(__file__).parent / "programs"
MIB = 1 << 20


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs, with debug information."""
    try:
        find_heap_sampler()
    except BinaryNotFoundError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("programs")
    for compiler, name in (("c++", "known.cc"), ("cc", "forks.c")):
        if shutil.which(compiler) is None:
            pytest.fail(f"these tests take {compiler}")
        target = folder / name.partition(".")[0]
        subprocess.run([compiler, "-g", "-O1", "-pthread", "-o", target, PROGRAMS / name], check=True)
    return folder


@dataclass(frozen=True)
class Followed:
    """One execution with the sampler, as it is read from its file."""

    recording: Recording
    logs: list[HeapLog]

    @property
    def heap(self) -> HeapProfile:
        """Of the image that peaked."""
        found = self.recording.heap
        assert found is not None
        return found

    @property
    def ledger(self) -> HeapLedger:
        """Its heap in the ledger, which adds up."""
        peak = self.recording.ledger.peak
        assert peak is not None
        assert peak.bytes == peak.peak_bytes == self.recording.peak_rss.bytes
        assert peak.heap is not None
        assert sum(row.bytes for row in peak.heap.rows) == peak.heap.bytes
        return peak.heap


def follow(folder: Path, *command: str, sample: int | None = None) -> Followed:
    """Executes a command with the sampler, and reads back what was kept."""
    (folder / "logs").mkdir()
    kept = folder / "kept.hiw"
    env = os.environ | {"LD_PRELOAD": find_heap_sampler(), "HIWATER_HEAP_DIR": str(folder / "logs")}
    if sample is not None:
        env["HIWATER_HEAP_SAMPLE"] = str(sample)
    recording = hiwater.run(command, env=env, output=kept, capture_output=True)
    logs = read_logs(folder / "logs")
    symbols = Remembering(Symbols())
    found = profile(recording, logs, symbols)
    append_heap(kept, logs, symbols.symbols)
    again = hiwater.load(kept)
    assert again.heap == found
    return Followed(again, logs)


def held(heap: HeapProfile, snapshot: Snapshot | None) -> dict[tuple[str | None, Kind], CallSite]:
    """What each function held."""
    assert snapshot is not None
    return {(site.function, site.kind): site for site in call_sites(heap, snapshot, By.FUNCTION)}


def within(site: CallSite, truth: int) -> bool:
    """Five standard errors, which chance exceeds once in a million times, and the rounding of a byte."""
    return abs(site.in_use_bytes - truth) <= 5 * site.standard_error_bytes + 1


def named(sites: dict[tuple[str | None, Kind], CallSite], name: str, kind: Kind = Kind.MALLOC) -> CallSite:
    """The one whose function is so called, whatever its arguments."""
    (found,) = [
        site for (function, how), site in sites.items() if how is kind and (function or "").split("(")[0] == name
    ]
    return found


@pytest.fixture(scope="module")
def known(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """A C++ program with two threads and a spike of 20 ms."""
    return follow(tmp_path_factory.mktemp("known"), str(built / "known"))


def test_each_function_holds_what_it_says(known: Followed) -> None:
    """At the moment of the largest RSS, in the spike: large blocks to the byte, small ones within their errors;
    memory that the program mapped is apart."""
    peak = known.heap.peak
    sites = held(known.heap, peak)
    assert peak is not None
    assert named(sites, "spike").in_use_bytes == 32 * MIB
    assert named(sites, "large").in_use_bytes == 24 * MIB
    assert named(sites, "untouched").in_use_bytes == 16 * MIB
    assert within(named(sites, "small"), 200_000 * 100)
    assert within(named(sites, "text"), 2000 * (5001 + 32))
    assert named(sites, "mapped", Kind.MMAP).in_use_bytes == 10 * MIB
    assert peak.rss_bytes == known.recording.peak_rss.bytes
    total = (32 + 24 + 16) * MIB + 200_000 * 100 + 2000 * (5001 + 32) + 200_000 * 8 + 2000 * 8
    assert abs(peak.in_use_bytes - total) <= 5 * peak.standard_error_bytes + MIB // 4


def test_what_is_left_at_the_exit(known: Followed) -> None:
    """50,000 of the small blocks, the texts, and the large one that was hardly touched."""
    sites = held(known.heap, known.heap.exit)
    assert named(sites, "untouched").in_use_bytes == 16 * MIB
    assert within(named(sites, "small"), 50_000 * 100)
    assert not [function for function, _ in sites if function is not None and function.startswith(("spike", "large"))]


def test_growth(known: Followed) -> None:
    """A snapshot each time that 10 MiB more were in use, in the order of time, each larger than the one before."""
    sizes = [snapshot.in_use_bytes for snapshot in known.heap.growth]
    assert sizes == sorted(sizes)
    assert sizes[-1] >= 90 * MIB
    assert all(after // (10 * MIB) > before // (10 * MIB) for before, after in pairwise(sizes))


def test_what_grew_between_two_moments(known: Followed) -> None:
    """From the peak to the exit: less, by what was freed."""
    peak, last = known.heap.peak, known.heap.exit
    assert peak is not None
    assert last is not None
    assert peak.at_seconds is not None
    assert last.at_seconds is not None
    (log,) = known.logs
    grown = profile_between(known.recording, log, Symbols(), peak.at_seconds, last.at_seconds)
    sites = held(grown, grown.peak)
    assert named(sites, "large").in_use_bytes == -24 * MIB
    assert named(sites, "spike").in_use_bytes == -32 * MIB
    assert not [function for function, _ in sites if function is not None and function.startswith("untouched")]


def test_the_ledger_closes(known: Followed) -> None:
    """Asked for, headers, free, never touched: what is resident of the heap is explained but for some pages that the C
    library, the sampler and the linker have."""
    rows = {row.key: row for row in known.ledger.rows}
    assert abs(rows["remainder"].bytes) < 3 * MIB
    assert -12 * MIB - MIB < rows["untouched"].bytes <= -12 * MIB
    assert rows["mapped"].bytes == 10 * MIB
    assert rows["overhead"].bytes > -5 * known.ledger.error_bytes
    assert rows["free"].bytes > 0


@pytest.mark.parametrize(("how", "signal"), [("kill", 9), ("abort", 6)])
def test_a_program_that_is_killed_leaves_all_its_samples(built: Path, tmp_path: Path, how: str, signal: int) -> None:
    """Peak and last state are those of one that exits."""
    found = follow(tmp_path, str(built / "known"), how)
    assert found.recording.term_signal == signal
    (log,) = found.logs
    assert not log.head.flags & HeadFlags.ENDED
    assert log.cut is None
    assert named(held(found.heap, found.heap.peak), "spike").in_use_bytes == 32 * MIB
    assert named(held(found.heap, found.heap.exit), "untouched").in_use_bytes == 16 * MIB
    assert any("was killed" in note for note in found.heap.notes)


def test_every_block_can_be_taken(built: Path, tmp_path: Path) -> None:
    """With a mean of one byte nothing is left to chance."""
    found = follow(tmp_path, str(built / "forks"), sample=1)
    peak = found.heap.peak
    assert peak is not None
    assert peak.standard_error_bytes == 0


def test_forks_hold_what_their_parents_held(built: Path, tmp_path: Path) -> None:
    """Less what they freed themselves; so do forks of forks."""
    found = follow(tmp_path, str(built / "forks"))
    parents = {log.head.pid: log.head.parent_pid for log in found.logs}
    heaps = {heap.pid: held(heap, heap.exit) for heap in found.recording.heap_profiles}
    (first,) = [pid for pid, parent in parents.items() if parent not in parents]
    sizes = {
        pid: {name: named(sites, name).in_use_bytes // MIB for name, _ in sites if name and name.startswith("of_the")}
        for pid, sites in heaps.items()
    }
    assert sizes[first] == {"of_the_parent": 16}
    children = [pid for pid, parent in parents.items() if parent == first]
    assert sorted(tuple(sorted(sizes[pid].items())) for pid in children) == [
        (("of_the_child", 10), ("of_the_parent", 16)),
        (("of_the_child", 20), ("of_the_parent", 8)),
    ]
    (grandchild,) = [pid for pid, parent in parents.items() if parent in children]
    assert sizes[grandchild] == {"of_the_child": 25, "of_the_parent": 8}
