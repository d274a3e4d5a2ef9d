"""How far each figure is off, and the mechanism that put it there."""

from __future__ import annotations

from collections.abc import Sequence

from hiwater.methods.model import Comparison, Interface, Launcher, Method, Outcome, Row, Start, Truth, Verdict
from hiwater.units import format_size


def compare(
    command: Sequence[str], ballast_bytes: int, outcomes: Sequence[tuple[Method, Outcome]], hidden_bytes: int | None
) -> Comparison:
    """The table of what the methods gave, judged by hiwater's readings among them.

    ``hidden_bytes``: how much the kernel's counters can hide of a peak on this machine, None if that is unknown.
    """
    truth = _truth(outcomes, hidden_bytes or 0)
    rows = []
    for method, outcome in outcomes:
        verdict = _verdict(outcome.reported_bytes, truth)
        off_by = None
        if truth is not None and outcome.reported_bytes is not None:
            off_by = outcome.reported_bytes - truth.bytes
        rows.append(Row(method, outcome, verdict, off_by, _why(method, outcome, verdict)))
    return Comparison(tuple(command), ballast_bytes, truth, tuple(rows))


def _truth(outcomes: Sequence[tuple[Method, Outcome]], hidden_bytes: int) -> Truth | None:
    readings = [(m.interface, o) for m, o in outcomes if m.interface.is_hiwater]
    estimates = [outcome.reported_bytes for _, outcome in readings if outcome.reported_bytes is not None]
    if not estimates:
        return None
    interface, best = min(readings, key=lambda reading: _width(reading[1]))
    assert best.reported_bytes is not None
    highs = [outcome.high_bytes for _, outcome in readings if outcome.reported_bytes is not None]
    known = [high for high in highs if high is not None]
    low = best.low_bytes or 0
    return Truth(
        bytes=best.reported_bytes,
        low_bytes=low,
        high_bytes=best.high_bytes,
        interface=interface,
        right_from_bytes=max(0, min(low, *estimates) - hidden_bytes),
        right_to_bytes=max(known) if len(known) == len(highs) else None,
    )


def _width(outcome: Outcome) -> float:
    """How far apart the bounds are; what has none comes last."""
    if outcome.reported_bytes is None or outcome.high_bytes is None:
        return float("inf") if outcome.reported_bytes is None else 1e300
    return outcome.high_bytes - (outcome.low_bytes or 0)


def _verdict(reported: int | None, truth: Truth | None) -> Verdict:
    if reported is None or truth is None:
        return Verdict.UNKNOWN
    if reported < truth.right_from_bytes:
        return Verdict.LOW
    if truth.right_to_bytes is not None and reported > truth.right_to_bytes:
        return Verdict.HIGH
    return Verdict.WITHIN


def _why(method: Method, outcome: Outcome, verdict: Verdict) -> str:
    if outcome.reported_bytes is None:
        return outcome.problem or "it gave no figure"
    if method.interface.is_hiwater:
        return _why_hiwater(method, outcome)
    explain = {
        Interface.WAIT4: _why_wait4,
        Interface.WAIT4_WRAPPED: _why_wrapped,
        Interface.FIRST_LINE: _why_first_line,
        Interface.CHILDREN: _why_children,
        Interface.GNU_TIME: _why_gnu_time,
        Interface.POLLED: _why_polled,
        Interface.EXIT_STOP: _why_exit_stop,
    }[method.interface]
    return explain(method, outcome, verdict)


_OUTGROWN = "the command grew larger than what it inherited, so that does not show"
_CHILDREN_TOO = "wait4 and hiwater also see the children it waited for, and the programs it was before an exec"


def _why_wait4(method: Method, outcome: Outcome, verdict: Verdict) -> str:
    """From fork a command inherits what the launcher holds now, from vfork the most that it ever held."""
    held, peak = format_size(outcome.launcher_rss_bytes), format_size(outcome.launcher_hwm_bytes)
    if verdict is Verdict.LOW:
        return "the kernel keeps parts of its counters back on each CPU, and ru_maxrss is taken from the rest"
    if method.launcher is Launcher.SMALL:
        return f"fork copies what the launcher holds, and this one holds {held}"
    if method.start is Start.FORK:
        if verdict is Verdict.HIGH:
            return f"fork copied the launcher's {held}; execve then counts that copy as the command's own"
        if method.launcher is Launcher.FREED:
            return f"fork copies what the launcher holds at that instant, and it has {held} left"
        return _OUTGROWN
    if verdict is not Verdict.HIGH:
        return _OUTGROWN
    if method.start is Start.SPAWN:
        return "made of clone(CLONE_VM): the same as vfork"
    if method.launcher is Launcher.FREED:
        return f"the lent memory's mark never falls: {peak} once held are counted after they are freed"
    return f"until execve the child lives in the launcher's memory; execve counts that memory's peak, {peak}"


def _why_wrapped(_method: Method, _outcome: Outcome, verdict: Verdict) -> str:
    if verdict is Verdict.HIGH:
        return "env execs in place: same process, same ru_maxrss. Only a wrapper that forks would clean it"
    return _OUTGROWN


def _why_first_line(_method: Method, _outcome: Outcome, verdict: Verdict) -> str:
    """The only figure that is not about the command: a program's own, before it has done anything."""
    if verdict is Verdict.HIGH:
        return "what a program is told of itself before it has done anything: all of it is inherited"
    return "what a program is told of itself before it has done anything: inherited, too, and not its need"


def _why_children(_method: Method, _outcome: Outcome, verdict: Verdict) -> str:
    if verdict is Verdict.HIGH:
        return "the largest of all children ever waited for: this is the one before"
    return "the largest of all children ever waited for: the command was larger than the one before"


def _why_gnu_time(_method: Method, _outcome: Outcome, verdict: Verdict) -> str:
    if verdict is Verdict.HIGH:
        return "time is itself small and forks again, but its own floor is larger than the command"
    return "time is itself small and forks again, so that there is little to inherit"


def _why_polled(_method: Method, outcome: Outcome, verdict: Verdict) -> str:
    if verdict is not Verdict.LOW:
        return f"looked {_times(outcome.looks)}, and this time the peak lasted long enough to be seen"
    if outcome.looks == 1:
        return "looked once, right after the start: the peak came later, or in a child, where it does not look"
    return f"looked {_times(outcome.looks)}: the peak came between, or in a child, where it does not look"


def _times(looks: int | None) -> str:
    return "once" if looks == 1 else f"{looks} times"


def _why_exit_stop(_method: Method, _outcome: Outcome, verdict: Verdict) -> str:
    if verdict is Verdict.LOW:
        return f"the mark of the last program in the command's own process; {_CHILDREN_TOO}"
    return "the mark belongs to the program image alone, and is read just before the kernel drops it"


def _why_hiwater(method: Method, outcome: Outcome) -> str:
    bounds = f"between {format_size(outcome.low_bytes)} and {format_size(outcome.high_bytes)}"
    if outcome.high_bytes is None:
        bounds = f"at least {format_size(outcome.low_bytes)}"
    if method.interface is Interface.HIWATER_QUIET:
        how = "forks from a tiny process, and samples"
    elif outcome.fell_back:
        how = "could not trace, see hiwater doctor; as without --trace"
    else:
        how = "sees every program image start and end"
    return f"{how}: {bounds} ({outcome.source})"
