"""Files of ``Key:  value`` lines: status, meminfo, smaps_rollup."""

from __future__ import annotations

from collections.abc import Mapping

from hiwater.procfs.errors import MalformedFileError


def split_lines(text: bytes) -> dict[str, bytes]:
    """The lines by key. A line without a colon is skipped: kernels add headings of their own (smaps_rollup)."""
    fields: dict[str, bytes] = {}
    for line in text.split(b"\n"):
        key, colon, value = line.partition(b":")
        if colon:
            fields[key.decode("ascii", "replace").strip()] = value.strip()
    return fields


def size(file: str, fields: Mapping[str, bytes], key: str) -> int | None:
    """``key`` in bytes; None where the kernel does not print it."""
    value = fields.get(key)
    if value is None:
        return None
    number, _, unit = value.partition(b" ")
    if not number.isdigit() or unit.strip() != b"kB":
        raise MalformedFileError(file, key.encode() + b": " + value)
    return int(number) * 1024


def number(file: str, fields: Mapping[str, bytes], key: str, base: int = 10) -> int | None:
    """``key`` as a plain number; None where the kernel does not print it."""
    value = fields.get(key)
    if value is None:
        return None
    try:
        return int(value, base)
    except ValueError as error:
        raise MalformedFileError(file, key.encode() + b": " + value) from error
