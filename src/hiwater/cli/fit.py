"""``hiwater fit``: the smallest memory that a command runs in."""

from __future__ import annotations

import argparse
import sys

from hiwater.cli.bench import FAILED, FINE, INTERRUPTED, MISUSE, at_least
from hiwater.cli.limits import limit_size, swap_size
from hiwater.cli.words import leave_command_alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hiwater.fit.model import FitReport

_DESCRIPTION = """\
Executes COMMAND under limits of memory, and finds the smallest one under which it still succeeds, and the smallest one
under which it is not much slower than without. Executions gather where they tell most. An edge that is not sharp is
told as what it is: a probability, and an interval. Takes a cgroup, as hiwater run --limit does.
"""
_EPILOG = """\
examples:
  hiwater fit -- ./app --songs 50000
  hiwater fit --success 'cmp out expected' --prepare 'rm -f out' -- ./app -o out
  hiwater fit --precision 5% --max-slowdown 1.5 --html fit.html -- make -j2

Exit status: 0; 1 COMMAND fails without a limit, or the answer is less precise than was asked for; 2 misused, or hiwater
failed; 130 interrupted.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "fit",
        help="find the smallest memory that a command runs in",
        usage="hiwater fit [OPTIONS] [--] COMMAND [ARG...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_question_options(parser)
    _add_execution_options(parser)
    _add_output_options(parser)
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to execute")
    parser.set_defaults(func=fit)
    leave_command_alone(parser, MISUSE)


def _add_question_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--success", metavar="CMD", help="a shell command that says by its exit status whether an execution succeeded"
    )
    parser.add_argument(
        "--max-slowdown",
        metavar="N",
        type=_factor,
        default=1.2,
        help="how many times as long as without a limit it may take, to be comfortable (default: 1.2)",
    )
    parser.add_argument(
        "--precision", metavar="PERCENT", type=_share, default=0.02, help="of the answer (default: 2%%)"
    )
    parser.add_argument(
        "--probability",
        metavar="PERCENT",
        type=_probability,
        default=0.95,
        help="how many of the executions are to succeed at the answer (default: 95%%)",
    )
    parser.add_argument(
        "--from",
        metavar="SIZE",
        dest="lowest",
        type=limit_size,
        default=1 << 20,
        help="no smaller limit (default: 1MiB)",
    )
    parser.add_argument(
        "--to", metavar="SIZE", dest="highest", type=limit_size, help="no larger one (default: what is needed)"
    )
    parser.add_argument(
        "--limit-swap", metavar="SIZE", type=swap_size, default=0, help="swap beside it (default 0; max: all there is)"
    )


def _add_execution_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repeat", metavar="N", type=at_least(1), default=5, help="executions at the answer, at least (default: 5)"
    )
    parser.add_argument("--executions", metavar="N", type=at_least(5), default=80, help="in all, at most (default: 80)")
    parser.add_argument("-p", "--prepare", metavar="CMD", help="execute CMD by a shell before each execution")
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=_duration,
        help="an execution that takes longer has failed (default: 30 times as long as without a limit, at least 20s)",
    )
    parser.add_argument("--show-output", action="store_true", help="let what COMMAND prints through")


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--export-json", metavar="FILE", help="write everything to FILE as JSON; - is stdout")
    parser.add_argument("--svg", metavar="FILE", help="draw success and time by limit into FILE")
    parser.add_argument(
        "--html", metavar="FILE", help="write the picture and the answers to FILE, one page that fetches nothing"
    )
    parser.add_argument("-f", "--force", action="store_true", help="overwrite the files")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the output (default: auto)"
    )


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a factor above 1, such as 1.2")
    return value


def _share(text: str, low: float = 0.001, high: float = 0.5) -> float:
    from hiwater.errors import MisuseError
    from hiwater.units import parse_share

    try:
        value = parse_share(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not between {100 * low:g}% and {100 * high:g}%")
    return value


def _probability(text: str) -> float:
    return _share(text, 0.5, 0.999)


def _duration(text: str) -> int:
    from hiwater.errors import MisuseError
    from hiwater.units import parse_duration_ns

    try:
        value = parse_duration_ns(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value == 0:
        raise argparse.ArgumentTypeError("at least 1ns")
    return value


def fit(args: argparse.Namespace) -> int:
    """Searches, prints, and says how it went."""
    from hiwater.cli.table_output import complain
    from hiwater.errors import HiwaterError

    try:
        return _Session(args).execute()
    except HiwaterError as error:
        return complain("fit", error, MISUSE)


class _Session:
    """One search, from its options to its exit status."""

    def __init__(self, args: argparse.Namespace) -> None:
        from hiwater.binaries import find_monitor
        from hiwater.cli.bar import Bar
        from hiwater.cli.exports import Exports
        from hiwater.cli.limits import ready_place
        from hiwater.errors import MisuseError
        from hiwater.views import fit_html, fit_json, fit_svg

        self.args = args
        if not args.command or not args.command[0]:
            raise MisuseError("no command to execute; for example: hiwater fit -- ./app --songs 50000")
        if args.highest is not None and args.highest <= args.lowest:
            raise MisuseError("--to is to be larger than --from")
        find_monitor()
        ready_place()
        self.report: FitReport | None = None
        self.exports = Exports()
        for path, render in (
            (args.export_json, fit_json.render),
            (args.svg, fit_svg.render),
            (args.html, fit_html.render),
        ):
            self.exports.add(path, lambda render=render: render(self._known()), force=args.force)  # type: ignore[misc]
        self.bar = Bar()

    def _known(self) -> FitReport:
        assert self.report is not None
        return self.report

    def execute(self) -> int:
        from hiwater.fit.executor import LimitedExecutor
        from hiwater.fit.model import Settings
        from hiwater.fit.search import Search

        args = self.args
        swap = None if args.limit_swap < 0 else args.limit_swap
        settings = Settings(
            precision=args.precision,
            max_slowdown=args.max_slowdown,
            probability=args.probability,
            repeat=args.repeat,
            at_most=args.executions,
            lowest=args.lowest,
            highest=args.highest,
            swap_bytes=swap,
        )
        executor = LimitedExecutor(
            args.command,
            swap=swap,
            success=args.success,
            prepare=args.prepare,
            timeout=None if args.timeout is None else args.timeout / 1e9,
            show_output=args.show_output,
        )
        search = Search(tuple(args.command), settings, executor, self._show_progress, self._keep)
        self.report = search.execute()
        self.bar.clear()
        if self.report.trials:
            self.exports.finish()
            self._print(self.report)
        return self._status(self.report)

    def _show_progress(self, report: FitReport, limit: int | None) -> None:
        from hiwater.units import format_size

        what = "without a limit" if limit is None else format_size(limit)
        done = len(report.trials)
        self.bar.show(done, max(done + 1, self.args.executions), what)

    def _keep(self, report: FitReport) -> None:
        if self.exports.any:
            self.report = report
            self.exports.update()

    def _print(self, report: FitReport) -> None:
        from hiwater.cli import table_output
        from hiwater.views import fit_text
        from hiwater.views.style import Color

        stream = sys.stderr if self.exports.use_stdout else sys.stdout
        table_output.show(
            lambda width, paint: fit_text.render(report, width, paint), Color(self.args.color), stream=stream
        )

    def _status(self, report: FitReport) -> int:
        from hiwater.cli.table_output import complain
        from hiwater.errors import HiwaterError
        from hiwater.fit.model import Stop
        from hiwater.views.names import visible

        status = FINE if report.smallest is not None and report.smallest.precise else FAILED
        if report.stop is Stop.FAILED:
            status = complain("fit", HiwaterError(visible(report.message or "")), FAILED)
        elif report.stop is Stop.INTERRUPTED:
            status = INTERRUPTED
        for error in self.exports.errors:
            status = complain("fit", error, MISUSE)
        return status
