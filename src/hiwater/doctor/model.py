"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How well off the machine is in one respect."""

    OK = "ok"
    LIMITED = "limited"
    """It works, with less precision, speed or reach."""
    MISSING = "missing"
    """It is not there; hiwater does without."""
    BROKEN = "broken"
    """hiwater needs it and it does not work."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    state: State
    detail: str
    """What was found and what follows from it, in a sentence."""
    remedy: str | None = None
    """The exact command that would enable what is missing; None if there is none or nothing is missing."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """One program of known size, measured by hiwater itself."""

    program: str
    mode: str
    """``quiet`` or ``trace``."""
    true_bytes: int | None
    """What the program found by a walk over its own page tables at its peak."""
    peak_bytes: int | None
    """What hiwater says."""
    low_bytes: int | None
    high_bytes: int | None
    problem: str | None = None
    """Why there is nothing to compare. That is a failure, too."""

    @property
    def error_bytes(self) -> int | None:
        """How far hiwater's estimate is from the truth."""
        if self.true_bytes is None or self.peak_bytes is None:
            return None
        return self.peak_bytes - self.true_bytes

    @property
    def passed(self) -> bool:
        """Whether the truth lies between the bounds. Without a number to judge it has not passed."""
        if self.true_bytes is None or self.peak_bytes is None or self.low_bytes is None:
            return False
        return self.low_bytes <= self.true_bytes and (self.high_bytes is None or self.true_bytes <= self.high_bytes)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings."""

    kernel: str | None
    cpus: int
    memory_bytes: int | None
    bound_bytes: int | None
    """How much the kernel's counters can hide of a peak here."""
    checks: tuple[Check, ...]
    uses: tuple[str, ...]
    """What hiwater will do on this machine, in sentences."""
    self_tests: tuple[SelfTest, ...]

    @property
    def healthy(self) -> bool:
        """Nothing that hiwater needs is broken, and every program of known size was measured within its bounds."""
        return all(check.state is not State.BROKEN for check in self.checks) and all(
            test.passed for test in self.self_tests
        )
