"""How far a long measurement is, on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
import time

from hiwater.units import format_seconds
from hiwater.views.names import shorten, visible

_CELLS = 20


class Bar:
    """One line on stderr that replaces itself."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._start = time.monotonic()

    def show(self, done: int, total: int, what: str) -> None:
        """``what`` is about to be executed."""
        if not self._shown:
            return
        full = done * _CELLS // max(1, total)
        rest = ""
        if done:
            elapsed = time.monotonic() - self._start
            rest = f"  {format_seconds(elapsed / done * (total - done))} left"
        text = f"[{'#' * full}{'.' * (_CELLS - full)}] {done}/{total}{rest}  "
        columns = _columns()
        line = text + shorten(visible(what), max(5, columns - len(text) - 1))
        encoding = sys.stderr.encoding or "ascii"
        sys.stderr.write("\r\x1b[K" + line[: columns - 1].encode(encoding, "replace").decode(encoding))
        sys.stderr.flush()

    def clear(self) -> None:
        """Leaves the line empty."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _columns() -> int:
    from hiwater.views.style import columns

    return max(40, columns(sys.stderr))
