"""Code that was compiled while the program ran: its names, where the compiler left them.

Java, V8, .NET and others can write ``/tmp/perf-PID.map``: linux/tools/perf/Documentation/jit-interface.txt.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from hiwater.heap.symbols.table import SymbolTable

FOLDER = "/tmp"
_MAX_BYTES = 256 << 20
_PATH = re.compile(r"/tmp/perf-(\d+)\.map")
# v8/src/logging/log.cc: a tag, how far it is compiled, the name, and where it is.
_V8 = re.compile(
    r"(?:JS|LazyCompile|Function|Script|Eval|Callback):[~^*+]?(?P<function>\S*) (?P<file>.+):(?P<line>\d+):\d+"
)
_DOTNET = re.compile(r".*\[[^\]]+\] (?P<function>[^( ]+)\(.*\)(\[\w+\])?")


def path(pid: int) -> str:
    """What the file of a process is called: perf's name for the module that such code is in, too."""
    return f"{FOLDER}/perf-{pid}.map"


def pid_of(module: str) -> int | None:
    """The process whose compiled code a module of that name is; ``None`` of a file."""
    found = _PATH.fullmatch(module)
    return int(found.group(1)) if found else None


def parse(lines: Iterable[str]) -> SymbolTable:
    """Lines of ``START SIZE NAME``, both numbers in hexadecimal digits. Code may be replaced: the later line counts."""
    functions: dict[int, tuple[int, int, int, str]] = {}
    for line in lines:
        start, _, rest = line.strip().partition(" ")
        size, _, name = rest.partition(" ")
        try:
            functions[int(start, 16)] = int(start, 16), int(size, 16), 0, name.strip()
        except ValueError:
            continue
    return SymbolTable(each for each in functions.values() if each[3])


def place(name: str) -> tuple[str, str | None, int | None]:
    """Function, file and line of a name: V8 writes all three into it, .NET the types of arguments around it."""
    found = _V8.fullmatch(name)
    if found is not None:
        return found["function"] or "(anonymous)", found["file"], int(found["line"])
    found = _DOTNET.fullmatch(name)
    return found["function"] if found is not None else name, None, None


def read(pid: int, folder: str = FOLDER) -> SymbolTable | None:
    """That of a process; ``None`` if it left none, or if it is not its owner's to believe."""
    try:
        fd = os.open(
            os.path.join(folder, f"perf-{pid}.map"), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
    except OSError:
        return None
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        # The folder is everybody's: names by somebody else are none.
        if os.fstat(fd).st_uid not in (os.getuid(), 0) or os.fstat(fd).st_size > _MAX_BYTES:
            return None
        return parse(file)
