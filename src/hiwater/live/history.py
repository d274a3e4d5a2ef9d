"""Sizes over time in bounded memory: the longer it lasts, the coarser, but no maximum is ever lost."""

from __future__ import annotations

from array import array

CELLS = 512
"""Stretches of time that are told apart at most; at least half as many, but for the first seconds."""
_FIRST_NS = 1 << 25  # 34 ms


class Clock:
    """How long one cell of every history is: doubled each time they would be more than ``CELLS``."""

    def __init__(self) -> None:
        self.cell_ns = _FIRST_NS
        self.now_ns = 0

    def reach(self, t_ns: int) -> None:
        """Time has come so far; it never goes back."""
        self.now_ns = max(self.now_ns, t_ns)
        while self.now_ns // self.cell_ns >= CELLS:
            self.cell_ns *= 2


class History:
    """The largest value in each cell from the first one on. A value holds until the next."""

    __slots__ = ("_cell_ns", "_clock", "_first", "_most", "value")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cell_ns = clock.cell_ns
        self._first = 0
        self._most = array("q")
        self.value: int | None = None
        """What holds now; ``None`` before the beginning and behind the end."""

    def add(self, t_ns: int, value: int | None) -> None:
        """From then on it is ``value``; ``None``: it ends. The clock must have reached ``t_ns``."""
        self._extend(t_ns)
        self.value = value
        if value is not None:
            if not self._most:
                self._most.append(value)
            elif value > self._most[-1]:
                self._most[-1] = value

    def _extend(self, t_ns: int) -> None:
        """Up to the cell of an instant, with what has held since."""
        while self._cell_ns < self._clock.cell_ns:
            self._halve()
        cell = max(0, t_ns) // self._cell_ns
        if not self._most:
            self._first = cell
        elif (missing := cell - (self._first + len(self._most) - 1)) > 0:
            self._most.extend([self.value or 0] * missing)

    def _halve(self) -> None:
        cells = self._most
        if self._first % 2 and cells:
            cells = array("q", [cells[0]]) + cells  # the first pair begins with a cell that is not there
        if len(cells) % 2:
            cells.append(cells[-1])
        self._most = array("q", map(max, cells[::2], cells[1::2]))
        self._first //= 2
        self._cell_ns *= 2

    def outline(self, columns: int) -> list[int | None]:
        """The largest value in each of ``columns`` equal stretches from 0 to now; ``None`` where there is none."""
        clock = self._clock
        if self.value is not None:
            self._extend(clock.now_ns)
        else:
            while self._cell_ns < clock.cell_ns:
                self._halve()
        span = clock.now_ns + 1
        found: list[int | None] = []
        for column in range(columns):
            begin = span * column // columns // self._cell_ns - self._first
            stop = (span * (column + 1) // columns - 1) // self._cell_ns - self._first + 1
            part = self._most[max(0, begin) : max(0, stop, begin + 1)]
            found.append(max(part, default=None))
        return found
