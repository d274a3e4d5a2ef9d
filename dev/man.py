#!/usr/bin/env python3
"""Writes man/hiwater.1 from the command line's parser; with --check only says whether it is up to date.

The installed hiwater is asked, so install first: `.venv-test/bin/python dev/man.py`.
Nothing of argparse's own formatting is used: that differs between the versions of Python, and this file is compared.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hiwater import __version__
from hiwater.cli import build_parser

PAGE = Path(__file__).parents[1] / "man" / "hiwater.1"

EXIT_STATUS = (
    ("hiwater run, while the command could be judged", "the command's own status; 128+N when signal N ended it"),
    ("123", "the command succeeded but broke its budget"),
    ("124", "the time of --timeout ran out"),
    ("125", "hiwater itself failed or was misused"),
    ("126", "the command was found but could not be executed"),
    ("127", "the command was not found"),
    ("commands that only analyse", "0 fine, 1 violated, 2 misused or unreadable data"),
)


def roff(text: str) -> str:
    """Text as roff shows it literally; a line that begins with a dot or a quote is no request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)


def paragraphs(text: str) -> Iterator[str]:
    """Blocks of a description: indented lines are kept as they are, others are filled."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if any(line.startswith(" ") for line in lines):
            yield from (".PP", ".nf", *(roff(line) for line in lines), ".fi")
        else:
            yield from (".PP", roff(" ".join(line.strip() for line in lines)))


def is_hidden(action: argparse.Action) -> bool:
    return action.help == argparse.SUPPRESS


def value_of(action: argparse.Action) -> str:
    """What stands behind an option: nothing, a placeholder or the choices."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "{" + ",".join(str(choice) for choice in action.choices) + "}"
    return action.dest.upper()


def entry(action: argparse.Action) -> Iterator[str]:
    value = value_of(action)
    names = ", ".join(f"\\fB{roff(name)}\\fR" for name in action.option_strings)
    shown = f"\\fI{roff(value)}\\fR" if value else ""
    yield ".TP"
    yield " ".join(part for part in (names, shown) if part)
    help_text = (action.help or "") % {**vars(action), "prog": "hiwater"}
    yield roff(" ".join(help_text.split())) or "\\&"


def entries(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if not is_hidden(action) and not isinstance(action, argparse._SubParsersAction):
            yield from entry(action)


def sub_commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, one line of help and parser of each visible sub-command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                if not is_hidden(choice):
                    yield choice.dest, choice.help or "", action.choices[choice.dest]


def synopsis(name: str, parser: argparse.ArgumentParser) -> str:
    """hiwater NAME, then what its usage says behind the name; without one, the names of its arguments."""
    if parser.usage:
        return " ".join((parser.usage % {"prog": f"hiwater {name}"}).split())
    operands = [value_of(action) for action in parser._actions if not action.option_strings and not is_hidden(action)]
    return " ".join([f"hiwater {name}", "[OPTIONS]", *operands])


def page(parser: argparse.ArgumentParser) -> str:
    commands = list(sub_commands(parser))
    lines = [
        f'.TH HIWATER 1 "" "hiwater {__version__}" "User Commands"',
        ".SH NAME",
        "hiwater \\- the true peak memory of a command, with bounds",
        ".SH SYNOPSIS",
    ]
    for number, (name, _, sub_parser) in enumerate(commands):
        lines += [".br"] * (number > 0) + [roff(synopsis(name, sub_parser))]
    lines += [".SH DESCRIPTION", *paragraphs(parser.description or ""), *entries(parser)]
    lines += [".SH COMMANDS"]
    for name, help_text, sub_parser in commands:
        lines += [f".SS {roff(synopsis(name, sub_parser))}"]
        lines += [*paragraphs(sub_parser.description or help_text), *entries(sub_parser)]
        lines += [*paragraphs(sub_parser.epilog or "")] if sub_parser.epilog else []
    lines += [".SH EXIT STATUS"]
    for status, meaning in EXIT_STATUS:
        lines += [".TP", roff(status), roff(meaning)]
    if parser.epilog:
        lines += [".SH EXAMPLES", *paragraphs(parser.epilog)]
    lines += [".SH SEE ALSO", ".BR time (1),", ".BR getrusage (2),", ".BR wait4 (2),", ".BR proc (5)"]
    return "\n".join(lines) + "\n"


def main() -> int:
    text = page(build_parser())
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != text:
            print(f"{PAGE.name} is not what the parser says: dev/man.py writes it anew", file=sys.stderr)
            return 1
        return 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
