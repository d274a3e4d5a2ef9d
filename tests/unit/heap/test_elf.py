"""ELF files, read: those of compilers, and damaged ones."""

from __future__ import annotations

import binascii
import contextlib
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.heap.building import build, tool

from hiwater.heap.allocators import found_in
from hiwater.heap.elf import Elf, ElfError, OpenElf
from hiwater.heap.symbols.starts import read_starts
from hiwater.heap.symbols.table import read_table

SOURCE = "int exported(void) { return 1; }\nstatic int hidden(void) { return 2; }\nint (*keep)(void) = hidden;\n"


def test_what_readelf_says_is_what_is_read(tmp_path: Path) -> None:
    """Names of needed libraries, DT_SONAME, DT_RUNPATH and the build-id are those that binutils finds."""
    path = build(
        tmp_path, "-shared", "-fPIC", "-Wl,-soname,libmine.so.3", "-Wl,-rpath,/a:$ORIGIN/b", "-Wl,--build-id=0xabcdef",
        "-Wl,--no-as-needed", "-lm", source=SOURCE, name="library",
    )  # fmt: skip
    with OpenElf(path) as elf:
        assert (elf.soname, elf.runpath, elf.rpath, elf.build_id) == ("libmine.so.3", ("/a", "$ORIGIN/b"), (), "abcdef")
        assert elf.needed == ("libm.so.6", "libc.so.6")
        assert elf.interpreter is None and not elf.is_static
        assert "exported" in elf.names(dynamic=True) and "hidden" not in elf.names(dynamic=True)
        assert {"exported", "hidden"} <= elf.names(dynamic=False)


def test_symbols_are_found_without_sections(tmp_path: Path) -> None:
    """Where the section headers were removed, the hash table says how many dynamic symbols there are."""
    for style in ("gnu", "sysv"):
        path = build(tmp_path, "-shared", "-fPIC", f"-Wl,--hash-style={style}", source=SOURCE, name=f"library-{style}")
        with OpenElf(path) as elf:
            expected = elf.names(dynamic=True)
        data = bytearray(path.read_bytes())
        data[40:48] = bytes(8)  # e_shoff
        data[60:64] = bytes(4)  # e_shnum, e_shstrndx
        assert Elf.of(bytes(data)).names(dynamic=True) == expected


def test_a_debuglink_is_read(tmp_path: Path) -> None:
    """objcopy leaves the name and the checksum of the file with the debug information."""
    path = build(tmp_path, "-g")
    tool("objcopy", "--only-keep-debug", path, tmp_path / "other.debug")
    tool("objcopy", "--strip-all", f"--add-gnu-debuglink={tmp_path / 'other.debug'}", path)
    with OpenElf(path) as elf, OpenElf(tmp_path / "other.debug") as debug:
        assert elf.debuglink == ("other.debug", binascii.crc32((tmp_path / "other.debug").read_bytes()))
        assert debug.build_id == elf.build_id is not None
        assert (elf.has_lines, debug.has_lines) == (False, True)


def test_other_word_sizes_and_byte_orders_are_read() -> None:
    """A big-endian 32-bit file, made by hand: its interpreter and its machine."""
    header = b"\x7fELF" + bytes([1, 2, 1]) + bytes(9)
    header += struct.pack(">HHIIIIIHHHHHH", 2, 20, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack(">8I", 3, 84, 0, 0, 10, 10, 4, 1)
    elf = Elf.of(header + segment + b"/lib/ld.so\0"[:10])
    assert (elf.bits, elf.big_endian, elf.machine, elf.interpreter) == (32, True, 20, "/lib/ld.so")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!/bin/sh\n" * 9, b"\x7fELF\x03\x01" + bytes(80), bytes(80)])
def test_what_is_no_elf_file_is_refused(data: bytes) -> None:
    """With an error of its own."""
    with pytest.raises(ElfError):
        Elf.of(data)


def everything(data: bytes) -> None:
    """Whatever can be asked of a file."""
    elf = Elf.of(data)
    questions: tuple[Callable[[], object], ...] = (
        lambda: elf.segments,
        lambda: elf.sections,
        lambda: (elf.interpreter, elf.is_static),
        lambda: (elf.needed, elf.soname, elf.rpath, elf.runpath, elf.default_folders),
        lambda: elf.names(dynamic=True),
        lambda: elf.names(dynamic=False),
        lambda: elf.mentions("malloc"),
        lambda: elf.build_id,
        lambda: elf.debuglink,
        lambda: (elf.has_lines, elf.is_go),
        lambda: found_in(elf, "program", program=True),
        lambda: read_table(elf),
        lambda: read_starts(elf).at(4660),
    )
    for question in questions:
        with contextlib.suppress(ElfError):
            question()


def test_damaged_files_give_errors_and_nothing_else(tmp_path: Path) -> None:
    """Bytes changed, words replaced by huge ones, ends cut off: each question is answered or refused."""
    path = build(tmp_path, "-g")
    tool("objcopy", f"--add-gnu-debuglink={path.with_suffix('.c')}", path)
    whole = path.read_bytes()
    with OpenElf(path) as elf:
        # Where damage hurts: headers, dynamic section, notes, tables.
        places = [(0, 64), *((segment.offset, segment.file_bytes) for segment in elf.segments if segment.type != 1)]
        places += [
            (section.offset, section.bytes) for section in elf.sections if section.type in (3, 5, 0x6FFFFFF6, 11)
        ]
        places.append((len(whole) - 64 * len(elf.sections), 64 * len(elf.sections)))
    chance = random.Random(5)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            offset, size = chance.choice(places)
            at = min(offset + chance.randrange(max(size, 1)), len(data) - 8)
            match chance.randrange(4):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    data[at & ~7 : (at & ~7) + 8] = struct.pack(
                        "<Q", chance.choice([2**64 - 1, 2**63, 2**32, len(data), 1])
                    )
                case 2:
                    data[at & ~3 : (at & ~3) + 4] = struct.pack("<I", chance.choice([2**32 - 1, 2**31, 0xFFFF, 0, 7]))
                case _:
                    del data[chance.randrange(64, len(data)) :]
                    break
            if len(data) < 128:
                break
        with contextlib.suppress(ElfError):
            everything(bytes(data))
