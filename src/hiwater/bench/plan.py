"""From the words of a user to the commands of a benchmark: parameters, shells, and what belongs to which command."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import product

from hiwater.bench.model import Command
from hiwater.errors import MisuseError

MOST_COMMANDS = 10_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """A name in braces that stands for several values."""

    name: str
    values: tuple[str, ...]


def scan(name: str, first: str, last: str, step: str | None = None) -> Parameter:
    """``first``, ``first + step`` ... up to ``last``; the numbers are written as exactly as the user wrote them."""
    low, high, by = _number(first), _number(last), _number("1" if step is None else step)
    if by == 0 or (high - low) * by < 0:
        raise MisuseError(f"from {first} to {last} no step of {by} leads")
    if (high - low) / by >= MOST_COMMANDS:
        raise MisuseError(f"from {first} to {last} in steps of {by}: that is too many")
    count = int((high - low) / by) + 1
    return Parameter(_checked_name(name), tuple(format(low + by * place, "f") for place in range(count)))


def spaced(name: str, first: str, last: str, steps: int) -> Parameter:
    """So many numbers from ``first`` to ``last``, equally far apart; whole ones if these two are."""
    low, high = _number(first), _number(last)
    if steps < 2 or high <= low:
        raise MisuseError(f"between {first} and {last} there are no {steps} sizes")
    whole = low == low.to_integral_value() and high == high.to_integral_value()
    found = [low + (high - low) * place / (steps - 1) for place in range(steps)]
    shown = [format(number.to_integral_value() if whole else number.normalize(), "f") for number in found]
    return Parameter(_checked_name(name), tuple(dict.fromkeys(shown)))


def listed(name: str, values: str) -> Parameter:
    """``v1,v2``; a comma of a value's own is written as ``\\,``."""
    words: list[str] = []
    word, escaped = "", False
    for character in values:
        if escaped:
            word, escaped = word + (character if character == "," else "\\" + character), False
        elif character == "\\":
            escaped = True
        elif character == ",":
            words, word = [*words, word], ""
        else:
            word += character
    return Parameter(_checked_name(name), (*words, word + ("\\" if escaped else "")))


def combinations(parameters: Sequence[Parameter]) -> Iterator[dict[str, str]]:
    """Every value of each with every value of the others."""
    names = [parameter.name for parameter in parameters]
    for name in names:
        if names.count(name) > 1:
            raise MisuseError(f"the parameter {name} is given twice")
    for values in product(*(parameter.values for parameter in parameters)):
        yield dict(zip(names, values, strict=True))


def fill_in(text: str, parameters: Mapping[str, str]) -> str:
    """``{name}`` becomes its value; other braces stay as they are."""
    parts, rest = [], text
    while rest:
        before, brace, rest = rest.partition("{")
        parts.append(before)
        name, end, behind = rest.partition("}")
        if end and name in parameters:
            parts.append(parameters[name])
            rest = behind
        else:
            parts.append(brace)
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for on the command line."""

    commands: Sequence[str]
    parameters: Sequence[Parameter] = ()
    names: Sequence[str] = ()
    shell: str | None = None
    """``None``: the commands are split into words and executed without one."""
    setup: str | None = None
    prepare: Sequence[str] = ()
    cleanup: str | None = None

    def expand(self) -> tuple[Command, ...]:
        """The commands to execute, each with every combination of the parameters."""
        if not self.commands:
            raise MisuseError("no command to measure; for example: hiwater bench './a --fast' './b'")
        if len(self.prepare) not in (0, 1, len(self.commands)):
            raise MisuseError(f"--prepare is given once, or once for each of the {len(self.commands)} commands")
        values = list(combinations(self.parameters))
        for parameter in self.parameters:
            given = (*self.commands, *self.prepare, self.setup or "")
            if not any(f"{{{parameter.name}}}" in text for text in given):
                raise MisuseError(f"no command holds the parameter {{{parameter.name}}}")
        if len(values) * len(self.commands) > MOST_COMMANDS:
            raise MisuseError(f"{len(values) * len(self.commands)} commands are too many")
        count = len(values) * len(self.commands)
        if self.names and len(self.names) not in (len(self.commands), count):
            raise MisuseError(f"{len(self.names)} names for {count} commands")
        names = self.names
        if len(names) < count:  # one for all values of the parameters, which the name may hold
            names = [name for name in names for _ in values]
        found = tuple(
            self._command(place // len(values), values[place % len(values)], names[place] if names else None)
            for place in range(count)
        )
        _check_setups(found)
        return found

    def _command(self, place: int, chosen: dict[str, str], name: str | None) -> Command:
        line = fill_in(self.commands[place], chosen)
        prepare = self.prepare[place if len(self.prepare) > 1 else 0] if self.prepare else None
        return Command(
            name=line if name is None else fill_in(name, chosen),
            arguments=tuple(words(line, self.shell)),
            parameters=chosen,
            setup=None if self.setup is None else fill_in(self.setup, chosen),
            prepare=None if prepare is None else fill_in(prepare, chosen),
            cleanup=None if self.cleanup is None else fill_in(self.cleanup, chosen),
        )


def words(line: str, shell: str | None) -> list[str]:
    """What is executed: the line split as a shell splits words, or the shell that is to do more than that."""
    if shell is not None:
        return [*shlex.split(shell), "-c", line]
    try:
        split = shlex.split(line)
    except ValueError as error:
        raise MisuseError(f"{line!r} cannot be split into words: {str(error).lower()}") from None
    if not split:
        raise MisuseError("a command is empty")
    return split


def shell_of(choice: str | None) -> str | None:
    """The shell that --shell names: ``none``, ``default`` (sh) or one of the user's own."""
    if choice is None or choice == "none":
        return None
    if choice == "default":
        return "/bin/sh"
    if not choice.strip():
        raise MisuseError("--shell takes the name of a shell, default or none")
    return os.fspath(choice)


def _check_setups(commands: Sequence[Command]) -> None:
    """All set-ups come before the first execution: the last would overwrite what the others left for the same words."""
    for place, one in enumerate(commands):
        for other in commands[:place]:
            if one.arguments == other.arguments and one.setup != other.setup:
                raise MisuseError(
                    f"{shlex.join(one.arguments)} is to be executed after different --setup commands, which is not "
                    "possible in turn: let the set-ups leave different files, or use --prepare"
                )


def _checked_name(name: str) -> str:
    if not name or any(character in name for character in "{} \t\n"):
        raise MisuseError(f"{name!r} is no name of a parameter")
    return name


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise MisuseError(f"{text!r} is not a number")
    return number
