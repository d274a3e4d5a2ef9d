"""Collapsed stacks, as flame graphs are drawn from: ``main;load;string BYTES``, the outermost call first."""

from __future__ import annotations

import re

from hiwater.heap.model import Engine, Frame, HeapProfile, Holding, Kind
from hiwater.heap.readers.building import Stacks, number, shown, snapshot
from hiwater.heap.readers.errors import ProfileError

_LINE = re.compile(r"(.+?)[ \t]+(\d{1,19})\s*", re.ASCII)


def is_collapsed(head: bytes) -> bool:
    """By the first bytes of a file: each of its first lines ends in a number, and one has several calls."""
    lines = [line for line in head.decode("utf-8", "replace").split("\n")[:20] if line.strip()]
    whole = lines[:-1] if len(head) >= 4096 and len(lines) > 1 else lines
    return bool(whole) and all(_LINE.fullmatch(line) for line in whole) and any(";" in line for line in whole)


def parse(data: bytes) -> HeapProfile:
    """A whole file. Its numbers are taken for bytes in use: the file does not say."""
    stacks = Stacks()
    holdings = []
    for at, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ProfileError(f"{shown(line)} is not `call;call BYTES`", f"line {at}")
        calls = [Frame(name) for name in reversed(found.group(1).split(";")) if name]
        holdings.append(Holding(stacks.number(calls), Kind.MALLOC, number(found.group(2), f"line {at}"), 0))
    if not holdings:
        raise ProfileError("there is no stack in it")
    return HeapProfile(
        engine=Engine.OTHER,
        stacks=stacks.all(),
        peak=snapshot(holdings, "peak"),
        exit=None,
        notes=(
            "Collapsed stacks do not say what they count nor when: hiwater takes them for bytes in use at the peak.",
        ),
    )
