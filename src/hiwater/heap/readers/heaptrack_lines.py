"""The lines of heaptrack's files, of the file formats 1 to 3 (heaptrack 1.0 to 1.5). Numbers are hexadecimal.

``v VERSION FORMAT``, ``X COMMAND``, ``I PAGE-SIZE PAGES``, and, each kind numbered from 1 in the order of its lines,
``s [LENGTH] TEXT`` a string, ``i ADDRESS MODULE [FUNCTION FILE LINE]...`` a place in code with what is inlined there,
innermost first, ``t PLACE PARENT`` a stack by its innermost call; then, numbered from 0, ``a BYTES STACK`` blocks of
one size and stack. ``+ N`` and ``- N`` are such a block allocated and freed. ``c MILLISECONDS`` and ``R PAGES`` come
every 10 ms: the time, and the RSS. ``A``: heaptrack was attached to a process that ran.

The file that the library itself writes (``heaptrack --raw``) has modules, ``m``, and addresses of blocks instead:
``+ BYTES STACK ADDRESS``, ``- ADDRESS``, ``t ADDRESS PARENT``.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from hiwater.heap.model import Frame
from hiwater.heap.readers.building import DEEPEST, LARGEST, shown
from hiwater.heap.readers.errors import ProfileError
from hiwater.heap.symbols.names import without_arguments

LONGEST = 1 << 20
"""Bytes of a line; those of heaptrack are names, C++ ones at worst."""


@dataclass(frozen=True, slots=True)
class Block:
    """Blocks of one size, allocated by one stack."""

    size: int
    trace: int


class Definitions:
    """All that the lines beside ``+`` and ``-`` say."""

    def __init__(self) -> None:
        self.format = 0
        self.command: tuple[str, ...] = ()
        self.page_bytes = 4096
        self.attached = False
        self.blocks: list[Block] = []
        self.modules: Modules | None = None
        """Known besides: gives places that have no name their address in the file."""
        self._strings: list[str] = []
        self._places: list[tuple[Frame, ...]] = []
        self._traces: list[tuple[int, int]] = []

    def define(self, line: bytes) -> None:
        """Any line but ``+``, ``-``, ``c``, ``R``."""
        kind, rest = line[:2], line[2:]
        if kind == b"t ":
            place, parent = hexadecimals(line, 2)
            self.add_trace(self._index(place, len(self._places), line), parent, line)
        elif kind == b"a ":
            size, trace = hexadecimals(line, 2)
            self.add_block(size, trace, line)
        elif kind == b"i ":
            self._place(line)
        elif kind == b"s ":
            self._strings.append(self.text(rest))
        elif kind == b"v ":
            self.format = hexadecimals(line)[-1]
            if not 1 <= self.format <= 3:
                raise ProfileError(
                    f"heaptrack's file format {self.format} is not known: hiwater reads 1 to 3", "line 1"
                )
        elif kind == b"X ":
            self.command = tuple(rest.decode("utf-8", "replace").split())
        elif kind == b"I ":
            self.page_bytes = hexadecimals(line, 2)[0]
            if not 512 <= self.page_bytes <= 1 << 24:
                raise ProfileError(f"pages of {self.page_bytes} bytes", f"line {shown(line)}")
        elif kind[:1] == b"A":
            self.attached = True
        # S: names of leaks to suppress; #: remarks. What newer versions add may be skipped: they raise the format.

    def add_trace(self, place: int, parent: int, line: bytes) -> int:
        """Its number, from 1."""
        if parent > len(self._traces):
            raise ProfileError("a stack continues in one that has not come yet", f"line {shown(line)}")
        self._traces.append((place, parent))
        return len(self._traces)

    def add_place(self, frames: tuple[Frame, ...]) -> int:
        """Its number, from 0."""
        self._places.append(frames)
        return len(self._places) - 1

    def add_block(self, size: int, trace: int, line: bytes) -> int:
        """Its number, from 0."""
        if trace > len(self._traces):
            raise ProfileError("blocks of a stack that has not come yet", f"line {shown(line)}")
        self.blocks.append(Block(size, trace))
        return len(self.blocks) - 1

    def text(self, rest: bytes) -> str:
        """Of a line that holds one string; from format 3 on its length stands before it."""
        if self.format >= 3:
            rest = rest.partition(b" ")[2]
        return rest.decode("utf-8", "replace")

    def frames(self, trace: int) -> tuple[Frame, ...]:
        """Innermost first."""
        found: list[Frame] = []
        while trace and len(found) < DEEPEST:
            place, trace = self._traces[trace - 1]
            found.extend(self._places[place])
        return tuple(found)

    def _place(self, line: bytes) -> None:
        values = hexadecimals(line)
        if len(values) < 2:
            raise ProfileError("a place in code without its module", f"line {shown(line)}")
        library = self._string(values[1], line)
        frames: list[Frame] = []
        for at in range(2, len(values), 3):
            triple = [*values[at : at + 3], 0, 0][:3]
            name, file = self._string(triple[0], line), self._string(triple[1], line)
            frames.append(Frame(name and without_arguments(name), file, triple[2] or None, library, inlined=True))
        last = frames[-1] if frames else Frame(None)
        address = None
        if self.modules is not None and last.function is None:
            found = self.modules.frame(values[0])
            address = found.address if found.library else None
        frames[-1:] = [Frame(last.function, last.file, last.line, library, address)]
        self._places.append(tuple(frames))

    def _string(self, number: int, line: bytes) -> str | None:
        return None if number == 0 else self._strings[self._index(number, len(self._strings), line)] or None

    @staticmethod
    def _index(number: int, have: int, line: bytes) -> int:
        if not 1 <= number <= have:
            raise ProfileError(f"it names number {number} of {have}", f"line {shown(line)}")
        return number - 1


class Modules:
    """Which file was where in memory, of the lines ``x`` and ``m`` that the library writes."""

    def __init__(self) -> None:
        self._program = ""
        self._pieces: list[tuple[int, int, int, str]] = []
        """Start, end, bias, path."""

    def add(self, line: bytes, form: int) -> bool:
        """``x [LENGTH] PATH`` or ``m [LENGTH] PATH BIAS [ADDRESS SIZE]...``; PATH ``-`` begins a new list, which
        is what is returned, ``x`` is the program."""
        path, numbers = self._path(line, form)
        if line[:1] == b"x":
            self._program = path
            return False
        if path == "-":
            self._pieces = []
            return True
        values = hexadecimals(b"m " + numbers) if numbers.strip() else []
        if len(values) % 2 == 0:
            raise ProfileError("a module has an address, and of each piece address and size", f"line {shown(line)}")
        bias = values[0]
        for address, size in zip(values[1::2], values[2::2], strict=True):
            start = bias + address
            self._pieces.append((start, start + size, bias, self._program if path == "x" else path))
        self._pieces.sort()
        return False

    def frame(self, address: int) -> Frame:
        """Of an address in memory, without a name."""
        at = bisect_right(self._pieces, (address, LARGEST * 2, 0, "")) - 1
        if at >= 0 and self._pieces[at][0] <= address < self._pieces[at][1]:
            return Frame(None, library=self._pieces[at][3], address=address - self._pieces[at][2])
        return Frame(None, address=address)

    @staticmethod
    def _path(line: bytes, form: int) -> tuple[str, bytes]:
        """And what stands behind it."""
        rest = line[2:]
        if form >= 3:
            length, _, rest = rest.partition(b" ")
            size = hexadecimals(b"m " + length)[0]
            path, numbers = rest[:size], rest[size:]
        elif line[:1] == b"x":
            path, numbers = rest, b""
        else:
            path, _, numbers = rest.partition(b" ")
        return path.decode("utf-8", "replace"), numbers


class Raw:
    """Turns the lines of ``heaptrack --raw`` into those of the interpreted format."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._modules = Modules()
        self._places: dict[int, int] = {}
        self._lines: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self._living: dict[bytes, bytes] = {}

    def translate(self, lines: list[bytes]) -> list[bytes]:
        """``+``, ``-``, ``c`` and ``R`` are handed on, all else goes into the definitions."""
        out: list[bytes] = []
        for line in lines:
            kind = line[:1]
            if kind == b"+":
                words = line.split(b" ")
                if len(words) != 4:
                    raise ProfileError("an allocation without size, stack, address", f"line {shown(line)}")
                key = (words[1], words[2])
                pair = self._lines.get(key) or self._block(key, line)
                freed = self._living.get(words[3])
                if freed is not None:
                    out.append(freed)
                self._living[words[3]] = pair[1]
                out.append(pair[0])
            elif kind == b"-":
                freed = self._living.pop(line[2:], None)
                if freed is not None:
                    out.append(freed)
            elif kind == b"t":
                ip, parent = hexadecimals(line, 2)
                self._definitions.add_trace(self._place(ip), parent, line)
            elif kind in (b"m", b"x"):
                if self._modules.add(line, self._definitions.format):
                    self._places = {}
            elif kind in (b"c", b"R"):
                out.append(line)
            else:
                self._definitions.define(line)
        return out

    def _block(self, key: tuple[bytes, bytes], line: bytes) -> tuple[bytes, bytes]:
        size, trace = hexadecimals(b"+ " + b" ".join(key), 2)
        number = self._definitions.add_block(size, trace, line)
        pair = self._lines[key] = (b"+ %x" % number, b"- %x" % number)
        return pair

    def _place(self, ip: int) -> int:
        if ip not in self._places:
            self._places[ip] = self._definitions.add_place((self._modules.frame(max(ip - 1, 0)),))
        return self._places[ip]


def hexadecimals(line: bytes, count: int | None = None) -> list[int]:
    """The numbers behind the letter of a line."""
    try:
        values = [int(word, 16) for word in line[2:].split()]
    except ValueError:
        raise ProfileError("not hexadecimal numbers", f"line {shown(line)}") from None
    if (count is not None and len(values) != count) or not values:
        raise ProfileError(f"not {count if count else 'the'} numbers that belong there", f"line {shown(line)}")
    if min(values) < 0 or max(values) > 2 * LARGEST + 1:
        raise ProfileError("a number beyond 64 bits", f"line {shown(line)}")
    return values
