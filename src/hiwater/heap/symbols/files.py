"""Which files tell about a program or library that was mapped then: itself, and those with its debug information."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hiwater.heap.elf import ElfError, OpenElf
from hiwater.heap.symbols.debuginfod import Debuginfod, DebuginfodError
from hiwater.heap.symbols.trouble import SymbolWarning, Trouble

DEBUG_FOLDERS = ("/usr/lib/debug",)
DELETED = " (deleted)"
"""fs/d_path.c, d_path(): what the kernel appends to the name of a file that is gone."""


@dataclass(frozen=True, slots=True)
class Found:
    """The files of one module."""

    program: str | None
    """Itself, if it is the one that was mapped."""
    debug: str | None
    """The file with its debug information, if that is another one."""
    has_lines: bool
    """Whether one of them has line numbers: ``debug`` if it is there."""
    alternative: bool = False
    """The debug information refers to a file that several share (.gnu_debugaltlink, by dwz)."""


class Finder:
    """Looks for files as gdb does: its manual, "Debugging Information in Separate Files"."""

    def __init__(
        self,
        sysroot: str | None,
        debug_folders: tuple[str, ...],
        debuginfod: Debuginfod | None,
        warn: Callable[[SymbolWarning], None],
    ) -> None:
        self._sysroot, self._folders, self._debuginfod, self._warn = sysroot, debug_folders, debuginfod, warn

    def find(self, path: str, build_id: str) -> Found:
        """``build_id``: of what was mapped; empty if it had none, and then what has the name now is believed."""
        name = path.removesuffix(DELETED)
        program = self._program(name, path, build_id)
        lines, alternative, link, known = False, False, None, build_id
        if program is not None:
            try:
                with OpenElf(program) as elf:
                    lines, link = elf.has_lines, elf.debuglink
                    known = build_id or elf.build_id or ""
                    alternative = elf.section(".gnu_debugaltlink") is not None
            except (OSError, ElfError) as error:
                self._warn(SymbolWarning(Trouble.FILE_DAMAGED, path, f"{program} cannot be read: {error}."))
        if lines:
            return Found(program, None, True, alternative)
        for candidate in self._debug_files(program or self._in_sysroot(name), known, link):
            try:
                with OpenElf(candidate) as elf:
                    if not self._belongs(candidate, elf.build_id, known, link):
                        text = f"{candidate} is of another build than {name}: it was not used."
                        self._warn(SymbolWarning(Trouble.DEBUG_FILE_CHANGED, path, text))
                        continue
                    return Found(program, candidate, elf.has_lines, elf.section(".gnu_debugaltlink") is not None)
            except (OSError, ElfError):
                continue
        return self._from_server(path, program, known)

    def _in_sysroot(self, path: str) -> str:
        return os.path.join(self._sysroot, path.lstrip("/")) if self._sysroot else path

    def _program(self, name: str, path: str, build_id: str) -> str | None:
        """The file itself. This machine's stands in for the one in the sysroot only if it is known to be the same."""
        candidates = [self._in_sysroot(name)]
        if self._sysroot and build_id:
            candidates.append(name)
        problem: SymbolWarning | None = None
        for candidate in candidates:
            try:
                with OpenElf(candidate) as elf:
                    if not build_id or elf.build_id == build_id:
                        return candidate
                text = f"{candidate} is not the file that was executed (its build-id differs): it was not used."
                problem = problem or SymbolWarning(Trouble.FILE_CHANGED, path, text)
            except FileNotFoundError:
                text = f"{candidate} is gone: its functions have no names."
                problem = problem or SymbolWarning(Trouble.FILE_MISSING, path, text)
            except (OSError, ElfError) as error:
                text = f"{candidate} cannot be read: {getattr(error, 'strerror', None) or error}."
                problem = problem or SymbolWarning(Trouble.FILE_DAMAGED, path, text)
        if problem is not None:
            self._warn(problem)
        return None

    def _debug_files(self, program: str, build_id: str, link: tuple[str, int] | None) -> Iterator[str]:
        roots = [self._in_sysroot(folder) for folder in self._folders]
        roots += [folder for folder in self._folders if folder not in roots]
        if len(build_id) > 2:
            for root in roots:
                yield os.path.join(root, ".build-id", build_id[:2], build_id[2:] + ".debug")
        if link is not None:
            folder, name = os.path.dirname(os.path.realpath(program)), os.path.basename(link[0])
            yield os.path.join(folder, name)
            yield os.path.join(folder, ".debug", name)
            for root in roots:
                yield os.path.join(root, folder.lstrip("/"), name)

    @staticmethod
    def _belongs(candidate: str, its_id: str | None, build_id: str, link: tuple[str, int] | None) -> bool:
        if its_id is not None and build_id:
            return its_id == build_id
        return link is not None and _checksum(candidate) == link[1]

    def _from_server(self, path: str, program: str | None, build_id: str) -> Found:
        if self._debuginfod is not None and build_id:
            try:
                debug = self._debuginfod.find(build_id)
                with OpenElf(debug) as elf:
                    return Found(program, debug, elf.has_lines, elf.section(".gnu_debugaltlink") is not None)
            except (DebuginfodError, OSError, ElfError) as error:
                text = f"No debug information of {path} from debuginfod: {error}."
                self._warn(SymbolWarning(Trouble.DEBUGINFOD_FAILED, path, text))
        return Found(program, None, False)


def _checksum(path: str) -> int:
    """CRC-32, as .gnu_debuglink has it."""
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
