"""Executes what an engine has prepared, without the monitor, and ends it where the engine takes no hold of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from hiwater.heap.engines.model import DEFAULTS, Engine, EngineError, Prepared, Wanted
from hiwater.heap.model import HeapProfile

_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 5.0


def execute(prepared: Prepared, env: Mapping[str, str], **streams: int | IO[Any] | None) -> int:
    """The command's status, as of ``subprocess``. Raises EngineError where the engine took no hold in time."""
    with subprocess.Popen(prepared.command, env={**env, **prepared.env}, **streams) as process:  # type: ignore[call-overload] # mypy: **streams
        try:
            _watch(process, prepared)
        except BaseException:
            _end(process)
            raise
        return int(process.returncode)


def _watch(process: subprocess.Popen[bytes], prepared: Prepared) -> None:
    if prepared.startup_seconds is not None:
        last = time.monotonic() + prepared.startup_seconds
        while not prepared.begun():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                return
            if time.monotonic() >= last:
                raise EngineError(
                    f"after {prepared.startup_seconds:.0f} s the engine had taken no hold of the command, which was "
                    f"ended. Try hiwater faults -- COMMAND"
                )
    process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def profile(
    engine: Engine,
    command: tuple[str, ...],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    wanted: Wanted = DEFAULTS,
    **streams: int | IO[Any] | None,
) -> tuple[HeapProfile, int]:
    """All of it: the profile and the command's status. Raises EngineError where the engine is missing or unfit."""
    environment = dict(os.environ if env is None else env)
    problem = engine.missing() or engine.unfit(command, environment)
    if problem:
        raise EngineError(problem)
    prepared = engine.prepare(command, folder, env=environment, wanted=wanted)
    try:
        status = execute(prepared, environment, **streams)
        return engine.collect(folder, killed=status < 0), status
    finally:
        engine.abandon()
