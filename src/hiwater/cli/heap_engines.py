"""What follows the heap in ``hiwater heap``: the sampler of hiwater's own, or the profiler of somebody else."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hiwater.cli.heap_options import symbols
from hiwater.cli.measurement import say
from hiwater.errors import MisuseError, OutputError

if TYPE_CHECKING:
    from hiwater.heap.log import HeapLog
    from hiwater.heap.model import HeapProfile
    from hiwater.recording.model import Recording


class Follower(Protocol):
    """From before the start until there is a profile."""

    name: str
    """As a sentence calls it."""
    command: Sequence[str]
    """What is executed."""
    environment: dict[str, str]
    """What the command finds besides."""
    logs: Sequence[HeapLog]
    """Of the sampler, once there is a profile; of other engines there are none."""

    def started(self) -> None:
        """The command runs."""

    def finish(self, fd: int, sampled: Recording, plain: Recording | None) -> HeapProfile:
        """The profile; what a recording keeps of it is put into the file ``fd``, which holds ``sampled``. Raises
        HiwaterError where the profile explains nothing."""

    def close(self) -> None:
        """Nothing is left behind."""


def follower(args: argparse.Namespace, command: list[str]) -> Follower:
    """The one that was asked for. What it cannot follow is told before anything is executed."""
    if args.engine == "hiwater":
        return Sampler(args, command)
    from hiwater.cli.heap_others import Other

    return Other(args, command)


class Sampler:
    name = "the sampler"

    def __init__(self, args: argparse.Namespace, command: list[str]) -> None:
        from hiwater.heap.preflight import Coverage, Fitness, preflight
        from hiwater.heap.session import Sampling

        self.args = args
        self.command: Sequence[str] = command
        self.logs: Sequence[HeapLog] = ()
        verdict = preflight(command, os.environ)
        self.alternative = verdict.alternative
        if verdict.coverage is Coverage.NONE and verdict.kind is not Fitness.NOT_FOUND:  # the monitor tells that one
            instead = f" Try {verdict.alternative}" if verdict.alternative else ""
            raise MisuseError(f"{verdict.message}{instead}")
        if verdict.coverage is not Coverage.FULL and verdict.kind is not Fitness.NOT_FOUND:
            say(f"hiwater: {verdict.message}\n")
        self.sampling = Sampling(mean_bytes=args.sample, trim=args.try_malloc)
        wanted = self.sampling.environment(os.environ)
        self.environment = {name: value for name, value in wanted.items() if os.environ.get(name) != value}

    def started(self) -> None:
        pass

    def finish(self, fd: int, sampled: Recording, plain: Recording | None) -> HeapProfile:
        from hiwater.heap.coverage import CoverageError, check
        from hiwater.heap.log import read_logs
        from hiwater.heap.profile import Remembering, profile, profiles
        from hiwater.heap.symbols.telling import sentences
        from hiwater.recording.heap import append_heap

        logs = read_logs(self.sampling.folder)
        self.logs = logs
        if not logs:
            raise CoverageError(
                "the sampler was loaded into none of the programs that were executed: they are static, use another C "
                "library, or change who they are. Try hiwater faults -- COMMAND"
            )
        names = symbols(self.args)
        resolver = Remembering(names)
        options = growth_options(self.args)
        found = profile(sampled, logs, resolver, **options)
        if found is None:
            raise CoverageError("the sampler wrote nothing that could be read. Try hiwater faults -- COMMAND")
        found = dataclasses.replace(found, notes=(*found.notes, *sentences(names.warnings, found)))
        if len(logs) > 1:
            options.pop("at_seconds")  # of the one that is shown
            profiles(sampled, logs, resolver, **options)  # so that the names of all are in the recording
        if plain is not None:
            replace(fd, plain.data)
        append_heap(fd, logs, resolver.symbols, execution=sampled if plain is not None else None)
        check(found, sampled.summary.peak_split.anon_bytes, self.alternative)
        return found

    def close(self) -> None:
        self.sampling.close()


def growth_options(args: argparse.Namespace) -> dict[str, Any]:
    """--every, --growth and --at, as what makes profiles takes them."""
    from hiwater.heap.moments import GrowthOf

    return {
        "every_bytes": args.every,
        "at_seconds": args.at if isinstance(args.at, float) else None,
        "growth_of": GrowthOf.IN_USE if args.growth == "in-use" else GrowthOf.ALLOCATED,
    }


def replace(fd: int, data: bytes) -> None:
    try:
        os.ftruncate(fd, 0)
        at = 0
        while at < len(data):
            at += os.pwrite(fd, data[at:], at)
    except OSError as error:
        raise OutputError(error.errno, f"cannot write the recording: {error.strerror}") from None
