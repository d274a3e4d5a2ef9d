"""The order in which a benchmark executes: the commands in turn, so that what changes with time changes for all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from hiwater.bench.executor import Executor
from hiwater.bench.model import Benchmark, Command, Execution, Metric, Result, Stop
from hiwater.errors import (
    CommandNotExecutableError,
    CommandNotFoundError,
    HiwaterError,
    MonitorError,
    PreparationError,
)


class OnFailure(str, Enum):
    """What a command that fails means."""

    STOP = "stop"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    done: int
    total: int
    command: Command
    """What is executed next."""
    benchmark: Benchmark


Observer = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Runner:
    """How often, by whom, and who hears of it."""

    executor: Executor
    runs: int
    warmup: int = 0
    on_failure: OnFailure = OnFailure.STOP
    before_each: Observer = lambda progress: None
    """Called before each execution, warm-ups too."""
    after_each: Callable[[Benchmark], None] = lambda benchmark: None
    """Called after each execution that counts."""

    def execute(self, commands: Sequence[Command], metric: Metric, confidence: float) -> Benchmark:
        """All of it; an interruption or a failure ends it, and what was measured until then is in the result."""
        state = Benchmark(tuple(Result(command) for command in commands), metric, self.runs, confidence)
        holder = [state]
        try:
            with self._set_up(commands):
                self._rounds(holder, commands)
        except KeyboardInterrupt:
            return replace(holder[0], stop=Stop.INTERRUPTED)
        except (CommandNotFoundError, CommandNotExecutableError) as error:
            return replace(holder[0], stop=Stop.FAILED, message=f"{error.filename}: {error.strerror}")
        except (PreparationError, MonitorError) as error:
            return replace(holder[0], stop=Stop.FAILED, message=str(error))
        return holder[0] if holder[0].stop else replace(holder[0], stop=Stop.DONE)

    def _rounds(self, holder: list[Benchmark], commands: Sequence[Command]) -> None:
        total = (self.warmup + self.runs) * len(commands)
        for done, place in enumerate(in_turn(len(commands), self.warmup + self.runs)):
            command, counts = commands[place], done >= self.warmup * len(commands)
            self.before_each(Progress(done, total, command, holder[0]))
            if command.prepare is not None:
                self.executor.step("prepare", command.prepare)
            execution = self.executor.measure(command)
            if counts:
                holder[0] = _with(holder[0], place, execution)
            if execution.failed and self.on_failure is OnFailure.STOP:
                holder[0] = replace(holder[0], stop=Stop.FAILED, message=_failure(command, execution))
            if counts:
                self.after_each(holder[0])
            if holder[0].stop is not None:
                return

    @contextlib.contextmanager
    def _set_up(self, commands: Sequence[Command]) -> Iterator[None]:
        """What was set up is cleaned up, whatever happens in between."""
        begun: list[Command] = []
        try:
            for command in commands:
                begun.append(command)
                if command.setup is not None:
                    self.executor.step("setup", command.setup)
            yield
        except BaseException:
            with contextlib.suppress(HiwaterError):  # the first failure is the one to tell
                self._clean_up(begun)
            raise
        self._clean_up(begun)

    def _clean_up(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if command.cleanup is not None:
                self.executor.step("cleanup", command.cleanup)


def in_turn(commands: int, rounds: int) -> Iterator[int]:
    """Each command once a round. Every round begins with another one and every other one goes backwards, so that none
    is always executed first, or always after the same one."""
    for number in range(rounds):
        for place in range(commands):
            yield (number + place) % commands if number % 2 == 0 else (number - place) % commands


def _with(benchmark: Benchmark, place: int, execution: Execution) -> Benchmark:
    results = list(benchmark.results)
    results[place] = replace(results[place], executions=(*results[place].executions, execution))
    return replace(benchmark, results=tuple(results))


def _failure(command: Command, execution: Execution) -> str:
    return (
        f"{command.name} ended with {execution.ending}; -i ignores that, --show-output shows what it says"
        f"{'' if execution.ended_by != 'oom' else '; the kernel killed it for want of memory'}"
    )
