"""Programs that are not executed: their need and their time are formulas, so the truth is known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hiwater.fit.model import FitReport, Settings, Trial
from hiwater.fit.search import Search

MIB = 1 << 20
MACHINE = 8 << 30


@dataclass
class Program:
    """``need``: MiB of one execution. ``seconds``: by the limit in MiB, ``None`` without one."""

    need: Callable[[random.Random], float]
    seconds: Callable[[float | None], float] = lambda limit: 1.0
    seed: int = 1
    reclaimable: float = 0
    """MiB of page cache: counted in its peak, not needed."""
    executed: list[int | None] = field(default_factory=list)
    interrupted_after: int | None = None

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def memory(self) -> int:
        return MACHINE

    def execute(self, limit: int | None, typical_seconds: float | None) -> Trial:
        del typical_seconds
        if self.interrupted_after is not None and len(self.executed) >= self.interrupted_after:
            raise KeyboardInterrupt
        self.executed.append(limit)
        need = self.need(self.random) * MIB
        success = limit is None or limit >= need
        peak = round(min(need + self.reclaimable * MIB, limit or MACHINE))
        seconds = self.seconds(None if limit is None else limit / MIB)
        how = "exit 0" if success else "out of memory"
        return Trial(limit, success, seconds, how, peak_bytes=peak, limit_hits=0 if limit is None else None)

    def fit(self, **settings: float) -> FitReport:
        return Search(("prog",), Settings(**settings), self).execute()  # type: ignore[arg-type]
