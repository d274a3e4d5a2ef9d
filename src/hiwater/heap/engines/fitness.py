"""What every engine asks of a command: which program it comes to, and whether something can be loaded into that."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hiwater.errors import CommandNotFoundError
from hiwater.heap.preflight import Fitness, preflight
from hiwater.heap.programs import WRAPPERS, find_program

PRELOADABLE = frozenset({Fitness.FIT})


@dataclass(frozen=True, slots=True)
class Direct:
    """The command without those that only execute another one (env, nice), which profilers would profile instead."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    """What these have set in the environment."""
    note: str | None


def direct(command: Sequence[str], env: Mapping[str, str]) -> Direct:
    """As it stands where nothing is between. Raises CommandNotFoundError where there is no program."""
    program = find_program(command, env)
    if program.path is None:
        raise CommandNotFoundError(program.problem or f"{command[0] if command else ''}: command not found")
    left_out = [os.path.basename(path) for path in program.through if os.path.basename(path) in {*WRAPPERS, "env"}]
    if not left_out:
        return Direct(tuple(command), {}, None)
    changed = {name: value for name, value in program.env.items() if env.get(name) != value}
    note = f"{', '.join(left_out)} is left out: the engine executes {program.path} itself."
    return Direct((program.path, *program.arguments[1:]), changed, note)


def unfit(command: Sequence[str], env: Mapping[str, str], fit: Collection[Fitness], engine: str) -> str | None:
    """Why a program is of none of these kinds, in the words of the look before the start."""
    verdict = preflight(command, env)
    if verdict.kind in fit or verdict.kind is Fitness.UNREADABLE:
        return None
    if verdict.kind is Fitness.CHILDREN:
        return (
            f"{engine} profiles the program that it starts, not those which {verdict.path} starts in turn: give it the "
            f"command that holds the memory"
        )
    instead = f" Try {verdict.alternative}" if verdict.alternative else ""
    return f"{engine} cannot profile this command: {verdict.message}{instead}"
