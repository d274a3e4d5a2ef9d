"""Where the options end and the command begins."""

from __future__ import annotations

import argparse


def split_command(parser: argparse.ArgumentParser, words: list[str]) -> tuple[list[str], list[str]]:
    """Splits ``[OPTIONS] [--] COMMAND [ARG...]``; exactly one ``--`` is taken away.

    argparse alone cannot: it looks for options behind the command too, and which of several ``--`` it removes has
    changed from one Python to the next.
    """
    takes_value = {name: action.nargs != 0 for action in parser._actions for name in action.option_strings}
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return words[:at], words[at + 1 :]
        if not word.startswith("-") or word == "-":
            return words[:at], words[at:]
        at += 1 + _value_follows(word, takes_value)
    return words, []


def _value_follows(word: str, takes_value: dict[str, bool]) -> bool:
    if word.startswith("--"):
        return takes_value.get(word, False)  # with = the value is in the word itself
    for place, letter in enumerate(word[1:], 2):
        if takes_value.get(f"-{letter}", False):
            return place == len(word)  # -oFILE holds its value
    return False
