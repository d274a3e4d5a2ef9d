"""What an engine is: somebody else's profiler that executes the command, and whose files become a ``HeapProfile``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from hiwater.errors import HiwaterError
from hiwater.heap.model import HeapProfile


class EngineError(HiwaterError):
    """An engine took no hold of the command, or left nothing that could be read."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of an engine. ``None`` leaves it to the engine; what an engine has no option for, it ignores."""

    every_bytes: int | None = None
    """A snapshot at each such growth: of what is in use (tcmalloc), of what was ever allocated (jemalloc)."""
    sample_bytes: int | None = None
    """Mean distance of two samples in allocated bytes (jemalloc, which rounds it to a power of two)."""
    python_allocators: bool = False
    """memray: each object of Python's, instead of the arenas that they are in; about four times the time."""


DEFAULTS = Wanted()


def without_exit(profile: HeapProfile, killed: bool) -> HeapProfile:
    """A killed program's last snapshot is that of some moment before."""
    return replace(profile, exit=None) if killed else profile


def _at_once() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Prepared:
    """How the command is executed under an engine."""

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    """To be set in the environment of the command; everything else stays as it is."""
    startup_seconds: float | None = None
    """Where ``begun`` is still false after so long, the engine has not taken hold of the command and will not: the
    command should be ended. ``None``: that cannot be told before the end."""
    begun: Callable[[], bool] = _at_once
    """Whether the engine has taken hold of the command. Cheap, may be asked often."""
    notes: tuple[str, ...] = ()
    """What a user has to know beforehand: sentences."""


class Engine(Protocol):
    """One profiler. An object serves one execution: missing, unfit, prepare, (the execution), collect or abandon."""

    @property
    def name(self) -> str:
        """The word of ``--engine``."""

    @property
    def exact(self) -> bool:
        """It counts every allocation; nothing is sampled."""

    def missing(self) -> str | None:
        """Why it cannot be used on this machine, with what would install it; ``None`` where it can."""

    def unfit(self, command: Sequence[str], env: Mapping[str, str]) -> str | None:
        """Why it would not see the memory of this command, with what to use instead; ``None`` where nothing speaks
        against it. ``env`` is the environment that the command would get."""

    def prepare(
        self, command: Sequence[str], folder: Path, *, env: Mapping[str, str], wanted: Wanted = DEFAULTS
    ) -> Prepared:
        """Makes ready, with its output below ``folder``, which exists, is empty and is for this execution alone."""

    def collect(self, folder: Path, *, killed: bool = False) -> HeapProfile:
        """What was recorded, after the command has ended. ``killed``: by a signal, so that nobody saw what lived at its
        end. Raises HiwaterError where nothing was recorded, or it cannot be read."""

    def abandon(self) -> None:
        """Ends what ``prepare`` has started, where there is nothing to collect. Harmless at any time."""
