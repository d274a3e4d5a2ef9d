"""Which kernels are booted, on which machines, with what settings."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.kernels import programs, trials
from tests.kernels.boot import MACHINES, Guest, base_system, boot, cache
from tests.kernels.debian import Archive, Kernel, kernel
from tests.kernels.trials import USUAL, Outcome, Setting, Trial
from tests.truth.cases import FAT_LAUNCHERS, Case


@dataclass(frozen=True)
class Plan:
    """One boot."""

    machine: str
    release: str
    """Debian's, whose packages have the kernel."""
    package: str
    """The meta package that leads to it."""
    cpus: int
    variants: bool = False
    """Also some cases under other settings, and under fat launchers."""

    @property
    def label(self) -> str:
        return f"{self.release}/{self.package.removeprefix('linux-image-')}/{self.cpus}"


CLOUD, ARM64, ARMHF = "linux-image-cloud-amd64", "linux-image-cloud-arm64", "linux-image-armmp-lpae"

PLANS = (
    Plan("x86_64", "bullseye", CLOUD, 2),
    Plan("x86_64", "bookworm", CLOUD, 1),
    Plan("x86_64", "bookworm", CLOUD, 2, variants=True),
    Plan("x86_64", "bookworm", CLOUD, 16),
    Plan("x86_64", "bookworm", "linux-image-6.12-cloud-amd64", 2),
    Plan("x86_64", "trixie-backports", CLOUD, 1),
    Plan("x86_64", "trixie-backports", CLOUD, 2, variants=True),
    Plan("x86_64", "trixie-backports", CLOUD, 16),
    Plan("aarch64", "bookworm", ARM64, 2),
    Plan("aarch64", "trixie-backports", ARM64, 2),
    Plan("armv7l", "bookworm", ARMHF, 2),
)

VARIANTS = (
    Setting("always", 0, khugepaged_ms=100),
    Setting("madvise", 1),
    Setting("madvise", 2),
    Setting("madvise", 0, swap_mib=512),
)
FORBIDDEN = Setting("madvise", 3)
"""Last: the kernel takes it back for nobody."""

VARIED = (
    "tiny static", "steady growth", "five images", "16 threads", "huge pages", "copy-on-write children",
)  # fmt: skip
"""Cases that see a difference, if there is one."""

FAT = (FAT_LAUNCHERS[0], FAT_LAUNCHERS[3])


def _varied(there: list[Trial]) -> list[Trial]:
    some = [trial for trial in there if trial.case.name in VARIED]
    fat = [
        replace(trial, case=Case("tiny static", "bare"), launcher=launcher)
        for launcher in FAT
        for trial in there
        if trial.case.name == "tiny static"
    ]
    return fat + [replace(trial, setting=setting) for setting in (*VARIANTS, FORBIDDEN) for trial in some]


@dataclass(frozen=True)
class Result:
    """What came of a boot."""

    plan: Plan
    kernel: Kernel
    outcomes: tuple[Outcome, ...]
    settings: dict[str, str]
    """As the guest said at last that they were."""


def find_kernel(plan: Plan) -> Kernel:
    return kernel(Archive(cache(), MACHINES[plan.machine].debian, plan.release), plan.package)


def _wanted(plan: Plan, built: Iterable[str], executions: int, cases: tuple[str, ...]) -> list[Trial]:
    wanted = trials.trials(built, executions)
    if plan.variants:
        wanted += _varied(wanted)
    return [trial for trial in wanted if not cases or trial.case.name in cases]


def _place(plan: Plan) -> Path:
    """Where what a guest left is kept."""
    return cache() / "left" / plan.label.replace("/", "_")


def execute(plan: Plan, executions: int, cases: tuple[str, ...] = (), seconds: float = 3600) -> Result:
    """Fetches, builds, boots, judges. `cases`: only those, by name."""
    machine = MACHINES[plan.machine]
    found = find_kernel(plan)
    place = _place(plan)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="hiwater-kernels-") as scratch:
        built = programs.truth_programs(machine, Path(scratch))
        files = base_system(machine, found, Archive(cache(), machine.debian))
        trials.add_programs(files, programs.monitor(machine, Path(scratch) / "monitor"), built)
    wanted = _wanted(plan, built, executions, cases)
    guest = Guest(machine, found, plan.cpus, 1500 if plan.machine == "armv7l" else 2048)
    left = boot(guest, files, list(trials.jobs(wanted)), seconds, place / "console")
    for name, data in left.items():
        (place / name).write_bytes(data)
    (place / "built").write_text("\n".join(built))
    return judge(plan, executions, cases)


def judge(plan: Plan, executions: int, cases: tuple[str, ...] = ()) -> Result:
    """What the last boot left, opened as any user would."""
    place = _place(plan)
    left = {path.name: path.read_bytes() for path in place.iterdir()}
    wanted = _wanted(plan, left["built"].decode().split(), executions, cases)
    outcomes = tuple(trials.outcome(number, trial, left, place) for number, trial in enumerate(wanted))
    settings = dict(line.split(" ", 1) for line in left.get("settings", b"").decode().splitlines() if " " in line)
    return Result(plan, find_kernel(plan), outcomes, settings)


__all__ = ["PLANS", "USUAL", "Plan", "Result", "execute", "find_kernel", "judge"]
