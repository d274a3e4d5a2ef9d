"""Where the options end and the command begins."""

from __future__ import annotations

import argparse


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
