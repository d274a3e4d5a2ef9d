"""llvm-symbolizer and addr2line: functions, inlined ones too, files and lines of addresses of one file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum

from hiwater.errors import HiwaterError

TIMEOUT_SECONDS = 120.0
"""For all addresses of one file; the debug information of browsers is some GiB."""


class Style(str, Enum):
    """How a tool is spoken to."""

    LLVM = "llvm"
    """llvm-symbolizer of LLVM 13 or newer, which writes JSON."""
    BINUTILS = "binutils"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that knows lines."""

    style: Style
    path: str


@dataclass(frozen=True, slots=True)
class Place:
    """What lies at an address: one of several calls, where functions were inlined. Without a line there is no file:
    llvm-symbolizer takes what stands in a symbol table for one."""

    function: str | None
    file: str | None
    line: int | None
    first_line: int | None = None


class ToolError(HiwaterError):
    """A tool could not be executed, or said nothing that makes sense. ``timeout``: it took too long."""

    def __init__(self, message: str, timeout: bool = False) -> None:
        super().__init__(message)
        self.timeout = timeout


def find_tools(path: str | None = None) -> tuple[Tool, ...]:
    """Those that are installed, the better first: addr2line names the innermost call by the function around it."""
    found = []
    llvm = shutil.which("llvm-symbolizer", path=path) or _numbered(path)
    if llvm:
        found.append(Tool(Style.LLVM, llvm))
    binutils = shutil.which("addr2line", path=path)
    if binutils:
        found.append(Tool(Style.BINUTILS, binutils))
    return tuple(found)


def _numbered(path: str | None) -> str | None:
    """Debian installs ``llvm-symbolizer-14`` with the libraries alone."""
    versions: list[tuple[int, str]] = []
    for folder in (path if path is not None else os.environ.get("PATH", "")).split(os.pathsep):
        try:
            names = os.listdir(folder) if folder else []
        except OSError:
            continue
        for name in names:
            match = re.fullmatch(r"llvm-symbolizer-(\d+)", name)
            if match and os.access(os.path.join(folder, name), os.X_OK):
                versions.append((int(match.group(1)), os.path.join(folder, name)))
    return max(versions)[1] if versions else None


def look_up(
    tool: Tool, file: str, addresses: Collection[int], timeout: float = TIMEOUT_SECONDS
) -> dict[int, tuple[Place, ...]]:
    """What lies at addresses of a file, innermost first; of which nothing is known is missing. Raises ToolError."""
    if tool.style is Style.LLVM:
        command = [tool.path, "--output-style=JSON", "--inlines", "--demangle", f"--obj={file}"]
    else:
        command = [tool.path, "-a", "-i", "-f", "-C", "-e", file]
    words = "".join(f"{address:#x}\n" for address in sorted(addresses))
    # With DEBUGINFOD_URLS both would ask servers by themselves; that is for the user to want.
    env = {name: value for name, value in os.environ.items() if name not in ("DEBUGINFOD_URLS", "LD_PRELOAD")}
    try:
        done = subprocess.run(
            command, input=words.encode(), capture_output=True, timeout=timeout, env=env | {"LC_ALL": "C"}
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{tool.path} did not come to an end within {timeout:g} s", timeout=True) from None
    except OSError as error:
        raise ToolError(f"{tool.path} cannot be executed: {error.strerror}") from None
    text = done.stdout.decode("utf-8", "surrogateescape")
    pairs = _of_llvm(text) if tool.style is Style.LLVM else _of_binutils(text)
    found = {address: places for address, places in pairs if places}
    if done.returncode != 0 and not found:
        said = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise ToolError(f"{tool.path} failed (exit status {done.returncode}): {said}")
    return found


def _of_llvm(text: str) -> Iterator[tuple[int, tuple[Place, ...]]]:
    """A line of JSON for each address: llvm/docs/CommandGuide/llvm-symbolizer."""
    for line in text.split("\n"):
        try:
            told = json.loads(line)
            address = int(told["Address"], 16)
            rows = [each for each in told["Symbol"] if isinstance(each, dict)]
        except (ValueError, KeyError, TypeError):
            continue
        places = (
            _place(row.get("FunctionName"), row.get("FileName"), row.get("Line"), row.get("StartLine")) for row in rows
        )
        yield address, tuple(place for place in places if place.function or place.file)


def _of_binutils(text: str) -> Iterator[tuple[int, tuple[Place, ...]]]:
    """An address, then function and ``file:line`` in turn: addr2line(1)."""
    address: int | None = None
    function: str | None = None
    expecting_function = True
    places: list[Place] = []
    for line in text.split("\n"):
        if re.fullmatch(r"0x[0-9a-f]+", line) and expecting_function:
            if address is not None:
                yield address, tuple(places)
            address, places = int(line, 16), []
        elif expecting_function:
            function, expecting_function = line, False
        else:
            expecting_function = True
            file, _, number = re.sub(r" \(discriminator \d+\)$", "", line).rpartition(":")
            place = _place(function, file, int(number) if number.isdigit() else None)
            if place.function or place.file:
                places.append(place)
    if address is not None:
        yield address, tuple(places)


def _place(function: object, file: object, line: object, first_line: object = None) -> Place:
    number = _number(line)
    return Place(_text(function), _text(file) if number else None, number, _number(first_line))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value not in ("", "??", "<invalid>") else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
