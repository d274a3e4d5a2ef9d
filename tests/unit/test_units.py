"""Sizes and durations."""

from __future__ import annotations

import pytest

from hiwater.errors import MisuseError
from hiwater.units import format_seconds, format_size, mib, parse_duration_ns, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("800MiB", 800 << 20),
        ("800 MiB", 800 << 20),
        ("10MB", 10_000_000),
        ("1.5GiB", 3 << 29),
        ("0.1kB", 100),
        ("4096B", 4096),
        ("0B", 0),
    ],
)
def test_parse_size(text: str, expected: int) -> None:
    """MiB are 2^20 bytes and MB are 10^6."""
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10", "10 MBananas", "MiB", "-1MiB", "1e3MiB", "10mib", "1.MiB", ".5MiB", "1 2MiB", "\u0661MiB"]
)
def test_no_size(text: str) -> None:
    """Without a known unit, and nothing behind it, it is no size."""
    with pytest.raises(MisuseError, match="800MiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1ms", 10**6),
        ("500us", 500_000),
        ("2.5s", 2_500_000_000),
        ("10m", 600 * 10**9),
        ("1h", 3600 * 10**9),
        ("3", 3 * 10**9),
    ],
)
def test_parse_duration(text: str, expected: int) -> None:
    """A bare number is seconds."""
    assert parse_duration_ns(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1d", "1s2", "infs", "nan"])
def test_no_duration(text: str) -> None:
    """Nonsense is refused."""
    with pytest.raises(MisuseError):
        parse_duration_ns(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "unknown"),
        (0.0014, "0.001 s"),
        (1.234, "1.23 s"),
        (12.34, "12.3 s"),
        (119.99, "2 min 00 s"),
        (125.4, "2 min 05 s"),
        (3 * 3600 + 7 * 60, "3 h 07 min"),
    ],
)
def test_format_seconds(seconds: float | None, expected: str) -> None:
    """Three digits of what matters."""
    assert format_seconds(seconds) == expected


def test_format_size() -> None:
    """People see MiB with one decimal; unknown is not 0."""
    assert (format_size(222_715_494), format_size(None), mib(0), mib(None)) == ("212.4 MiB", "unknown", "0.0", "?")
