"""``hiwater heap``: which calls hold the memory, at the peak, as it grows, and at the end."""

from __future__ import annotations

import argparse
import os
import signal
import stat
import sys

from hiwater.cli.budgets import add_budget_options, check_budget_options
from hiwater.cli.foreground import WATCHED, Foreground
from hiwater.cli.heap_options import add_profile_options, count, flame, page, size
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
from hiwater.errors import HiwaterError, MisuseError
from hiwater.launch import Mode, monitor_arguments

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hiwater.analysis.budget import Judgement
    from hiwater.heap.model import HeapProfile
    from hiwater.heap.tried import Trials
    from hiwater.recording.model import Recording

_USAGE = """hiwater heap [OPTIONS] [--] COMMAND [ARG...]
       hiwater heap [OPTIONS] --read FILE
       hiwater heap [OPTIONS] --compare OLD NEW"""
_DESCRIPTION = """\
Executes COMMAND and says which lines of it hold the memory: at the moment of its peak, each time it has grown by 10
MiB, and at its end. COMMAND is executed twice: once with a sampler in it, for the explanation, and once as it is, for
the number; both peaks are told. It must be linked dynamically, and is not changed.
"""
_EPILOG = """\
examples:
  hiwater heap -- ./app --songs 20000
  hiwater heap -o app.hiw --html app.html -- ./app    look at any moment, as a flame graph too
  hiwater heap --once -- ./migrate                    what must not be executed a second time
  hiwater heap --by library -- python3 app.py
  hiwater heap --at exit --read app.hiw               what was never freed
  hiwater heap --read massif.out.4711                 old profiles of other tools, too
  hiwater heap --compare old.hiw new.hiw              what grew from one version to the next

exit status: that of COMMAND, as for hiwater run; 125 hiwater itself failed, was misused, or COMMAND cannot be followed.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """For the help, the man page and the completion; ``main`` is what runs."""
    parser = subparsers.add_parser(
        "heap",
        help="say which lines hold the memory",
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
    parser.add_argument("--read", metavar="FILE", help="execute nothing: a recording, or another tool's heap profile")
    parser.add_argument("--compare", metavar=("OLD", "NEW"), nargs=2, help="execute nothing: what grew, what shrank")
    parser.add_argument(
        "--once", action="store_true", help="execute COMMAND once only, with the sampler: no peak without it is told"
    )
    parser.add_argument(
        "--try-malloc",
        action="store_true",
        help="execute COMMAND again under other settings of malloc, and say what each would give",
    )
    parser.add_argument(
        "--try-runs", metavar="N", type=count, help="with --try-malloc: executions of each setting (default: 3)"
    )
    add_profile_options(parser)
    parser.add_argument(
        "--growth",
        choices=("in-use", "allocated"),
        default="in-use",
        help="what has to grow by that: what is in use (default), or all that was ever allocated",
    )
    parser.add_argument(
        "--sample",
        metavar="SIZE",
        type=size,
        help="a sample each SIZE of allocated memory on average; 1B: every allocation (default: as memory grows)",
    )
    parser.add_argument(
        "--engine",
        choices=("hiwater", "heaptrack", "memray", "jemalloc", "tcmalloc", "massif", "dhat"),
        default="hiwater",
        help="who looks: another tool is slower, and must be installed (default: hiwater)",
    )
    parser.add_argument(
        "--python-allocators",
        action="store_true",
        help="with --engine memray: count Python's objects, not the arenas that they are in",
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with timeline, flame graph and call graph")
    parser.add_argument(
        "--wrapper",
        metavar="NAME",
        action="append",
        type=_expression,
        default=[],
        help="a function that only hands out memory, as malloc does: its callers count; a regular expression",
    )
    parser.add_argument("--trace", action="store_true", help="as hiwater run --trace")
    add_period_option(parser)
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="end the whole tree after TIME, e.g. 30s")
    parser.add_argument(
        "--linger",
        metavar="TIME",
        type=duration,
        help="wait so long for descendants that outlive COMMAND (default 1s)",
    )
    add_budget_options(parser)
    add_color_option(parser)


def _expression(text: str) -> str:
    import re

    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None
    return text


def main(words: list[str]) -> int:
    """``words``: what stands behind ``hiwater heap``."""
    parser = Parser(
        prog="hiwater heap",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser)
    options, command = split_command(parser, words)
    args = parser.parse_args(options)
    if sum((bool(command), args.read is not None, args.compare is not None)) != 1:
        parser.error("one of COMMAND, --read FILE, --compare OLD NEW; for example: hiwater heap -- ./app")
    if command and "-" in (args.flame, args.html):
        parser.error("the command's output goes to stdout, so pages and pictures cannot: write them to files")
    if args.timeout == 0:
        parser.error("argument --timeout: at least 1ns")
    check_budget_options(parser, args)
    if args.try_runs is not None and not args.try_malloc:
        parser.error("argument --try-runs: with --try-malloc only")
    if args.try_malloc and not command:
        parser.error("argument --try-malloc: executes a COMMAND; what was tried then, --read FILE shows by itself")
    if args.try_malloc and (args.once or args.engine != "hiwater"):
        parser.error("argument --try-malloc: executes COMMAND many times, by hiwater's own engine: no --once, --engine")
    if args.python_allocators and args.engine != "memray":
        parser.error("argument --python-allocators: with --engine memray only")
    try:
        if not command:
            from hiwater.cli.heap_read import compare, read

            return read(args) if args.read is not None else compare(args)
        return _Heap(args, command).execute()
    except HiwaterError as error:
        return complain(error)


class _Heap(Measurement):
    """One execution with the sampler in the foreground, and then one without, whose peak is the number."""

    def __init__(self, args: argparse.Namespace, command: list[str]) -> None:
        from hiwater.cli.heap_engines import Follower, follower

        self.stdin = None if args.once else _again()
        if args.try_malloc and self.stdin is None:
            raise MisuseError(
                "--try-malloc: the input is a pipe, which can be read once only: give a file, or </dev/null"
            )
        self.follower: Follower = follower(args, command)
        self.mask: frozenset[int] = frozenset()
        self.before = {name: os.environ[name] for name in self.follower.environment if name in os.environ}
        self.profile: HeapProfile | None = None
        self.failure: HiwaterError | None = None
        self.sampled_peak: int | None = None
        self.plain_peak: int | None = None
        self.trials: Trials | None = None
        try:
            super().__init__(args, command)
            self.open_pictures()
        except HiwaterError:
            self.follower.close()
            raise
        self.reports = True

    def prepare(self) -> None:
        os.environ.update(self.follower.environment)

    def clean_up(self) -> None:
        self.follower.close()

    def arguments(self, foreground: Foreground) -> list[bytes]:
        self.mask = foreground.mask
        return monitor_arguments(
            self.monitor,
            self.fd,
            self.follower.command,
            mode=Mode.TRACE if self.args.trace else Mode.QUIET,
            period_ns=self.args.period,
            timeout_ns=self.args.timeout,
            linger_ns=self.args.linger,
            launcher_pid=os.getppid() or None,
            signal_mask=foreground.mask,
        )

    def started(self) -> None:
        for name in self.follower.environment:  # ours alone again: what we start ourselves is nobody's to sample
            os.environ.pop(name, None)
        os.environ.update(self.before)
        self.follower.started()

    def complete(self) -> None:
        """The samples, their names, and the execution without the sampler come into the recording."""
        from hiwater.heap.wrappers import pass_over
        from hiwater.output import read_all
        from hiwater.recording.reader import parse

        sampled = parse(read_all(self.fd))
        if sampled.end is None or not sampled.observed_processes:
            return  # it was not executed at all: judged by what reads it next
        self.sampled_peak = sampled.summary.peak_rss.bytes
        plain = self._without_sampler() if self.stdin is not None and sampled.summary.ended_by == "exit" else None
        if plain is not None:
            self.plain_peak = plain.summary.peak_rss.bytes
        try:
            self.profile = pass_over(self.follower.finish(self.fd, sampled, plain), self.args.wrapper)
            if self.args.try_malloc:
                self._try(sampled)
        except HiwaterError as error:
            self.failure = error

    def _try(self, sampled: Recording) -> None:
        """Under other settings of malloc; what they gave comes into the recording."""
        from hiwater.cli.heap_tries import try_settings
        from hiwater.heap.tried import RUNS
        from hiwater.recording.heap import append_tried

        runs = RUNS if self.args.try_runs is None else self.args.try_runs
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        try:
            self.trials = try_settings(
                sampled, self.follower.logs, self._run, runs, lambda text: _progress(f"settings of malloc, {text}")
            )
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
            _progress("")
        append_tried(self.fd, self.trials)

    def _run(self, besides: Mapping[str, str]) -> Recording:
        """Once more, without the sampler; its output has been seen already."""
        import subprocess

        from hiwater.execute import run

        # Opened anew: it is read from its beginning each time.
        stdin = os.open(f"/proc/self/fd/{self.stdin}", os.O_RDONLY)
        try:
            return run(
                self.command,
                mode=Mode.TRACE if self.args.trace else Mode.QUIET,
                period=None if self.args.period is None else self.args.period / 1e9,
                timeout=None if self.args.timeout is None else self.args.timeout / 1e9,
                linger=None if self.args.linger is None else self.args.linger / 1e9,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **besides},
            )
        finally:
            os.close(stdin)

    def _without_sampler(self) -> Recording | None:
        """The peak that is told."""
        _progress(f"once more, without {self.follower.name}, for the number")
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        try:
            return self._run({})
        except (HiwaterError, KeyboardInterrupt) as error:
            why = str(error) or "interrupted"
            say(f"hiwater: no peak without {self.follower.name} is known: {why}\n")
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
            _progress("")

    def _report(self, recording: Recording) -> int:
        own = super()._report(recording)
        if self.profile is not None and self.failure is None:
            try:
                self._draw(recording, self.profile)
            except HiwaterError as error:
                self.failure = error
        return self._complain(self.failure) if self.failure is not None else own

    def _draw(self, recording: Recording, profile: HeapProfile) -> None:
        if self.flame is not None:
            self.write(self.flame, flame(self.args, profile))
        if self.html is not None:
            from hiwater.views import report

            self.write(self.html, report.render([recording], [profile.name or "heap"]))

    def document(self, recording: Recording, judgements: tuple[Judgement, ...]) -> str:
        import json

        from hiwater.views import heap_json, json_view

        found = json_view.document(recording, judgements)
        if self.profile is not None:
            found["heap"] = {
                **heap_json.document(self.profile, self.trials),
                "sampled_peak_rss_bytes": self.sampled_peak,
                "plain_peak_rss_bytes": self.plain_peak,
            }
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"

    def summary(self, recording: Recording, judgements: tuple[Judgement, ...], *, width: int, is_terminal: bool) -> str:
        text = super().summary(recording, judgements, width=width, is_terminal=is_terminal)
        if self.profile is None or self.args.quiet:
            return text
        shown = page(
            self.args,
            self.profile,
            width,
            is_terminal,
            self.encoding,
            plain_peak=self.plain_peak,
            sampled_peak=self.sampled_peak,
            trials=self.trials,
        )
        return f"{text}\n{shown}"


def _again() -> int | None:
    """What the second execution reads: nothing, or the same file once more; ``None`` where it can be read once only."""
    try:
        status = os.fstat(0)
    except OSError:
        return os.open(os.devnull, os.O_RDONLY)
    if stat.S_ISREG(status.st_mode):
        return os.open("/proc/self/fd/0", os.O_RDONLY)
    if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        return None
    return os.open(os.devnull, os.O_RDONLY)


def _progress(text: str) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        say(f"\r\x1b[Khiwater: {text}" if text else "\r\x1b[K")
