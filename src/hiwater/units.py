"""Sizes and durations, from people and for people.

``MiB`` are 2^20 bytes and ``MB`` are 10^6. A size without a unit is refused: too many tools guess it differently.
"""

from __future__ import annotations

import re

from hiwater.errors import MisuseError

MIB = 1 << 20

_SIZES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": MIB,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_DURATIONS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_QUANTITY = re.compile(r"([0-9]+)(?:\.([0-9]+))? ?([A-Za-z]+)?", re.ASCII)

_SHARE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?%", re.ASCII)


def _quantity(text: str, units: dict[str, int], what: str, examples: str, bare: int | None = None) -> int:
    match = _QUANTITY.fullmatch(text.strip())
    unit = None if match is None else units.get(match.group(3)) if match.group(3) else bare
    if match is None or unit is None:
        raise MisuseError(f"{text!r} is not a {what}: write {examples}")
    fraction = match.group(2) or ""
    scale: int = 10 ** len(fraction)
    return int(match.group(1) + fraction) * unit // scale


def parse_size(text: str) -> int:
    """``1.5MiB``, ``800 MB``, ``4096B`` in bytes."""
    return _quantity(text, _SIZES, "size", "a number and a unit, such as 800MiB or 800MB")


def parse_duration_ns(text: str) -> int:
    """``1ms``, ``2.5s``, ``10m`` in nanoseconds. A bare number is seconds, as for sleep(1) and timeout(1)."""
    return _quantity(text, _DURATIONS_NS, "duration", "a number and a unit, such as 500us, 1ms, 2.5s, 10m or 1h", 10**9)


def parse_share(text: str) -> float:
    """``5%``, ``2.5 %`` as 0.05, 0.025. Without the sign it is refused: 0.05 and 5 would both be guesses."""
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        raise MisuseError(f"{text!r} is not a share: write a number and a percent sign, such as 5%")
    return float(match.group(1)) / 100


def mib(size: int | None, decimals: int = 1) -> str:
    """The bare number of MiB; ``?`` for unknown."""
    return "?" if size is None else f"{size / MIB:.{decimals}f}"


def format_size(size: int | None, decimals: int = 1) -> str:
    """``212.4 MiB``; ``unknown`` for ``None``."""
    return "unknown" if size is None else f"{size / MIB:.{decimals}f} MiB"


def format_seconds(seconds: float | None) -> str:
    """``0.004 s``, ``12.3 s``, ``2 min 05 s``, ``3 h 07 min``; ``unknown`` for ``None``."""
    if seconds is None:
        return "unknown"
    if seconds < 9.995:
        return f"{seconds:.3f} s" if seconds < 0.9995 else f"{seconds:.2f} s"
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
