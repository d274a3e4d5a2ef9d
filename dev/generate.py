#!/usr/bin/env python3
"""Writes the files under share/ from the command line's parser: the man page, and completion for three shells.

With --check it only says which are out of date. The installed hiwater is asked, so install first:
`.venv-test/bin/python dev/generate.py`. Nothing of argparse's own formatting is used: it differs between the versions
of Python, and these files are compared.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hiwater import __version__
from hiwater.cli import build_parser
from hiwater.cli.completion_scripts import SCRIPTS, describe

SHARE = Path(__file__).parents[1] / "share"
COMPLETIONS = {
    "bash": "bash-completion/completions/hiwater",
    "zsh": "zsh/site-functions/_hiwater",
    "fish": "fish/vendor_completions.d/hiwater.fish",
}

EXIT_STATUS = (
    ("hiwater run", "the command's own status; 128+N when signal N ended it; and of hiwater's own:"),
    ("123", "the command succeeded but broke its budget"),
    ("124", "the time of --timeout ran out"),
    ("125", "hiwater itself failed or was misused, or a budget could not be judged"),
    ("126", "the command was found but could not be executed"),
    ("127", "the command was not found"),
    ("hiwater faults", "as run; 125 also if page faults cannot be sampled here: then the command was not executed"),
    ("hiwater attach", "0; 123 it broke its budget; 125 nothing to attach to, misused, failed, or a budget not judged"),
    ("hiwater bench", "0; 1 a command failed or was not measured; 2 misused, or hiwater failed; 130 interrupted"),
    ("hiwater scale", "as bench; 1 also where the measurements do not carry what was asked for"),
    ("hiwater fit", "0; 1 there is no answer, or none as precise as was asked for; 2 misused; 130 interrupted"),
    ("hiwater check", "0 all checks pass; 1 one does not; 2 misuse. With --bisect: 0 good, 1 bad, 125 skip, 128 stop"),
    ("hiwater show, explain", "0; 2 misused, or the file is no recording"),
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
    """The options and operands; --help is said once, for all commands."""
    for action in parser._actions:
        if is_hidden(action) or isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)):
            continue
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
    lines += [".SH COMMANDS", "Each command explains itself with \\fB\\-\\-help\\fR."]
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


def files() -> dict[Path, str]:
    """Everything that is generated: where it lies, and what is in it."""
    parser = build_parser()
    described = describe(parser)
    generated = {SHARE / place: SCRIPTS[shell](described) for shell, place in COMPLETIONS.items()}
    return {SHARE / "man/man1/hiwater.1": page(parser), **generated}


def main() -> int:
    stale = {path: text for path, text in files().items() if not path.exists() or path.read_text() != text}
    if sys.argv[1:] == ["--check"]:
        for path in stale:
            print(f"{path.relative_to(SHARE.parent)} is not what the parser says: dev/generate.py writes it anew")
        return 1 if stale else 0
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
