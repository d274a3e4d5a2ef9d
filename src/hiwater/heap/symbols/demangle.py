"""Mangled names to names: by c++filt where it is there; the simple ones without."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection

from hiwater.heap.symbols.names import of_rust

TIMEOUT_SECONDS = 20.0
_TOOLS = ("llvm-cxxfilt", "c++filt")
_MANGLED = re.compile(r"_?_(Z|R[A-Z]|D\d)")
_OPERATORS = {"_Znwm": "operator new(unsigned long)", "_Znam": "operator new[](unsigned long)"} | {
    "_Znwj": "operator new(unsigned int)", "_Znaj": "operator new[](unsigned int)"
}  # fmt: skip


def is_mangled(name: str) -> bool:
    """Whether a name looks like one that a compiler of C++, Rust or D made."""
    return _MANGLED.match(name) is not None


def demangle(names: Collection[str], tool: str | None = None) -> dict[str, str]:
    """What the mangled ones of some names mean; those that nobody understands are missing."""
    mangled = sorted({name for name in names if is_mangled(name) and "\n" not in name})
    if not mangled:
        return {}
    found = {name: plain for name in mangled if (plain := _rust_legacy(name)) is not None}
    rest = [name for name in mangled if name not in found]
    found |= _by_tool(rest, tool)
    return found | {name: plain for name in rest if name not in found and (plain := _simple(name)) is not None}


def _by_tool(names: list[str], tool: str | None) -> dict[str, str]:
    path = tool or next((found for each in _TOOLS if (found := shutil.which(each))), None)
    if path is None or not names:
        return {}
    try:
        done = subprocess.run(
            [path], input="\n".join(names) + "\n", capture_output=True, encoding="utf-8", errors="replace",
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = done.stdout.split("\n")
    if done.returncode != 0 or len(lines) <= len(names):
        return {}
    return {name: plain for name, plain in zip(names, lines, strict=False) if plain and plain != name}


def _parts(name: str) -> list[str] | None:
    """The parts of a nested name without templates and substitutions: many of C++, all of older Rust."""
    at = 3
    while at < len(name) and name[at] in "KVRO":
        at += 1
    parts = ["std"] if name[at : at + 2] == "St" else []
    at += 2 if parts else 0
    while at < len(name) and name[at].isdigit():
        digits = re.match(r"\d{1,5}", name[at:])
        assert digits is not None
        at += digits.end()
        length = int(digits.group())
        if at + length > len(name):
            return None
        parts.append(name[at : at + length])
        at += length
    return parts if parts and name[at : at + 1] == "E" else None


def _rust_legacy(name: str) -> str | None:
    if not name.startswith("_ZN") or "17h" not in name:
        return None
    parts = _parts(name)
    if parts is None or re.fullmatch(r"h[0-9a-f]{16}", parts[-1]) is None:
        return None
    return of_rust("::".join(parts))


def _simple(name: str) -> str | None:
    if name in _OPERATORS:
        return _OPERATORS[name]
    if name.startswith("_ZN"):
        parts = _parts(name)
        return (
            None if parts is None else "::".join("(anonymous namespace)" if p == "_GLOBAL__N_1" else p for p in parts)
        )
    found = re.match(r"_ZL?(\d{1,5})", name)
    if found is None:
        return None
    plain = name[found.end() : found.end() + int(found.group(1))]
    return plain if len(plain) == int(found.group(1)) and name[found.end() + len(plain) :][:1] != "I" else None
