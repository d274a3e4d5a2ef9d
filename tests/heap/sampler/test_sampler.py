"""The heap sampler, held against programs that know what they allocate.

With a mean distance of one byte every block of some size is sampled, so that what is told is the whole truth."""

from __future__ import annotations

import errno
import math
import os
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.monitor.build import compile_c

from hiwater.binaries import find_heap_sampler
from hiwater.errors import BinaryNotFoundError
from hiwater.heap.log import HeapLog, read_logs
from hiwater.heap.wire import HeadFlags

PROGRAMS = Path(__file__).parent / "programs"
SITE = 1777
ALL = 1
"""Mean distance that leaves nothing out."""


@pytest.fixture(scope="session")
def sampler() -> str:
    try:
        return find_heap_sampler()
    except BinaryNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, with a library in a folder that its RUNPATH names."""
    room = tmp_path_factory.mktemp("known")
    (room / "lib").mkdir()
    compile_c([PROGRAMS / "plugin.c"], room / "lib" / "libplugin.so", "-O1", "-shared", "-fPIC")
    compile_c(
        [PROGRAMS / "known.c"],
        room / "known",
        *("-O1", "-g", "-fno-builtin", "-pthread", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib", "-ldl"),
    )
    return room / "known"


class Run:
    """Executes a command under the sampler; its files are in `folder`."""

    def __init__(self, sampler: str, known: Path, folder: Path) -> None:
        self._sampler, self._known, self.folder = sampler, known, folder

    def __call__(
        self,
        *arguments: str,
        mean: int | None = ALL,
        seed: int = 1,
        status: int = 0,
        before: Callable[[], None] | None = None,
    ) -> str:
        for old in self.folder.glob("*.heap"):
            old.unlink()
        environment = {"PATH": "/usr/bin:/bin", "LD_PRELOAD": self._sampler, "HIWATER_HEAP_DIR": str(self.folder)}
        environment["HIWATER_HEAP_SEED"] = str(seed)
        if mean is not None:
            environment["HIWATER_HEAP_SAMPLE"] = str(mean)
        done = subprocess.run(
            [self._known, *arguments], env=environment, capture_output=True, text=True, timeout=120, preexec_fn=before
        )
        assert (done.returncode, done.stderr) == (status, "")
        return done.stdout

    def logs(self) -> list[HeapLog]:
        return read_logs(self.folder)

    def log(self) -> HeapLog:
        (log,) = self.logs()
        return log


@pytest.fixture
def run(sampler: str, known: Path, tmp_path: Path) -> Run:
    return Run(sampler, known, tmp_path)


def _samples(log: HeapLog) -> Iterator[tuple[int, int, int]]:
    """Address, bytes and mean of each."""
    for address, what in zip(log.samples.address, log.samples.what, strict=True):
        _stack, _kind, size, mean = log.samples.kinds[what]
        yield address, size, mean


def _live(log: HeapLog) -> Counter[int]:
    """Sizes of the sampled blocks that were never freed: the events of one thread, so their times are their order."""
    events = [(t, 1, index) for index, t in enumerate(log.samples.alloc_ns)]
    events += [(t, 0, index) for index, t in enumerate(log.samples.free_ns)]
    live: dict[int, int] = {}
    blocks = list(_samples(log))
    for _t, is_allocation, index in sorted(events):
        if is_allocation:
            live[blocks[index][0]] = blocks[index][1]
        else:
            live.pop(log.samples.freed[index], None)
    return Counter(live.values())


def _totals(log: HeapLog) -> tuple[int, int, int]:
    totals = log.head.totals
    return totals.allocations, totals.allocated_bytes, totals.frees


def test_estimates_are_unbiased(run: Run) -> None:
    """The mean of many estimates lies within three of its standard errors of what the program allocated."""
    truth = sum(100 + i % 900 for i in range(20000))
    estimates = []
    variance = 0.0
    for seed in range(1, 61):
        run("sizes", "20000", mean=20000, seed=seed)
        estimate = 0.0
        for _address, size, mean in _samples(run.log()):
            if 100 <= size < 1000:
                p = 1 - math.exp(-size / mean)
                estimate += size / p
                variance += size * size * (1 - p) / p**2
        estimates.append(estimate)
    error = math.sqrt(variance) / len(estimates)
    assert abs(sum(estimates) / len(estimates) - truth) < 3 * error < 0.02 * truth


def test_the_chosen_mean_follows_the_memory_in_use(run: Run) -> None:
    """Unless it is told, the mean distance is chosen: it grows with the heap; samples say which one was in force."""
    run("sizes", "100000", mean=None)
    log = run.log()
    means = [mean for _address, _size, mean in _samples(log)]
    assert log.head.mean_bytes is None
    assert means[0] == 512
    assert means[-1] >= 8192
    assert 500 < len(means) < 20000


def test_totals_are_exact(run: Run) -> None:
    """Calls and bytes are counted, not estimated, of the whole family; calls that fail are not."""
    run("calls", "0", mean=1 << 20)
    before = _totals(run.log())
    run("calls", "1000", mean=1 << 20)
    after = _totals(run.log())
    assert after[0] - before[0] == 1000 * 11
    assert after[1] - before[1] == 1000 * (100 + 200 + 300 + 300 + 400 + 512 + 600 + 700 + 800 + 50)
    assert after[2] - before[2] == 1000 * 10


def test_every_function_of_the_family_is_sampled_and_its_blocks_are_seen_to_go(run: Run) -> None:
    run("calls", "50")
    live = _live(run.log())
    assert [live[size] for size in (50, 100, 200, 300, 400, 512, 600, 700, 800)] == [50, 0, 0, 0, 0, 0, 0, 0, 0]


def test_a_process_that_is_killed_leaves_everything(run: Run) -> None:
    run("killed", "5000", status=-signal.SIGKILL)
    log = run.log()
    assert _live(log)[SITE] == 5000
    assert HeadFlags.ENDED not in log.head.flags
    assert log.cut is None
    assert log.head.lost_samples == log.head.lost_frees == 0


def test_realloc(run: Run) -> None:
    """What grows, shrinks or moves is a new block of its new size; what cannot grow is what it was; size 0 frees."""
    told = [tuple(map(int, line.split())) for line in run("reallocs").splitlines()]
    log = run.log()
    live = _live(log)
    last = {address: size for address, size, _mean in _samples(log)}
    assert [(address, last[address]) for address, _size in told] == told
    assert [live[size] for size in (60000, 300, 9000, 700)] == [1, 1, 1, 1]
    assert [live[size] for size in (100, 50000, 900)] == [0, 0, 0]


@pytest.mark.parametrize("how", ["fork", "clone"])
def test_a_fork_has_a_file_of_its_own(run: Run, how: str) -> None:
    """A child holds what its parent held, in its own file; clone() without fork() is noticed too."""
    child_pid = int(run("forks", how).split()[0])
    parent, child = sorted(run.logs(), key=lambda log: log.head.pid == child_pid)
    assert child.head.pid == child_pid
    assert HeadFlags.FORKED in child.head.flags
    assert (child.head.parent_pid, child.head.parent_number) == parent.key
    assert 0 < child.head.copied <= parent.head.end
    assert (_live(parent)[SITE], _live(parent)[SITE + 1], _live(parent)[SITE + 2]) == (9, 0, 1)
    assert (_live(child)[SITE], _live(child)[SITE + 1], _live(child)[SITE + 2]) == (6, 3, 0)
    assert HeadFlags.ENDED in parent.head.flags
    assert HeadFlags.ENDED in child.head.flags


def test_a_child_of_vfork_allocates_for_its_parent(run: Run) -> None:
    """They share the memory; the child's _exit is not its parent's end."""
    run("forks", "vfork")
    live = _live(run.log())
    assert (live[SITE], live[SITE + 1], live[SITE + 2]) == (9, 1, 1)


def test_each_program_image_has_its_file(run: Run) -> None:
    run("executes", status=-signal.SIGKILL)
    first, second = run.logs()
    assert first.head.pid == second.head.pid
    assert (first.head.number, second.head.number) == (0, 1)
    assert (_live(first)[SITE], _live(second)[SITE]) == (1, 7)
    assert second.head.parent_number is None
    assert (HeadFlags.ENDED in first.head.flags, HeadFlags.ENDED in second.head.flags) == (True, False)


def test_threads(run: Run) -> None:
    """Their counters are added when they end, and their blocks may be freed by others."""
    run("threads", "0", mean=1 << 30)
    before = _totals(run.log())
    run("threads", "60", mean=1 << 30)
    after = _totals(run.log())
    assert after[0] - before[0] >= 6000
    assert after[2] - before[2] >= 6000
    run("threads", "60")
    log = run.log()
    assert sum(1 for _address, size, _mean in _samples(log) if size == SITE) == 6000
    assert _live(log)[SITE] == 0


def test_signal_handlers_that_allocate(run: Run) -> None:
    """Handlers that come while the sampler runs are served, and counted; nothing waits for itself."""
    made, handled = map(int, run("signals", "300").split())
    log = run.log()
    seen = sum(1 for _address, size, _mean in _samples(log) if size == 64)
    assert handled >= 300
    assert seen + log.head.skipped_allocations >= handled
    assert sum(1 for mapped in log.mapped if mapped.bytes == 4096) <= made
    assert _live(log)[64] <= log.head.lost_frees


def test_mappings_are_told_exactly(run: Run) -> None:
    told = [line.split() for line in run("maps").splitlines()]
    (_, address, _), (_, moved, _), (_, hole, _), (_, start, end), _back = told
    mapped = [m for m in run.log().mapped if not m.removed_bytes or m.bytes]
    removed = [m for m in run.log().mapped if m.removed_bytes and not m.bytes]
    assert (int(address), 8192) in [(m.address, m.bytes) for m in mapped]
    assert (int(moved), 64 << 20, int(address), 8192) in [
        (m.address, m.bytes, m.removed_from, m.removed_bytes) for m in mapped
    ]
    assert (int(hole), 4096) in [(m.removed_from, m.removed_bytes) for m in removed]
    assert (int(start), int(end) - int(start)) in [(m.address, m.bytes) for m in mapped]
    assert (int(start), int(end) - int(start)) in [(m.removed_from, m.removed_bytes) for m in removed]


@pytest.mark.parametrize("by_path", [True, False])
def test_code_that_is_loaded_and_unloaded(run: Run, known: Path, by_path: bool) -> None:
    """A name that has to be searched for is searched for where the program says (RUNPATH); what was allocated by code
    that is gone can still be told."""
    library = known.parent / "lib" / "libplugin.so"
    run("plugin", str(library) if by_path else "libplugin.so")
    log = run.log()
    (module,) = (module for module in log.modules if module.path == str(library))
    (stack,) = (log.samples.kinds[what][0] for what in log.samples.what if log.samples.kinds[what][2] == SITE)
    assert module.start <= log.stacks[stack].addresses[0] - 1 < module.end
    assert module.gone_ns is not None
    assert module.build_id


@pytest.mark.parametrize("how", ["return", "exit", "_exit", "_Exit", "quick_exit", "pthread_exit"])
def test_the_end_is_told(run: Run, how: str) -> None:
    run("ends", how)
    log = run.log()
    assert HeadFlags.ENDED in log.head.flags
    assert log.head.end_ns is not None
    assert log.moments[-1].totals == log.head.totals
    assert _live(log)[SITE] == 1


def test_a_file_that_must_not_grow_ends_the_sampling_and_not_the_program(run: Run) -> None:
    """RLIMIT_FSIZE: no SIGXFSZ, and what is written up to there is valid."""
    run("sizes", "20000", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400 << 10, 400 << 10)))
    head = run.log().head
    assert HeadFlags.STOPPED in head.flags
    assert head.stopped_errno == errno.EFBIG
    assert 100 << 10 < head.end <= 400 << 10


def test_a_full_disk_ends_the_sampling_and_not_the_program(run: Run, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", small], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        run.folder = small
        run("sizes", "20000")
        head = run.log().head
        assert HeadFlags.STOPPED in head.flags
        assert head.stopped_errno == errno.ENOSPC
        assert head.end > 100 << 10
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up being root")
def test_a_server_that_becomes_another_user_is_sampled_on(run: Run) -> None:
    """It may not open its file any more, in a folder of root's."""
    run.folder.chmod(0o700)
    run("drops", "20000")
    child = next(log for log in run.logs() if HeadFlags.FORKED in log.head.flags)
    assert child.head.end > 500 << 10
    assert HeadFlags.STOPPED not in child.head.flags
    assert _live(child)[SITE] == 20000


def test_without_a_folder_nothing_is_written(sampler: str, known: Path, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LD_PRELOAD": sampler}
    subprocess.run([known, "sizes", "1000"], env=environment, check=True, cwd=tmp_path)
    assert os.listdir(tmp_path) == []
