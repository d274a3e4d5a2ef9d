"""What memray knows of one of its files, as plain lists.

memray reads only files of its own version, and crashes over some that are damaged, so this is executed by itself, by
the Python whose memray wrote the file. FILE EVERY are its arguments, JSON what it prints. It imports nothing of
hiwater's.

The live blocks at a moment are ``[stack, allocator, bytes, blocks]``; a stack is a list of numbers of frames,
innermost first; a frame is ``[function, file, line, whether it is Python's]``.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

MOST_GROWTH = 64
DEEPEST = 512


class Extract:
    """Of one file that is open."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._native = bool(reader.metadata.has_native_traces)
        self._frames: dict[tuple[Any, ...], int] = {}
        self._stacks: dict[tuple[int, ...], int] = {}

    def document(self, every: int) -> dict[str, Any]:
        """``peak`` is at the largest RSS where the file tells what lived then, ``heap_peak`` at that of the heap."""
        metadata = self._reader.metadata
        looks = [(look.time, look.rss, look.heap) for look in self._reader.get_memory_snapshots()]
        begun = metadata.start_time.timestamp() * 1000
        document: dict[str, Any] = {
            "command": metadata.command_line,
            "pid": metadata.pid,
            "allocations": metadata.total_allocations,
            "python_allocator": metadata.python_allocator,
            "trace_python_allocators": bool(metadata.trace_python_allocators),
            "aggregated": metadata.file_format.name == "AGGREGATED_ALLOCATIONS",
            "course": [[(time - begun) / 1000, rss, heap] for time, rss, heap in looks],
            "heap_peak": self._live(self._reader.get_high_watermark_allocation_records(merge_threads=True)),
            "exit": self._live(self._reader.get_leaked_allocation_records(merge_threads=True)),
            "peak": None,
            "growth": [],
        }
        if not document["aggregated"] and looks:
            records, highest = self._reader.get_temporal_high_water_mark_allocation_records(merge_threads=True)
            self._over_time(document, list(records), list(highest), looks, every)
        document["frames"] = [list(frame) for frame in self._frames]
        document["stacks"] = [list(stack) for stack in self._stacks]
        return document

    def _over_time(
        self, document: dict[str, Any], records: list[Any], highest: list[int], looks: list[Any], every: int
    ) -> None:
        """Stretch N lies between the looks N-1 and N at RSS and heap; ``highest`` is the most that was in use in it.

        What came and went between two looks is in no RSS: it is taken to have been resident on top of what was seen.
        """
        likely = []
        for number, most in enumerate(highest):
            beside = looks[max(number - 1, 0) : number + 1] or looks[-1:]
            seen = max(rss for _, rss, _ in beside)
            likely.append((seen + max(most - max(heap for _, _, heap in beside), 0), most))
        peak = max(range(len(likely)), key=lambda number: likely[number])
        document["peak"] = [min(peak, len(looks) - 1), self._at(records, peak)]
        steps = _steps(highest, every)
        document["growth"] = [[min(step, len(looks) - 1), self._at(records, step)] for step in steps]

    def _at(self, records: list[Any], number: int) -> list[list[int]]:
        found = []
        for record in records:
            size = count = 0
            for interval in record.intervals:
                freed = interval.deallocated_before_snapshot
                if interval.allocated_before_snapshot <= number and (freed is None or number < freed):
                    size += interval.n_bytes
                    count += interval.n_allocations
            if size or count:
                found.append([self._stack(record), int(record.allocator), size, count])
        return found

    def _live(self, records: Any) -> list[list[int]]:
        return [
            [self._stack(record), int(record.allocator), record.size, record.n_allocations]
            for record in records
            if record.size or record.n_allocations
        ]

    def _stack(self, record: Any) -> int:
        python = record.stack_trace(max_stacks=DEEPEST)
        calls = record.hybrid_stack_trace(max_stacks=DEEPEST) if self._native else python
        own = set(python)
        numbers = tuple(self._frame((*call, call in own)) for call in calls)
        return self._stacks.setdefault(numbers, len(self._stacks))

    def _frame(self, frame: tuple[Any, ...]) -> int:
        return self._frames.setdefault(frame, len(self._frames))


def _steps(highest: list[int], every: int) -> list[int]:
    """The stretches in which the heap passed another ``every`` bytes, at most MOST_GROWTH."""
    while True:
        found, following = [], every
        for number, most in enumerate(highest):
            if most >= following:
                found.append(number)
                following = (most // every + 1) * every
        if len(found) <= MOST_GROWTH:
            return found
        every *= 2


def extract(path: str, every: int) -> dict[str, Any]:
    """Raises whatever memray raises."""
    with import_module("memray").FileReader(path) as reader:
        return Extract(reader).document(every)


if __name__ == "__main__":
    try:
        json.dump(extract(sys.argv[-2], int(sys.argv[-1])), sys.stdout)
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
