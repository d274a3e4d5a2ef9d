"""Commands executed repeatedly and in turn: what is to be executed, who executes it, and what came of it."""

from hiwater.bench.model import Benchmark, Command, Execution, Metric, Result, Stop

__all__ = ["Benchmark", "Command", "Execution", "Metric", "Result", "Stop"]
