"""ELF files, read as far as heap profiles need: what a program is, what it needs, and the names of its functions.

Sources: elf(5); the System V ABI, chapters 4 and 5; for GNU's hash table and notes, glibc's elf.h and elf/dl-lookup.c.
Nothing is believed: every offset and size is checked against the file, and a file that does not hold what it says
raises :class:`ElfError`. Files are read, not mapped: one that is cut while mapped would end the process by SIGBUS.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType

from hiwater.errors import HiwaterError

MAX_TABLE_BYTES = 1 << 30
"""The largest table that is read: the string tables of browsers are some 100 MiB."""
_MAX_HEADERS = 1 << 16
_MAX_SYMBOLS = 1 << 24
_MAX_NAME_BYTES = 1 << 16
_MAX_NOTES_BYTES = 1 << 20

ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
SHT_SYMTAB, SHT_STRTAB, SHT_NOTE, SHT_NOBITS, SHT_DYNSYM = 2, 3, 7, 8, 11
SHF_COMPRESSED = 0x800
PF_X = 1
DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT = 1, 4, 5, 6, 10, 11
DT_SONAME, DT_RPATH, DT_RUNPATH, DT_FLAGS_1, DT_GNU_HASH = 14, 15, 29, 0x6FFFFFFB, 0x6FFFFEF5
DF_1_NODEFLIB = 0x800
STT_FUNC, STT_GNU_IFUNC = 2, 10
NT_GNU_BUILD_ID, NT_GO_BUILD_ID = 3, 4


class ElfError(HiwaterError, ValueError):
    """The file is no ELF file, or it is damaged."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A program header: what is mapped."""

    type: int
    flags: int
    offset: int
    address: int
    file_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section header: what linkers and debuggers look at. A program may lack all of them."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    bytes: int
    link: int
    entry_bytes: int


@dataclass(frozen=True, slots=True)
class Note:
    """A note: a build-id, for instance."""

    name: bytes
    type: int
    content: bytes


class Elf:
    """One ELF file. Headers are read at once, the rest when it is asked for; each may raise ElfError or OSError."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        """``read(offset, bytes)`` gives a part of the file, which is ``size`` bytes long."""
        self._read, self.size = read, size
        ident = read(0, 20) if size >= 20 else b""
        if ident[:4] != b"\x7fELF":
            raise ElfError("it is no ELF file")
        if ident[4] not in (1, 2) or ident[5] not in (1, 2):
            raise ElfError("its ELF header is damaged: neither 32 nor 64 bits, or no byte order")
        self.bits: int = 32 * ident[4]
        self.big_endian: bool = ident[5] == 2
        self._order = ">" if self.big_endian else "<"
        self.type: int
        self.machine: int
        self.type, self.machine = struct.unpack(self._order + "HH", ident[16:20])
        fields = self._unpack("QQQIHHHHHH" if self.bits == 64 else "IIIIHHHHHH", 24)
        _, self._phoff, self._shoff, _, _, self._phentsize, self._phnum, self._shentsize, self._shnum, self._shstr = (
            fields
        )

    @classmethod
    def of(cls, data: bytes) -> Elf:
        """The ELF file whose bytes these are."""
        return cls(lambda offset, count: data[offset : offset + count], len(data))

    # -- reading

    def bytes_at(self, offset: int, count: int) -> bytes:
        """A part of the file, in full."""
        if offset < 0 or count < 0 or count > MAX_TABLE_BYTES or offset + count > self.size:
            raise ElfError(f"it is damaged: {count} bytes at {offset} lie beyond its end")
        data = self._read(offset, count)
        if len(data) != count:
            raise ElfError("it was cut while it was read")
        return data

    def _unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        layout = self._order + layout
        return struct.unpack(layout, self.bytes_at(offset, struct.calcsize(layout)))

    def _rows(self, layout: str, offset: int, entry: int, count: int) -> Iterator[tuple[int, ...]]:
        layout = self._order + layout
        size = struct.calcsize(layout)
        if entry < size or count > _MAX_HEADERS:
            raise ElfError("it is damaged: its headers have an impossible size or number")
        data = self.bytes_at(offset, entry * count)
        return (struct.unpack_from(layout, data, entry * index) for index in range(count))

    # -- headers

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The program headers."""
        if not self._phoff or not self._phnum:
            return ()
        if self.bits == 64:
            rows = self._rows("IIQQQQQ", self._phoff, self._phentsize, self._phnum)
            return tuple(Segment(kind, flags, off, va, size, mem) for kind, flags, off, va, _, size, mem in rows)
        rows = self._rows("IIIIIII", self._phoff, self._phentsize, self._phnum)
        return tuple(Segment(kind, flags, off, va, size, mem) for kind, off, va, _, size, mem, flags in rows)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The section headers; empty if they were stripped."""
        if not self._shoff:
            return ()
        layout = "IIQQQQIIQQ" if self.bits == 64 else "IIIIIIIIII"
        count, strings = self._shnum, self._shstr
        if count == 0 or strings == 0xFFFF:  # too many for the header: the first section has the numbers, elf(5)
            first = self._unpack(layout, self._shoff)
            count, strings = count or first[5], first[6] if strings == 0xFFFF else strings
        rows = list(self._rows(layout, self._shoff, self._shentsize, count))
        names = b""
        if 0 < strings < len(rows) and rows[strings][1] == SHT_STRTAB:
            names = self.bytes_at(rows[strings][4], rows[strings][5])
        return tuple(
            Section(text_at(names, name), kind, flags, address, offset, size, link, entry)
            for name, kind, flags, address, offset, size, link, _, _, entry in rows
        )

    def section(self, name: str) -> Section | None:
        """The first section of that name that holds something."""
        return next((each for each in self.sections if each.name == name and each.type != SHT_NOBITS), None)

    def content(self, section: Section) -> bytes:
        """What a section holds."""
        if section.flags & SHF_COMPRESSED:
            raise ElfError(f"section {section.name} is compressed")
        return b"" if section.type == SHT_NOBITS else self.bytes_at(section.offset, section.bytes)

    def offset_of(self, address: int) -> int:
        """Where in the file the byte is that is mapped to an address."""
        for segment in self.segments:
            if segment.type == PT_LOAD and segment.address <= address < segment.address + segment.file_bytes:
                return address - segment.address + segment.offset
        raise ElfError(f"it is damaged: nothing of it is mapped to address {address:#x}")

    # -- what the dynamic linker reads

    @cached_property
    def interpreter(self) -> str | None:
        """The dynamic linker that the kernel starts. ``None``: a static program, or no program at all."""
        for segment in self.segments:
            if segment.type == PT_INTERP:
                if segment.file_bytes > 4096:  # fs/binfmt_elf.c, load_elf_binary(): more than PATH_MAX is refused
                    raise ElfError("it is damaged: the name of its dynamic linker is too long")
                return os.fsdecode(self.bytes_at(segment.offset, segment.file_bytes).split(b"\0")[0])
        return None

    @cached_property
    def dynamic(self) -> tuple[tuple[int, int], ...]:
        """The dynamic section: tags and values up to its end."""
        entries = []
        for segment in self.segments:
            if segment.type == PT_DYNAMIC:
                layout = self._order + ("QQ" if self.bits == 64 else "II")
                step = struct.calcsize(layout)
                data = self.bytes_at(segment.offset, segment.file_bytes - segment.file_bytes % step)
                for tag, value in struct.iter_unpack(layout, data):
                    if tag == 0:
                        break
                    entries.append((tag, value))
        return tuple(entries)

    def value(self, tag: int) -> int | None:
        """The last value of a tag in the dynamic section, which is what glibc's elf_get_dynamic_info() takes."""
        return next((value for each, value in reversed(self.dynamic) if each == tag), None)

    @cached_property
    def _dynamic_strings(self) -> bytes:
        address, size = self.value(DT_STRTAB), self.value(DT_STRSZ)
        return b"" if address is None or size is None else self.bytes_at(self.offset_of(address), size)

    def _names(self, tag: int) -> tuple[str, ...]:
        return tuple(text_at(self._dynamic_strings, value) for each, value in self.dynamic if each == tag)

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the libraries that it is linked to."""
        return self._names(DT_NEEDED)

    @property
    def soname(self) -> str | None:
        """What it is called as a library."""
        return next(iter(self._names(DT_SONAME)), None)

    @property
    def rpath(self) -> tuple[str, ...]:
        """DT_RPATH: folders for its libraries and for theirs. Ignored where there is a DT_RUNPATH, ld.so(8)."""
        return tuple(part for text in self._names(DT_RPATH) for part in text.split(":") if part)

    @property
    def runpath(self) -> tuple[str, ...]:
        """DT_RUNPATH: folders for its own libraries."""
        return tuple(part for text in self._names(DT_RUNPATH) for part in text.split(":") if part)

    @property
    def default_folders(self) -> bool:
        """Whether libraries are looked for in the default folders as well."""
        return not (self.value(DT_FLAGS_1) or 0) & DF_1_NODEFLIB

    @property
    def is_static(self) -> bool:
        """A program that runs without a dynamic linker. The dynamic linker itself is none: it has a DT_SONAME."""
        return self.interpreter is None and (
            self.type == ET_EXEC or (self.type == ET_DYN and not self.needed and self.soname is None)
        )

    # -- symbols

    def symbol_table(self, dynamic: bool) -> tuple[bytes, bytes]:
        """The entries and the strings of .symtab or .dynsym; both empty if it is not there."""
        wanted = SHT_DYNSYM if dynamic else SHT_SYMTAB
        for section in self.sections:
            if section.type == wanted and section.bytes:
                if section.link >= len(self.sections):
                    raise ElfError("it is damaged: its symbols have no names")
                return self.content(section), self.content(self.sections[section.link])
        address = self.value(DT_SYMTAB) if dynamic else None
        if address is None:
            return b"", b""
        size = self._symbol_bytes * self._dynamic_symbols()
        return self.bytes_at(self.offset_of(address), size), self._dynamic_strings

    @property
    def _symbol_bytes(self) -> int:
        return 24 if self.bits == 64 else 16

    def symbols(self, dynamic: bool) -> Iterator[tuple[int, int, int, int, int]]:
        """Name (an offset into the strings), type and binding (``st_info``), section, value and size of each symbol."""
        entries, _ = self.symbol_table(dynamic)
        entries = entries[: len(entries) - len(entries) % self._symbol_bytes]
        if self.bits == 64:
            for name, info, _, section, value, size in struct.iter_unpack(self._order + "IBBHQQ", entries):
                yield name, info, section, value, size
        else:
            for name, value, size, info, _, section in struct.iter_unpack(self._order + "IIIBBH", entries):
                yield name, info, section, value, size

    def names(self, dynamic: bool, defined: bool = True) -> frozenset[str]:
        """Names of the symbols that it defines (or that it wants from others), functions and objects alike."""
        _, strings = self.symbol_table(dynamic)
        return frozenset(
            text_at(strings, name)
            for name, _, section, _, _ in self.symbols(dynamic)
            if name and bool(section) == defined
        )

    def mentions(self, *names: str) -> bool:
        """Whether one of these is among the strings of its dynamic section: quickly told, and no symbol is without."""
        # Linkers let a name be the end of a longer one.
        return any(b"%b\0" % os.fsencode(name) in self._dynamic_strings for name in names)

    def _dynamic_symbols(self) -> int:
        """How many there are, where the sections were stripped: the hash tables know."""
        address = self.value(DT_HASH)
        if address is not None:
            return self._unpack("II", self.offset_of(address))[1]
        address = self.value(DT_GNU_HASH)
        if address is None:
            return 0
        start = self.offset_of(address)
        buckets, first, bloom, _ = self._unpack("IIII", start)
        start += 16 + bloom * (self.bits // 8)
        last = max(self._unpack(f"{buckets}I", start), default=0) if buckets <= _MAX_HEADERS * 16 else 0
        if last < first:
            return first
        while not self._unpack("I", start + 4 * (buckets + last - first))[0] & 1:  # the end of the last bucket's chain
            last += 1
            if last > _MAX_SYMBOLS:
                raise ElfError("it is damaged: its hash table has no end")
        return last + 1

    # -- notes and debug files

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """All notes."""
        places = [(each.offset, each.bytes) for each in self.sections if each.type == SHT_NOTE]
        # objcopy --only-keep-debug leaves the segments' offsets as they were in the whole file.
        places = places or [(each.offset, each.file_bytes) for each in self.segments if each.type == PT_NOTE]
        places = [place for place in places if place[1] <= _MAX_NOTES_BYTES]
        return tuple(note for offset, count in places for note in self._notes(self.bytes_at(offset, count)))

    def _notes(self, data: bytes) -> Iterator[Note]:
        position, align = 0, 4  # notes with other paddings (.note.gnu.property) stand in sections of their own
        while position + 12 <= len(data):
            name_bytes, content_bytes, kind = struct.unpack_from(self._order + "III", data, position)
            start = position + 12
            content = start + -(-name_bytes // align) * align
            if content + content_bytes > len(data):
                return
            yield Note(data[start : start + name_bytes].rstrip(b"\0"), kind, data[content : content + content_bytes])
            position = content + -(-content_bytes // align) * align

    @property
    def build_id(self) -> str | None:
        """The build-id in hexadecimal digits."""
        return next(
            (note.content.hex() for note in self.notes if (note.name, note.type) == (b"GNU", NT_GNU_BUILD_ID)), None
        )

    @property
    def debuglink(self) -> tuple[str, int] | None:
        """Name and CRC-32 of the file with the debug information (.gnu_debuglink)."""
        section = self.section(".gnu_debuglink")
        if section is None:
            return None
        data = self.content(section)
        name, padded = data.split(b"\0")[0], -(-(data.find(b"\0") + 1) // 4) * 4
        if not name or len(data) < padded + 4:
            raise ElfError("it is damaged: its .gnu_debuglink is cut")
        crc: int = struct.unpack_from(self._order + "I", data, padded)[0]
        return os.fsdecode(name), crc

    @property
    def has_lines(self) -> bool:
        """Whether it holds line numbers."""
        return any(self.section(name) is not None for name in (".debug_line", ".zdebug_line"))

    @property
    def is_go(self) -> bool:
        """Whether Go's linker made it."""
        names = {section.name for section in self.sections}
        return bool(names & {".gopclntab", ".go.buildinfo"}) or any(
            (note.name, note.type) == (b"Go", NT_GO_BUILD_ID) for note in self.notes
        )


class OpenElf:
    """``with OpenElf(path) as elf``: the ELF file at a path. Raises OSError, and ElfError where it is none."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> Elf:
        # A pipe or a terminal of that name must not hold us up.
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            size = os.fstat(self._fd).st_size
            return Elf(self._pread, size)
        except BaseException:
            os.close(self._fd)
            raise

    def _pread(self, offset: int, count: int) -> bytes:
        return os.pread(self._fd, count, offset)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


def text_at(strings: bytes, offset: int) -> str:
    """The text that begins at an offset of a string table; empty where there is none."""
    if not 0 <= offset < len(strings):
        return ""
    end = strings.find(b"\0", offset, offset + _MAX_NAME_BYTES)
    return os.fsdecode(strings[offset : end if end >= 0 else offset + _MAX_NAME_BYTES])
