"""The resolver: from a module and an address in it to frames, by the best that this machine has."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hiwater.heap.model import Frame
from hiwater.heap.symbols import perfmap
from hiwater.heap.symbols.debuginfod import Debuginfod
from hiwater.heap.symbols.demangle import demangle
from hiwater.heap.symbols.files import DEBUG_FOLDERS, DELETED, Finder, Found
from hiwater.heap.symbols.module import Module, read_module
from hiwater.heap.symbols.names import without_arguments
from hiwater.heap.symbols.table import SymbolTable
from hiwater.heap.symbols.tools import TIMEOUT_SECONDS, Place, Style, Tool, ToolError, find_tools, look_up
from hiwater.heap.symbols.trouble import SymbolWarning, Trouble

Asked = tuple[str, str, int]
"""Path of a module, its build-id in hexadecimal digits (empty: it has none), an address in the file's own terms."""


class Symbols:
    """Names, files and lines. Answers are kept in memory for as long as the object lives.

    Of a file with line numbers they come from llvm-symbolizer or addr2line, with the functions that were inlined; of
    others, and where neither is installed, the names come from the symbol tables.
    """

    def __init__(
        self,
        *,
        sysroot: str | None = None,
        debug_folders: Sequence[str] = DEBUG_FOLDERS,
        debuginfod: Debuginfod | None = None,
        compiled_folder: str = perfmap.FOLDER,
        tools: Sequence[Tool] | None = None,
        demangler: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """``sysroot``: where the files of the machine that was measured lie. ``debuginfod``: ask servers.
        ``compiled_folder``: where compilers that work as the program runs left names (:mod:`.perfmap`). ``tools``:
        instead of those in PATH."""
        self._found: dict[Asked, tuple[Frame, ...]] = {}
        self._warnings: dict[SymbolWarning, None] = {}
        self._finder = Finder(sysroot, tuple(debug_folders), debuginfod, self._warn)
        self._compiled_folder, self._demangler, self._timeout = compiled_folder, demangler, timeout_seconds
        self._tools = find_tools() if tools is None else tuple(tools)
        self._compiled: dict[int, SymbolTable | None] = {}
        self._modules: dict[tuple[str, str], Module] = {}

    @property
    def warnings(self) -> tuple[SymbolWarning, ...]:
        """What was missing so far."""
        return tuple(self._warnings)

    def _warn(self, warning: SymbolWarning) -> None:
        self._warnings[warning] = None

    def prepare(self, wanted: Iterable[Asked]) -> None:
        """Looks up all at once, module by module: starting a tool costs more than a thousand addresses do."""
        modules: dict[tuple[str, str], set[int]] = defaultdict(set)
        for path, build_id, address in wanted:
            if (path, build_id, address) not in self._found:
                modules[path, build_id].add(address)
        for (path, build_id), addresses in modules.items():
            frames = self._resolve(path, build_id, addresses)
            for address in addresses:
                self._found[path, build_id, address] = frames.get(address) or (
                    Frame(None, library=path or None, address=address),
                )

    def resolve(self, module_path: str, build_id: str, address: int) -> tuple[Frame, ...]:
        """The calls at an address: innermost first, inlined ones with what they are inlined in.

        Of a return address give that of the byte before: the call's. There is always a frame, if only with the address.
        """
        asked = module_path, build_id, address
        if asked not in self._found:
            self.prepare([asked])
        return self._found[asked]

    def _resolve(self, path: str, build_id: str, addresses: set[int]) -> dict[int, tuple[Frame, ...]]:
        pid = perfmap.pid_of(path)
        if pid is not None:
            return self._of_compiled(pid, addresses)
        if not path.startswith("/"):  # [vdso] and the like
            return {}
        module = self._module(path, build_id)
        frames = self._with_lines(path, module.found, addresses) if module.found.has_lines else {}
        rest = {address for address in addresses if not any(frame.function for frame in frames.get(address, ()))}
        for address, name in self._names(module, rest).items():
            lines = frames.get(address) or (Frame(None, library=path, address=address),)
            frames[address] = (*lines[:-1], replace(lines[-1], function=name))
        return frames

    def _of_compiled(self, pid: int, addresses: set[int]) -> dict[int, tuple[Frame, ...]]:
        if pid not in self._compiled:
            self._compiled[pid] = perfmap.read(pid, self._compiled_folder)
        table = self._compiled[pid]
        frames: dict[int, tuple[Frame, ...]] = {at: (Frame(None, address=at),) for at in addresses}
        for at in addresses:
            name = None if table is None else table.name_at(at)
            if name is not None:
                function, file, line = perfmap.place(name)
                frames[at] = (Frame(function, file, line, address=at),)
        return frames

    def _module(self, path: str, build_id: str) -> Module:
        known = self._modules.get((path, build_id))
        if known is None:
            known = self._modules[path, build_id] = read_module(path, self._finder.find(path, build_id), self._warn)
        return known

    def _names(self, module: Module, addresses: set[int]) -> dict[int, str]:
        """From the symbol tables; what has no name there is called by where its function begins."""
        names = {address: name for address in addresses if (name := module.table.name_at(address))}
        plain = demangle(set(names.values()), self._demangler)
        told = {address: without_arguments(plain.get(name, name)) for address, name in names.items()}
        unnamed = sorted(addresses - names.keys())
        if unnamed and (module.found.program or module.found.debug):
            self._warn_of_unnamed(module)
            file = os.path.basename(module.path.removesuffix(DELETED))
            starts = {address: start for address in unnamed if (start := module.starts.at(address)) is not None}
            told |= {address: f"{file}+{start:#x}" for address, start in starts.items()}
        return told

    def _warn_of_unnamed(self, module: Module) -> None:
        text = (
            f"{module.path.removesuffix(DELETED)} was stripped of names: its functions are called by their addresses. "
            "Its debug symbols would name them: a package (-dbgsym, -debuginfo), or --debuginfod."
        )
        self._warn(SymbolWarning(Trouble.NO_NAMES, module.path, text))

    def _with_lines(self, path: str, found: Found, addresses: set[int]) -> dict[int, tuple[Frame, ...]]:
        file = found.debug or found.program
        assert file is not None
        if not self._tools:
            text = f"{file} has line numbers; to read them install llvm-symbolizer (llvm) or addr2line (binutils)."
            self._warn(SymbolWarning(Trouble.NO_LINES_TOOL, path, text))
            return {}
        # LLVM reads no debug information that dwz has moved to a file which several share; binutils do.
        tools = (
            sorted(self._tools, key=lambda tool: tool.style is not Style.BINUTILS) if found.alternative else self._tools
        )
        for tool in tools:
            try:
                places = look_up(tool, file, addresses, self._timeout)
            except ToolError as error:
                kind = Trouble.TOOL_TIMEOUT if error.timeout else Trouble.TOOL_FAILED
                self._warn(SymbolWarning(kind, path, f"{error}, for {file}."))
                continue
            return {address: _frames(path, address, rows) for address, rows in places.items()}
        return {}


def _frames(path: str, address: int, places: tuple[Place, ...]) -> tuple[Frame, ...]:
    """All but the last were inlined."""
    last = len(places) - 1
    return tuple(
        Frame(
            function=_function(place),
            file=place.file,
            line=place.line,
            library=path,
            address=address,
            inlined=index < last,
            first_line=place.first_line,
        )
        for index, place in enumerate(places)
    )


def _function(place: Place) -> str | None:
    """Debug information calls lambdas that were inlined ``operator()``, nothing more: lines tell them apart."""
    name = without_arguments(place.function) if place.function else None
    if name == "operator()" and place.file and place.line is not None:
        return f"{name} at {os.path.basename(place.file)}:{place.line}"
    return name
