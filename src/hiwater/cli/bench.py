"""``hiwater bench``: which command needs less memory, with statistics."""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hiwater.analysis.benchmark import Report
    from hiwater.bench.model import Benchmark, Command
    from hiwater.bench.runner import Progress
    from hiwater.cli.exports import Exports

FINE, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130

_DESCRIPTION = """\
Executes the commands in turn, several times each, and says how much memory each needs and which needs more: medians
with confidence intervals, and for every pair a ratio and whether chance explains it. Each CMD is one word of your
shell, so quote it; hiwater splits it into words as a shell does but starts no shell, whose memory would be measured
too. Needs SciPy: pip install 'hiwater[bench]'.
"""
_EPILOG = """\
examples:
  hiwater bench 'sort big.txt' 'sort --buffer-size=1M big.txt'
  hiwater bench -r 20 --warmup 1 -L level 1,6,9 'gzip -{level} -k -f -c big.txt'
  hiwater bench -P threads 1 8 --tree --export-json threads.json 'make -j{threads} -B'
  hiwater bench --shell default 'sort big.txt | uniq -c'

Files of --export-* are written anew after each execution; Ctrl-C shows and keeps what was measured.
Exit status: 0; 1 a command failed or could not be measured; 2 misused, or hiwater failed; 130 interrupted.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "bench",
        help="execute commands repeatedly, and say which needs less memory",
        usage="hiwater bench [OPTIONS] CMD [CMD...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_execution_options(parser)
    _add_parameter_options(parser)
    _add_output_options(parser)
    parser.add_argument("commands", metavar="CMD", nargs="*", help="a command with its arguments, quoted as one word")
    parser.set_defaults(func=bench)


def at_least(smallest: int) -> type[int]:
    """For argparse: a whole number that is not below ``smallest``."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {smallest}")
        return int(text)

    return number  # type: ignore[return-value]


def confidence(text: str) -> float:
    """For argparse: ``95`` or ``99.5``, in per cent, as a share."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = 0.0
    if not 50 <= value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 50 to below 100, such as 95")
    return value / 100


def _add_execution_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-r", "--runs", metavar="N", type=at_least(1), default=10, help="executions of each command (default: 10)"
    )
    parser.add_argument(
        "-w", "--warmup", metavar="N", type=at_least(0), default=0, help="executions before that, which do not count"
    )
    parser.add_argument(
        "-s", "--setup", metavar="CMD", help="execute CMD by a shell once for each command, before all executions"
    )
    parser.add_argument(
        "-p",
        "--prepare",
        metavar="CMD",
        action="append",
        default=[],
        help="execute CMD by a shell before each execution; given as often as there are commands, each has its own",
    )
    parser.add_argument(
        "-c", "--cleanup", metavar="CMD", help="execute CMD by a shell once for each command, after all executions"
    )
    parser.add_argument("-i", "--ignore-failure", action="store_true", help="go on when a command fails")
    parser.add_argument(
        "-S",
        "--shell",
        metavar="SHELL",
        help="execute the commands by SHELL -c; default is sh, none is no shell (default: none)",
    )
    parser.add_argument("-N", dest="shell", action="store_const", const="none", help="the same as --shell=none")
    parser.add_argument("--tree", action="store_true", help="compare the peak of the whole process tree")
    parser.add_argument("--show-output", action="store_true", help="let what the commands print through")


def _add_parameter_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-L",
        "--parameter-list",
        metavar=("NAME", "VALUES"),
        nargs=2,
        action="append",
        default=[],
        help="execute with each of the VALUES, which commas separate, in the place of {NAME}; may be given repeatedly",
    )
    parser.add_argument(
        "-P",
        "--parameter-scan",
        metavar=("NAME", "FIRST", "LAST"),
        nargs=3,
        help="execute with each number from FIRST to LAST in the place of {NAME}",
    )
    parser.add_argument("-D", "--parameter-step-size", metavar="STEP", help="the step of -P (default: 1)")
    parser.add_argument(
        "-n",
        "--command-name",
        metavar="NAME",
        action="append",
        default=[],
        help="show NAME for a command; given once for each, in their order",
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--confidence",
        metavar="PERCENT",
        type=confidence,
        default=0.95,
        help="of the intervals, and of all comparisons together (default: 95)",
    )
    parser.add_argument("--export-json", metavar="FILE", help="write everything to FILE as JSON; - is stdout")
    parser.add_argument("--export-csv", metavar="FILE", help="write a line for each command to FILE as CSV")
    parser.add_argument("--export-markdown", metavar="FILE", help="write the table to FILE as Markdown")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite the files of --export-*")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the output (default: auto)"
    )


def bench(args: argparse.Namespace) -> int:
    """Measures, prints, and says how it went."""
    from hiwater.cli.table_output import complain
    from hiwater.errors import HiwaterError

    try:
        return _Session(args).execute()
    except HiwaterError as error:
        return complain("bench", error, MISUSE)


class _Session:
    """One benchmark, from its options to its exit status."""

    def __init__(self, args: argparse.Namespace) -> None:
        from hiwater.analysis.statistics import require_scipy
        from hiwater.binaries import find_monitor
        from hiwater.cli.bar import Bar
        from hiwater.cli.exports import Exports

        self.args = args
        self.commands = _commands(args)
        require_scipy()
        find_monitor()
        self.report: Report | None = None
        self.exports: Exports = Exports()
        self._add_exports()
        self.bar = Bar()

    def _add_exports(self) -> None:
        from hiwater.views import bench_csv, bench_json, bench_markdown

        for path, render in (
            (self.args.export_json, bench_json.render),
            (self.args.export_csv, bench_csv.render),
            (self.args.export_markdown, bench_markdown.render),
        ):
            self.exports.add(path, lambda render=render: render(self._known()), force=self.args.force)  # type: ignore[misc]

    def _known(self) -> Report:
        assert self.report is not None
        return self.report

    def execute(self) -> int:
        from hiwater.analysis.benchmark import report
        from hiwater.bench.executor import MonitoredExecutor
        from hiwater.bench.model import Metric
        from hiwater.bench.plan import shell_of
        from hiwater.bench.runner import OnFailure, Runner

        executor = MonitoredExecutor(show_output=self.args.show_output, shell=shell_of(self.args.shell))
        runner = Runner(
            executor=executor,
            runs=self.args.runs,
            warmup=self.args.warmup,
            on_failure=OnFailure.IGNORE if self.args.ignore_failure else OnFailure.STOP,
            before_each=self._show_progress,
            after_each=self._keep,
        )
        metric = Metric.TREE_PEAK if self.args.tree else Metric.PEAK_RSS
        benchmark = runner.execute(self.commands, metric, self.args.confidence)
        self.bar.clear()
        self.report = report(benchmark)
        if any(result.executions for result in benchmark.results):
            self.exports.finish()
            self._print(self.report)
        return self._status(self.report)

    def _show_progress(self, progress: Progress) -> None:
        self.bar.show(progress.done, progress.total, progress.command.name)

    def _keep(self, benchmark: Benchmark) -> None:
        from hiwater.analysis.benchmark import report

        if self.exports.any:
            self.report = report(benchmark)
            self.exports.update()

    def _print(self, report: Report) -> None:
        from hiwater.cli import table_output
        from hiwater.views import bench_text
        from hiwater.views.style import Color

        stream = sys.stderr if self.exports.use_stdout else sys.stdout
        table_output.show(
            lambda width, paint: bench_text.render(report, width, paint), Color(self.args.color), stream=stream
        )

    def _status(self, report: Report) -> int:
        from hiwater.bench.model import Stop
        from hiwater.cli.table_output import complain
        from hiwater.errors import HiwaterError
        from hiwater.views.names import visible

        status = FINE if report.sound else FAILED
        if report.benchmark.stop is Stop.FAILED:
            status = complain("bench", HiwaterError(visible(report.benchmark.message or "")), FAILED)
        elif report.benchmark.stop is Stop.INTERRUPTED:
            status = INTERRUPTED
        for error in self.exports.errors:
            status = complain("bench", error, MISUSE)
        return status


def _commands(args: argparse.Namespace) -> tuple[Command, ...]:
    from hiwater.bench.plan import Plan, listed, scan, shell_of
    from hiwater.errors import MisuseError

    parameters = [listed(name, values) for name, values in args.parameter_list]
    if args.parameter_scan is not None:
        name, first, last = args.parameter_scan
        parameters.append(scan(name, first, last, args.parameter_step_size))
    elif args.parameter_step_size is not None:
        raise MisuseError("--parameter-step-size belongs to --parameter-scan")
    return Plan(
        commands=args.commands,
        parameters=parameters,
        names=args.command_name,
        shell=shell_of(args.shell),
        setup=args.setup,
        prepare=args.prepare,
        cleanup=args.cleanup,
    ).expand()
