"""``hiwater methods``: one command, measured in every way in which people measure."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hiwater.cli.words import leave_command_alone

if TYPE_CHECKING:
    from hiwater.methods import Comparison, Executor

EXIT_FINE, EXIT_COMMAND_FAILED, EXIT_FAILED, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 0, 1, 125, 126, 127

_DESCRIPTION = """\
Executes COMMAND once under every way in which people measure its memory: wait4 after fork, vfork, posix_spawn and
through a wrapper, each from a launcher that holds a ballast and from one that has freed it; getrusage, GNU time,
polling, VmHWM at exit, and hiwater. Then prints what each of them reported, how far that is off, and why.
"""
_EPILOG = """\
examples:
  hiwater methods -- ls -l
  hiwater methods --ballast 2GiB --json table.json -- python3 -c 'print(1)'

COMMAND is executed some 17 times, with an empty stdin. Exit status: 0; 1 if the command failed in one of its
executions; 127 if it was not found, 126 if it cannot be executed, 125 if hiwater failed or was misused.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "methods",
        help="show what each way of measuring reports for a command, and why they disagree",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="hiwater methods [OPTIONS] [--] COMMAND [ARG ...]",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--ballast",
        metavar="SIZE",
        default="800MiB",
        help="how big the launcher is, or was, that starts the command (default: %(default)s)",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the table to FILE as JSON; - is stdout, without the table"
    )
    parser.add_argument("-f", "--force", action="store_true", help="overwrite FILE if it exists")
    parser.add_argument("--keep-output", action="store_true", help="let the command's stdout and stderr through")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colour the output (default: auto)"
    )
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to measure")
    parser.set_defaults(func=methods)
    leave_command_alone(parser, EXIT_FAILED)


def methods(args: argparse.Namespace) -> int:
    """Measures, prints, and says how it went."""
    from hiwater.cli.table_output import complain
    from hiwater.errors import CommandNotExecutableError, CommandNotFoundError, HiwaterError

    try:
        return _methods(args)
    except CommandNotFoundError as error:
        return complain("methods", error, EXIT_NOT_FOUND)
    except CommandNotExecutableError as error:
        return complain("methods", error, EXIT_NOT_EXECUTABLE)
    except HiwaterError as error:
        return complain("methods", error, EXIT_FAILED)


def _methods(args: argparse.Namespace) -> int:
    from hiwater.cli import table_output
    from hiwater.views import methods_json, methods_text
    from hiwater.views.style import Color

    executor = _executor(args)
    with table_output.open_json(args.json, args.force) as document:
        comparison = _execute(executor)
        document.write(methods_json.render(comparison))
        if not document.is_stdout:
            table_output.show(lambda width, paint: methods_text.render(comparison, width, paint), Color(args.color))
    if comparison.truth is None:
        return EXIT_FAILED
    return EXIT_COMMAND_FAILED if comparison.failures else EXIT_FINE


def _executor(args: argparse.Namespace) -> Executor:
    """What was asked for, checked as far as that goes before anything is executed."""
    from hiwater.binaries import find_monitor, find_probe
    from hiwater.errors import MisuseError
    from hiwater.methods import Executor, installed_tools
    from hiwater.probing import Output
    from hiwater.units import parse_size

    if not args.command or not args.command[0]:
        raise MisuseError("no command to measure; for example: hiwater methods -- ls -l")
    ballast = parse_size(args.ballast)
    _check_ballast(ballast)
    return Executor(
        command=tuple(args.command),
        ballast_bytes=ballast,
        probe=find_probe(),
        monitor=find_monitor(),
        tools=installed_tools(),
        output=Output.KEEP if args.keep_output else Output.DISCARD,
    )


def _check_ballast(ballast: int) -> None:
    from pathlib import Path

    from hiwater.errors import MisuseError
    from hiwater.procfs import parse_meminfo
    from hiwater.units import format_size

    if ballast < 1:
        raise MisuseError("--ballast must be more than 0")
    available = parse_meminfo(Path("/proc/meminfo").read_bytes()).available_bytes
    if available is not None and ballast > available * 9 // 10:
        raise MisuseError(
            f"a ballast of {format_size(ballast)} does not fit: {format_size(available)} of memory are available; "
            f"ask for less, such as --ballast {available // 4 >> 20}MiB"
        )


def _execute(executor: Executor) -> Comparison:
    from hiwater.cli.table_output import progress
    from hiwater.methods import catalogue, compare

    outcomes = []
    todo = catalogue(executor.tools)
    for number, method in enumerate(todo, 1):
        progress(f"{number}/{len(todo)} {method.title}")
        outcomes.append((method, executor(method)))
    progress("")
    return compare(executor.command, executor.ballast_bytes, outcomes, _hidden_bytes())


def _hidden_bytes() -> int | None:
    import os
    import platform
    import resource

    from hiwater.analysis.precision import counter_error_bytes

    return counter_error_bytes(platform.release(), os.sysconf("SC_NPROCESSORS_ONLN"), resource.getpagesize(), 1)
