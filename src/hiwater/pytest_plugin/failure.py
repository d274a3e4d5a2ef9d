"""What a test says whose budget was broken: the budget, the reading, by how much, and what to type next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import pytest

from hiwater.analysis.budget import Judgement, Status
from hiwater.analysis.reading import Reading
from hiwater.inprocess.region import Block
from hiwater.pytest_plugin.limits import Limits
from hiwater.pytest_plugin.verdict import WORDS, Verdict
from hiwater.recording.model import Recording, Rss
from hiwater.units import format_size
from hiwater.views.names import command_line


def _line(label: str, text: str) -> str:
    return f"  {label:<10} {text}"


def figure(reading: Reading) -> str:
    """``81.3 MiB (80.6 - 82.0)``."""
    if reading.bytes is None:
        return "unknown"
    bounds = " \N{EN DASH} ".join(
        "?" if size is None else f"{size / (1 << 20):.1f}" for size in (reading.low, reading.high)
    )
    return f"{format_size(reading.bytes)} ({bounds})"


def over(size: int, limit: int) -> str:
    """``17.3 MiB (27 %) over the budget``; in bytes where MiB would show no difference."""
    by = size - limit
    amount = format_size(by) if by >= 1 << 17 else f"{by} bytes"
    share = f" ({100 * by / limit:.0f} %)" if limit > 0 and by * 200 >= limit else ""
    return f"{amount}{share} over the budget"


def split(rss: Rss) -> str:
    """``anon 60.1 · file 12.0 · shmem 0.0 MiB``, the largest first; empty where nothing is known."""
    parts = (("anon", rss.anon_bytes), ("file", rss.file_bytes), ("shmem", rss.shmem_bytes))
    known = sorted(((size, name) for name, size in parts if size is not None), reverse=True)
    return " · ".join(f"{name} {format_size(size)}" for size, name in known)


def explain(item: pytest.Item, limits: Limits, block: Block, broken: Sequence[Verdict]) -> str:
    """For a test."""
    lines = []
    for verdict in broken:
        words, limit = WORDS[verdict.figure], format_size(verdict.limit_bytes)
        size = verdict.reading.bytes
        if size is None:
            lines.append(f"hiwater: the {words} could not be measured, so its budget of {limit} is not kept")
            lines.append(_line("why", block.refused or "/proc/self/status shows no resident set"))
            continue
        lines.append(f"hiwater: {words} {figure(verdict.reading)} broke the budget of {limit}")
        lines.append(_line("by", over(size, verdict.limit_bytes)))
        if verdict.straddles:
            lines.append(_line("", "the truth may be on either side of the budget: it lies between the bounds"))
    if block.peak.bytes is not None:
        when = "the setup" if limits.include_setup else "the call"
        lines.append(_line("baseline", f"{format_size(block.baseline.bytes)} when {when} began"))
        lines.append(_line("peak", figure(block.peak)))
        lines.append(_line("growth", figure(block.growth)))
        lines.append(_line("left", f"{format_size(block.left.bytes)} at the end"))
        lines += [_line(f"at {when}", text) for when, text in _splits(block) if text]
        lines.append(_line("method", _method(block)))
        if limits.peak is not None and (block.baseline.bytes or 0) > limits.peak:
            lines.append(_line("hint", "the baseline alone is above the budget: earlier tests and imports are in it."))
            lines.append(_line("", "Budget what the test itself takes: hiwater(growth=...)"))
    lines.append(_line("next", f"pytest {shlex.quote(_address(item))} --hiwater    # alone: is it the same?"))
    return "\n".join(lines)


def _splits(block: Block) -> list[tuple[str, str]]:
    shown = [("entry", split(block.at_entry)), ("end", split(block.at_end))]
    largest = block.at_max
    if largest not in (block.at_entry, block.at_end):
        shown.insert(1, (f"{format_size(largest.rss_bytes)}", split(largest)))
    return shown


def _method(block: Block) -> str:
    if block.refused is None:
        return "the kernel's mark (VmHWM), reset when the block began"
    if block.peak.method is not None and block.peak.method.value == "rss_sampled":
        return f"RSS looked up every ms, spikes can be missed: {block.refused}"
    return f"the kernel's mark (VmHWM), which rose during the block ({block.refused})"


def _address(item: pytest.Item) -> str:
    """The node ID as it can be typed where pytest was called."""
    _, colons, rest = item.nodeid.partition("::")
    return os.path.relpath(item.path, item.config.invocation_params.dir) + colons + rest


def explain_command(recording: Recording, broken: Sequence[Judgement]) -> str:
    """For a command that a test measured."""
    summary = recording.summary
    lines = []
    for judgement in broken:
        words, limit = judgement.budget.figure.words, judgement.budget.limit_bytes
        if judgement.status is Status.UNDECIDABLE or judgement.reading.bytes is None:
            lines.append(f"hiwater: {judgement.reason}; no number is no pass (budget {format_size(limit)})")
            continue
        lines.append(f"hiwater: {words} {figure(judgement.reading)} broke the budget of {format_size(limit)}")
        lines.append(_line("by", over(judgement.reading.bytes, limit)))
        if judgement.straddles:
            lines.append(_line("", "the truth may be on either side of the budget: it lies between the bounds"))
    lines.append(_line("command", command_line(recording.command)))
    if summary.peak_process is not None:
        lines.append(_line("process", f"{command_line(summary.peak_process.command)} (pid {summary.peak_process.pid})"))
    if split(summary.peak_split):
        lines.append(_line("at peak", split(summary.peak_split)))
    if summary.tree.reading.bytes is not None:
        lines.append(_line("tree", f"{figure(summary.tree.reading)}, {summary.tree.processes or 1} at once"))
    lines += [_line("warning", warning.message) for warning in summary.warnings]
    lines.append(_line("next", f"hiwater run --trace -- {command_line(recording.command)}"))
    return "\n".join(lines)
