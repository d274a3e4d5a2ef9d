"""Memory of a known size, taken and given back at once: nothing that an allocator could keep."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager

MIB = 1 << 20
_ONES = b"1" * MIB


def take(mib: int) -> mmap.mmap:
    """So many MiB of private memory, every page of it touched."""
    block = mmap.mmap(-1, mib * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(block), MIB):
        block[at : at + MIB] = _ONES
    return block


@contextmanager
def held(mib: int) -> Iterator[None]:
    """For as long as the block lasts."""
    block = take(mib)
    try:
        yield
    finally:
        block.close()


def spike(mib: int) -> None:
    """Taken and given back before anybody could look."""
    with held(mib):
        pass
