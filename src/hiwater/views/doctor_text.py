"""What ``hiwater doctor`` found, for people."""

from __future__ import annotations

from textwrap import wrap

from hiwater.doctor.model import Check, Diagnosis, SelfTest, State
from hiwater.units import format_size
from hiwater.views.paint import Paint

_NAME = 11
_PROGRAM = 27
_GOOD = {State.OK: True, State.LIMITED: None, State.MISSING: None, State.BROKEN: False}


def render(diagnosis: Diagnosis, width: int, paint: Paint) -> str:
    """The whole text, with a newline at its end."""
    memory = format_size(diagnosis.memory_bytes)
    cpus = "1 CPU" if diagnosis.cpus == 1 else f"{diagnosis.cpus} CPUs"
    lines = [paint("bold", f"Linux {diagnosis.kernel or 'of unknown version'}, {cpus}, {memory}"), ""]
    for check in diagnosis.checks:
        lines += _check(check, width, paint)
    lines += ["", paint("bold", "What hiwater does here")]
    for sentence in diagnosis.uses:
        lines += wrap(sentence, width, initial_indent="  ", subsequent_indent="  ")
    lines += ["", paint("bold", "Self-test: programs that know their size")]
    lines += [paint("dim", f"  {'program':{_PROGRAM}}  mode   {'true size':>9}  {'off by':>9}  stated bounds")]
    for test in diagnosis.self_tests:
        lines += _self_test(test, width, paint)
    lines += ["", *wrap(_verdict(diagnosis), width)]
    return "\n".join(lines) + "\n"


def _check(check: Check, width: int, paint: Paint) -> list[str]:
    word = "" if check.state is State.OK else f"{check.state.value}: "
    indent = " " * (_NAME + 4)
    # The state is only part of the text for wrapping: it is painted afterwards.
    body = wrap(word + check.detail, max(20, width - len(indent)), break_long_words=False) or [""]
    style = {State.OK: "green", State.BROKEN: "red"}.get(check.state, "yellow")
    body[0] = paint(style, word) + body[0][len(word) :]
    lines = [f"{paint.mark(_GOOD[check.state])} {check.name:{_NAME}}  {body[0]}", *(indent + line for line in body[1:])]
    if check.remedy:
        # Never wrapped: it is there to be copied.
        lines.append(f"{indent}{paint('dim', 'mend:')} {check.remedy}")
    return lines


def _self_test(test: SelfTest, width: int, paint: Paint) -> list[str]:
    mark = paint.mark(test.passed)
    true = format_size(test.true_bytes) if test.true_bytes is not None else "unknown"
    start = f"{mark} {test.program:{_PROGRAM}}  {test.mode:5}  {true:>9}"
    if test.error_bytes is None:
        return [start, *wrap(test.problem or "no figure", width, initial_indent="    ", subsequent_indent="    ")]
    off_by = f"{round(test.error_bytes / 1024):+d} KiB" if test.error_bytes else "0 KiB"
    return [f"{start}  {off_by:>9}  {format_size(test.low_bytes)} to {format_size(test.high_bytes)}"]


def _verdict(diagnosis: Diagnosis) -> str:
    broken = [check.name for check in diagnosis.checks if check.state is State.BROKEN]
    failed = sum(not test.passed for test in diagnosis.self_tests)
    if diagnosis.healthy:
        worst = max((abs(test.error_bytes or 0) for test in diagnosis.self_tests), default=0)
        count = len(diagnosis.self_tests)
        return f"All {count} truths lie within the stated bounds; the largest error is {worst / 1024:.0f} KiB."
    parts = [f"broken: {', '.join(broken)}"] if broken else []
    parts += [f"{failed} of {len(diagnosis.self_tests)} self-tests are outside their bounds"] if failed else []
    return f"Not well: {'; '.join(parts)}."
