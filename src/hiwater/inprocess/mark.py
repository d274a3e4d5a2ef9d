"""The one high-water mark of this process, shared among all who ask.

A process has a single mark, whatever the number of its threads, and a region resets it. So every reset first folds what
the mark says into every region that is open, in whichever thread, and into the maximum of the process; after that the
mark belongs to all of them again. Nobody who asks hiwater loses anything.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field

from hiwater.analysis.reading import Reading
from hiwater.inprocess.proc import Look, ProcSelf
from hiwater.inprocess.sampler import Sampler
from hiwater.inprocess.track import Track
from hiwater.recording.model import UNKNOWN_RSS

NOTHING = Look(None, UNKNOWN_RSS, None)
WORTH_KEEPING = 256 << 10
"""A mark that is no further above the present RSS comes again by itself, near enough."""


@dataclass(eq=False)
class Open:
    """A region from its entry to its end."""

    track: Track = field(default_factory=Track)
    first: Look = NOTHING
    last: Look = NOTHING
    refused: str | None = None
    """Why the mark could not be reset, in which case samples stand in for it."""


class Mark:
    """Thread-safe; after a fork the child begins anew."""

    def __init__(self, proc: ProcSelf) -> None:
        self.proc = proc
        self.lock = threading.RLock()
        self.process = Track()
        self.open: list[Open] = []
        self.sampler: Sampler | None = None
        self.handed_down = 0
        self.threads = 1
        self.precision = proc.precision(self.threads)

    def peak(self) -> Reading:
        """The largest RSS of this process so far."""
        with self.lock:
            self._look()
            return self.process.reading(sampling=self.process.unbounded)

    def enter(self) -> Open:
        """Opens a region."""
        region = Open()
        with self.lock:
            region.first, region.refused = self._reset()
            # What stands in the mark at this moment, above the present RSS, comes from before.
            region.track = Track(reference=region.first.hwm_bytes)
            region.track.fold(region.first, self.precision)
            self.open.append(region)
            if region.refused is not None and self.sampler is None:
                self.sampler = Sampler(self.proc, self._sampled)
        return region

    def update(self, region: Open) -> None:
        """Brings an open region up to the present."""
        with self.lock:
            region.last = self._look()

    def leave(self, region: Open) -> None:
        """Closes it."""
        with self.lock:
            region.last = self._look()
            if region in self.open:
                self.open.remove(region)
            if self.sampler is not None and not any(other.refused is not None for other in self.open):
                self.sampler.stop()
                self.sampler = None

    def begin_child(self) -> None:
        """In a forked child: it is another process, whose regions count from the fork on."""
        self.lock = threading.RLock()  # whoever held it is not here
        self.process = Track()
        self.sampler = None
        self.handed_down = 0
        for region in self.open:
            region.first = self._read()
            region.track = Track(reference=region.first.hwm_bytes)
            region.track.fold(region.first, self.precision)
            if region.refused is not None and self.sampler is None:
                self.sampler = Sampler(self.proc, self._sampled)

    def _tracks(self) -> list[Track]:
        return [self.process, *(region.track for region in self.open)]

    def _look(self) -> Look:
        """Folds what the kernel says now into every track."""
        look = self._read()
        for track in self._tracks():
            track.fold(look, self.precision)
        return look

    def _read(self) -> Look:
        try:
            look = self.proc.look()
        except (OSError, ValueError):
            return NOTHING
        self.threads = max(self.threads, look.threads or 1)
        self.precision = self.proc.precision(self.threads)
        return look

    def _reset(self) -> tuple[Look, str | None]:
        """Folds the mark into every track and resets it. What is seen then, and the reason where the kernel refuses."""
        try:
            fd = self.proc.open_reset()
        except OSError as error:
            return self._look(), f"{self.proc.root}/clear_refs: {error.strerror}"
        self._hand_down(self._read())
        began = time.perf_counter_ns()
        before = self._look()
        try:
            if before.hwm_bytes is None:
                return before, f"{self.proc.root}/status shows no VmHWM"
            self.proc.reset(fd)
        except OSError as error:
            return before, f"{self.proc.root}/clear_refs: {error.strerror}"
        finally:
            os.close(fd)
        after = self._read()
        took = time.perf_counter_ns() - began
        for track in self._tracks():
            track.reference = after.hwm_bytes
            track.fold(after, self.precision)
            if before.threads != 1:
                track.window(max(before.rss.rss_bytes or 0, after.rss.rss_bytes or 0), self.precision, took)
        return after, None

    def _hand_down(self, look: Look) -> None:
        """Before the kernel forgets a mark: `hiwater run` around this process, GNU time and the like go by wait4."""
        mark, rss = look.hwm_bytes, look.rss.rss_bytes
        if mark is not None and rss is not None and mark > max(self.handed_down, rss + WORTH_KEEPING):
            self.proc.hand_down()
            self.handed_down = mark

    def _sampled(self, rss_bytes: int) -> None:
        with self.lock:
            self.process.sampled(rss_bytes, self.precision)
            for region in self.open:
                if region.refused is not None:
                    region.track.sampled(rss_bytes, self.precision)


MARK = Mark(ProcSelf())
"""This process's."""

os.register_at_fork(
    before=lambda: MARK.lock.acquire(),
    after_in_parent=lambda: MARK.lock.release(),
    after_in_child=MARK.begin_child,
)


def peak_rss() -> Reading:
    """This process's largest resident set so far: its own, never its launcher's, whatever ``ru_maxrss`` says.

    Not fooled by ``hiwater.region()``, which resets the kernel's mark. In a forked child it counts from the fork on.
    """
    return MARK.peak()
