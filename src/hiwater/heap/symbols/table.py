"""Names of functions from the symbol tables of ELF files: what is always there, without lines."""

from __future__ import annotations

import lzma
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from hiwater.heap.elf import STT_FUNC, STT_GNU_IFUNC, Elf, ElfError, text_at

_EM_ARM = 40
_STB_LOCAL = 0
_MAX_MINIDEBUG_BYTES = 256 << 20


class SymbolTable:
    """The functions of a file by their addresses."""

    def __init__(self, functions: Iterable[tuple[int, int, int, str]]) -> None:
        """``functions``: start, size, rank and name of each; of those at one address the lowest rank counts."""
        self._functions = sorted(functions, key=lambda each: (each[0], each[2]))
        kept: list[tuple[int, int, int, str]] = []
        for each in self._functions:
            if kept and kept[-1][0] == each[0]:
                if kept[-1][1] == 0 and each[1]:
                    kept[-1] = each
                continue
            kept.append(each)
        self._functions = kept
        self._starts = [each[0] for each in kept]

    def __len__(self) -> int:
        return len(self._functions)

    def name_at(self, address: int) -> str | None:
        """The function that an address is in, as the file calls it."""
        index = bisect_right(self._starts, address) - 1
        # A function may lie inside another's stretch (hand-written assembly): the nearest that reaches so far.
        for each in reversed(self._functions[max(0, index - 3) : index + 1]):
            start, size, _, name = each
            if address < start + size or (size == 0 and each is self._functions[index]):
                return name
        return None


def read_table(elf: Elf) -> SymbolTable:
    """All functions of a file: .symtab, .dynsym, and what a compressed .gnu_debugdata adds."""
    found = [*_functions(elf, dynamic=False)]
    mini = minidebuginfo(elf) if not found else None
    if mini is not None:
        found += _functions(mini, dynamic=False)
    found += _functions(elf, dynamic=True)
    return SymbolTable(found)


def _functions(elf: Elf, dynamic: bool) -> Iterator[tuple[int, int, int, str]]:
    try:
        _, strings = elf.symbol_table(dynamic)
        for name, info, section, value, size in elf.symbols(dynamic):
            if section and value and info & 15 in (STT_FUNC, STT_GNU_IFUNC):
                text = text_at(strings, name)
                # Of several names the one that others know, and with the fewest underscores.
                rank = (info >> 4 == _STB_LOCAL) * 1000 + (len(text) - len(text.lstrip("_"))) * 100 + min(len(text), 99)
                if text:
                    # In Arm's symbols bit 0 says that the code is Thumb: ELF for the Arm Architecture, 5.5.3.
                    yield value & ~1 if elf.machine == _EM_ARM else value, size, rank, text
    except ElfError:
        return  # What was read so far is better than nothing.


def minidebuginfo(elf: Elf) -> Elf | None:
    """The small ELF file with more symbols that some distributions put into .gnu_debugdata, compressed by xz."""
    try:
        section = elf.section(".gnu_debugdata")
        if section is None:
            return None
        data = lzma.LZMADecompressor().decompress(elf.content(section), _MAX_MINIDEBUG_BYTES)
        return Elf.of(data)
    except (ElfError, lzma.LZMAError, EOFError):
        return None
