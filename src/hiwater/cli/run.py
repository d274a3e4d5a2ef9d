"""``hiwater run``: executes a command and says what memory it took."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from hiwater.binaries import find_monitor
from hiwater.cli.budgets import add_budget_options, check_budget_options, exit_status, has_budget, judge_recording
from hiwater.cli.foreground import Foreground
from hiwater.cli.limits import add_limit_options, check_limit_options, enclose, wants_limit
from hiwater.cli.words import split_command
from hiwater.errors import CommandNotExecutableError, CommandNotFoundError, HiwaterError, MisuseError, MonitorError
from hiwater.launch import Mode, judge, monitor_arguments
from hiwater.output import OutputFile, fill, read_all, scratch, write_all
from hiwater.units import parse_duration_ns

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.analysis.budget import Judgement
    from hiwater.cli.live import View
    from hiwater.limits import Enclosure
    from hiwater.recording.model import Recording

OWN_FAILURE, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127

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


class _Parser(argparse.ArgumentParser):
    """Misuse is 125, as 2 may be the command's own."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(OWN_FAILURE, f"hiwater run: {message}\n")


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


def _duration(text: str) -> int:
    try:
        return parse_duration_ns(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print no summary")
    parser.add_argument("-o", "--output", metavar="FILE", help="keep the recording in FILE (.hiw); see hiwater show")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as JSON; - is stdout")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite the files of -o and --json")
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
    parser.add_argument(
        "--period",
        metavar="TIME",
        type=_duration,
        help="look so often (default 1ms; stretched where that costs more than 2%% of a core)",
    )
    parser.add_argument("--timeout", metavar="TIME", type=_duration, help="end the whole tree after TIME, e.g. 30s")
    parser.add_argument(
        "--linger",
        metavar="TIME",
        type=_duration,
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
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the summary (default: auto)"
    )


def main(words: list[str]) -> int:
    """``words``: what stands behind ``hiwater run``."""
    parser = _Parser(
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
        return _complain(error)


def _complain(error: HiwaterError) -> int:
    _say(f"hiwater: {_text(error)}\n")
    if isinstance(error, CommandNotFoundError):
        return NOT_FOUND
    return NOT_EXECUTABLE if isinstance(error, CommandNotExecutableError) else OWN_FAILURE


def _text(error: HiwaterError) -> str:
    if isinstance(error, (CommandNotFoundError, CommandNotExecutableError)):
        from hiwater.views.names import visible

        return f"{visible(str(error.filename))}: {error.strerror}"
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error)


def _say(text: str) -> None:
    """On stderr, as far as there is one: nothing that fails there is worth the command's exit status."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None  # or Python would flush it once more at its end


class _Run:
    """One execution, from the files that are opened before it to the summary behind it."""

    def __init__(self, args: argparse.Namespace, command: list[str], options: list[str]) -> None:
        self.args = args
        self.command = command
        self.view: View | None = None
        self.reports = not args.quiet or args.json is not None or has_budget(args)
        self.monitor = find_monitor()  # also where it is to go to another machine
        self.terminal = self._terminal(options) if args.live else None
        self.unfinished: list[OutputFile] = []
        try:
            self.file = self._open(args.output)
            self.json = self._open(args.json if args.json != "-" else None)
        except HiwaterError:
            self._discard()
            raise
        self.fd = self.file.fd if self.file is not None and not self.file.direct else scratch()
        self.enclosure: Enclosure | None = None

    def _terminal(self, options: list[str]) -> int:
        from hiwater.cli.live import open_terminal

        return open_terminal(self.command, ["hiwater", "run", *options, "--"])

    def _open(self, path: str | None) -> OutputFile | None:
        if path is None:
            return None
        file = OutputFile(path, force=self.args.force)
        self.unfinished.append(file)
        return file

    def _discard(self) -> None:
        for file in self.unfinished:
            file.discard()

    def _let_go(self) -> None:
        """What the command closes must be closed: whoever waits at the other end of a pipe would wait for us too."""
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0,) if self.args.json == "-" else (0, 1):
            os.dup2(null, fd)
        if null > 2:
            os.close(null)

    def execute(self) -> int:
        try:
            if wants_limit(self.args):
                self.enclosure = enclose(self.args)
            return self._conclude(self._measure())
        except HiwaterError as error:
            return self._complain(error)
        finally:
            self._discard()
            if self.enclosure is not None:
                self._remove(self.enclosure)

    def _measure(self) -> int:
        """Executes the command; the monitor's exit status, negative if a signal killed it."""
        if self.args.ssh is not None:
            from hiwater.cli import remote

            return remote.measure(self.args, self.command, self.fd, self._let_go)
        foreground = Foreground()
        arguments = monitor_arguments(
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
        foreground.start(arguments, self.fd)
        self._let_go()
        if self.terminal is not None:
            self.view = self._show(self.terminal)
        if self.reports:
            # While the command runs there is time for what is slow to import.
            for module in ("analysis.summary", "recording.reader", "views.terminal"):
                import_module(f"hiwater.{module}")
        status = foreground.wait(self.view)
        if self.view is not None:
            self.view.finish()
        return status

    def _show(self, terminal: int) -> View:
        from hiwater.cli.live import View
        from hiwater.views import names, style

        name = names.visible(os.path.basename(self.command[0]))
        return View(
            terminal,
            self.fd,
            color=style.use_color(style.Color(self.args.color), True, os.environ),
            goes_on=f"{name} goes on, Ctrl-C reaches it"
            + ("" if self.args.quiet else "; the summary comes at its end"),
        )

    def _complain(self, error: HiwaterError) -> int:
        status = _complain(error)
        if self.view is not None:  # who watched the command there does not see its redirected error stream
            self.view.say(f"hiwater: {_text(error)}\n")
        return status

    def _remove(self, enclosure: Enclosure) -> None:
        enclosure.close()
        if enclosure.left:
            pids = ", ".join(map(str, enclosure.left))
            _say(
                f"hiwater: still running under the limit: pid {pids}; the cgroup {enclosure.path} stays for them, "
                "and the next hiwater run --limit removes it once they have ended\n"
            )

    def _conclude(self, status: int) -> int:
        """The recording comes to its name, the views are written; the exit status is what the monitor left."""
        doubtful = status < 0 or status in (OWN_FAILURE, NOT_EXECUTABLE, NOT_FOUND)
        data = read_all(self.fd) if self.reports or doubtful or self.file is not None else b""
        failure = recording = None
        if self.reports or doubtful:
            try:
                recording = judge(data, status, self.command)
            except MonitorError as error:
                failure, recording = error, error.recording
        own = self._keep(self.file, data) if self.file is not None and data else 0
        if recording is not None:
            own = self._report(recording) or own
        if failure is not None:
            own = self._complain(failure)
        return status if status > 0 else own

    def _keep(self, file: OutputFile, data: bytes) -> int:
        self.unfinished.remove(file)
        try:
            if file.direct:
                fill(file, data)
            else:
                file.finish()
        except HiwaterError as error:
            return self._complain(error)
        return 0

    def _report(self, recording: Recording) -> int:
        judgements = judge_recording(self.args, recording)
        own = exit_status(self.args, judgements)
        if self.args.json is not None:
            from hiwater.views import json_view

            try:
                self._write_json(json_view.render(recording, judgements))
            except (HiwaterError, OSError) as error:
                failed = self._complain(
                    error if isinstance(error, HiwaterError) else HiwaterError(f"--json: {error.strerror}")
                )
                own = own or failed
        if not self.args.quiet or judgements:
            from hiwater.views import style

            if sys.stderr is not None:
                width = style.columns(sys.stderr)
                text = self._summary(recording, judgements, width=width, is_terminal=sys.stderr.isatty())
                _say(style.encodable(text, sys.stderr.encoding))
            if self.view is not None:
                text = self._summary(recording, judgements, width=self.view.columns, is_terminal=True)
                self.view.say(style.encodable(text, sys.stderr.encoding if sys.stderr is not None else None))
        return own

    def _summary(
        self, recording: Recording, judgements: tuple[Judgement, ...], *, width: int, is_terminal: bool
    ) -> str:
        """A budget that was not kept is said even where no summary is wanted."""
        from hiwater.views import budget_text, style, terminal

        color = style.use_color(style.Color(self.args.color), is_terminal, os.environ)
        text = "" if self.args.quiet else terminal.render(recording, width=width, color=color)
        return text + budget_text.render(judgements, color=color, failures_only=self.args.quiet)

    def _write_json(self, text: str) -> None:
        data = text.encode()
        if self.json is not None:
            self.unfinished.remove(self.json)
            fill(self.json, data)
        else:
            # The descriptor, not sys.stdout: what the command wrote stands before it, whatever Python buffers.
            write_all(1, data)
