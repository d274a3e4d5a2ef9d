"""The order of a benchmark, with an executor that only notes what it is asked for."""

from collections.abc import Sequence

import pytest

from hiwater.bench.model import Benchmark, Command, Execution, Metric, Stop
from hiwater.bench.runner import OnFailure, Runner, in_turn
from hiwater.errors import CommandNotFoundError, PreparationError


class Fake:
    """Says and does what the script of a command holds; 1 MiB by default."""

    def __init__(self, **scripts: Sequence[object]) -> None:
        self.log: list[str] = []
        self.scripts = {name: list(script) for name, script in scripts.items()}

    def measure(self, command: Command) -> Execution:
        self.log.append(command.name)
        script = self.scripts.get(command.name)
        found = script.pop(0) if script else 1 << 20
        if isinstance(found, BaseException):
            raise found
        if isinstance(found, Execution):
            return found
        assert isinstance(found, int)
        return Execution(found, found, 0.1, 0.1, 0.0, 0)

    def step(self, what: str, line: str) -> None:
        self.log.append(f"{what} {line}")
        if line == "bad":
            raise PreparationError("bad failed")


def run(
    fake: Fake,
    *names: str,
    runs: int = 2,
    warmup: int = 0,
    on_failure: OnFailure = OnFailure.STOP,
    **steps: str,
) -> Benchmark:
    commands = [Command(name, (name,), **steps) for name in names]  # type: ignore[arg-type]
    return Runner(fake, runs, warmup, on_failure).execute(commands, Metric.PEAK_RSS, 0.95)


def counts(benchmark: Benchmark) -> list[int]:
    return [len(result.executions) for result in benchmark.results]


def test_commands_are_executed_in_turn() -> None:
    """Each once a round, beginning with another one each time and going backwards every other time."""
    assert list(in_turn(3, 4)) == [0, 1, 2, 1, 0, 2, 2, 0, 1, 0, 2, 1]
    fake = Fake()
    benchmark = run(fake, "a", "b")
    assert fake.log == ["a", "b", "b", "a"]
    assert (counts(benchmark), benchmark.stop) == ([2, 2], Stop.DONE)


def test_warmups_are_executed_and_do_not_count() -> None:
    """They come first, in turn as well."""
    fake = Fake(a=[5, 7, 9])
    benchmark = run(fake, "a", warmup=1)
    assert [execution.peak_rss_bytes for execution in benchmark.results[0].executions] == [7, 9]


def test_steps_come_in_their_places() -> None:
    """Set-ups before all, a preparation before each, cleaning after all."""
    fake = Fake()
    run(fake, "a", "b", runs=1, setup="s", prepare="p", cleanup="c")
    assert fake.log == ["setup s", "setup s", "prepare p", "a", "prepare p", "b", "cleanup c", "cleanup c"]


def test_interruption_keeps_what_was_measured() -> None:
    """Ctrl-C in the third execution: two are kept, and what was set up is cleaned up."""
    fake = Fake(a=[1 << 20, KeyboardInterrupt()])
    benchmark = run(fake, "a", "b", runs=5, cleanup="c")
    assert (counts(benchmark), benchmark.stop) == ([1, 2], Stop.INTERRUPTED)
    assert fake.log == ["a", "b", "b", "a", "cleanup c", "cleanup c"]


def test_a_failure_ends_it_unless_ignored() -> None:
    """A command that fails ends the benchmark with its figures kept; -i goes on."""
    bad = Execution(1, 1, 0.1, 0.1, 0.0, 3)
    benchmark = run(Fake(a=[bad]), "a", "b")
    assert (counts(benchmark), benchmark.stop) == ([1, 0], Stop.FAILED)
    assert benchmark.message == "a ended with exit status 3; -i ignores that, --show-output shows what it says"
    benchmark = run(Fake(a=[bad]), "a", "b", on_failure=OnFailure.IGNORE)
    assert (counts(benchmark), benchmark.stop) == ([2, 2], Stop.DONE)
    killed = Execution(1, 1, 0.1, 0.1, 0.0, None, 9, "oom")
    assert "signal 9" in str(run(Fake(a=[killed]), "a").message)


@pytest.mark.parametrize("step", ["setup", "prepare", "cleanup"])
def test_a_failing_step_ends_it(step: str) -> None:
    """So does a step that fails, and what was set up is cleaned up all the same."""
    fake = Fake()
    command = Command("a", ("a",), **({"setup": "s", "cleanup": "c"} | {step: "bad"}))  # type: ignore[arg-type]
    benchmark = Runner(fake, runs=1).execute([command], Metric.PEAK_RSS, 0.95)
    assert (benchmark.stop, benchmark.message) == (Stop.FAILED, "bad failed")
    assert fake.log[-1].startswith("cleanup")


def test_a_command_that_is_not_there_ends_it() -> None:
    """The others' figures are kept."""
    benchmark = run(Fake(b=[CommandNotFoundError(2, "command not found", "b")]), "a", "b")
    assert (counts(benchmark), benchmark.message) == ([1, 0], "b: command not found")


def test_observers_hear_of_every_execution() -> None:
    """Before each with the number done, after each that counts with everything so far."""
    before: list[tuple[int, int, str]] = []
    after: list[list[int]] = []
    runner = Runner(
        Fake(),
        runs=1,
        warmup=1,
        before_each=lambda progress: before.append((progress.done, progress.total, progress.command.name)),
        after_each=lambda benchmark: after.append(counts(benchmark)),
    )
    runner.execute([Command("a", ("a",)), Command("b", ("b",))], Metric.PEAK_RSS, 0.95)
    assert before == [(0, 4, "a"), (1, 4, "b"), (2, 4, "b"), (3, 4, "a")]
    assert after == [[0, 1], [1, 1]]
