"""The heap of a check's command: one more execution, with the sampler, for budgets of call sites and libraries."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from hiwater import execute
from hiwater.checks.model import Check
from hiwater.errors import HiwaterError
from hiwater.heap.coverage import check as check_coverage
from hiwater.heap.log import read_logs
from hiwater.heap.model import HeapProfile
from hiwater.heap.preflight import Coverage, Fitness, preflight
from hiwater.heap.profile import Remembering, profile
from hiwater.heap.session import Sampling
from hiwater.heap.symbols.resolver import Symbols


@dataclass(frozen=True, slots=True)
class HeapExecution:
    """What came of it."""

    profile: HeapProfile | None
    failure: str | None = None
    """Why there is no profile."""


def follow(check: Check, output: int) -> HeapExecution:
    """Executes the command with the sampler; ``output`` is where it prints."""
    environment = {**os.environ, **check.environment}
    # A path is looked up from where the command is executed.
    command = [os.path.join(check.directory, check.command[0]) if "/" in check.command[0] else check.command[0]]
    verdict = preflight([*command, *check.command[1:]], environment)
    if verdict.coverage is Coverage.NONE and verdict.kind is not Fitness.NOT_FOUND:
        return HeapExecution(None, verdict.message)
    try:
        with Sampling() as sampling:
            recording = execute.run(
                check.command,
                mode=check.mode,
                timeout=check.timeout_seconds,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=sampling.environment(environment),
                cwd=check.directory,
            )
            if recording.summary.exit_code != 0:
                return HeapExecution(None, "the command failed in the execution with the sampler")
            found = profile(recording, read_logs(sampling.folder), Remembering(Symbols()))
        if found is None:
            return HeapExecution(None, "the sampler was loaded into none of the programs that were executed")
        check_coverage(found, recording.summary.peak_split.anon_bytes, verdict.alternative)
    except (HiwaterError, OSError) as error:
        return HeapExecution(None, str(error))
    return HeapExecution(found)
