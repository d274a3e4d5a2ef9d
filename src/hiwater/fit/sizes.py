"""The smallest limit as a figure that grows with a parameter: what ``hiwater scale --smallest-limit`` executes."""

from __future__ import annotations

from hiwater.bench.executor import MonitoredExecutor
from hiwater.bench.model import Command, Execution
from hiwater.errors import PreparationError
from hiwater.fit.executor import LimitedExecutor
from hiwater.fit.model import Settings, Stop
from hiwater.fit.search import Search

PRECISION = 0.05
"""Of each size: the law is fitted through several."""


class FittingExecutor:
    """Each measurement is a search."""

    def __init__(self, *, show_output: bool = False) -> None:
        self._show_output = show_output
        self._steps = MonitoredExecutor(show_output=show_output)

    def measure(self, command: Command) -> Execution:
        """The smallest limit of one size. Raises PreparationError where there is none."""
        executor = LimitedExecutor(command.arguments, prepare=command.prepare, show_output=self._show_output)
        settings = Settings(precision=PRECISION, repeat=3, comfortable=False)
        report = Search(command.arguments, settings, executor).execute()
        if report.stop is Stop.INTERRUPTED:
            raise KeyboardInterrupt
        if report.smallest is None:
            raise PreparationError(f"{command.name}: {report.message or 'no limit was found'}")
        return Execution(
            peak_rss_bytes=max((trial.peak_rss_bytes or 0 for trial in report.unlimited), default=0) or None,
            tree_peak_bytes=max((trial.tree_peak_bytes or 0 for trial in report.unlimited), default=0) or None,
            wall_seconds=report.unlimited_seconds,
            user_seconds=None,
            system_seconds=None,
            exit_code=0,
            smallest_limit_bytes=round(report.smallest.limit.value),
        )

    def step(self, what: str, line: str) -> None:
        """As for any measurement."""
        self._steps.step(what, line)
