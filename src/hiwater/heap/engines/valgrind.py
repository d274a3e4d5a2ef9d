"""``--engine massif`` and ``--engine dhat``: valgrind counts every allocation, and executes the program 6 to 24 times
slower. It replaces malloc in whatever form the program has it, and massif can count pages where there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hiwater.errors import MisuseError
from hiwater.heap.engines.fitness import direct, unfit
from hiwater.heap.engines.model import DEFAULTS, EngineError, Prepared, Wanted, without_exit
from hiwater.heap.model import HeapProfile
from hiwater.heap.preflight import Fitness, preflight
from hiwater.heap.readers import read_profile

_FIT = frozenset({Fitness.FIT, Fitness.OWN_ALLOCATOR})
_PAGES = frozenset({Fitness.STATIC, Fitness.GO})
"""There is no malloc that valgrind could find: its pages are counted."""
_CALLERS = 64


class _Valgrind:
    """One execution under a tool of valgrind's."""

    name: str
    exact = True
    fit: frozenset[Fitness] = _FIT

    def missing(self) -> str | None:
        return None if shutil.which("valgrind") else "valgrind is not installed: apt-get install valgrind"

    def unfit(self, command: Sequence[str], env: Mapping[str, str]) -> str | None:
        return unfit(command, env, self.fit, self.name)

    def options(self, command: Sequence[str], env: Mapping[str, str]) -> list[str]:
        """Of the tool."""
        raise NotImplementedError

    def prepare(
        self, command: Sequence[str], folder: Path, *, env: Mapping[str, str], wanted: Wanted = DEFAULTS
    ) -> Prepared:
        valgrind = shutil.which("valgrind")
        if valgrind is None:
            raise MisuseError(self.missing() or "valgrind is not installed")
        program = direct(command, env)
        # valgrind's own: %p is the pid; of a name with % in it that sign is doubled.
        output = f"--{self.name}-out-file={str(folder).replace('%', '%%')}/{self.name}.%p"
        options = ["-q", f"--tool={self.name}", output, *self.options(command, env)]
        notes = (program.note,) if program.note else ()
        return Prepared((valgrind, *options, "--", *program.command), program.env, notes=notes)

    def collect(self, folder: Path, *, killed: bool = False) -> HeapProfile:
        files = sorted(folder.glob(f"{self.name}.*"))
        if not files:
            raise EngineError(
                f"valgrind left no profile: it could not execute the program, or was killed. Say `valgrind "
                f"--tool={self.name} COMMAND` to see what it says"
            )
        profiles = [read_profile(path) for path in files]
        # Processes that the command forked write files of their own.
        best = max(profiles, key=lambda profile: profile.peak.in_use_bytes if profile.peak else 0)
        return without_exit(best, killed)

    def abandon(self) -> None:
        """There is nothing that runs."""


class Massif(_Valgrind):
    """One execution under massif."""

    name = "massif"
    fit = _FIT | _PAGES

    def options(self, command: Sequence[str], env: Mapping[str, str]) -> list[str]:
        # The peak to a thousandth; each call down to a thousandth of what is in use.
        options = ["--time-unit=ms", "--peak-inaccuracy=0.1", "--threshold=0.1", f"--depth={_CALLERS}"]
        if preflight(command, env).kind in _PAGES:
            options.append("--pages-as-heap=yes")
        return options


class Dhat(_Valgrind):
    """One execution under dhat."""

    name = "dhat"

    def options(self, command: Sequence[str], env: Mapping[str, str]) -> list[str]:
        return [f"--num-callers={_CALLERS}"]
