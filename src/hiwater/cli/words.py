"""Where the options end and the command begins."""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False  # not typing's: importing that takes as long as starting the command
if TYPE_CHECKING:
    from typing import NoReturn


def split_command(parser: argparse.ArgumentParser, words: list[str]) -> tuple[list[str], list[str]]:
    """Splits ``[OPTIONS] [--] COMMAND [ARG...]``; exactly one ``--`` is taken away.

    argparse alone cannot: it looks for options behind the command too, and which of several ``--`` it removes has
    changed from one Python to the next.
    """
    takes = {name: _count(action) for action in parser._actions for name in action.option_strings}
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return words[:at], words[at + 1 :]
        if not word.startswith("-") or word == "-":
            return words[:at], words[at:]
        at += 1 + _values_that_follow(word, takes)
    return words, []


def leave_command_alone(parser: argparse.ArgumentParser, misuse_status: int) -> None:
    """Has the parser of a sub-command leave alone what stands behind COMMAND, and end with a status of our choice.

    argparse would look for options behind COMMAND too, and would end with 2, which may be COMMAND's own status.
    """
    parse = parser.parse_known_args

    def misuse(message: str) -> NoReturn:
        print(f"{parser.prog}: {message}; see {parser.prog} --help", file=sys.stderr)
        raise SystemExit(misuse_status)

    def split_and_parse(args: list[str], namespace: argparse.Namespace | None = None) -> tuple[object, list[str]]:
        options, command = split_command(parser, args)
        parsed, unknown = parse(options, namespace)
        if unknown:
            misuse(f"there is no option {unknown[0]}")
        parsed.command = command
        return parsed, []

    parser.error = misuse  # type: ignore[method-assign]
    parser.parse_known_args = split_and_parse  # type: ignore[method-assign, assignment]


def _count(action: argparse.Action) -> int:
    """How many values an option takes."""
    return action.nargs if isinstance(action.nargs, int) else 1


def _values_that_follow(word: str, takes: dict[str, int]) -> int:
    if word.startswith("--"):
        return takes.get(word, 0)  # with = the value is in the word itself
    for place, letter in enumerate(word[1:], 2):
        count = takes.get(f"-{letter}", 0)
        if count:
            return count - (place < len(word))  # -oFILE holds its first value
    return 0
