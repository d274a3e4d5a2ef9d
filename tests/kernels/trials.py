"""What is executed in a guest, and what comes of it: truth programs under the monitor, judged on the host."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.initramfs import FileSystem
from tests.truth import truths
from tests.truth.cases import CASES, SLIM, Case, Launcher, Tree
from tests.truth.rows import Row

import hiwater
from hiwater.analysis.summary import summarize

MODES = ("quiet", "trace")
USERS = ("root", "nobody")
STAND_INS = {"bash": "sh", "nice": "setsid"}
"""What busybox has instead: its shell executes a command that is alone in the same process, as bash does."""


@dataclass(frozen=True)
class Setting:
    """What the kernel is told before some jobs; None: left as it is."""

    thp: str | None = None
    """transparent_hugepage/enabled."""
    yama: int | None = None
    """kernel.yama.ptrace_scope. It can not be lowered from 3, so that comes last."""
    swap_mib: int | None = None
    khugepaged_ms: int | None = None
    """How long khugepaged sleeps, 10 s by itself: who is quick meets programs at their peaks."""

    def lines(self) -> list[str]:
        found = []
        if self.thp is not None:
            found.append(f"setting thp /sys/kernel/mm/transparent_hugepage/enabled {self.thp}")
        if self.khugepaged_ms is not None:
            file = "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"
            found.append(f"setting khugepaged {file} {self.khugepaged_ms}")
        if self.yama is not None:
            found.append(f"setting yama /proc/sys/kernel/yama/ptrace_scope {self.yama}")
        if self.swap_mib is not None:
            found.append(f"swap {self.swap_mib}")
        return found

    def __str__(self) -> str:
        parts = [("THP", self.thp), ("Yama", self.yama), ("swap", self.swap_mib)]
        return ", ".join(f"{name} {value}" for name, value in parts if value is not None)


USUAL = Setting("madvise", 0)


@dataclass(frozen=True)
class Trial:
    """One execution of a case."""

    case: Case
    mode: str
    user: str
    launcher: Launcher = SLIM
    setting: Setting = USUAL

    @property
    def traceable(self) -> bool:
        """Whether Yama lets the user trace a descendant (Documentation/admin-guide/LSM/Yama.rst)."""
        scope = self.setting.yama or 0
        return scope < 2 or (scope == 2 and self.user == "root")

    def line(self, number: int) -> str:
        """For init.sh."""
        program = f"/programs/{self.case.program}"
        wrapped = self.case.command(program)
        wrapped[0] = STAND_INS.get(wrapped[0], wrapped[0])
        monitor = ["/monitor", "-o", f"/out/{number}.hiw", "--mode", self.mode, *_monitor_options(self.case)]
        command = self.launcher.command("/programs/fat_launcher", [*monitor, "--", *wrapped])
        return f"job {number} {self.user} {shlex.join(command)}"


def _monitor_options(case: Case) -> list[str]:
    """The options of `hiwater run` in the monitor's words."""
    options = dict(zip(case.options[::2], case.options[1::2], strict=True))
    linger = options.pop("--linger", None)
    assert not options, f"unknown to the monitor: {options}"
    return [] if linger is None else ["--linger-ns", str(int(linger) * 1_000_000_000)]


def trials(programs: Iterable[str], executions: int, settings: Iterable[Setting] = (USUAL,)) -> list[Trial]:
    """Every case whose program there is, in both modes, as both users, under each setting."""
    there = set(programs)
    return [
        Trial(case, mode, user, setting=setting)
        for setting in settings
        for _ in range(executions)
        for case in CASES
        if case.program in there
        for mode in MODES
        for user in USERS
    ]


def jobs(wanted: list[Trial]) -> Iterator[str]:
    setting = None
    for number, trial in enumerate(wanted):
        if trial.setting != setting:
            setting = trial.setting
            yield from setting.lines()
        yield trial.line(number)


def add_programs(files: FileSystem, monitor: Path, programs: dict[str, Path]) -> None:
    files.copy(monitor, "monitor")
    for name, path in programs.items():
        files.copy(path, f"programs/{name}")


@dataclass(frozen=True)
class Outcome:
    """What came of one trial."""

    trial: Trial
    rows: tuple[Row, ...]
    complaint: str | None
    """What went wrong before there was a figure to judge."""
    seconds: float | None = None
    """What the command took in the guest."""


def outcome(number: int, trial: Trial, left: dict[str, bytes], place: Path) -> Outcome:
    """Opens the recording as any user would, and holds it to the truth."""
    said = left.get(f"{number}.said", b"").decode(errors="replace").strip()
    status = left.get(f"{number}.status", b"").decode().strip()
    if status != str(trial.case.exit_status) or said:
        return Outcome(trial, (), f"exit status {status or 'unknown'}, said {said!r}")
    try:
        recording = hiwater.load(place / f"{number}.hiw")
        truth = truths.parse(left[f"{number}.truth"].decode())
    except (hiwater.HiwaterError, AssertionError) as error:
        return Outcome(trial, (), str(error))
    summary = summarize(recording)
    refused = any(warning.code.startswith("trace-") for warning in summary.warnings)
    if refused != (trial.mode == "trace" and not trial.traceable):
        return Outcome(trial, (), f"tracing was {'refused' if refused else 'possible'}: {summary.warnings}")
    tree = truth.peak_rss_bytes if trial.case.tree is Tree.SINGLE else truth.tree_peak_bytes
    if tree is None:
        return Outcome(trial, (), "the program did not count its tree")
    rows = tuple(
        Row(
            trial.case.name, trial.mode, trial.user, trial.launcher.name, figure, value,
            reading.low, reading.bytes, reading.high, None if reading.method is None else str(reading.method), lost,
        )
        for figure, reading, value, lost in (
            ("peak", summary.peak_rss, truth.peak_rss_bytes, 0),
            ("tree", summary.tree.reading, tree, truth.tree_missed_bytes),
        )
    )  # fmt: skip
    return Outcome(trial, rows, None, summary.wall_seconds)
