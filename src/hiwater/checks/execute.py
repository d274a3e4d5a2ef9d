"""Carries checks out: setup, as many executions as the verdict takes, teardown."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from signal import Signals
from typing import TYPE_CHECKING, Protocol

from hiwater import execute
from hiwater.analysis.reading import UNKNOWN
from hiwater.analysis.statistics import Decision, Repeated, repeat_until_sure
from hiwater.checks.baseline import EXECUTIONS
from hiwater.checks.model import DEFAULT_CONFIDENCE, Check, CheckResult, Execution, Growth, Status
from hiwater.checks.verdict import conclude, growth, with_heap
from hiwater.errors import CommandNotExecutableError, CommandNotFoundError, MonitorError
from hiwater.output import read_all, scratch
from hiwater.recording.model import Recording

if TYPE_CHECKING:
    from hiwater.checks.heap import HeapExecution

OUTPUT_LINES = 20
"""So much of what a failed command printed is shown."""


class Executor(Protocol):
    """What executes; another one in tests."""

    def measure(self, check: Check) -> Execution:
        """Executes the command of the check once."""

    def heap(self, check: Check) -> HeapExecution:
        """Executes it once more, with the heap sampler."""

    def assist(self, words: Sequence[str], check: Check) -> str | None:
        """Executes setup or teardown; says how it failed."""

    def output(self) -> str:
        """The end of what the last of them printed."""


class LocalExecutor:
    """On this machine. What commands print is kept out of the way, unless it is to be shown."""

    def __init__(self, *, show_output: bool = False) -> None:
        self.show_output = show_output
        self._printed = b""

    def measure(self, check: Check) -> Execution:
        fd = self._open()
        try:
            recording = execute.run(
                check.command,
                mode=check.mode,
                timeout=check.timeout_seconds,
                stdin=subprocess.DEVNULL,
                stdout=fd,
                stderr=fd,
                env={**os.environ, **check.environment},
                cwd=check.directory,
            )
        except (CommandNotFoundError, CommandNotExecutableError) as error:
            return _nothing(f"{error.filename}: {error.strerror}")
        except MonitorError as error:
            return _nothing(str(error))
        finally:
            self._close(fd)
        summary = recording.summary
        return Execution(
            summary.peak_rss, summary.tree.reading, summary.wall_seconds, recording.complete, _failure(recording)
        )

    def heap(self, check: Check) -> HeapExecution:
        from hiwater.checks import heap

        fd = self._open()
        try:
            return heap.follow(check, fd)
        finally:
            self._close(fd)

    def assist(self, words: Sequence[str], check: Check) -> str | None:
        fd = self._open()
        try:
            status = subprocess.run(
                words,
                cwd=check.directory,
                env={**os.environ, **check.environment},
                stdin=subprocess.DEVNULL,
                stdout=fd,
                stderr=fd,
                check=False,
            ).returncode
        except OSError as error:
            return f"{words[0]}: {error.strerror}"
        finally:
            self._close(fd)
        if status == 0:
            return None
        return f"was ended by {_signal(-status)}" if status < 0 else f"exited with {status}"

    def output(self) -> str:
        lines = self._printed.decode(errors="backslashreplace").splitlines()
        return "\n".join(lines[-OUTPUT_LINES:])

    def _open(self) -> int:
        self._printed = b""
        # What is to be shown goes to stderr: stdout may be a document.
        return os.dup(2) if self.show_output else scratch()

    def _close(self, fd: int) -> None:
        if not self.show_output:
            self._printed = read_all(fd)[-1 << 16 :]
        os.close(fd)


def _nothing(failure: str) -> Execution:
    return Execution(UNKNOWN, UNKNOWN, None, False, failure)


def _failure(recording: Recording) -> str | None:
    summary = recording.summary
    if summary.ended_by == "timeout":
        return "ran into its time-out"
    if summary.ended_by == "oom":
        return "was killed by the kernel: out of memory"
    if summary.term_signal is not None:
        return f"was ended by {_signal(summary.term_signal)}"
    return None if summary.exit_code == 0 else f"exited with {summary.exit_code}"


def _signal(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Stopped(Exception):
    """The command failed or gave no figure: there is no more to learn from repeating it."""


@dataclass
class _Session:
    check: Check
    executor: Executor
    told: Callable[[int], None]
    executions: list[Execution]

    def once(self) -> Execution:
        self.told(len(self.executions) + 1)
        execution = self.executor.measure(self.check)
        self.executions.append(execution)
        if execution.failure is not None:
            raise _Stopped
        return execution


@dataclass(frozen=True, slots=True)
class Terms:
    """What a check is compared with, and how surely."""

    old: tuple[int, ...] | None = None
    """What the baseline holds. The command is executed until it is sure whether it grew, ``max_repeats`` times at
    most."""
    confidence: float = DEFAULT_CONFIDENCE
    renewing: bool = False
    """This is to become the baseline: more executions, and growth is told, not judged."""
    notes: tuple[str, ...] = ()
    """What is said beside the verdict."""


def run_check(
    check: Check, executor: Executor, terms: Terms, told: Callable[[int], None] = lambda _: None
) -> CheckResult:
    """One check from setup to verdict. ``told`` hears the number of each execution."""
    if check.setup is not None:
        failure = executor.assist(check.setup, check)
        if failure is not None:
            result = CheckResult(check, Status.FAILED, f"setup {failure}", notes=terms.notes, output=executor.output())
            return _torn_down(result, executor)
    try:
        result = _measured(_Session(check, executor, told, []), terms)
        if check.heap and result.status is not Status.FAILED:
            told(len(result.executions) + 1)
            followed = executor.heap(check)
            result = with_heap(result, followed.profile, followed.failure)
    except BaseException:
        if check.teardown is not None:
            executor.assist(check.teardown, check)
        raise
    return _torn_down(result, executor)


def _torn_down(result: CheckResult, executor: Executor) -> CheckResult:
    """Also after a failure. One of its own fails the check: the next one may not find what it needs."""
    if result.check.teardown is None:
        return result
    failure = executor.assist(result.check.teardown, result.check)
    if failure is None:
        return result
    reason = f"{result.reason}; teardown {failure}" if result.status is Status.FAILED else f"teardown {failure}"
    return replace(result, status=Status.FAILED, reason=reason, output=result.output or executor.output())


def _measured(session: _Session, terms: Terms) -> CheckResult:
    check, executions = session.check, session.executions
    try:
        for _ in range(max(check.repeats, EXECUTIONS) if terms.renewing else check.repeats):
            session.once()
        compared = _compared(session, terms) if terms.old else None
    except _Stopped:
        failure = executions[-1].failure
        status = Status.FAILED if failure is not None else Status.UNDECIDABLE
        reason = failure or f"{check.figure.words} could not be measured, so it cannot be compared"
        output = session.executor.output() if failure is not None else ""
        return CheckResult(check, status, reason, tuple(executions), notes=terms.notes, output=output)
    return conclude(check, executions, compared, terms.notes, renewing=terms.renewing)


def _compared(session: _Session, terms: Terms) -> tuple[Growth, Decision]:
    check = session.check
    old = terms.old or ()
    waiting = list(session.executions)

    def measure() -> float:
        size = (waiting.pop(0) if waiting else session.once()).reading(check.figure).bytes
        if size is None:
            raise _Stopped
        return float(size)

    if terms.renewing:
        repeated = Repeated(Decision.UNSURE, tuple(measure() for _ in range(len(waiting))), terms.confidence)
    else:
        repeated = repeat_until_sure(
            [float(size) for size in old],
            measure,
            tolerance=check.tolerance,
            confidence=terms.confidence,
            limit=max(check.max_repeats, len(waiting)),
        )
    return growth(check, old, repeated), repeated.decision
