"""A way to measure, what came of it, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Launcher(Enum):
    """The process that starts the command."""

    HOLDS = "holds"
    """It holds the ballast when it starts the command."""
    FREED = "freed"
    """It held the ballast and has given it back."""
    SMALL = "small"
    """It never was big."""
    AFTER_BIGGER = "after-bigger"
    """It never was big, but has waited for another child that was."""


class Start(Enum):
    """How the launcher starts the command."""

    FORK = "fork"
    VFORK = "vfork"
    SPAWN = "spawn"
    """posix_spawn, which the C libraries make of clone(CLONE_VM | CLONE_VFORK)."""


class Interface(Enum):
    """Where the figure comes from."""

    WAIT4 = "wait4"
    """ru_maxrss, as wait4 gives it for the command."""
    WAIT4_WRAPPED = "wait4-wrapped"
    """The same, with ``env`` in between, which execs the command in place."""
    FIRST_LINE = "first-line"
    """getrusage(RUSAGE_SELF), called by the child before it does anything else."""
    CHILDREN = "children"
    """getrusage(RUSAGE_CHILDREN) of the launcher, after the command."""
    GNU_TIME = "gnu-time"
    """``time -f %M``."""
    POLLED = "polled"
    """VmRSS of the command's process, ten times a second."""
    EXIT_STOP = "exit-stop"
    """VmHWM of the command's process, read while ptrace holds it at its exit."""
    HIWATER_QUIET = "hiwater-quiet"
    HIWATER_TRACE = "hiwater-trace"

    @property
    def is_hiwater(self) -> bool:
        """Whether it is hiwater's own reading."""
        return self in (Interface.HIWATER_QUIET, Interface.HIWATER_TRACE)


@dataclass(frozen=True, slots=True)
class Method:
    """One way to measure a command."""

    title: str
    launcher: Launcher
    start: Start
    interface: Interface

    @property
    def key(self) -> str:
        """Its name in the JSON: where the figure comes from, how it was started, by what."""
        return f"{self.interface.value}.{self.start.value}.{self.launcher.value}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one execution under a method gave."""

    reported_bytes: int | None
    """None if the method gave no figure; ``problem`` says why."""
    problem: str | None = None
    exit_code: int | None = None
    """Of the command; None if a signal ended it or it did not run."""
    term_signal: int | None = None
    wall_seconds: float | None = None
    launcher_rss_bytes: int | None = None
    """What the launcher held when it started the command."""
    launcher_hwm_bytes: int | None = None
    """The most that the launcher ever held."""
    looks: int | None = None
    """How often polling saw something."""
    low_bytes: int | None = None
    """hiwater's own bounds; None for all others, which have none."""
    high_bytes: int | None = None
    source: str | None = None
    """Which of its means gave hiwater the figure."""
    fell_back: bool = False
    """hiwater was to trace and could not."""
    errors: str = ""
    """The end of what the command wrote to stderr."""

    @property
    def ran(self) -> bool:
        """Whether the command was executed to its end, with or without a figure."""
        return self.exit_code is not None or self.term_signal is not None

    @property
    def succeeded(self) -> bool:
        """Whether the command ran and ended with exit status 0."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True)
class Truth:
    """hiwater's reading, of its execution of the command with the narrowest bounds, and what counts as right."""

    bytes: int
    low_bytes: int
    high_bytes: int | None
    """None where nothing bounds it."""
    interface: Interface
    """Which of the executions this is."""
    right_from_bytes: int
    """Figures below this are too low. It lies below ``low_bytes`` by what the kernel's counters can hide here, because
    no method that depends on them could do better; and each execution of a command differs a little."""
    right_to_bytes: int | None
    """Figures above this are too high: the highest bound of all of hiwater's executions."""


class Verdict(Enum):
    """How a figure compares with the truth."""

    WITHIN = "within"
    """As right as the kernel's counters allow."""
    HIGH = "high"
    LOW = "low"
    UNKNOWN = "unknown"
    """No figure, or nothing to compare it with."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    method: Method
    outcome: Outcome
    verdict: Verdict
    off_by_bytes: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole table."""

    command: tuple[str, ...]
    ballast_bytes: int
    truth: Truth | None
    """None if hiwater itself could not measure the command: then nothing is judged."""
    rows: tuple[Row, ...]

    @property
    def failures(self) -> tuple[Row, ...]:
        """The executions in which the command did not succeed."""
        return tuple(row for row in self.rows if row.outcome.ran and not row.outcome.succeeded)
