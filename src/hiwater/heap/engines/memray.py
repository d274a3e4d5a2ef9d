"""``--engine memray``: Python programs, each call of its allocators counted. memray has to be installed beside the
program, in its Python; its file is read by that Python too, since each version has a format of its own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hiwater.errors import MisuseError
from hiwater.heap.engines.model import DEFAULTS, EngineError, Prepared, Wanted, without_exit
from hiwater.heap.model import HeapProfile
from hiwater.heap.programs import find_program
from hiwater.heap.readers import memray

_TAKES_VALUE = "XW"
_ENDS = "mc"
"""Options of python(1): behind these comes the program."""
_LONG_TAKES_VALUE = ("--check-hash-based-pycs",)


class Memray:
    """One execution under memray."""

    name = "memray"
    exact = True

    def __init__(self) -> None:
        self._python = ""
        self._every = memray.EVERY

    def missing(self) -> str | None:
        """Whether the Python of the command has it is the question, and answered by ``unfit``."""
        return None

    def unfit(self, command: Sequence[str], env: Mapping[str, str]) -> str | None:
        program = find_program(command, env)
        if program.path is None:
            return program.problem
        if not _is_python(program.path):
            return f"{program.path} is no Python: --engine memray is for python ARGUMENT... and for scripts of Python"
        if split(program.arguments[1:]) is None:
            return "memray takes a script, -m MODULE or -c CODE, not a Python that reads its stdin"
        done = subprocess.run(
            [program.path, "-c", "import memray"],
            cwd="/",  # the current folder is searched first, and anything may be called memray
            env={**env, **program.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            return f"the Python of this command has no memray: {program.path} -m pip install memray"
        return None

    def prepare(
        self, command: Sequence[str], folder: Path, *, env: Mapping[str, str], wanted: Wanted = DEFAULTS
    ) -> Prepared:
        program = find_program(command, env)
        parts = split(program.arguments[1:])
        if program.path is None or parts is None:
            raise MisuseError(self.unfit(command, env) or "no command for memray")
        self._python, self._every = program.path, wanted.every_bytes or memray.EVERY
        options = ["-q", "-o", str(folder / "memray.bin")]
        notes = [] if wanted.python_allocators else [memray.ARENAS]
        if wanted.python_allocators:
            options.append("--trace-python-allocators")
        before, words = parts
        changed = {name: value for name, value in program.env.items() if env.get(name) != value}
        return Prepared((program.path, *before, "-m", "memray", "run", *options, *words), changed, notes=tuple(notes))

    def collect(self, folder: Path, *, killed: bool = False) -> HeapProfile:
        path = folder / "memray.bin"
        if not path.exists():
            raise EngineError(
                "memray wrote nothing: the program ended before its first line, or Python failed to start"
            )
        return without_exit(memray.read(str(path), self._python, self._every), killed)

    def abandon(self) -> None:
        """There is nothing that runs."""


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Options of Python's own, and what memray is to execute: ``-m MODULE``, ``-c CODE`` or a script, with arguments.

    ``None`` where there is neither: Python would read its stdin.
    """
    words = list(arguments)
    options: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            return (options, words) if words else None
        if word in _LONG_TAKES_VALUE:
            options += [word, *words[:1]]
            del words[:1]
        elif word.startswith("--"):
            options.append(word)
        elif not word.startswith("-"):
            return options, [word, *words]
        elif word == "-":
            return None
        else:
            ended = _letters(word, options, words)
            if ended is not None:
                return (options, ended) if len(ended) > 1 else None
    return None


def _letters(word: str, options: list[str], words: list[str]) -> list[str] | None:
    """One word of short options, such as ``-Bm``; the program where it ends in one."""
    for at, letter in enumerate(word[1:], 1):
        rest = word[at + 1 :]
        if letter in _ENDS:
            if at > 1:
                options.append(word[:at])
            return [f"-{letter}", *([rest] if rest else []), *words]
        if letter in _TAKES_VALUE:
            options.append(word)
            if not rest and words:
                options.append(words.pop(0))
            return None
    options.append(word)
    return None


def _is_python(path: str) -> bool:
    return os.path.basename(path).startswith(("python", "pypy")) or os.path.basename(os.path.realpath(path)).startswith(
        "python"
    )
