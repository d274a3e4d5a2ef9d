"""The completion scripts of three shells, from a description of the sub-commands.

Options that take a value complete file names, or their choices; behind the command that is to be executed, the shell
completes that command's own words.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a sub-command."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]
    value_is_file: bool


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command."""

    name: str
    help: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    """What its positional argument may be; empty for file names."""
    executes: bool
    """A command of the user's follows."""
    wants_pid: bool
    """Its positional argument is the number of a process."""


def describe(parser: argparse.ArgumentParser) -> tuple[Command, ...]:
    """What there is to complete."""
    subparsers = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in subparsers._choices_actions}
    return tuple(_command(name, helps.get(name, ""), sub) for name, sub in subparsers.choices.items())


def _command(name: str, help_text: str, parser: argparse.ArgumentParser) -> Command:
    positionals = [action for action in parser._actions if not action.option_strings]
    return Command(
        name,
        help_text,
        tuple(_option(action) for action in parser._actions if action.option_strings),
        tuple(str(choice) for action in positionals for choice in action.choices or ()),
        any(action.nargs == argparse.REMAINDER for action in positionals),
        any(action.metavar == "PID" for action in positionals),
    )


def _option(action: argparse.Action) -> Option:
    text = (action.help or "").replace("%%", "%")
    choices = tuple(str(choice) for choice in action.choices or ())
    return Option(tuple(action.option_strings), text, action.nargs != 0, choices, action.metavar in ("FILE", "PATH"))


def bash(commands: tuple[Command, ...]) -> str:
    """A function and a ``complete`` line; it finds the user's command and leaves the rest to that one's completion."""
    cases = []
    for command in commands:
        flags = " ".join(name for option in command.options for name in option.names)
        values = "|".join(name for option in command.options if option.takes_value for name in option.names)
        choices = "".join(
            f'\n                {"|".join(option.names)}) words="{" ".join(option.choices)}" ;;'
            for option in command.options
            if option.choices
        )
        cases.append(
            f"""        {command.name})
            flags="{flags}"
            values="{values}"
            positional="{" ".join(command.words)}"
            executes={"yes" if command.executes else ""}
            pids={"yes" if command.wants_pid else ""}
            case $previous in{choices or " "}
            esac
            ;;"""
        )
    names = " ".join(command.name for command in commands)
    body = "\n".join(cases)
    return f"""# bash completion of hiwater
_hiwater() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    local flags="" values="" positional="" executes="" pids="" words="" at
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "{names} --help --version" -- "$current")
        return
    fi
    case ${{COMP_WORDS[1]}} in
{body}
    esac
    if [[ $executes ]]; then
        for ((at = 2; at < COMP_CWORD; at++)); do
            case ${{COMP_WORDS[at]}} in
                --) ((at++)); break ;;
                -*) [[ "|$values|" == *"|${{COMP_WORDS[at]}}|"* ]] && ((at++)) ;;
                *) break ;;
            esac
        done
        if ((at < COMP_CWORD)) && declare -F _command_offset > /dev/null; then
            _command_offset "$at"
            return
        elif ((at == COMP_CWORD)) && [[ $current != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -c -- "$current")
            return
        fi
    fi
    if [[ $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    elif [[ $values && "|$values|" == *"|$previous|"* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
    elif [[ $pids ]]; then
        mapfile -t COMPREPLY < <(cd /proc && compgen -W "$(echo [0-9]*)" -- "$current")
    elif [[ $positional ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$positional" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}}
complete -o filenames -F _hiwater hiwater
"""


def _zsh_text(text: str) -> str:
    for old, new in (("'", "'\\''"), ("[", "\\["), ("]", "\\]"), (":", "\\:")):
        text = text.replace(old, new)
    return text


def _zsh_option(option: Option) -> list[str]:
    value = ""
    if option.takes_value:
        action = f"({' '.join(option.choices)})" if option.choices else "_files" if option.value_is_file else " "
        value = f":value:{action}"
    others = f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    return [f"'{others}{name}[{_zsh_text(option.help)}]{value}'" for name in option.names]


def zsh(commands: tuple[Command, ...]) -> str:
    """For a file named ``_hiwater`` in ``$fpath``."""
    names = " ".join(f"'{command.name}:{_zsh_text(command.help)}'" for command in commands)
    cases = []
    for command in commands:
        specs = [spec for option in command.options for spec in _zsh_option(option)]
        if command.executes:
            specs += ["'(-)1:command:_command_names -e'", "'*::arguments:_normal'"]
        elif command.wants_pid:
            specs.append("'1:process:_pids'")
        elif command.words:
            specs.append(f"'1:word:({' '.join(command.words)})'")
        else:
            specs.append("'*:file:_files'")
        cases.append(f"        {command.name})\n            _arguments -S {' '.join(specs)} ;;")
    body = "\n".join(cases)
    return f"""#compdef hiwater
_hiwater() {{
    local -a commands=({names})
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    ((CURRENT--))
    case $command in
{body}
    esac
}}
if [ "$funcstack[1]" = _hiwater ]; then _hiwater "$@"; else compdef _hiwater hiwater; fi
"""


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(commands: tuple[Command, ...]) -> str:
    """A ``complete`` line for each word."""
    lines = ["# fish completion of hiwater", "complete -c hiwater -f -n __fish_use_subcommand -l help -l version"]
    for command in commands:
        within = f"'__fish_seen_subcommand_from {command.name}'"
        lines.append(f"complete -c hiwater -f -n __fish_use_subcommand -a {command.name} -d {_fish_text(command.help)}")
        for option in command.options:
            names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
            value = ""
            if option.choices:
                value = f" -x -a {_fish_text(' '.join(option.choices))}"
            elif option.takes_value:
                value = " -r" if option.value_is_file else " -x"
            lines.append(f"complete -c hiwater -n {within} {names}{value} -d {_fish_text(option.help)}")
        if command.executes:
            lines.append(f"complete -c hiwater -n {within} -x -a '(__fish_complete_subcommand --fcs-skip=2)'")
        elif command.wants_pid:
            lines.append(f"complete -c hiwater -n {within} -x -a '(__fish_complete_pids)'")
        elif command.words:
            lines.append(f"complete -c hiwater -n {within} -x -a {_fish_text(' '.join(command.words))}")
    return "\n".join(lines) + "\n"


SCRIPTS: dict[str, Callable[[tuple[Command, ...]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
