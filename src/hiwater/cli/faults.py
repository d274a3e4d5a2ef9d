"""``hiwater faults``: who touched memory first, by page faults, with nothing loaded into the command."""

from __future__ import annotations

import argparse
import os
import sys

from hiwater.cli.foreground import Foreground
from hiwater.cli.heap_options import add_profile_options, flame, page, size, symbols
from hiwater.cli.measurement import (
    Measurement,
    Parser,
    add_color_option,
    add_output_options,
    add_period_option,
    complain,
    duration,
)
from hiwater.cli.words import split_command
from hiwater.errors import HiwaterError, MisuseError
from hiwater.launch import Mode, monitor_arguments

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from hiwater.analysis.budget import Judgement
    from hiwater.heap.model import HeapProfile
    from hiwater.heap.profile import Resolver
    from hiwater.recording.model import Recording

SAMPLE = 256 << 10

_USAGE = """hiwater faults [OPTIONS] [--] COMMAND [ARG...]
       hiwater faults [OPTIONS] --read FILE"""
_DESCRIPTION = """\
Executes COMMAND and says which calls made its memory grow: by page faults, of which some are sampled with the calls
that were under way. Nothing is loaded into COMMAND and nothing in it is replaced, so this works for static programs,
any allocator and any language that leaves native stacks; and it shows memory that no malloc saw. It tells who touched
memory first, not who holds it: hiwater heap tells that.
"""
_EPILOG = """\
examples:
  hiwater faults -- ./app
  hiwater faults --by library -- python3 app.py
  hiwater faults --sample 4KiB -- ./small          each fault, for a small program
  hiwater faults -o app.hiw --flame app.svg -- ./app
  hiwater faults --read app.hiw --process 4711     another process of the same execution

exit status: that of COMMAND, as for hiwater run; 125 hiwater itself failed, was misused, or page faults cannot be
sampled here: then COMMAND was not executed.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """For the help, the man page and the completion; ``main`` is what runs."""
    parser = subparsers.add_parser(
        "faults",
        help="say which calls touched the memory first, of any program",
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
    parser.add_argument("--read", metavar="FILE", help="execute nothing: a recording of hiwater faults -o")
    parser.add_argument(
        "--sample",
        metavar="SIZE",
        type=size,
        default=SAMPLE,
        help="a sample each SIZE of page faults (default: 256KiB); 4KiB is each one",
    )
    add_profile_options(parser)
    parser.add_argument(
        "--process", metavar="PID", type=int, help="tell of this process (default: the one that peaked)"
    )
    add_period_option(parser)
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="end the whole tree after TIME, e.g. 30s")
    parser.add_argument(
        "--linger",
        metavar="TIME",
        type=duration,
        help="wait so long for descendants that outlive COMMAND (default 1s)",
    )
    add_color_option(parser)
    parser.set_defaults(budget=None, budget_tree=None, budget_exit_code=None)


def main(words: list[str]) -> int:
    """``words``: what stands behind ``hiwater faults``."""
    parser = Parser(
        prog="hiwater faults",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser)
    options, command = split_command(parser, words)
    args = parser.parse_args(options)
    if bool(command) == (args.read is not None):
        parser.error("either COMMAND or --read FILE; for example: hiwater faults -- ./app")
    if command and args.flame == "-":
        parser.error("the command's output goes to stdout, so its flame graph cannot: write it to a file")
    if args.timeout == 0:
        parser.error("argument --timeout: at least 1ns")
    try:
        return _read(args) if args.read is not None else _Faults(args, command).execute()
    except HiwaterError as error:
        return complain(error)


class _Faults(Measurement):
    """One execution."""

    def __init__(self, args: argparse.Namespace, command: list[str]) -> None:
        self.profile: HeapProfile | None = None
        self.failure: HiwaterError | None = None
        super().__init__(args, command)
        self.open_pictures()
        self.reports = True

    def arguments(self, foreground: Foreground) -> list[bytes]:
        return monitor_arguments(
            self.monitor,
            self.fd,
            self.command,
            mode=Mode.QUIET,
            period_ns=self.args.period,
            timeout_ns=self.args.timeout,
            linger_ns=self.args.linger,
            launcher_pid=os.getppid() or None,
            signal_mask=foreground.mask,
            faults_bytes=self.args.sample,
        )

    def complete(self) -> None:
        """The names of the calls, and the profile, come into the recording: it can be read elsewhere, years later."""
        from hiwater.heap.faults import asked
        from hiwater.heap.profile import Remembering
        from hiwater.output import read_all
        from hiwater.recording.heap import append_heap
        from hiwater.recording.reader import parse

        recording = parse(read_all(self.fd))
        if recording.end is None or recording.faults is None:
            return  # not executed, or killed: judged by what reads it next
        resolver = Remembering(symbols(self.args))
        wanted = asked(recording.faults)
        resolver.prepare(wanted)
        for one in wanted:
            resolver.resolve(*one)
        try:
            self.profile = _profile(self.args, recording, resolver)
            append_heap(self.fd, (), resolver.symbols, profile=self.profile)
        except HiwaterError as error:
            self.failure = error

    def _report(self, recording: Recording) -> int:
        own = super()._report(recording)
        if self.profile is not None and self.failure is None:
            try:
                if self.flame is not None:
                    self.write(self.flame, flame(self.args, self.profile))
            except HiwaterError as error:
                self.failure = error
        return self._complain(self.failure) if self.failure is not None else own

    def summary(self, recording: Recording, judgements: tuple[Judgement, ...], *, width: int, is_terminal: bool) -> str:
        text = super().summary(recording, judgements, width=width, is_terminal=is_terminal)
        if self.profile is None or self.args.quiet:
            return text
        return f"{text}\n{page(self.args, self.profile, width, is_terminal, self.encoding)}"


def _profile(args: argparse.Namespace, recording: Recording, resolver: Resolver) -> HeapProfile:
    """Raises MisuseError where there is none."""
    from hiwater.heap.faults import by_image, profile

    found = profile(recording, resolver, pid=args.process, every_bytes=args.every)
    if found is not None:
        return found
    if recording.faults is None or recording.faults.totals is None:
        raise MisuseError("the recording holds no page faults: hiwater faults -o FILE -- COMMAND makes one that does")
    if args.process is not None:
        pids = sorted({one.told.pid for one in by_image(recording)})
        known = ", ".join(map(str, pids[:20])) or "none"
        raise MisuseError(f"no page fault of process {args.process} was sampled; of these some were: {known}")
    count = recording.faults.totals.faults
    if count == 0:
        raise MisuseError(
            "no page fault was seen: the command is a set-user-ID program, and the kernel lets only root look into it"
        )
    raise MisuseError(f"the command made {count:,} page faults, and none was sampled: ask for more with --sample 4KiB")


def _read(args: argparse.Namespace) -> int:
    """Prints on stdout what a recording holds, and writes what was asked for."""
    from hiwater.cli import table_output
    from hiwater.cli.stored import open_output, put
    from hiwater.recording.heap import StoredSymbols, stored, unpack_symbols
    from hiwater.recording.reader import load
    from hiwater.views import json_view, style

    if args.output is not None:
        raise MisuseError("-o keeps the recording of an execution: --read executes nothing")
    with table_output.open_json(args.json, args.force) as document:
        recording = load(args.read)
        found = stored(recording.data)
        resolver = symbols(args) if found is None else StoredSymbols(unpack_symbols(found.symbols))
        profile = _profile(args, recording, resolver)
        document.write(json_view.document(recording, heap=profile))
    if args.flame is not None:
        with open_output(args.flame, force=args.force) as file:
            put(file, [flame(args, profile)])
    if args.json != "-" and not args.quiet:
        text = page(args, profile, style.columns(sys.stdout), sys.stdout.isatty(), sys.stdout.encoding)
        sys.stdout.write(style.encodable(text, sys.stdout.encoding))
        sys.stdout.flush()
    return 0
