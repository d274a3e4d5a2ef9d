"""What ``hiwater run`` and ``hiwater attach`` have in common: files, the monitor in the foreground, the summary.

Imported before the command starts, so it imports next to nothing itself.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from hiwater.binaries import find_monitor
from hiwater.cli.budgets import exit_status, has_budget, judge_recording
from hiwater.cli.foreground import Foreground
from hiwater.errors import CommandNotExecutableError, CommandNotFoundError, HiwaterError, MisuseError, MonitorError
from hiwater.launch import judge
from hiwater.output import OutputFile, fill, read_all, scratch, write_all
from hiwater.units import parse_duration_ns

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.analysis.budget import Judgement
    from hiwater.cli.live import View
    from hiwater.recording.model import Recording

OWN_FAILURE, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


class Parser(argparse.ArgumentParser):
    """Misuse is 125, as 2 may be the command's own."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(OWN_FAILURE, f"{self.prog}: {message}\n")


def duration(text: str) -> int:
    """The value of an option, in nanoseconds."""
    try:
        return parse_duration_ns(text)
    except MisuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """-q, -o, --json, -f."""
    parser.add_argument("-q", "--quiet", action="store_true", help="print no summary")
    parser.add_argument("-o", "--output", metavar="FILE", help="keep the recording in FILE (.hiw); see hiwater show")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as JSON; - is stdout")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite the files of -o and --json")


def add_period_option(parser: argparse.ArgumentParser) -> None:
    """--period."""
    parser.add_argument(
        "--period",
        metavar="TIME",
        type=duration,
        help="look so often (default 1ms; stretched where that costs more than 2%% of a core)",
    )


def add_color_option(parser: argparse.ArgumentParser) -> None:
    """--color."""
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the summary (default: auto)"
    )


def complain(error: HiwaterError) -> int:
    """Says why it failed; the exit status."""
    say(f"hiwater: {_text(error)}\n")
    if isinstance(error, CommandNotFoundError):
        return NOT_FOUND
    return NOT_EXECUTABLE if isinstance(error, CommandNotExecutableError) else OWN_FAILURE


def _text(error: HiwaterError) -> str:
    if isinstance(error, (CommandNotFoundError, CommandNotExecutableError)):
        from hiwater.views.names import visible

        return f"{visible(str(error.filename))}: {error.strerror}"
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error)


def say(text: str) -> None:
    """On stderr, as far as there is one: nothing that fails there is worth the command's exit status."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None  # or Python would flush it once more at its end


class Measurement:
    """From the files that are opened before it to the summary behind it. ``command``: empty where there is none."""

    def __init__(self, args: argparse.Namespace, command: list[str]) -> None:
        self.args = args
        self.command = command
        self.view: View | None = None
        self.flame: OutputFile | None = None
        self.html: OutputFile | None = None
        self.reports = not args.quiet or args.json is not None or has_budget(args)
        self.monitor = find_monitor()  # also where it is to go to another machine
        self.unfinished: list[OutputFile] = []
        try:
            self.file = self._open(args.output)
            self.json = self._open(args.json if args.json != "-" else None)
        except HiwaterError:
            self._discard()
            raise
        self.fd = self.file.fd if self.file is not None and not self.file.direct else scratch()

    def open_pictures(self) -> None:
        """Files of further views, checked before the command is executed; ``write`` fills them."""
        try:
            self.flame = self._open(self.args.flame)
            self.html = self._open(getattr(self.args, "html", None))
        except HiwaterError:
            self._discard()
            raise

    def write(self, file: OutputFile, text: str) -> None:
        """The whole of a file that was opened before."""
        self.unfinished.remove(file)
        fill(file, text.encode("utf-8", "backslashreplace"))

    @property
    def encoding(self) -> str | None:
        """Of what the summary goes to."""
        return sys.stderr.encoding if sys.stderr is not None else None

    def _open(self, path: str | None) -> OutputFile | None:
        if path is None:
            return None
        file = OutputFile(path, force=self.args.force)
        self.unfinished.append(file)
        return file

    def _discard(self) -> None:
        for file in self.unfinished:
            file.discard()

    def let_go(self) -> None:
        """What the command closes must be closed: whoever waits at the other end of a pipe would wait for us too."""
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0,) if self.args.json == "-" else (0, 1):
            os.dup2(null, fd)
        if null > 2:
            os.close(null)

    def execute(self) -> int:
        try:
            self.prepare()
            return self._conclude(self.measure())
        except HiwaterError as error:
            return self._complain(error)
        finally:
            self._discard()
            self.clean_up()

    def prepare(self) -> None:
        """Called before the monitor is started."""

    def clean_up(self) -> None:
        """Called at the end, however that came."""

    def arguments(self, foreground: Foreground) -> list[bytes]:
        """The command line of the monitor."""
        raise NotImplementedError

    def complete(self) -> None:
        """Called when the monitor has ended well, before the recording is read back: whatever is to stand in it too."""

    def show(self) -> View | None:
        """Shows what will happen, before the monitor is started; ``None`` where nobody asked for it."""
        return None

    def started(self) -> None:
        """Called when the monitor runs."""

    def measure(self) -> int:
        """Waits for the monitor: its exit status, negative if a signal killed it."""
        foreground = Foreground()
        try:
            self.view = self.show()
            if self.view is not None:
                self.view.wait_until_shown()
            foreground.start(self.arguments(foreground), self.fd)
            self.started()
            self.let_go()
            if self.reports:
                # Meanwhile there is time for what is slow to import.
                for module in ("analysis.summary", "recording.reader", "views.terminal"):
                    import_module(f"hiwater.{module}")
            return foreground.wait(self.view)
        finally:
            if self.view is not None:
                self.view.finish()

    def _complain(self, error: HiwaterError) -> int:
        status = complain(error)
        if self.view is not None and self.view.beside_stderr:
            self.view.say(f"hiwater: {_text(error)}\n")
        return status

    def _conclude(self, status: int) -> int:
        """The recording comes to its name, the views are written; the exit status is what the monitor left."""
        doubtful = status < 0 or status in (OWN_FAILURE, NOT_EXECUTABLE, NOT_FOUND)
        if status >= 0:
            self.complete()
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
            try:
                self._write_json(self.document(recording, judgements))
            except (HiwaterError, OSError) as error:
                failed = self._complain(
                    error if isinstance(error, HiwaterError) else HiwaterError(f"--json: {error.strerror}")
                )
                own = own or failed
        if not self.args.quiet or judgements:
            from hiwater.views import style

            if sys.stderr is not None:
                width = style.columns(sys.stderr)
                text = self.summary(recording, judgements, width=width, is_terminal=sys.stderr.isatty())
                say(style.encodable(text, sys.stderr.encoding))
            if self.view is not None and self.view.beside_stderr:
                text = self.summary(recording, judgements, width=self.view.columns, is_terminal=True)
                self.view.say(style.encodable(text, sys.stderr.encoding if sys.stderr is not None else None))
        return own

    def document(self, recording: Recording, judgements: tuple[Judgement, ...]) -> str:
        """What --json writes."""
        from hiwater.views import json_view

        return json_view.render(recording, judgements)

    def summary(self, recording: Recording, judgements: tuple[Judgement, ...], *, width: int, is_terminal: bool) -> str:
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
