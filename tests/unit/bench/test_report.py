"""The figures of a benchmark and how they are shown."""

import csv
import io
import json
from collections.abc import Sequence

import pytest

from hiwater.analysis.benchmark import report
from hiwater.analysis.statistics import Verdict
from hiwater.bench.model import Benchmark, Command, Execution, Metric, Result, Stop
from hiwater.views import bench_csv, bench_json, bench_markdown, bench_text
from hiwater.views.paint import Paint

pytest.importorskip("scipy", reason="pip install 'hiwater[bench]'")

MIB = 1 << 20
SMALL = [10.0, 10.1, 10.0, 9.9, 10.0, 10.2, 10.0, 10.1]


def result(name: str, sizes: Sequence[float | None], exit_code: int = 0, **parameters: str) -> Result:
    sizes_bytes = [None if size is None else int(size * MIB) for size in sizes]
    executions = tuple(
        Execution(size, None if size is None else 2 * size, 0.5 + place / 100, 0.4, 0.1, exit_code)
        for place, size in enumerate(sizes_bytes)
    )
    return Result(Command(name, (name,), parameters), executions)


def benchmark(*results: Result, metric: Metric = Metric.PEAK_RSS, stop: Stop = Stop.DONE) -> Benchmark:
    return Benchmark(results, metric, 8, 0.95, stop)


BENCHMARK = benchmark(
    result("a | <b> --x", SMALL, level="1"),
    result("big", [1.8 * size for size in SMALL], level="9"),
    result("same", [*SMALL[:-1], 14.0]),
)


def test_pairs_are_compared_together() -> None:
    """Three commands are three pairs, each held to a third of the error; the smaller one comes first."""
    found = report(BENCHMARK)
    assert found.pair_confidence == pytest.approx(1 - 0.05 / 3)
    assert [(pair.first, pair.second, pair.memory.verdict) for pair in found.pairs] == [
        (1, 2, Verdict.MORE),
        (1, 3, Verdict.NO_DIFFERENCE),
        (3, 2, Verdict.MORE),
    ]
    assert found.pairs[0].memory.ratio == pytest.approx(1.8, abs=0.02)
    assert found.rows[2].memory is not None and found.rows[2].memory.outliers == (7,)
    assert (found.smallest, found.sound) == (1, True)


def test_the_tree_is_compared_on_demand() -> None:
    """--tree takes the tree's peak instead."""
    found = report(benchmark(result("a", SMALL), metric=Metric.TREE_PEAK))
    assert found.rows[0].memory is not None and found.rows[0].memory.median == 20 * MIB


def test_no_number_is_not_sound() -> None:
    """An execution without a figure is left out and told, and the benchmark is not sound."""
    found = report(benchmark(result("a", [None, *SMALL]), result("b", [None])))
    assert (found.rows[0].unmeasured, found.rows[1].memory, found.pairs, found.sound) == (1, None, (), False)
    text = bench_text.render(found, 100, Paint())
    assert "note: command 1: 1 of 9 executions could not be measured" in text
    assert "not measured" in text


TEXT = """\
1  a | <b> --x
2  big
3  same

   median peak RSS  95 % CI [MiB]  min ... max [MiB]  runs               time
1        10.00 MiB   9.90 - 10.20     9.90 ... 10.20     8  0.535 s ± 0.030 s
2        18.00 MiB  17.82 - 18.36    17.82 ... 18.36     8  0.535 s ± 0.030 s
3        10.00 MiB   9.90 - 14.00     9.90 ... 14.00     8  0.535 s ± 0.030 s

Command 2 needs 1.80 times as much as command 1 (98.33 % CI 1.78-1.82)
No difference found between command 1 and command 3 (ratio 1.0000, 98.33 % CI 0.9900-1.0202)
Command 2 needs 1.80 times as much as command 3 (98.33 % CI 1.76-1.82)

note: command 3: 1 of 8 executions stand apart (14.00 MiB in execution 8)
note: the comparisons hold together with 95 %: each interval is one of 98.33 %
"""


def test_text() -> None:
    """What a person sees."""
    assert bench_text.render(report(BENCHMARK), 100, Paint()) == TEXT


def test_text_of_an_interrupted_benchmark() -> None:
    """It says that it is not whole, and that few executions tell nothing."""
    few = benchmark(result("a", SMALL[:2]), result("b", [20.0, 21]), stop=Stop.INTERRUPTED)
    text = bench_text.render(report(few), 100, Paint())
    assert "interrupted: these are the executions until then" in text
    assert "Command 2 took 2.04 times as much as command 1, but so few executions cannot tell that" in text


def test_many_commands() -> None:
    """Of many commands people are shown the comparisons with the smallest; the JSON has all."""
    many = report(benchmark(*(result(str(number), [size + number for size in SMALL]) for number in range(6))))
    text = bench_text.render(many, 120, Paint())
    assert text.count("as command 1 (") == 5
    assert "only comparisons with the smallest are shown, of 15; --export-json has all" in text
    comparisons = bench_json.document(many)["comparisons"]
    assert isinstance(comparisons, list) and len(comparisons) == 15


def test_json() -> None:
    """Everything, in bytes and seconds; unknown is null."""
    found = json.loads(bench_json.render(report(benchmark(result("a", [10.0, None]), result("b", [20.0] * 2, 1)))))
    assert (found["schema"], found["metric"], found["stop"]) == ("hiwater.bench/1", "peak_rss", "done")
    first = found["results"][0]
    assert first["memory"]["median_bytes"] == 10 * MIB
    assert first["memory"]["low_bytes"] is None and first["memory"]["deviation_bytes"] is None
    assert first["executions"][1]["peak_rss_bytes"] is None
    assert found["results"][1]["executions"][0]["exit_code"] == 1
    assert found["comparisons"] == [
        {
            "first": 0,
            "second": 1,
            "ratio": 2.0,
            "ratio_low": None,
            "ratio_high": None,
            "confidence": 0.95,
            "verdict": "too few executions",
        }
    ]


def test_csv() -> None:
    """A line a command, with a column for each parameter."""
    rows = list(csv.DictReader(io.StringIO(bench_csv.render(report(BENCHMARK)))))
    assert [row["command"] for row in rows] == ["a | <b> --x", "big", "same"]
    assert [row["parameter_level"] for row in rows] == ["1", "9", ""]
    assert (rows[0]["runs"], rows[0]["median_bytes"]) == ("8", str(10 * MIB))
    assert float(rows[0]["median_seconds"]) == pytest.approx(0.535)
    empty = list(csv.reader(io.StringIO(bench_csv.render(report(benchmark(result("a", [])))))))
    assert empty[1] == ["a", "0"] + [""] * 13


def test_markdown() -> None:
    """A table whose cells no command can break, and the verdicts below it."""
    text = bench_markdown.render(report(BENCHMARK))
    lines = text.splitlines()
    name = "<code>a &#124; &lt;b&gt; --x</code>"
    assert lines[2] == f"| 1 | {name} | 10.00 MiB | 9.90 - 10.20 | 9.90 ... 10.20 | 8 | 0.535 s ± 0.030 s |"
    assert all(line.count("|") == lines[0].count("|") for line in lines[:5])
    assert "- Command 2 needs 1.80 times as much as command 1 (98.33 % CI 1.78-1.82)" in lines
