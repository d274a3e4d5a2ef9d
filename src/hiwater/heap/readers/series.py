"""Files that one execution wrote one after another, by their names.

gperftools: ``PREFIX.0001.heap``, of a process that forked ``PREFIX_PID.0001.heap``; the last one at the end.
jemalloc: ``PREFIX.PID.NUMBER.iN.heap`` (``i`` an interval, ``u`` a new maximum, ``m`` asked for, ``f`` at the end).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from hiwater.heap.readers.errors import ProfileError

_GPERFTOOLS = re.compile(r"(.+)\.(\d{4,9})\.heap", re.ASCII)
_JEMALLOC = re.compile(r"(.+\.\d{1,9})\.(\d{1,9})\.([iumf])\d*\.heap", re.ASCII)


@dataclass(frozen=True, slots=True)
class Series:
    """The files of one process."""

    prefix: str
    files: tuple[str, ...]
    """Paths, the oldest first."""
    final: str | None
    """Of these the one that was written when the process ended. ``None``: there is none. gperftools does not mark it:
    it is the last one, unless the process was killed."""


def find(path: str) -> Series | None:
    """Of a folder that holds one series, or of a prefix; ``None`` where there is none."""
    if os.path.isdir(path):
        return _only(path, all_of(os.path.join(path, name) for name in os.listdir(path)))
    folder, prefix = os.path.split(path)
    if not prefix or not os.path.isdir(folder or "."):
        return None
    names = [name for name in os.listdir(folder or ".") if name.startswith(prefix)]
    found = all_of(os.path.join(folder, name) for name in names)
    exactly = [series for series in found if series.prefix == path]
    return _only(path, exactly or [series for series in found if series.prefix.rpartition(".")[0] == path])


def all_of(paths: Iterable[str]) -> list[Series]:
    """All series among these files, that with most files first."""
    found: dict[str, list[tuple[int, str, bool | None]]] = {}
    for path in paths:
        jemalloc = _JEMALLOC.fullmatch(path)
        if jemalloc is not None:
            found.setdefault(jemalloc.group(1), []).append((int(jemalloc.group(2)), path, jemalloc.group(3) == "f"))
            continue
        gperftools = _GPERFTOOLS.fullmatch(path)
        if gperftools is not None:
            found.setdefault(gperftools.group(1), []).append((int(gperftools.group(2)), path, None))
    made = []
    for prefix, files in found.items():
        files.sort()
        final = next((path for _, path, is_final in reversed(files) if is_final in (True, None)), None)
        made.append(Series(prefix, tuple(path for _, path, _ in files), final))
    return sorted(made, key=lambda series: (-len(series.files), series.prefix))


def _only(path: str, found: list[Series]) -> Series | None:
    if len(found) > 1:
        names = ", ".join(os.path.basename(series.prefix) for series in found[:5])
        raise ProfileError(f"profiles of {len(found)} processes: name one by its prefix ({names})", path=path)
    return found[0] if found else None
