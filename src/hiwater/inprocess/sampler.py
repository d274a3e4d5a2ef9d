"""Looks at this process's RSS every millisecond, where the kernel does not let its mark be reset."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from hiwater.inprocess.proc import ProcSelf

PERIOD_SECONDS = 0.001


class Sampler:
    """A thread that calls ``took`` with the RSS until it is stopped. C code that keeps the interpreter's lock keeps
    it from looking: what it finds is a lower bound, and is called so."""

    def __init__(self, proc: ProcSelf, took: Callable[[int], None]) -> None:
        self._proc = proc
        self._took = took
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="hiwater-sampler", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        try:
            fd = self._proc.open_statm()
        except OSError:
            return  # /proc is not there at all: the looks at both ends fail as well, and the reading is unknown
        try:
            while not self._over.wait(PERIOD_SECONDS):
                self._took(self._proc.rss(fd))
        except (OSError, IndexError, ValueError):
            return
        finally:
            os.close(fd)

    def stop(self) -> None:
        """Returns at once; the thread ends within a period."""
        self._over.set()
