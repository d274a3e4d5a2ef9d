"""``hiwater run``: executes a command and says what memory it took."""

from __future__ import annotations

import argparse
import os

from hiwater.cli.budgets import add_budget_options, check_budget_options
from hiwater.cli.foreground import Foreground
from hiwater.cli.limits import add_limit_options, check_limit_options, enclose, wants_limit
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
from hiwater.cli.words import split_command
from hiwater.errors import HiwaterError
from hiwater.launch import Mode, monitor_arguments

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.cli.live import View
    from hiwater.limits import Enclosure

_USAGE = "hiwater run [OPTIONS] [--] COMMAND [ARG...]"
_DESCRIPTION = """\
Executes COMMAND exactly as it would run alone and then says, on stderr, how much memory it needed: the peak RSS of its
largest program, with bounds that the truth lies within, and the peak of the whole process tree.
"""
_EPILOG = """\
examples:
  hiwater run make -j8                      what follows COMMAND belongs to COMMAND
  hiwater run -o build.hiw -- make -j8      keep the recording; hiwater show build.hiw
  hiwater run -q --json peak.json -- ./prog  figures for machines only
  hiwater run --trace -- ./prog             see every process, its first and its last instant
  hiwater run --live -- make -j8 </dev/null >make.log 2>&1   watch it meanwhile
  sudo hiwater run --exact -- ./prog        follow every change of memory: no bounds, no gaps
  hiwater run --timeout 10m -- ./tests      end the whole tree after ten minutes
  hiwater run --budget 64MiB -- ./prog      fail if it needs more
  hiwater run --limit 512MiB -- ./prog      does it run with so much memory, and no swap?

exit status: that of COMMAND; 128+N if signal N ended it; 123 COMMAND succeeded but broke its budget; 124 the time-out
ran out; 125 hiwater itself failed or was misused, or a budget could not be judged; 126 COMMAND cannot be executed; 127
COMMAND was not found.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """For the help, the man page and the completion; ``main`` is what runs."""
    parser = subparsers.add_parser(
        "run",
        help="execute a command, and say what memory it took",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser)
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to execute")


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_output_options(parser)
    parser.add_argument(
        "--trace",
        action="store_true",
        help="see every process, with ptrace events of fork, exec and exit; slower where many processes are short",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="follow every change of memory as an event of the kernel: exact peaks; for root or CAP_PERFMON",
    )
    add_period_option(parser)
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="end the whole tree after TIME, e.g. 30s")
    parser.add_argument(
        "--linger",
        metavar="TIME",
        type=duration,
        help="wait so long for descendants that outlive COMMAND (default 1s)",
    )
    parser.add_argument(
        "--ssh",
        metavar="HOST",
        help="execute COMMAND on HOST: the monitor is brought there by ssh, the recording comes back",
    )
    parser.add_argument("--ssh-monitor", metavar="FILE", help="the monitor for HOST, if it is another kind of machine")
    add_limit_options(parser)
    parser.add_argument(
        "--live",
        action="store_true",
        help="show the processes and their memory on the terminal meanwhile; COMMAND must not use that itself",
    )
    add_budget_options(parser)
    add_color_option(parser)


def main(words: list[str]) -> int:
    """``words``: what stands behind ``hiwater run``."""
    parser = Parser(
        prog="hiwater run",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser)
    options, command = split_command(parser, words)
    args = parser.parse_args(options)
    if not command:
        parser.error("no command to execute; for example: hiwater run -- make -j8")
    if args.timeout == 0:
        parser.error("argument --timeout: at least 1ns")
    check_budget_options(parser, args)
    check_limit_options(parser, args)
    if args.ssh is not None and wants_limit(args):
        parser.error("--limit and --cgroup make groups on this machine: they exclude --ssh")
    if args.ssh is not None and args.live:
        parser.error("--live follows a recording on this machine, and that of --ssh comes when all is over")
    if args.ssh is None and args.ssh_monitor is not None:
        parser.error("--ssh-monitor takes an --ssh")
    try:
        return _Run(args, command, options).execute()
    except HiwaterError as error:
        return complain(error)


class _Run(Measurement):
    """One execution."""

    def __init__(self, args: argparse.Namespace, command: list[str], options: list[str]) -> None:
        self.enclosure: Enclosure | None = None
        self.terminal: int | None = None
        if args.live:
            from hiwater.cli.live import open_terminal

            self.terminal = open_terminal(command, ["hiwater", "run", *options, "--"])
        super().__init__(args, command)

    def show(self) -> View | None:
        if self.terminal is None:
            return None
        from hiwater.cli.live import View
        from hiwater.views import names, style

        name = names.visible(os.path.basename(self.command[0]))
        return View(
            self.terminal,
            self.fd,
            color=style.use_color(style.Color(self.args.color), True, os.environ),
            goes_on=f"{name} goes on, Ctrl-C reaches it"
            + ("" if self.args.quiet else "; the summary comes at its end"),
        )

    def prepare(self) -> None:
        if wants_limit(self.args):
            self.enclosure = enclose(self.args)

    def clean_up(self) -> None:
        if self.enclosure is None:
            return
        self.enclosure.close()
        if self.enclosure.left:
            pids = ", ".join(map(str, self.enclosure.left))
            say(
                f"hiwater: still running under the limit: pid {pids}; the cgroup {self.enclosure.path} stays for them, "
                "and the next hiwater run --limit removes it once they have ended\n"
            )

    def measure(self) -> int:
        if self.args.ssh is not None:
            from hiwater.cli import remote

            return remote.measure(self.args, self.command, self.fd, self.let_go)
        return super().measure()

    def arguments(self, foreground: Foreground) -> list[bytes]:
        return monitor_arguments(
            self.monitor,
            self.fd,
            self.command,
            mode=Mode.TRACE if self.args.trace else Mode.QUIET,
            exact=self.args.exact,
            period_ns=self.args.period,
            timeout_ns=self.args.timeout,
            linger_ns=self.args.linger,
            # Whoever started hiwater would have started the command: what it would have left in ru_maxrss counts.
            launcher_pid=os.getppid() or None,
            signal_mask=foreground.mask,
            enclosure=self.enclosure.arguments if self.enclosure is not None else (),
        )
