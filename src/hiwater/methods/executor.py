"""Carries out a method: one execution of the command, started by the small probe."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import hiwater
from hiwater.errors import CommandNotExecutableError, CommandNotFoundError, HiwaterError
from hiwater.methods.catalogue import Tools
from hiwater.methods.model import Interface, Launcher, Method, Outcome
from hiwater.probing import Output, Report, run_launch

_WATCH = {Interface.POLLED: "rss", Interface.EXIT_STOP: "exit-stop"}
_MODE = {Interface.HIWATER_QUIET: "quiet", Interface.HIWATER_TRACE: "trace"}
_KEY = {
    Interface.WAIT4: "wait4_maxrss_bytes",
    Interface.WAIT4_WRAPPED: "wait4_maxrss_bytes",
    Interface.FIRST_LINE: "first_line_maxrss_bytes",
    Interface.CHILDREN: "children_maxrss_bytes",
    Interface.POLLED: "polled_rss_bytes",
    Interface.EXIT_STOP: "exit_stop_hwm_bytes",
}
_NO_FIGURE = {
    Interface.POLLED: "it had ended before there was anything to see",
    Interface.EXIT_STOP: "the kernel shows no VmHWM, or the exit stop never came",
}


@dataclass(frozen=True, slots=True)
class Executor:
    """Executes one command under any method. The Python process itself never does: it starts the probe, which does."""

    command: tuple[str, ...]
    ballast_bytes: int
    probe: str
    monitor: str
    tools: Tools
    output: Output = Output.DISCARD

    def __call__(self, method: Method) -> Outcome:
        """One execution. Raises CommandNotFoundError or CommandNotExecutableError if the command cannot be started."""
        with tempfile.TemporaryDirectory(prefix="hiwater-") as directory:
            result = Path(directory) / "result"
            report = run_launch(self.probe, self._options(method), self._words(method, result), self.output)
            self._check_started(report)
            return self._outcome(method, report, result)

    def _options(self, method: Method) -> list[str]:
        options = ["--how", method.start.value]
        if method.launcher is Launcher.AFTER_BIGGER:
            options += ["--before", str(self.ballast_bytes)]
        elif method.launcher is not Launcher.SMALL:
            options += ["--ballast", str(self.ballast_bytes)]
        if method.launcher is Launcher.FREED:
            options.append("--freed")
        if method.interface in _WATCH:
            options += ["--watch", _WATCH[method.interface]]
        if method.interface is Interface.FIRST_LINE:
            options.append("--keep-report")
        return options

    def _words(self, method: Method, result: Path) -> list[str]:
        """The command with what goes in front of it."""
        before: list[str] = []
        if method.interface is Interface.WAIT4_WRAPPED:
            before = [self.tools.env or "env"]
        elif method.interface is Interface.GNU_TIME:
            before = [self.tools.gnu_time or "time", "-f", "%M", "-o", str(result), "--"]
        elif method.interface is Interface.FIRST_LINE:
            before = [self.probe, "first-line", "--report-fd", "{fd}", "--"]
        elif method.interface.is_hiwater:
            before = [self.monitor, "--mode", _MODE[method.interface], "--output", str(result), "--"]
        return [*before, *self.command]

    def _check_started(self, report: Report) -> None:
        error = report.get("exec_errno")
        if error is None:
            return
        name = self.command[0]
        if report.exit_code == 127:
            raise CommandNotFoundError(error, "command not found", name)
        raise CommandNotExecutableError(error, f"cannot be executed: {os.strerror(error)}", name)

    def _outcome(self, method: Method, report: Report, result: Path) -> Outcome:
        status, wall_ns = report.get("status"), report.get("wall_ns")
        outcome = Outcome(
            reported_bytes=None,
            launcher_rss_bytes=report.get("launcher_rss_bytes"),
            launcher_hwm_bytes=report.get("launcher_hwm_bytes"),
            looks=report.get("looks"),
            wall_seconds=None if wall_ns is None else wall_ns / 1e9,
            errors=report.errors,
        )
        refused = report.get("ptrace_errno")
        if refused:
            return replace(outcome, problem=f"ptrace is refused here ({os.strerror(refused)}): see hiwater doctor")
        if status is None:
            return replace(outcome, problem="the launcher did not live to tell: was there memory for the ballast?")
        if os.WIFSIGNALED(status):
            outcome = replace(outcome, term_signal=os.WTERMSIG(status))
        else:
            outcome = replace(outcome, exit_code=os.WEXITSTATUS(status))
        if method.interface.is_hiwater:
            return _read_recording(outcome, result)
        if method.interface is Interface.GNU_TIME:
            return _read_gnu_time(outcome, result)
        reported = report.get(_KEY[method.interface])
        if reported is None:
            return replace(outcome, problem=_NO_FIGURE.get(method.interface, "the kernel gave no figure"))
        return replace(outcome, reported_bytes=reported)


def _read_gnu_time(outcome: Outcome, result: Path) -> Outcome:
    try:
        text = result.read_text("utf-8", "replace")
    except OSError as error:
        return replace(outcome, problem=f"GNU time wrote no result ({error.strerror})")
    # When the command fails, a sentence about that comes before the figure; of a signal, time's own status only hints.
    signal = re.match(r"Command terminated by signal (\d+)\n", text)
    if signal:
        outcome = replace(outcome, exit_code=None, term_signal=int(signal.group(1)))
    figure = re.search(r"^(\d+)\n\Z", text, re.MULTILINE)
    if figure is None:
        return replace(outcome, problem="GNU time wrote no figure")
    return replace(outcome, reported_bytes=int(figure.group(1)) * 1024)


def _read_recording(outcome: Outcome, result: Path) -> Outcome:
    try:
        recording = hiwater.load(result)
    except HiwaterError as error:
        return replace(outcome, problem=f"hiwater could not measure it: {error}")
    peak = recording.peak_rss
    return replace(
        outcome,
        reported_bytes=peak.bytes,
        low_bytes=peak.low,
        high_bytes=peak.high,
        source=None if peak.method is None else str(peak.method),
        fell_back=recording.facts.mode != recording.facts.mode_wanted,
        exit_code=recording.exit_code,
        term_signal=recording.term_signal,
        problem=None if peak.bytes is not None else "hiwater has no figure for it",
    )
