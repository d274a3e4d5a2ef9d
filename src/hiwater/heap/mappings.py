"""What the program itself had mapped, at any moment: mmap, munmap and mremap, which the sampler tells one by one.

Only anonymous memory that can be touched counts: what files a program has mapped, the kernel says exactly, and a
reservation (PROT_NONE) is no memory. Sizes are address space.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass

from hiwater.heap.log import HeapLog, Mapped, Module

MAP_ANONYMOUS = 0x20
"""Of nearly all architectures (include/uapi/asm-generic/mman-common.h)."""
MAP_PRIVATE = 0x02
ARENA_SIZES = (256 << 10, 1 << 20)
"""Of CPython's arenas (Objects/obmalloc.c, ARENA_SIZE): before 3.10, and since."""


@dataclass(frozen=True, slots=True, order=True)
class Area:
    """A stretch of memory that one call mapped, or what is left of it."""

    start: int
    end: int
    stack: int
    arena: bool
    """One of Python's own: its objects are told by other means."""

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.end - self.start


class Space:
    """The areas at one moment of a replay."""

    def __init__(self, log: HeapLog) -> None:
        self._log = log
        self._starts: list[int] = []
        self._areas: dict[int, Area] = {}
        self._arena_stacks: dict[int, bool] = {}

    def __iter__(self) -> Iterator[Area]:
        return iter(self._areas.values())

    def apply(self, event: Mapped) -> None:
        """What happened next."""
        moved = None
        if event.removed_bytes:
            moved = self._at(event.removed_from)
            self._remove(event.removed_from, event.removed_from + event.removed_bytes)
        if not event.bytes:
            return
        end = event.address + event.bytes
        self._remove(event.address, end)
        if event.removed_bytes:  # mremap says nothing of what the memory is: it is what it was
            if moved is not None:
                self._add(Area(event.address, end, moved.stack, moved.arena))
        elif event.protection and (event.flags & MAP_ANONYMOUS or event.fd < 0):
            self._add(Area(event.address, end, event.stack, self._is_arena(event)))

    def _add(self, area: Area) -> None:
        insort(self._starts, area.start)
        self._areas[area.start] = area

    def _at(self, address: int) -> Area | None:
        at = bisect_right(self._starts, address) - 1
        area = self._areas[self._starts[at]] if at >= 0 else None
        return area if area is not None and address < area.end else None

    def _remove(self, start: int, end: int) -> None:
        """Takes a stretch out; an area that it only touches is cut."""
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._areas[self._starts[first]].end <= start:
            first += 1
        last = bisect_left(self._starts, end)
        gone = [self._areas.pop(at) for at in self._starts[first:last]]
        del self._starts[first:last]
        for area in gone:
            if area.start < start:
                self._add(Area(area.start, start, area.stack, area.arena))
            if area.end > end:
                self._add(Area(end, area.end, area.stack, area.arena))

    def _is_arena(self, event: Mapped) -> bool:
        if event.bytes not in ARENA_SIZES or not event.flags & MAP_PRIVATE:  # Python's mmap module maps shared memory
            return False
        known = self._arena_stacks.get(event.stack)
        if known is None:
            stack = self._log.stacks.get(event.stack)
            innermost = stack.addresses[0] - 1 if stack is not None and stack.addresses else None
            module = None if innermost is None else module_at(self._log.modules, innermost, event.t_ns)
            known = self._arena_stacks[event.stack] = module is not None and is_python(module.path)
        return known


def is_python(path: str) -> bool:
    """Whether a file is CPython's interpreter: ``libpython3.11.so.1.0``, ``python3.12``."""
    name = path.rpartition("/")[2]
    return name.startswith(("libpython", "python")) and not name.startswith("python-")


def module_at(modules: tuple[Module, ...], address: int, t_ns: int) -> Module | None:
    """Whose code lay there then; of several, the latest. One that was told too late is better than none."""
    found = [one for one in modules if one.start <= address < one.end]
    then = [one for one in found if one.t_ns <= t_ns and (one.gone_ns is None or one.gone_ns > t_ns)]
    best = then or found
    return best[-1] if best else None
