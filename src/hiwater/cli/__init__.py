"""The command line: translates words into calls, and results into exit codes. One sub-command a module, loaded when
it is used."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from hiwater._version import __version__

COMMANDS = (
    "run",
    "attach",
    "show",
    "explain",
    "report",
    "plot",
    "export",
    "check",
    "history",
    "bench",
    "scale",
    "fit",
    "heap",
    "faults",
    "methods",
    "doctor",
    "completion",
)

_DESCRIPTION = "The true peak memory of commands on Linux."
_EPILOG = """\
examples:
  hiwater run -- make -j8           execute a build, and say what it took
  hiwater run -o a.hiw --trace -- ./server --once
  hiwater show a.hiw --json         the figures of a stored recording

`hiwater COMMAND --help` explains one command.
"""


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole parser, or the part that understands one sub-command."""
    parser = argparse.ArgumentParser(
        prog="hiwater",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hiwater {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", dest="subcommand", required=True, title="commands")
    for name in COMMANDS if only is None else (only,):
        import_module(f"hiwater.cli.{name}").add_parser(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry of ``hiwater`` and ``python -m hiwater``; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    try:
        if words[:1] == ["run"]:
            from hiwater.cli.run import main as run  # takes its own words: those behind the command are not ours

            return run(words[1:])
        if words[:1] == ["attach"]:
            from hiwater.cli.attach import main as attach

            return attach(words[1:])
        if words[:1] == ["heap"]:
            from hiwater.cli.heap import main as heap

            return heap(words[1:])
        if words[:1] == ["faults"]:
            from hiwater.cli.faults import main as faults

            return faults(words[1:])
        args = build_parser(words[0] if words and words[0] in COMMANDS else None).parse_args(words)
        status: int = args.func(args)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it flushes at its end.
        sys.stdout = None
        return 141
