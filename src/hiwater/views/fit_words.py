"""The sentences about limits that several views have in common."""

from __future__ import annotations

from hiwater.fit.model import TOO_SLOW, FitReport, Found, Point, Stop, Trial
from hiwater.units import MIB, format_seconds, format_size

_SHARP = 1.5
"""An edge is sharp if half of the executions succeed this close to the answer, in units of the precision."""

_NEAR = 0.9
"""Of the peak: parts that were seen when there was less are not those of the peak."""


def mib(size: float) -> str:
    """``196.25 MiB``: as many decimals as the precision is worth."""
    return f"{size / MIB:.1f} MiB" if size >= 100 * MIB else f"{size / MIB:.2f} MiB"


def percent(share: float) -> str:
    """``95 %``."""
    return f"{100 * share:.3g} %"


def unlimited(report: FitReport) -> str:
    """What it needs where nothing is in its way."""
    trials = [trial for trial in report.unlimited if trial.success]
    if not trials:
        return "without a limit it was never executed to its end"
    largest = max(trials, key=lambda trial: trial.peak_bytes or 0)
    count = len(trials)
    text = f"without a limit: {format_seconds(report.unlimited_seconds)} (median of {count})"
    if largest.peak_bytes is not None:
        text += f", {format_size(largest.peak_bytes)} in its cgroup{_parts(largest)}"
    return text


def _parts(trial: Trial) -> str:
    named = (
        ("anonymous", trial.anon_bytes),
        ("page cache", trial.file_bytes),
        ("tmpfs", trial.shmem_bytes),
        ("kernel", trial.kernel_bytes),
    )
    known = [(name, size) for name, size in named if size is not None]
    if sum(size for _, size in known) < _NEAR * (trial.peak_bytes or 0):
        return ""
    return ": " + ", ".join(f"{name} {size / MIB:.1f}" for name, size in known) if known else ""


def smallest(report: FitReport) -> str | None:
    """Where it still succeeds."""
    found = report.smallest
    if found is None:
        return None
    return f"smallest limit: {_answer(found, report)}"


def comfortable(report: FitReport) -> str | None:
    """Where it is fast enough."""
    found = report.comfortable
    if found is None:
        return None
    factor = f"{report.settings.max_slowdown:g} times"
    return f"comfortable limit, under which it takes at most {factor} as long: {_answer(found, report)}"


def _answer(found: Found, report: FitReport) -> str:
    text = mib(found.limit.value)
    if found.limit.low < found.limit.high:
        text += f", between {mib(found.limit.low)} and {mib(found.limit.high)}"
    if found.tried:
        text += f"; it went well in {found.successes} of {found.tried} executions there"
    if not found.precise and found.limit.low < found.limit.high:
        text += f"; not within {percent(report.settings.precision)}"
    return text


def edge(report: FitReport) -> str | None:
    """Whether there is an edge at all, or a slope."""
    found = report.smallest
    if found is None or found.limit.low >= found.limit.high:
        return None
    share = percent(report.settings.probability)
    if found.limit.value / found.half.value <= 1 + _SHARP * report.settings.precision:
        return None
    return (
        f"the edge is not sharp: half of the executions succeed at {mib(found.half.value)} "
        f"({mib(found.half.low)} to {mib(found.half.high)}), {share} of them at {mib(found.limit.value)}"
    )


def notes(report: FitReport) -> list[str]:
    """What a reader has to know."""
    found = list(report.notes)
    if report.stop is Stop.EXHAUSTED:
        found.append(
            f"these are the {report.settings.at_most} executions that were allowed: --executions allows more, "
            "--precision asks for less"
        )
    if report.stop is Stop.INTERRUPTED:
        found.append("interrupted: these are the executions until then")
    slow = sum(trial.how == TOO_SLOW for trial in report.trials)
    if slow:
        found.append(f"{slow} executions were ended because they took too long, and count as failed: see --timeout")
    if report.settings.swap_bytes != 0:
        found.append("with swap beside the limit, the smallest one is not what it needs")
    return found


def ending(point: Point) -> str:
    """How those ended that did not succeed: ``out of memory``, ``exit 1 (2), too slow``."""
    found = point.failures
    if not found:
        return ""
    return ", ".join(how if len(found) == 1 else f"{how} ({count})" for how, count in sorted(found.items()))


def sentences(report: FitReport) -> list[str]:
    """All of them."""
    told = [unlimited(report), smallest(report), edge(report), comfortable(report)]
    return [sentence for sentence in told if sentence is not None]
