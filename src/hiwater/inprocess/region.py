"""``hiwater.region()``: the peak of a block of code in this process."""

from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar, cast

from hiwater.analysis.reading import Reading
from hiwater.errors import MisuseError
from hiwater.inprocess.mark import MARK, Mark, Open
from hiwater.inprocess.track import difference, exact_reading
from hiwater.recording.model import Rss
from hiwater.units import format_size

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Block:
    """The figures of a block of code. RSS is that of the whole process: other threads are in it."""

    baseline: Reading
    """RSS when the block was entered."""
    peak: Reading
    """Largest RSS inside the block."""
    growth: Reading
    """Peak less baseline."""
    left: Reading
    """RSS at the end less baseline; below 0 where the block gave memory back. Memory that an allocator keeps for later
    counts as left: this is no leak detector."""
    at_entry: Rss
    at_max: Rss
    """The split where the largest RSS was read: of the looks at both ends and those that inner regions took."""
    at_end: Rss
    refused: str | None
    """``None`` where the kernel's mark was reset: then the peak is exact within its bounds. Otherwise why not; the RSS
    was then looked up every millisecond, and spikes in between can be missed (``peak.method`` is ``rss_sampled``)."""


class Region:
    """A block of code: ``with``, ``async with`` or a decorator. Its figures can be read inside and after it."""

    def __init__(self, mark: Mark, *, collect: bool = False, on_end: Callable[[Region], object] | None = None) -> None:
        self._mark = mark
        self._collect = collect
        self._on_end = on_end
        self._open: Open | None = None
        self._block: Block | None = None

    def __enter__(self) -> Region:
        if self._open is not None:
            raise MisuseError("a region is entered once: call hiwater.region() anew for each block")
        if self._collect:
            gc.collect()
        self._open = self._mark.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened = self._opened()
        if self._collect:
            self._mark.update(opened)  # collecting may itself touch memory, and is not the block's
            at_max = self._figures(opened)
            gc.collect()
            self._mark.leave(opened)
            at_end = self._figures(opened)
            self._block = Block(
                at_max.baseline,
                at_max.peak,
                at_max.growth,
                at_end.left,
                at_max.at_entry,
                at_max.at_max,
                at_end.at_end,
                at_max.refused,
            )
        else:
            self._mark.leave(opened)
            self._block = self._figures(opened)
        if self._on_end is not None:
            self._on_end(self)

    async def __aenter__(self) -> Region:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """As a decorator: each call is a region of its own, handed to ``on_end``."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise MisuseError("a generator runs when it is iterated over: put `with hiwater.region():` inside it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_coroutine(*args: Any, **kwargs: Any) -> Any:
                with self._anew():
                    return await function(*args, **kwargs)

            return cast("F", measured_coroutine)

        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return function(*args, **kwargs)

        return cast("F", measured)

    def _anew(self) -> Region:
        return Region(self._mark, collect=self._collect, on_end=self._on_end)

    def _opened(self) -> Open:
        if self._open is None:
            raise MisuseError("the region was not entered: write `with hiwater.region() as r:`")
        return self._open

    def _figures(self, opened: Open) -> Block:
        precision = self._mark.precision
        baseline = exact_reading(opened.first.rss.rss_bytes, precision)
        peak = opened.track.reading(sampling=opened.refused is not None)
        end = exact_reading(opened.last.rss.rss_bytes, precision)
        return Block(
            baseline,
            peak,
            difference(peak, baseline, at_least=0),
            difference(end, baseline),
            opened.first.rss,
            opened.track.at_max,
            opened.last.rss,
            opened.refused,
        )

    @property
    def figures(self) -> Block:
        """All of them at once; inside the block, those so far."""
        if self._block is not None:
            return self._block
        opened = self._opened()
        self._mark.update(opened)
        return self._figures(opened)

    @property
    def baseline(self) -> Reading:
        """RSS when the block was entered."""
        return self.figures.baseline

    @property
    def peak(self) -> Reading:
        """Largest RSS inside the block."""
        return self.figures.peak

    @property
    def growth(self) -> Reading:
        """Peak less baseline."""
        return self.figures.growth

    @property
    def left(self) -> Reading:
        """RSS at the end less baseline."""
        return self.figures.left

    @property
    def refused(self) -> str | None:
        """Why the peak could only be sampled; ``None`` where it is the kernel's own."""
        return self.figures.refused

    def __str__(self) -> str:
        block = self.figures
        sampled = f", sampled ({block.refused})" if block.refused is not None else ""
        return (
            f"peak {format_size(block.peak.bytes)} "
            f"(between {format_size(block.peak.low)} and {format_size(block.peak.high)}{sampled}), "
            f"growth {format_size(block.growth.bytes)}, left {format_size(block.left.bytes)}"
        )


def region(*, collect: bool = False, on_end: Callable[[Region], object] | None = None) -> Region:
    """The exact peak of this process inside a block::

        with hiwater.region() as r:
            work()
        print(r.peak.mib, r.growth.mib, r.left.mib)

    The kernel's high-water mark is reset at entry. Regions may be nested and may be open in several threads at once:
    each gets the largest RSS *of the process* while it was open, and ``hiwater.peak_rss()`` keeps the maximum of all
    time. ``collect``: run the garbage collector before the block and, once the peak has been read, after it, so that
    ``left`` does not count what only waits to be collected. ``on_end``: called with the region when it has ended; the
    way to the figures of a decorated function.
    """
    return Region(MARK, collect=collect, on_end=on_end)
