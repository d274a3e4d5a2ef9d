"""Measures tests and judges them: the hooks that need more than a glance."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hiwater.analysis.budget import Status
from hiwater.errors import HiwaterError, MisuseError
from hiwater.inprocess.region import Region, region
from hiwater.pytest_plugin.data import Data, command_data, figures_data
from hiwater.pytest_plugin.failure import explain
from hiwater.pytest_plugin.limits import Limits, marker_values, resolve
from hiwater.pytest_plugin.settings import read_settings
from hiwater.pytest_plugin.verdict import judge
from hiwater.recording.model import Recording

if TYPE_CHECKING:
    from hiwater.heap.budget import At, HeapBudget
    from hiwater.pytest_plugin.heap import Heap, Place

commands_key = pytest.StashKey[list[Recording]]()
"""What the fixture measured in this test."""
heaps_key = pytest.StashKey["list[Heap]"]()
"""The commands that it executed with the heap sampler."""
_region_key = pytest.StashKey["Region | None"]()
_data_key = pytest.StashKey["Data | None"]()
PREFIX = "hiwater_"


def _marks(item: pytest.Item, name: str) -> list[pytest.Mark]:
    """The closest to the test comes last."""
    marks = list(item.iter_markers(name))
    marks.reverse()
    # Those of pytest.param come after those of the function in pytest's order, but are closer to the test.
    case = [id(mark) for mark in getattr(getattr(item, "callspec", None), "marks", ())]
    marks.sort(key=lambda mark: id(mark) in case)
    return marks


class Session:
    """One in each process that executes tests, and one in the controller of pytest-xdist, which only gathers."""

    def __init__(self, config: pytest.Config) -> None:
        try:
            self.settings = read_settings(config)
        except MisuseError as error:
            raise pytest.UsageError(f"hiwater: {error}") from None
        self.is_worker = hasattr(config, "workerinput")
        self.gathered: dict[str, Data] = {}

    def setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Opens the region where the setup counts for the test."""
        # What was left from the execution before (pytest-rerunfailures).
        item.stash[commands_key], item.stash[_region_key], item.stash[_data_key] = [], None, None
        item.stash[heaps_key] = []
        item.user_properties[:] = [entry for entry in item.user_properties if not entry[0].startswith(PREFIX)]
        try:
            limits = self._limits(item)
            self.heap_budgets(item)
        except MisuseError as error:
            message = f"hiwater: {error}"
        else:
            return (yield from self._measured_setup(item, limits))
        yield  # the setup of others all the same: their teardown relies on it
        pytest.fail(message, pytrace=False)

    def _measured_setup(self, item: pytest.Item, limits: Limits) -> Generator[None, object, object]:
        if not (limits.include_setup and self._wanted(limits)):
            return (yield)
        measured = item.stash[_region_key] = self._enter(limits)
        try:
            return (yield)
        except BaseException:
            measured.__exit__(None, None, None)
            raise

    def call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measures the call, and judges it unless it failed by itself."""
        limits = self._limits(item)  # anew: fixtures may add markers
        measured = item.stash.get(_region_key, None)
        if measured is None and self._wanted(limits):
            measured = self._enter(limits)
        try:
            result = yield
        except BaseException:
            message = self._finish(item, limits, measured)
            if message is not None:
                item.add_report_section("call", "hiwater", message)
            raise
        message = self._finish(item, limits, measured) or self._unused(item)
        if message is not None:
            pytest.fail(message, pytrace=False)
        return result

    def _unused(self, item: pytest.Item) -> str | None:
        """A budget that nothing was held against would be kept for ever. One of a class or a module need not be for
        every test in it."""
        own = any(mark.name == "hiwater_heap" for mark in item.own_markers)
        if not own or item.stash.get(heaps_key, []) or not self.heap_budgets(item):
            return None
        return "hiwater: nothing was held to the marker hiwater_heap: the test executed no command with hiwater.heap()"

    def _enter(self, limits: Limits) -> Region:
        return region(collect=limits.left is not None).__enter__()

    def _wanted(self, limits: Limits) -> bool:
        return bool(limits) or self.settings.measure_all

    def _limits(self, item: pytest.Item) -> Limits:
        where = f"marker hiwater of {item.nodeid}"
        markers = [marker_values(mark.args, mark.kwargs, where) for mark in _marks(item, "hiwater")]
        return resolve(self.settings.rules, markers, item.nodeid, item.path)

    def heap_budgets(self, item: pytest.Item) -> tuple[HeapBudget, ...]:
        """Those of the markers ``hiwater_heap``."""
        marks = _marks(item, "hiwater_heap")
        if not marks:
            return ()
        from hiwater.pytest_plugin import heap_marker

        where = f"marker hiwater_heap of {item.nodeid}"
        return heap_marker.resolve(heap_marker.parse(mark.args, mark.kwargs, where) for mark in marks)

    def evidence(self, item: pytest.Item, number: int) -> Callable[[At], Place]:
        """Where the flame graphs of a command go, the ``number``-th of its test; ``None`` where there is no place."""
        folder, cache = self.settings.evidence, getattr(item.config, "cache", None)
        name = "".join(sign if sign.isalnum() or sign in "._-[]" else "-" for sign in item.nodeid)[-150:]
        more = f"-{number + 1}" if number else ""

        def path(at: At) -> Path | None:
            if folder is not None:
                return folder / f"{name}{more}-{at}.svg"
            return None if cache is None else Path(cache.mkdir("hiwater")) / f"{name}{more}-{at}.svg"

        return lambda at: lambda: path(at)

    def _finish(self, item: pytest.Item, limits: Limits, measured: Region | None) -> str | None:
        """Keeps the figures; what a broken budget has to say."""
        commands = [command_data(recording) for recording in item.stash.get(commands_key, [])]
        followed: list[Heap] = item.stash.get(heaps_key, [])
        heaps = [one for heap in followed for one in heap.plain()]
        if measured is None:
            if commands or heaps:
                self._keep(item, figures_data(None, (), commands, heaps))
            return None
        measured.__exit__(None, None, None)
        block = measured.figures
        verdicts = judge(limits, block)
        self._keep(item, figures_data(block, verdicts, commands, heaps))
        broken = [verdict for verdict in verdicts if verdict.status is not Status.OK]
        return explain(item, limits, block, broken) if broken else None

    def _keep(self, item: pytest.Item, data: Data) -> None:
        # Properties must be there before the report is made: only then do they pass from a worker of pytest-xdist.
        item.user_properties += [(PREFIX + name, value) for name, value in data.properties()]
        item.stash[_data_key] = data

    def attach(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Attributes of a report pass from workers and forked children, as long as they are plain values."""
        data = item.stash.get(_data_key, None)
        if data is not None:
            report.__dict__["hiwater"] = data.plain()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        plain: dict[str, Any] | None = getattr(report, "hiwater", None)
        # Executed again (pytest-rerunfailures calls the outcome before that "rerun"): the last time counts.
        if plain is not None and report.outcome in ("passed", "failed", "skipped") and not self.is_worker:
            worker = getattr(report, "worker_id", None)
            self.gathered[report.nodeid] = Data({**plain, "outcome": report.outcome, "worker": worker})

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.settings.table and not self.is_worker:
            from hiwater.pytest_plugin.table import render

            terminalreporter.section("hiwater: the most demanding tests")
            for line in render(self.gathered, self.settings.top):
                terminalreporter.write_line(line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.settings.json is None or self.is_worker:
            return
        from hiwater.output import write_whole
        from hiwater.pytest_plugin.document import encode

        try:
            write_whole(self.settings.json, encode(self.gathered), force=True)
        except HiwaterError as error:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            session.config.issue_config_time_warning(pytest.PytestWarning(f"hiwater: {error}"), 2)
