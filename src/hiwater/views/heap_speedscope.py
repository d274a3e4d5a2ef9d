"""The heap for speedscope.app: each moment of the profile is a flame graph of bytes that can be chosen there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from hiwater._version import __version__
from hiwater.heap.model import Frame, HeapProfile, Kind, Snapshot
from hiwater.views import heap_words as words
from hiwater.views.collapsed import label
from hiwater.views.names import shorten, valid
from hiwater.views.speedscope import SCHEMA


def render(profile: HeapProfile, snapshots: Sequence[Snapshot], active: int = 0) -> Iterator[str]:
    """One JSON document; ``active`` is the one that is opened."""
    frames: list[dict[str, object]] = []
    places: dict[Frame, int] = {}
    mapped = -1

    def place(frame: Frame) -> int:
        if frame not in places:
            places[frame] = len(frames)
            frames.append(_frame(frame))
        return places[frame]

    profiles = []
    for snapshot in snapshots:
        samples, weights = [], []
        for held in snapshot.holdings:
            stack = [place(frame) for frame in reversed(profile.stacks[held.stack] or (Frame(None),))]
            if held.kind is Kind.MMAP:
                if mapped < 0:
                    mapped = len(frames)
                    frames.append({"name": "[mmap]"})
                stack.append(mapped)
            if held.in_use_bytes > 0:
                samples.append(stack)
                weights.append(held.in_use_bytes)
        profiles.append(
            {
                "type": "sampled",
                "name": f"{words.moment(profile, snapshot)}: {words.sizes(profile, snapshot)}",
                "unit": "bytes",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": samples,
                "weights": weights,
            }
        )
    yield json.dumps(
        {
            "$schema": SCHEMA,
            "name": shorten(valid(words.who(profile)), 200),
            "exporter": f"hiwater {__version__}",
            "activeProfileIndex": active,
            "shared": {"frames": frames},
            "profiles": profiles,
        },
        separators=(",", ":"),
    )
    yield "\n"


def _frame(frame: Frame) -> dict[str, object]:
    made: dict[str, object] = {"name": valid(label(frame))}
    file = frame.file or frame.library
    if file is not None:
        made["file"] = valid(file)
    if frame.line is not None:
        made["line"] = frame.line
    return made
