"""``hiwater heap --engine NAME``: the command under the profiler of somebody else."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hiwater.cli.heap_engines import replace
from hiwater.cli.measurement import say
from hiwater.errors import MisuseError, OutputError

if TYPE_CHECKING:
    from hiwater.heap import engines
    from hiwater.heap.log import HeapLog
    from hiwater.heap.model import HeapProfile
    from hiwater.recording.model import Recording

_LARGE = ("massif", "dhat")
"""Engines that take more memory than the command: only an execution without them tells how much that needed."""


class Other:
    """An engine of :mod:`hiwater.heap.engines`."""

    def __init__(self, args: argparse.Namespace, command: list[str]) -> None:
        from hiwater.heap import engines

        self.name: str = args.engine
        self.logs: Sequence[HeapLog] = ()
        self.engine: engines.Engine = engines.engine(args.engine)
        problem = self.engine.missing() or self.engine.unfit(command, os.environ)
        if problem:
            raise MisuseError(problem)
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="hiwater-heap-"))
        except OSError as error:
            raise OutputError(error.errno, f"no folder for the profile can be made: {error.strerror}") from None
        self.timer: threading.Timer | None = None
        wanted = engines.Wanted(
            every_bytes=args.every, sample_bytes=args.sample, python_allocators=args.python_allocators
        )
        try:
            self.prepared = self.engine.prepare(command, self.folder, env=os.environ, wanted=wanted)
        except BaseException:
            self.close()
            raise
        self.command: Sequence[str] = self.prepared.command
        self.environment = dict(self.prepared.env)
        for note in self.prepared.notes:
            say(f"hiwater: {note}\n")

    def started(self) -> None:
        seconds = self.prepared.startup_seconds
        if seconds is not None:
            self.timer = threading.Timer(seconds, self._look)
            self.timer.daemon = True
            self.timer.start()

    def _look(self) -> None:
        if not self.prepared.begun():
            say(f"hiwater: {self.name} has not taken hold of the command, and will not: the command is ended\n")
            os.kill(os.getpid(), 15)  # as from anybody: the monitor passes it on

    def finish(self, fd: int, sampled: Recording, plain: Recording | None) -> HeapProfile:
        from hiwater.heap.coverage import check
        from hiwater.recording.heap import append_heap

        found = self.engine.collect(self.folder, killed=sampled.summary.ended_by != "exit")
        if plain is not None:
            replace(fd, plain.data)
        append_heap(fd, (), {}, profile=found, execution=sampled if plain is not None else None)
        measured = plain or (None if self.name in _LARGE else sampled)
        check(found, None if measured is None else measured.summary.peak_split.anon_bytes)
        return found

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.engine.abandon()
        shutil.rmtree(self.folder, ignore_errors=True)
