"""Code that was compiled while the program ran: its names, where the compiler left them.

Java, V8, .NET and others can write ``/tmp/perf-PID.map``: linux/tools/perf/Documentation/jit-interface.txt.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from hiwater.heap.symbols.table import SymbolTable

_MAX_BYTES = 256 << 20


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


def read(pid: int, folder: str = "/tmp") -> SymbolTable | None:
    """That of a process; ``None`` if it left none, or if it is not its owner's to believe."""
    path = os.path.join(folder, f"perf-{pid}.map")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        # The folder is everybody's: names by somebody else are none.
        if os.fstat(fd).st_uid not in (os.getuid(), 0) or os.fstat(fd).st_size > _MAX_BYTES:
            return None
        return parse(file)
