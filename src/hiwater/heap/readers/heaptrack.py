"""heaptrack's files, read in one pass: what lived when the RSS was largest, when the heap was, as it grew, at the end.

A profile of minutes has tens of millions of lines of a few bytes, and of these few thousand differ. Lines are therefore
handled by the hundred thousand, by what Python has in C: a dictionary from line to change of size (lines that it has
not, it learns), their running sum, and a count of equal lines. Only where a piece holds a new maximum, its lines up to
there are counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from operator import itemgetter

from hiwater.heap.model import Engine, HeapProfile, Holding, Kind, Point, Snapshot
from hiwater.heap.readers.building import LARGEST, MOST_POINTS, Stacks, shown, snapshot, thinned
from hiwater.heap.readers.errors import ProfileError
from hiwater.heap.readers.heaptrack_lines import LONGEST, Definitions, Modules, Raw, hexadecimals

EVERY = 10 << 20
_HEAD_LINES = 16
MOST_GROWTH = 64
"""Snapshots of growth: beyond it every second is dropped and the step doubled."""

Counts = Counter[bytes]
"""How often each line came. ``+ 1a`` and ``- 1a`` are told apart: their difference lives."""
_Look = tuple[int, "int | None", "int | None"]
"""Position among the lines of a piece; milliseconds and RSS from there on."""


def is_heaptrack(head: bytes) -> bool:
    """By the first bytes of the unpacked file."""
    first = head.split(b"\n", 1)[0].split(b" ")
    return len(first) == 3 and first[0] == b"v" and all(word.isalnum() for word in first[1:])


def parse(
    pieces: Iterable[bytes],
    *,
    every: int = EVERY,
    ended: Callable[[], bool] = lambda: True,
    modules: Iterable[bytes] = (),
) -> HeapProfile:
    """Of the unpacked file, in pieces of any size. ``every`` is the growth in bytes between two snapshots. ``ended``,
    asked once the pieces are through: whether the file has its proper end. ``modules``: lines ``v``, ``x`` and ``m``
    of what heaptrack's library wrote, which its interpreter leaves out: with these, places without a name have their
    address."""
    reader = _Reader(every, _modules(modules))
    for lines in _lines(pieces):
        reader.feed(lines)
    return reader.profile(ended())


def _modules(lines: Iterable[bytes]) -> Modules | None:
    """All that were ever loaded: when is not known."""
    found, form = Modules(), 0
    for line in lines:
        if line[:2] == b"v ":
            form = hexadecimals(line)[-1]
        elif line[:2] in (b"x ", b"m ") and not line.endswith(b" -"):
            found.add(line, form)
    return found if form else None


def _lines(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = b""
    head: list[bytes] | None = []
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST:
            raise ProfileError(f"a line of more than {LONGEST >> 20} MiB", f"line {shown(rest)}")
        if head is not None:
            # The first lines tell which kind of file it is: they stay together.
            head += lines
            if len(head) < _HEAD_LINES:
                continue
            lines, head = head, None
        yield lines
    if head:
        yield head
    # What follows the last line break is half a line: the writer was stopped.


class _Changes(dict[bytes, int]):
    """By how much each line changes the sum of what lives. Asked for a line that it has not, it reads that."""

    def __init__(self) -> None:
        self.definitions = Definitions()
        self.marks: list[bytes] = []
        """``c`` and ``R``, since it was emptied last."""
        self.defined: list[bytes] = []
        """All others but ``+`` and ``-``, likewise."""

    def __missing__(self, line: bytes) -> int:
        kind = line[:2]
        if kind in (b"+ ", b"- "):
            block = _number(line, len(self.definitions.blocks))
            size = self.definitions.blocks[block].size
            self[line] = change = size if kind == b"+ " else -size
            return change
        if kind in (b"c ", b"R "):
            self.marks.append(line)
        else:
            self.definitions.define(line)
            self.defined.append(line)
        return 0


class _Moment:
    """A moment that may turn out to be one to show. Counted when it does."""

    def __init__(self, before: Counts, lines: list[bytes], in_use: int, look: _Look | None = None) -> None:
        self.in_use = in_use
        self.milliseconds = look[1] if look else None
        self.rss = look[2] if look else None
        self._counts = before
        self._lines = lines

    def counts(self) -> Counts:
        """Of all lines up to it."""
        if self._lines:
            self._counts = self._counts.copy()
            self._counts.update(self._lines)
            self._lines = []
        return self._counts


class _Piece:
    """The lines of one piece, with the sum in use before each and after the last."""

    def __init__(self, before: Counts, lines: list[bytes], running: list[int]) -> None:
        self._before = before
        self._copied = False
        self._lines = lines
        self.running = running
        self.looks: list[_Look] = []

    def moment(self, at: int) -> _Moment:
        """Behind that many lines."""
        if not self._copied:
            self._before, self._copied = self._before.copy(), True
        look = self.looks[bisect_right(self.looks, at, key=itemgetter(0)) - 1]
        return _Moment(self._before, self._lines[:at], self.running[at], look)

    def largest(self, first: int, last: int) -> int:
        """Where most was in use."""
        part = self.running[first : last + 1]
        return self.running.index(max(part), first)


class _Reader:
    def __init__(self, every: int, modules: Modules | None) -> None:
        self._changes = _Changes()
        self._changes.definitions.modules = modules
        self._raw: Raw | None = None
        self._begun = False
        self._counts: Counts = Counter()
        self._in_use = 0
        self._last: _Look = (0, None, None)
        self._heap_peak = _Moment(Counter(), [], 0)
        self._rss_peak: _Moment | None = None
        self._likely = (0, 0)
        """What its RSS may have been, and what was in use."""
        self._before: tuple[int | None, int] = (None, 0)
        """RSS and bytes in use at the last look at the RSS."""
        self._stretch: _Moment | None = None
        """Where most was in use since."""
        self._growth: list[_Moment] = []
        self._every = max(every, 1)
        self._next = self._every
        self._course: list[Point] = []

    def feed(self, lines: list[bytes]) -> None:
        """Whole lines, in their order."""
        if not self._begun and lines:
            # Modules stand in what the library writes itself, never behind its interpreter.
            if any(line[:2] in (b"x ", b"m ") for line in lines[:_HEAD_LINES]):
                self._raw = Raw(self._changes.definitions)
            self._begun = True
        if self._raw is not None:
            lines = self._raw.translate(lines)
        changes = self._changes
        changes.marks.clear()
        changes.defined.clear()
        piece = _Piece(self._counts, lines, list(accumulate(map(changes.__getitem__, lines), initial=self._in_use)))
        self._look(piece, lines)
        self._see_rss(piece)
        self._see_heap(piece)
        self._counts.update(lines)
        for line in (*changes.marks, *changes.defined):
            self._counts.pop(line, None)
        self._in_use = piece.running[-1]

    def _look(self, piece: _Piece, lines: list[bytes]) -> None:
        """Finds the times and the RSS in it: what was known at its beginning, and from each line ``c`` or ``R`` on."""
        piece.looks.append((0, *self._last[1:]))
        at = 0
        for mark in self._changes.marks:
            at = lines.index(mark, at) + 1
            value = hexadecimals(mark, 1)[0]
            _, milliseconds, rss = piece.looks[-1]
            if mark[:1] == b"c":
                piece.looks.append((at, value, rss))
                continue
            rss = value * self._changes.definitions.page_bytes
            piece.looks.append((at, milliseconds, rss))
            if milliseconds is not None:
                self._course.append(Point(milliseconds / 1e3, max(piece.running[at], 0), rss))
        self._last = piece.looks[-1]
        if len(self._course) > 4 * MOST_POINTS:
            self._course = list(thinned(self._course))

    def _see_rss(self, piece: _Piece) -> None:
        """Each stretch between two looks at the RSS is judged by what its RSS may have been; see ``_close``."""
        bounds = [look[0] for mark, look in zip(self._changes.marks, piece.looks[1:], strict=True) if mark[:1] == b"R"]
        rss = {look[0]: look[2] for look in piece.looks}
        first = 0
        for last in (*bounds, len(piece.running) - 1):
            at = piece.largest(first, last)
            if self._stretch is None or piece.running[at] > self._stretch.in_use:
                self._stretch = piece.moment(at)
            if last in bounds:
                self._close(rss[last], piece.running[last])
                self._before = (rss[last], piece.running[last])
                if ((rss[last] or 0), piece.running[last]) > self._likely:
                    self._likely, self._rss_peak = ((rss[last] or 0), piece.running[last]), piece.moment(last)
            first = last

    def _close(self, rss: int | None, in_use: int) -> None:
        """Ends a stretch with a look. What came and went inside it no look has seen: it is taken to have been resident
        on top of what was. What stayed was seen, touched or not."""
        rss_before, in_use_before = self._before
        seen = max(rss_before or 0, rss or 0)
        if self._stretch is not None and seen:
            spike = self._stretch.in_use - max(in_use_before, in_use)
            likely = (seen + spike, self._stretch.in_use)
            if spike > 0 and likely > self._likely:
                self._likely, self._rss_peak = likely, self._stretch
                self._rss_peak.rss = seen
        self._stretch = None

    def _see_heap(self, piece: _Piece) -> None:
        running = piece.running
        top = max(running)
        if top > LARGEST:
            raise ProfileError("more than 2^63 bytes in use")
        while top >= self._next:
            at = next(at for at, size in enumerate(running) if size >= self._next)
            grown = piece.moment(at)
            grown.counts()
            self._growth.append(grown)
            self._next = (running[at] // self._every + 1) * self._every
            if len(self._growth) > MOST_GROWTH:
                self._every *= 2
                self._growth = self._growth[1::2]
                self._next = (self._growth[-1].in_use // self._every + 1) * self._every
        if top > self._heap_peak.in_use:
            self._heap_peak = piece.moment(running.index(top))

    def profile(self, ended: bool) -> HeapProfile:
        self._close(None, self._in_use)
        definitions = self._changes.definitions
        if not self._begun or not definitions.format:
            raise ProfileError("no file of heaptrack: it begins with its version")
        numbers = _Numbers(definitions)
        at_end = _Moment(self._counts, [], self._in_use, self._last)
        heap = numbers.snapshot(self._heap_peak, "heap peak" if self._rss_peak else "peak")
        rss = numbers.snapshot(self._rss_peak, "peak") if self._rss_peak else None
        growth = tuple(numbers.snapshot(moment, "growth") for moment in self._growth)
        notes = list(_notes(definitions, heap, rss))
        if not ended:
            notes.append(
                "The file is cut off: what came after its last line, the end of the program too, is not known."
            )
        given = [(line, count) for line, count in self._counts.items() if line[:1] == b"+"]
        return HeapProfile(
            engine=Engine.HEAPTRACK,
            peak=rss or heap,
            exit=numbers.snapshot(at_end, "exit") if ended else None,
            growth=growth
            if rss is None or rss.holdings == heap.holdings
            else tuple(sorted((*growth, heap), key=_when)),
            stacks=numbers.stacks.all(),
            course=thinned(self._course),
            name=definitions.command[0].rpartition("/")[2] if definitions.command else None,
            command=definitions.command,
            allocations=sum(count for _, count in given),
            allocated_bytes=sum(self._changes[line] * count for line, count in given),
            notes=tuple(notes),
        )


class _Numbers:
    """Counts of lines -> snapshots whose stacks have their numbers."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._of_trace: dict[int, int] = {}
        self.stacks = Stacks()

    def snapshot(self, moment: _Moment, label: str) -> Snapshot:
        seconds = None if moment.milliseconds is None else moment.milliseconds / 1e3
        return snapshot(self._holdings(moment.counts()), label, at_seconds=seconds, rss_bytes=moment.rss)

    def _holdings(self, counts: Counts) -> Iterator[Holding]:
        for line, count in counts.items():
            if line[:1] != b"+":
                continue
            living = count - counts.get(b"-" + line[1:], 0)
            if living > 0:
                block = self._definitions.blocks[_number(line, len(self._definitions.blocks))]
                yield Holding(self._stack(block.trace), Kind.MALLOC, living * block.size, living)

    def _stack(self, trace: int) -> int:
        number = self._of_trace.get(trace)
        if number is None:
            number = self._of_trace[trace] = self.stacks.number(self._definitions.frames(trace))
        return number


def _number(line: bytes, blocks: int) -> int:
    number = hexadecimals(line, 1)[0]
    if number >= blocks:
        raise ProfileError(f"it names block {number} of {blocks}", f"line {shown(line)}")
    return number


def _when(moment: Snapshot) -> tuple[float, int]:
    return (moment.at_seconds or 0.0, moment.in_use_bytes)


def _notes(definitions: Definitions, heap: Snapshot, rss: Snapshot | None) -> Iterator[str]:
    if definitions.attached:
        yield "heaptrack was attached to the process: what it had allocated before is missing."
    if rss is None:
        yield "The file tells no RSS: the peak shown is that of the heap itself."
        return
    yield "heaptrack looks at the RSS every 10 ms: in between, the peak is taken to be where most was in use."
    if rss.in_use_bytes < heap.in_use_bytes:
        yield f"The heap itself was largest at another moment, {heap.in_use_bytes} bytes: the snapshot `heap peak`."
