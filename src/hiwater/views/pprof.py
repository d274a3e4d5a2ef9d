"""pprof's profile.proto (github.com/google/pprof, proto/profile.proto), for `go tool pprof`, pprof and speedscope.

The wire format of Protocol Buffers is written here: fields of numbers (varints) and of bytes with their lengths. What
the fields mean stands in profile.proto; the numbers below are those of its fields.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping

from hiwater._version import __version__
from hiwater.heap.model import Engine, Frame, HeapProfile, Kind, Language, Snapshot, Stack
from hiwater.views import heap_words as words
from hiwater.views.names import valid

_PAGE = 4096
_ALLOCATORS = (
    r"operator new.*|malloc|calloc|realloc|reallocarray|memalign|aligned_alloc|posix_memalign|valloc|pvalloc"
    r"|std::(__new_allocator|allocator|allocator_traits)\b.*::allocate|__gnu_cxx::new_allocator\b.*::allocate"
)
"""drop_frames: pprof leaves these out, so that the call site is what holds the memory."""


def render(
    profile: HeapProfile,
    snapshot: Snapshot,
    *,
    started_ns: int | None = None,
    build_ids: Mapping[str, str] | None = None,
) -> bytes:
    """One snapshot, compressed. ``started_ns`` is when the command began, in nanoseconds since 1970; ``build_ids`` are
    those of programs and libraries, in hexadecimal, by their paths."""
    return gzip.compress(_Writer(profile, build_ids or {}).message(snapshot, started_ns), 9, mtime=0)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the low ones first; negative ones as 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A field that is a number; 0 is what it has if it is left out."""
    return _varint(field << 3) + _varint(value) if value else b""


def block(field: int, data: bytes) -> bytes:
    """A field of bytes: a string, or a message."""
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def packed(field: int, values: Iterable[int]) -> bytes:
    """A field of several numbers."""
    return block(field, b"".join(map(_varint, values)))


class _Writer:
    def __init__(self, profile: HeapProfile, build_ids: Mapping[str, str]) -> None:
        self.profile = profile
        self.strings: dict[str, int] = {"": 0}
        self.functions: dict[tuple[str, str, int], int] = {}
        self.locations: dict[Stack, int] = {}
        self.mappings = {path: at for at, path in enumerate(self._libraries(), 1)}
        self.tables: dict[str, list[bytes]] = {"function": [], "location": []}
        self.build_ids = build_ids

    def text(self, value: str) -> int:
        """Its place in the table of strings."""
        return self.strings.setdefault(valid(value), len(self.strings))

    def _libraries(self) -> list[str]:
        """The program first: pprof takes the first mapping for the main one."""
        found = dict.fromkeys(
            frame.library for stack in self.profile.stacks for frame in reversed(stack) if frame.library is not None
        )
        return list(found)

    def message(self, snapshot: Snapshot, started_ns: int | None) -> bytes:
        """The message Profile."""
        faults = self.profile.engine is Engine.FAULTS
        kinds = (("faults", "count"), ("touched_space", "bytes")) if faults else (
            ("inuse_objects", "count"), ("inuse_space", "bytes"))  # fmt: skip
        out = [block(1, self._type(*kind)) for kind in kinds]
        out += [block(2, self._sample(held.stack, held.allocations, held.in_use_bytes, held.kind))
                for held in snapshot.holdings]  # fmt: skip
        out += [block(3, self._mapping(path, at)) for path, at in self.mappings.items()]
        out += [block(4, one) for one in self.tables["location"]]
        out += [block(5, one) for one in self.tables["function"]]
        out.append(number(7, self.text(_ALLOCATORS)))
        period = self.profile.sample_bytes or 0
        comments = [
            f"hiwater {__version__}: {words.who(self.profile)}, {words.moment(self.profile, snapshot)}",
            words.sizes(self.profile, snapshot), words.method(self.profile), *self.profile.notes,
        ]  # fmt: skip
        tail = []
        if started_ns is not None:
            tail.append(number(9, started_ns + round((snapshot.at_seconds or 0.0) * 1e9)))
        if period:
            tail += [block(11, self._type("space", "bytes")), number(12, period)]
        tail += [packed(13, [self.text(comment) for comment in comments]), number(14, self.text(kinds[1][0]))]
        out += [block(6, text.encode("utf-8")) for text in self.strings]
        return b"".join([*out, *tail])

    def _type(self, kind: str, unit: str) -> bytes:
        """ValueType."""
        return number(1, self.text(kind)) + number(2, self.text(unit))

    def _sample(self, stack: int, allocations: int, size: int, kind: Kind) -> bytes:
        """Sample: locations from the innermost, its values, and through which door the memory came."""
        label = number(1, self.text("kind")) + number(2, self.text(str(kind)))
        frames = self.profile.stacks[stack] or (Frame(None),)
        if kind is Kind.MMAP:
            frames = (Frame("[mmap]"), *frames)
        places = [self._location(piece) for piece in _places(frames)]
        return packed(1, places) + packed(2, (allocations, size)) + block(3, label)

    def _location(self, frames: Stack) -> int:
        """Location: one address, with what was inlined there before what it was inlined into."""
        found = self.locations.get(frames)
        if found is not None:
            return found
        own = self.locations[frames] = len(self.locations) + 1
        outer = frames[-1]
        lines = [block(4, number(1, self._function(frame)) + number(2, frame.line or 0)) for frame in frames]
        out = [
            number(1, own),
            number(2, self.mappings.get(outer.library or "", 0)),
            number(3, outer.address or 0),
            *lines,
        ]
        self.tables["location"].append(b"".join(out))
        return own

    def _function(self, frame: Frame) -> int:
        """Function; a call whose name is unknown has its library and address for one."""
        name = frame.function or ""
        if not name and frame.library is not None and frame.address is not None:
            name = f"{words.base(frame.library)}+0x{frame.address:x}"
        key = (name or "(unknown)", frame.file or "", frame.first_line or 0)
        found = self.functions.get(key)
        if found is None:
            found = self.functions[key] = len(self.functions) + 1
            names = number(2, self.text(key[0])) + number(3, self.text(key[0])) + number(4, self.text(key[1]))
            self.tables["function"].append(number(1, found) + names + number(5, key[2]))
        return found

    def _mapping(self, path: str, own: int) -> bytes:
        """Mapping. Addresses are those of the file, so each library begins at 0 and ends behind its last one."""
        addresses = [
            frame.address for stack in self.profile.stacks for frame in stack
            if frame.library == path and frame.address is not None
        ]  # fmt: skip
        frames = [frame for stack in self.profile.stacks for frame in stack if frame.library == path]
        limit = (max(addresses, default=0) // _PAGE + 1) * _PAGE
        named = any(frame.function for frame in frames)
        out = (
            number(1, own)
            + number(3, limit)
            + number(5, self.text(path))
            + number(6, self.text(self.build_ids.get(path, "")))
        )
        flags = (named, any(frame.file for frame in frames), any(frame.line for frame in frames),
                 any(frame.inlined for frame in frames))  # fmt: skip
        return out + b"".join(number(7 + at, int(flag)) for at, flag in enumerate(flags))


def _places(stack: Stack) -> Iterable[Stack]:
    """The stack in pieces of one address each: inlined calls and the function that they are part of."""
    piece: list[Frame] = []
    for frame in stack:
        piece.append(frame)
        if not frame.inlined or frame.language is Language.PYTHON:
            yield tuple(piece)
            piece = []
    if piece:
        yield tuple(piece)
