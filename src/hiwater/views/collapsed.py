"""Collapsed stacks: a line a stack, its calls from the outermost inwards with semicolons between, and its bytes. What
flamegraph.pl, inferno and speedscope read."""

from __future__ import annotations

from collections.abc import Iterator

from hiwater.heap.model import Frame, HeapProfile, Kind, Snapshot
from hiwater.views.heap_words import base
from hiwater.views.names import visible


def render(profile: HeapProfile, snapshot: Snapshot) -> Iterator[str]:
    """The largest stacks first. Memory that the program mapped itself has ``[mmap]`` at its end."""
    sizes: dict[str, int] = {}
    for held in snapshot.holdings:
        parts = [label(frame) for frame in reversed(profile.stacks[held.stack])] or ["(unknown)"]
        if held.kind is Kind.MMAP:
            parts.append("[mmap]")
        line = ";".join(parts)
        sizes[line] = sizes.get(line, 0) + held.in_use_bytes
    for line, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        if size > 0:
            yield f"{line} {size}\n"


def label(frame: Frame) -> str:
    """A name without what separates: semicolons, and line breaks."""
    if frame.function:
        name = visible(frame.function)
    elif frame.library is not None:
        name = f"[{base(frame.library)}]" if frame.address is None else f"[{base(frame.library)}+0x{frame.address:x}]"
    else:
        name = "(unknown)"
    return name.replace(";", ":")
