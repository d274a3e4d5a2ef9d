"""All there is to show of a measurement along a parameter. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hiwater.analysis.scaling import Point, Prediction, Reach, Scaling, predict, reach, scaling
from hiwater.bench.model import Benchmark


@dataclass(frozen=True, slots=True)
class ScaleReport:
    """The measurements, the law, and the answers to what was asked."""

    parameter: str
    command: tuple[str, ...]
    """As it was given, with the parameter in braces."""
    benchmark: Benchmark
    scaling: Scaling
    predictions: tuple[Prediction, ...]
    reach: Reach | None
    """``None``: no limit was given."""
    unmeasured: int
    """Executions without a figure."""

    @property
    def answered(self) -> bool:
        """Whether there is a number for everything that was asked."""
        told = all(prediction.refusal is None for prediction in self.predictions)
        return told and (self.reach is None or self.reach.answered) and self.unmeasured == 0


def scale_report(
    parameter: str,
    command: Sequence[str],
    benchmark: Benchmark,
    *,
    at: Sequence[float] = (),
    limit: int | None = None,
) -> ScaleReport:
    """From the executions to the answers."""
    points, unmeasured = [], 0
    for result in benchmark.results:
        figures = [execution.memory(benchmark.metric) for execution in result.executions]
        memory = tuple(float(figure) for figure in figures if figure)
        unmeasured += len(figures) - len(memory)
        if memory:
            points.append(Point(float(result.command.parameters[parameter]), memory))
    found = scaling(points, confidence=benchmark.confidence)
    return ScaleReport(
        parameter=parameter,
        command=tuple(command),
        benchmark=benchmark,
        scaling=found,
        predictions=tuple(predict(found, size) for size in at),
        reach=None if limit is None else reach(found, limit),
        unmeasured=unmeasured,
    )
