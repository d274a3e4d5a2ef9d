"""``hiwater completion``: prints a completion script for a shell, made from the parsers themselves."""

from __future__ import annotations

import argparse
import sys

_EPILOG = """\
examples:
  source <(hiwater completion bash)
  hiwater completion zsh > ~/.zfunc/_hiwater
  hiwater completion fish > ~/.config/fish/completions/hiwater.fish
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words that this sub-command understands."""
    parser = subparsers.add_parser(
        "completion",
        help="print a completion script for bash, zsh or fish",
        description="Prints a script that lets a shell complete the commands and options of hiwater.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(func=completion)


def completion(args: argparse.Namespace) -> int:
    """Prints it on stdout."""
    from hiwater.cli import build_parser
    from hiwater.cli.completion_scripts import SCRIPTS, describe

    sys.stdout.write(SCRIPTS[args.shell](describe(build_parser())))
    return 0
