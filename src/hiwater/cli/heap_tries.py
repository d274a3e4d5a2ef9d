"""``hiwater heap --try-malloc``: the command once more, several times, under other settings of malloc."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hiwater.errors import HiwaterError
from hiwater.heap.malloc_settings import worthwhile
from hiwater.heap.tried import Peak, Trials, Tried, execute

if TYPE_CHECKING:
    from hiwater.heap.log import HeapLog
    from hiwater.recording.model import Recording

Run = Callable[[Mapping[str, str]], "Recording"]
"""Executes the command with variables that are set besides."""


def try_settings(
    sampled: Recording, logs: Sequence[HeapLog], run: Run, runs: int, told: Callable[[str], None]
) -> Trials:
    """Under all settings that can matter for what the sampler saw."""
    settings = worthwhile(logs, os.environ)
    why = None
    if sampled.summary.ended_by != "exit":
        why = "no other settings of malloc were tried: the command did not come to its end by itself"
    elif not settings:
        why = "no other settings of malloc were tried: it is not glibc's allocator that serves the command"
    if why is not None:
        return Trials(Tried(None, (), "as it is", ()), (), runs, why)
    return execute(settings, lambda besides: _once(sampled, run, besides), runs, told)


def _once(sampled: Recording, run: Run, besides: Mapping[str, str]) -> Peak | str:
    """What it needed, or how it failed: that is, ended in another way than with the sampler."""
    try:
        found = run(besides).summary
    except HiwaterError as error:
        return f"could not be measured: {error}"
    if found.ended_by != "exit":
        return {"oom": "was killed for want of memory", "timeout": "ran into its time-out"}.get(
            found.ended_by or "", f"was ended by signal {found.term_signal}"
        )
    if found.exit_code != sampled.summary.exit_code:
        return f"exited with {found.exit_code}"
    peak, user, system = found.peak_rss, found.user_seconds, found.system_seconds
    if peak.bytes is None or peak.low is None or peak.high is None:
        return "could not be measured"
    return Peak(peak.bytes, peak.low, peak.high, None if user is None or system is None else user + system)
