"""What the files of one module tell without a tool: names of functions, and where functions begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hiwater.heap.elf import ElfError, OpenElf
from hiwater.heap.symbols.files import Found
from hiwater.heap.symbols.starts import Starts, read_starts
from hiwater.heap.symbols.table import SymbolTable, read_table
from hiwater.heap.symbols.trouble import SymbolWarning, Trouble


@dataclass(frozen=True, slots=True)
class Module:
    """One program or library."""

    path: str
    found: Found
    table: SymbolTable
    """The largest that its files have."""
    starts: Starts
    """Of all functions, those without names too."""


def read_module(path: str, found: Found, warn: Callable[[SymbolWarning], None]) -> Module:
    """Reads the symbol tables; ``warn`` hears of files that are damaged."""
    table, starts = SymbolTable([]), Starts([])
    for file in (found.debug, found.program):
        if file is None:
            continue
        try:
            with OpenElf(file) as elf:
                table = max(table, read_table(elf), key=len)
                # Files of debug information alone have the headers of such tables, not what is in them.
                starts = read_starts(elf) if file == found.program else starts
        except (OSError, ElfError) as error:
            warn(SymbolWarning(Trouble.FILE_DAMAGED, path, f"The symbols of {file} cannot be read: {error}."))
    return Module(path, found, table, starts)
