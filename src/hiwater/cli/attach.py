"""``hiwater attach``: follows a process that runs already, and says what memory it takes."""

from __future__ import annotations

import argparse
import os
import sys

from hiwater.cli.budgets import add_budget_options, check_budget_options
from hiwater.cli.foreground import Foreground
from hiwater.cli.measurement import (
    Measurement,
    Parser,
    add_color_option,
    add_output_options,
    add_period_option,
    complain,
    duration,
    say,
)
from hiwater.errors import HiwaterError
from hiwater.launch import attach_arguments

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.cli.live import View

_USAGE = "hiwater attach [OPTIONS] PID"
_DESCRIPTION = """\
Follows the running process PID and all its descendants until it ends, the time is over, or Ctrl-C; then says, on
stderr, how much memory they needed. They are only looked at: nothing is changed in them, and they go on.

What was before is known only by the high-water mark that the kernel keeps of each program that still runs: the peak RSS
is right for these, whenever they reached it. What the whole tree held before, and what had ended, is unknown.
"""
_EPILOG = """\
examples:
  hiwater attach 4711                            until it ends, or Ctrl-C
  hiwater attach --duration 10s $(pidof -s postgres)
  hiwater attach --live 4711                     watch it meanwhile; q closes the view, Ctrl-C ends the recording
  hiwater attach -o a.hiw --json a.json 4711     keep the recording; hiwater report a.hiw
  hiwater attach --duration 1m --budget 2GiB 4711

exit status: 0; 123 it broke its budget; 125 there is nothing to attach to, hiwater itself failed or was misused, or a
budget could not be judged.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """For the help, the man page and the completion; ``main`` is what runs."""
    parser = subparsers.add_parser(
        "attach",
        help="follow a process that runs already, and say what memory it takes",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pid", metavar="PID", type=_pid, help="the number of the process")
    parser.add_argument("-d", "--duration", metavar="TIME", type=duration, help="end after TIME, e.g. 10s")
    add_output_options(parser)
    add_period_option(parser)
    parser.add_argument(
        "--linger",
        metavar="TIME",
        type=duration,
        help="follow descendants that outlive the process so long (default 1s)",
    )
    parser.add_argument(
        "--live", action="store_true", help="show the processes and their memory on the terminal meanwhile"
    )
    add_budget_options(parser, when="if it needed more")
    add_color_option(parser)


def _pid(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 31:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not the number of a process")


def main(words: list[str]) -> int:
    """``words``: what stands behind ``hiwater attach``."""
    parser = Parser(
        prog="hiwater attach",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser)
    args = parser.parse_args(words)
    if args.duration == 0:
        parser.error("argument --duration: at least 1ns")
    check_budget_options(parser, args)
    try:
        return _Attach(args).execute()
    except HiwaterError as error:
        return complain(error)


class _Attach(Measurement):
    """One process, for a while."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.terminal = None
        if args.live:
            from hiwater.cli.live import open_terminal

            self.terminal = open_terminal([], [])
        super().__init__(args, [])

    def show(self) -> View | None:
        if self.terminal is None:
            return None
        from hiwater.cli.live import View
        from hiwater.views import style

        color = style.use_color(style.Color(self.args.color), True, os.environ)
        return View(self.terminal, self.fd, color=color, goes_on="the recording goes on until Ctrl-C")

    def arguments(self, foreground: Foreground) -> list[bytes]:
        return attach_arguments(
            self.monitor,
            self.fd,
            self.args.pid,
            period_ns=self.args.period,
            duration_ns=self.args.duration,
            linger_ns=self.args.linger,
            # Where PID is the shell that we were called from, we are no part of what it does.
            leave_out_pid=os.getpid(),
        )

    def started(self) -> None:
        if self.view is None and not self.args.quiet and sys.stderr is not None and sys.stderr.isatty():
            say(f"hiwater: looking at process {self.args.pid}; Ctrl-C ends the recording, not the process\n")
