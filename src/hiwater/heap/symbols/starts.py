"""Where the functions of stripped programs begin: the tables for exceptions stay, with a row for each function."""

from __future__ import annotations

import struct
from bisect import bisect_right

from hiwater.heap.elf import Elf, ElfError

_PT_GNU_EH_FRAME = 0x6474E550
_UDATA4, _RELATIVE_SDATA4 = 0x03, 0x3B
"""DW_EH_PE_udata4; DW_EH_PE_datarel | DW_EH_PE_sdata4: what linkers write. LSB, "DWARF Exception Header Encoding"."""


class Starts:
    """The first addresses of functions."""

    def __init__(self, starts: list[int]) -> None:
        self._starts = sorted(set(starts))

    def __len__(self) -> int:
        return len(self._starts)

    def at(self, address: int) -> int | None:
        """Where the function begins that an address is in."""
        index = bisect_right(self._starts, address) - 1
        return self._starts[index] if index >= 0 else None


def read_starts(elf: Elf) -> Starts:
    """From .eh_frame_hdr, the table that unwinders search; empty where there is none, or one of other encodings."""
    for segment in elf.segments:
        if segment.type != _PT_GNU_EH_FRAME:
            continue
        order = ">" if elf.big_endian else "<"
        try:
            head = elf.bytes_at(segment.offset, 12)
            version, _, count_encoding, table_encoding, _, count = struct.unpack(order + "BBBBiI", head)
            if version != 1 or count_encoding != _UDATA4 or table_encoding != _RELATIVE_SDATA4:
                return Starts([])
            rows = elf.bytes_at(segment.offset + 12, 8 * count)
        except ElfError:
            return Starts([])
        mask = (1 << elf.bits) - 1
        return Starts([(segment.address + start) & mask for start, _ in struct.iter_unpack(order + "ii", rows)])
    return Starts([])
