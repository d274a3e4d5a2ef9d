"""Verdicts on budgets, as lines under the summary of an execution."""

from __future__ import annotations

from collections.abc import Iterable

from hiwater.analysis.budget import Judgement, Status
from hiwater.views.style import Style


def render(judgements: Iterable[Judgement], *, color: bool = False, failures_only: bool = False) -> str:
    """A line for each; with ``failures_only`` none for those that were kept."""
    style = Style(color)
    lines = []
    for judgement in judgements:
        if judgement.status is Status.OK:
            if not failures_only:
                lines.append(f"  budget    kept: {judgement.reason}")
        elif judgement.status is Status.VIOLATED:
            lines.append(style.alarm(f"hiwater: over budget: {judgement.reason}"))
        else:
            lines.append(style.alarm(f"hiwater: budget not judged: {judgement.reason}"))
    return "".join(line + "\n" for line in lines)
