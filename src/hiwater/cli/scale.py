"""``hiwater scale``: how memory grows with a parameter, and what it will be where nobody has measured."""

from __future__ import annotations

import argparse
import sys

from hiwater.cli.bench import FAILED, FINE, INTERRUPTED, MISUSE, at_least, confidence
from hiwater.cli.words import leave_command_alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hiwater.analysis.scale_report import ScaleReport
    from hiwater.bench.model import Benchmark, Command
    from hiwater.bench.plan import Parameter
    from hiwater.bench.runner import Progress

_DESCRIPTION = """\
Executes COMMAND with several sizes in the place of {NAME}, fits constant, logarithmic, linear, n log n, quadratic and
power laws to the peaks, and says which one it is: the fixed cost, the cost per unit, the peak at a size that was not
measured, and the size at which a limit is reached, each with its interval; or why the measurements do not tell.
Needs SciPy: pip install 'hiwater[bench]'.
"""
_EPILOG = """\
examples:
  hiwater scale -P songs 10000 50000 --at 1000000 -- ./app --songs {songs}
  hiwater scale -P rows 1000 64000 --steps 8 -r 5 --limit 512MiB --html rows.html -- ./load --rows {rows}
  hiwater scale -P songs 10000 50000 --smallest-limit --limit 512MiB -- ./app --songs {songs}
  hiwater scale -L n 1000,2000,4000,8000,16000 --svg n.svg -- ./solve {n}

The sizes are executed in turn. Files are written anew after each execution; Ctrl-C keeps what was measured.
Exit status: 0; 1 COMMAND failed, or the measurements do not carry what --at or --limit asks for; 2 misused, or hiwater
failed; 130 interrupted.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "scale",
        help="measure how memory grows with a parameter, and predict it",
        usage="hiwater scale -P NAME FIRST LAST [OPTIONS] [--] COMMAND [ARG...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_measuring_options(parser)
    _add_answer_options(parser)
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to execute; holds {NAME}")
    parser.set_defaults(func=scale)
    leave_command_alone(parser, MISUSE)


def _add_measuring_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-P",
        "--parameter-scan",
        metavar=("NAME", "FIRST", "LAST"),
        nargs=3,
        help="put sizes from FIRST to LAST in the place of {NAME}",
    )
    parser.add_argument(
        "--steps",
        metavar="N",
        type=at_least(2),
        default=6,
        help="how many sizes -P has, equally far apart (default: 6)",
    )
    parser.add_argument(
        "-L",
        "--parameter-list",
        metavar=("NAME", "SIZES"),
        nargs=2,
        help="instead of -P: these sizes, which commas separate",
    )
    parser.add_argument(
        "-r",
        "--runs",
        metavar="N",
        type=at_least(1),
        help="executions of each size (default: 3; with --smallest-limit searches, default: 1)",
    )
    parser.add_argument(
        "-w", "--warmup", metavar="N", type=at_least(0), default=0, help="executions before that, which do not count"
    )
    parser.add_argument("-p", "--prepare", metavar="CMD", help="execute CMD by a shell before each execution")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--tree", action="store_true", help="measure the peak of the whole process tree")
    what.add_argument(
        "--smallest-limit",
        action="store_true",
        help="find the smallest limit of memory that each size succeeds under, within 5%%, as hiwater fit does: some "
        "15 executions for each",
    )
    parser.add_argument("--show-output", action="store_true", help="let what COMMAND prints through")


def _add_answer_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at", metavar="SIZE", type=_size, action="append", default=[], help="predict the peak at SIZE; repeatable"
    )
    parser.add_argument(
        "--limit", metavar="MEMORY", type=_memory, help="say at which size MEMORY is reached, such as 512MiB"
    )
    parser.add_argument(
        "--confidence", metavar="PERCENT", type=confidence, default=0.95, help="of the intervals (default: 95)"
    )
    parser.add_argument("--export-json", metavar="FILE", help="write everything to FILE as JSON; - is stdout")
    parser.add_argument("--svg", metavar="FILE", help="draw the measurements and the law into FILE")
    parser.add_argument(
        "--html", metavar="FILE", help="write the picture and the answers to FILE, one page that fetches nothing"
    )
    parser.add_argument("-f", "--force", action="store_true", help="overwrite the files")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the output (default: auto)"
    )


def _size(text: str) -> float:
    from math import isfinite

    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: a number of at least 0")
    return value


def _memory(text: str) -> int:
    from hiwater.errors import MisuseError
    from hiwater.units import parse_size

    try:
        return parse_size(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def scale(args: argparse.Namespace) -> int:
    """Measures, prints, and says how it went."""
    from hiwater.cli.table_output import complain
    from hiwater.errors import HiwaterError

    try:
        return _Session(args).execute()
    except HiwaterError as error:
        return complain("scale", error, MISUSE)


class _Session:
    """One measurement along a parameter, from its options to its exit status."""

    def __init__(self, args: argparse.Namespace) -> None:
        from hiwater.analysis.statistics import require_scipy
        from hiwater.binaries import find_monitor
        from hiwater.cli.bar import Bar
        from hiwater.cli.exports import Exports
        from hiwater.views import scale_html, scale_json, scale_svg

        self.args = args
        self.parameter = _parameter(args)
        self.commands = _commands(self.parameter, args)
        require_scipy()
        find_monitor()
        if args.smallest_limit:
            from hiwater.cli.limits import ready_place

            ready_place()
        self.report: ScaleReport | None = None
        self.exports = Exports()
        for path, render in (
            (args.export_json, scale_json.render),
            (args.svg, scale_svg.render),
            (args.html, scale_html.render),
        ):
            self.exports.add(path, lambda render=render: render(self._known()), force=args.force)  # type: ignore[misc]
        self.bar = Bar()

    def _known(self) -> ScaleReport:
        assert self.report is not None
        return self.report

    def execute(self) -> int:
        from hiwater.bench.executor import Executor, MonitoredExecutor
        from hiwater.bench.model import Metric
        from hiwater.bench.runner import Runner

        metric = Metric.TREE_PEAK if self.args.tree else Metric.PEAK_RSS
        executor: Executor = MonitoredExecutor(show_output=self.args.show_output)
        if self.args.smallest_limit:
            from hiwater.fit.sizes import FittingExecutor

            metric, executor = Metric.SMALLEST_LIMIT, FittingExecutor(show_output=self.args.show_output)
        runner = Runner(
            executor=executor,
            runs=self.args.runs or (1 if self.args.smallest_limit else 3),
            warmup=self.args.warmup,
            before_each=self._show_progress,
            after_each=self._keep,
        )
        benchmark = runner.execute(self.commands, metric, self.args.confidence)
        self.bar.clear()
        self.report = self._analyse(benchmark)
        if self.report.scaling.points:
            self.exports.finish()
            self._print(self.report)
        return self._status(self.report)

    def _analyse(self, benchmark: Benchmark) -> ScaleReport:
        from hiwater.analysis.scale_report import scale_report

        return scale_report(self.parameter.name, self.args.command, benchmark, at=self.args.at, limit=self.args.limit)

    def _show_progress(self, progress: Progress) -> None:
        self.bar.show(progress.done, progress.total, progress.command.name)

    def _keep(self, benchmark: Benchmark) -> None:
        if self.exports.any:
            self.report = self._analyse(benchmark)
            if self.report.scaling.points:
                self.exports.update()

    def _print(self, report: ScaleReport) -> None:
        from hiwater.cli import table_output
        from hiwater.views import scale_text
        from hiwater.views.style import Color

        stream = sys.stderr if self.exports.use_stdout else sys.stdout
        table_output.show(
            lambda width, paint: scale_text.render(report, width, paint), Color(self.args.color), stream=stream
        )

    def _status(self, report: ScaleReport) -> int:
        from hiwater.bench.model import Stop
        from hiwater.cli.table_output import complain
        from hiwater.errors import HiwaterError
        from hiwater.views.names import visible

        status = FINE if report.answered and report.scaling.points else FAILED
        if report.benchmark.stop is Stop.FAILED:
            status = complain("scale", HiwaterError(visible(report.benchmark.message or "")), FAILED)
        elif report.benchmark.stop is Stop.INTERRUPTED:
            status = INTERRUPTED
        for error in self.exports.errors:
            status = complain("scale", error, MISUSE)
        return status


def _parameter(args: argparse.Namespace) -> Parameter:
    from hiwater.bench.plan import listed, spaced
    from hiwater.errors import MisuseError

    if (args.parameter_scan is None) == (args.parameter_list is None):
        raise MisuseError("one of -P NAME FIRST LAST and -L NAME SIZES says what is to grow")
    if args.parameter_scan is not None:
        name, first, last = args.parameter_scan
        found = spaced(name, first, last, args.steps)
    else:
        found = listed(*args.parameter_list)
    for value in found.values:
        try:
            _size(value)
        except argparse.ArgumentTypeError as error:
            raise MisuseError(str(error)) from None
    if len({float(value) for value in found.values}) < len(found.values):
        raise MisuseError("a size is given twice")
    return found


def _commands(parameter: Parameter, args: argparse.Namespace) -> tuple[Command, ...]:
    """One for each size; the words stay words, whatever is put into them."""
    import shlex

    from hiwater.bench.model import Command
    from hiwater.bench.plan import fill_in
    from hiwater.errors import MisuseError

    if not args.command or not args.command[0]:
        raise MisuseError("no command to measure; for example: hiwater scale -P n 1000 9000 -- ./app --size {n}")
    if not any(f"{{{parameter.name}}}" in word for word in args.command):
        raise MisuseError(f"no word of the command holds the parameter {{{parameter.name}}}")
    found = []
    for value in parameter.values:
        chosen = {parameter.name: value}
        arguments = tuple(fill_in(word, chosen) for word in args.command)
        prepare = None if args.prepare is None else fill_in(args.prepare, chosen)
        found.append(Command(shlex.join(arguments), arguments, chosen, prepare=prepare))
    return tuple(found)
