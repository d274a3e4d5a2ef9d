"""--faults: page faults are sampled with the calls that made them."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.monitor.build import compile_c
from tests.monitor.conftest import PROGRAMS
from tests.monitor.harness import MIB, Monitor, Outcome, warnings_of

from hiwater.recording.faults import FaultRecords
from hiwater.recording.wire import FaultFlags, FaultKind, FaultStackFlags, FaultTotalsFlags

PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLE = ("--faults", str(64 * PAGE))
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")

BUILDS = {
    "dynamic": ("cc", "-O2"),
    "frame-pointers": ("cc", "-O2", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables"),
    "stripped": ("cc", "-O2", "-s"),
    "static": ("cc", "-O2", "-static"),
    "musl": ("musl-gcc", "-O2"),
    "musl-static": ("musl-gcc", "-O2", "-static"),
}


def _paranoid() -> int:
    return int(Path("/proc/sys/kernel/perf_event_paranoid").read_text())


@dataclass(frozen=True)
class Touched:
    """What a program touched, by the functions of its own that were under way."""

    outcome: Outcome
    records: FaultRecords
    path: str

    @property
    def starts(self) -> dict[str, int]:
        """Where the functions begin, as the program itself tells."""
        lines = [line.split() for line in self.outcome.stdout.decode().splitlines()]
        return {name: int(address) for name, address in lines}

    def functions(self, stack: int | None) -> tuple[str, ...]:
        """Its own on a stack, innermost first; the same one several times counts once."""
        if stack is None:
            return ()
        begin = sorted((address, name) for name, address in self.starts.items())
        found: list[str] = []
        for frame in self.records.stacks[stack].frames:
            if frame.module is None or self.records.modules[frame.module].path != self.path:
                continue
            address = frame.address - (not frame.exact)
            below = [(start, name) for start, name in begin if start <= address < start + 1024]
            if below and below[-1][1] != "end" and (not found or found[-1] != below[-1][1]):
                found.append(below[-1][1])
        return tuple(found)

    def mib(self) -> Counter[tuple[str, ...]]:
        """MiB by these functions."""
        assert self.records.totals is not None
        sums: Counter[tuple[str, ...]] = Counter()
        for sample in self.records.samples:
            sums[self.functions(sample.stack)] += self.records.totals.period * PAGE
        return Counter({key: round(value / MIB) for key, value in sums.items()})


@pytest.fixture(scope="session")
def toucher(room: Path) -> dict[str, str]:
    """The program that knows what it touches, built in every way that can be had here."""
    built = {}
    for name, (compiler, *flags) in BUILDS.items():
        target = room / f"toucher-{name}"
        if shutil.which(compiler) is None:
            continue
        try:
            compile_c([PROGRAMS / "toucher.c"], target, "-pthread", "-Werror", *flags, compiler=compiler)
        except AssertionError:
            if "static" not in name:
                raise
            continue  # no static C library here
        built[name] = str(target)
    return built


def touch(monitor: Monitor, path: str, *verbs: str | int, prefix: tuple[str, ...] = ()) -> Touched:
    """Executes it; skips where faults cannot be sampled. A machine that lets the monitor wait for so long that samples
    are lost is given another chance: what is told then is another test's."""
    for _ in range(5):
        outcome = monitor.run(path, *map(str, verbs), options=SAMPLE, prefix=prefix)
        found = outcome.recording.faults
        if found is None or found.totals is None or found.totals.lost == 0:
            break
    if outcome.status == 125 and "faults-refused" in warnings_of(outcome.recording):
        pytest.skip(f"faults can not be sampled here: {outcome.recording.told_warnings}")
    assert outcome.status == 0, outcome.stderr
    records = outcome.recording.faults
    assert records is not None and records.totals is not None
    assert records.totals.lost == 0
    assert records.totals.samples == len(records.samples)
    return Touched(outcome, records, path)


@pytest.mark.parametrize("build", BUILDS)
def test_who_touched_how_much(quiet: Monitor, toucher: dict[str, str], build: str) -> None:
    """Each amount is found in the function that touched it, with all of its callers: with and without frame pointers,
    stripped, static, with musl, which has neither frame pointers nor unwind tables."""
    if build not in toucher:
        pytest.skip(f"{BUILDS[build][0]} {' '.join(BUILDS[build][1:])} builds nothing here")
    told = touch(quiet, toucher[build], "memset", 40, "stores", 30, "small", 20, "deep", 10, "thread", "stores", 25)
    found = told.mib()
    # Each amount can lack a period at its begin and have one too many at its end. A block of 48 bytes takes 64 of
    # glibc, and of musl 48 in a static program that never frees.
    assert found["memset", "touch", "main"] == pytest.approx(40, abs=1)
    assert found["stores", "touch", "main"] == pytest.approx(30, abs=1)
    musl = "musl" in build
    assert found["small", "touch", "main"] == pytest.approx(19 if musl else 20, abs=4.5 if musl else 1.5)
    assert found["memset", "deep", "main"] == pytest.approx(10, abs=1)
    assert found["stores", "touch", "thread"] == pytest.approx(25, abs=1)
    assert sum(found.values()) == pytest.approx(125, abs=8 if musl else 4)


@pytest.mark.parametrize("build", ["dynamic", "static"])
def test_a_stack_reaches_its_begin(quiet: Monitor, toucher: dict[str, str], build: str) -> None:
    """Where the code says how it is unwound, nothing is guessed, cut or broken."""
    if build not in toucher:
        pytest.skip("there is no static C library here")
    told = touch(quiet, toucher[build], "memset", 20, "deep", 20, "thread", "small", 20)
    stacks = [told.records.stacks[sample.stack] for sample in told.records.samples if sample.stack is not None]
    flags = Counter(stack.flags for stack in stacks)
    assert flags[FaultStackFlags(0)] >= 0.97 * flags.total()


def test_as_anybody(quiet: Monitor, toucher: dict[str, str]) -> None:
    """It needs no privilege up to perf_event_paranoid 2; only faults of the kernel's side are missing then."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None or _paranoid() not in (2,):
        pytest.skip("needs root, setpriv and perf_event_paranoid 2")
    told = touch(quiet, toucher["dynamic"], "memset", 20, "read", 20, prefix=NOBODY)
    assert told.mib()["memset", "touch", "main"] == pytest.approx(20, abs=1)
    assert told.mib()["read", "touch", "main"] == 0
    assert told.records.totals is not None
    assert told.records.totals.flags == FaultTotalsFlags(0)


def test_what_the_kernel_touches(quiet: Monitor, toucher: dict[str, str]) -> None:
    """Privileged, what read(2) fills is found with the caller of the system call, and marked; what is populated makes
    no faults, and is in no count."""
    if os.geteuid() != 0:
        pytest.skip("the kernel's side is for root")
    told = touch(quiet, toucher["dynamic"], "read", 30, "populate", 30)
    found = told.mib()
    assert found["read", "touch", "main"] == pytest.approx(30, abs=1)
    assert found["populate", "touch", "main"] == 0
    by_kernel = [sample for sample in told.records.samples if sample.flags & FaultFlags.BY_KERNEL]
    assert told.records.totals is not None
    assert len(by_kernel) * told.records.totals.period * PAGE == pytest.approx(30 * MIB, abs=MIB)
    assert told.records.totals.flags & FaultTotalsFlags.KERNEL_SEEN


def test_what_is_touched(quiet: Monitor, toucher: dict[str, str]) -> None:
    """Each sample tells what lies there: brk's heap, anonymous memory, a file, which is named; what the kernel maps
    around a fault on a file makes no faults of its own."""
    told = touch(quiet, toucher["dynamic"], "small", 20, "stores", 20, "file", 40)
    assert told.records.totals is not None
    step = told.records.totals.period * PAGE / MIB
    kinds = Counter(sample.kind for sample in told.records.samples)
    assert kinds[FaultKind.HEAP] * step == pytest.approx(20, abs=1.5)
    assert kinds[FaultKind.ANON] * step == pytest.approx(20, abs=1)
    files = [
        sample
        for sample in told.records.samples
        if "touch" in told.functions(sample.stack) and sample.module is not None
    ]
    assert {told.records.modules[sample.module].path for sample in files if sample.module is not None} != {told.path}
    assert len(files) * step < 40


def test_children_and_programs(quiet: Monitor, toucher: dict[str, str]) -> None:
    """Every process of the tree is covered from its birth, under its own number; execve begins another image."""
    script = f"{toucher['dynamic']} fork stores 20 memset 10 && exec {toucher['stripped']} stores 30"
    outcome = quiet.run("sh", "-c", script, options=SAMPLE)
    records = outcome.recording.faults
    assert outcome.status == 0 and records is not None and records.totals is not None
    step = records.totals.period * PAGE / MIB
    sums: Counter[tuple[bool, bool]] = Counter()
    for sample in records.samples:
        image = records.images[sample.image]
        sums[image.pid == outcome.recording.observed_processes[0].pid, image.executed] += 1
    assert sums[True, True] * step == pytest.approx(30, abs=2)  # the last program of the shell's process
    assert sums[False, True] * step == pytest.approx(10, abs=2)
    assert sums[False, False] * step == pytest.approx(20, abs=1.5)


def test_every_fault_is_counted(quiet: Monitor, toucher: dict[str, str]) -> None:
    """The kernel's count is exact, and the samples come to nearly as much."""
    told = touch(quiet, toucher["dynamic"], "stores", 64)
    totals = told.records.totals
    assert totals is not None
    assert 0 <= totals.faults - 64 * MIB // PAGE < 1000
    assert totals.faults - totals.samples * totals.period in range(0, 4 * totals.period)


def test_the_period_is_prime(quiet: Monitor, toucher: dict[str, str]) -> None:
    """Programs touch memory in steps of powers of two: a period that is one would meet one place of a loop always."""
    outcome = quiet.run(toucher["dynamic"], "stores", "4", options=("--faults", str(16 * PAGE)))
    records = outcome.recording.faults
    assert records is not None and records.totals is not None
    assert records.totals.period == 13


def test_the_stream_is_small(quiet: Monitor, toucher: dict[str, str]) -> None:
    """No copies of stacks are kept: 1 GiB of faults with calls 45 deep is less than a MiB."""
    told = touch(quiet, toucher["dynamic"], "deep", 1024)
    assert len(told.outcome.data) < MIB


@pytest.mark.parametrize(("error", "said"), [(errno.EPERM, b"seccomp=unconfined"), (errno.ENOSYS, b"no perf events")])
def test_refusal(quiet: Monitor, error: int, said: bytes) -> None:
    """Where a container's filter forbids it, the command is not executed, and the recording says why and what to do."""
    if os.uname().machine != "x86_64":
        pytest.skip("the filter is made for x86-64")
    prefix = (sys.executable, str(PROGRAMS / "without_perf.py"), str(error))
    outcome = quiet.run("echo", "executed", options=SAMPLE, prefix=prefix)
    assert (outcome.status, outcome.stdout) == (125, b"")
    assert warnings_of(outcome.recording) == ["faults-refused"]
    assert said in outcome.data


@pytest.mark.parametrize("option", [("--exact",), ("--mode", "trace")])
def test_what_excludes_it(quiet: Monitor, option: tuple[str, ...]) -> None:
    """Rings and ptrace are for one purpose at a time."""
    outcome = quiet.run("true", options=(*SAMPLE, *option))
    assert outcome.status == 125
    assert b"--faults excludes" in outcome.stderr


@pytest.mark.parametrize("size", ["0", "-1", "many"])
def test_sizes_that_are_none(quiet: Monitor, size: str) -> None:
    """Misuse is told before anything is started."""
    outcome = quiet.run("true", options=("--faults", size))
    assert (outcome.status, outcome.data) == (125, b"")


def test_commands_that_are_not_there(quiet: Monitor) -> None:
    """They are told as ever."""
    assert quiet.run("/nonexistent/command", options=SAMPLE).status == 127
