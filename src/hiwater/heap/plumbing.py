"""Which frames are plumbing: allocators, what wraps them, and the containers of languages.

Who looks for the place in a program that holds memory means none of these. Told by the short name of a function
(:func:`hiwater.heap.symbols.names.short_name`), by the file that its line is in, and by the library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from hiwater.heap import plumbing_names as names
from hiwater.heap.model import Frame, Language, Stack
from hiwater.heap.symbols.names import short_name


class Role(IntEnum):
    """What a frame does, as far as it matters for saying whose memory this is."""

    CODE = 0
    """Of the program, or of a library that is worth naming."""
    RUNTIME = 1
    """Of the C library, of a language's containers, of an interpreter: named only if nothing else is there."""
    ALLOCATOR = 2
    """Hands out memory, or passes on the request."""


# Files of containers, wherever they were installed when the program was built.
_RUNTIME_FILES = re.compile(
    r"/include/c\+\+/|/c\+\+/v1/|/libstdc\+\+-v3/|/libcxx(abi)?/|/bits/(stl_|basic_string|alloc|vector|new_alloc|hashtable)|/ext/new_allocator\.h"
    r"|^/rustc/|^node:|/rustlib/src/rust/library/|^library/(alloc|core|std)/src/|/hashbrown-\d|/usr/(local/)?(lib/)?go[-\d.]*/src/runtime/"
    r"|/(glibc|libc6?)-[\d.]+/|^\./(malloc|string|libio|elf|nptl|csu|stdio-common|sysdeps)/|^\.\./sysdeps/"
)
_RUNTIME_LIBRARIES = re.compile(
    r"/(libc|libpthread|libdl|libm|ld-linux[-\w]*|ld64|libgcc_s|libstdc\+\+|libc\+\+(abi)?|libhiwater-heap)(-[\d.]+)?\.so[.\d]*$"
)
_ALLOCATOR_LIBRARIES = re.compile(r"/lib(jemalloc|tcmalloc|mimalloc|snmalloc|rpmalloc|scudo|hoard)[-_\w]*\.so[.\d]*$")
_ADDRESS = re.compile(r"\+0x[0-9a-f]+$")
_INTERPRETERS = re.compile(r"/(libpython\d[.\w]*\.so[.\d]*|python\d?[.\d]*[a-z]*)$")


def _pattern(*texts: str) -> re.Pattern[str]:
    words = [word for text in texts for word in re.split(r"(?<!\\)\s+", text.strip())]
    return re.compile("|".join(f"(?:{word})" for word in words))


_ALLOCATING = _pattern(names.LIBC, names.WRAPPERS, names.PYTHON)
_INTERPRETING = _pattern(names.CPYTHON)
_RUNNING = _pattern(names.CPP, names.RUST, names.GO, names.START)


class Sight(str, Enum):
    """Whose frames count on a stack that has frames of Python."""

    PYTHON = "python"
    """The innermost frame of Python, also where an extension written in C allocates for it."""
    NATIVE = "native"
    """The innermost frame that is not the interpreter's own: a function of numpy, for instance."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Plumbing:
    """What is passed over on the way from the allocator outwards."""

    allocators: tuple[str, ...] = ()
    """Functions of the program's own that only pass on requests: regular expressions for their whole short name
    (``my_pool_alloc``, ``Pool::.*``)."""
    sight: Sight = Sight.PYTHON
    _own: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _known: dict[Frame, Role] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        pattern = re.compile("|".join(f"(?:{each})" for each in self.allocators)) if self.allocators else None
        object.__setattr__(self, "_own", pattern)

    def role(self, frame: Frame) -> Role:
        """What a frame does."""
        known = self._known.get(frame)
        if known is None:
            known = self._known[frame] = self._role(frame)
        return known

    def _role(self, frame: Frame) -> Role:
        if frame.language is Language.PYTHON:
            return Role.CODE
        name, library = short_name(frame.function or ""), frame.library or ""
        if (self._own and self._own.fullmatch(name)) or _ALLOCATING.fullmatch(name):
            return Role.ALLOCATOR
        if _ALLOCATOR_LIBRARIES.search(library) or (is_interpreter(frame) and _INTERPRETING.fullmatch(name)):
            return Role.ALLOCATOR
        if _RUNNING.fullmatch(name) or _RUNTIME_FILES.search(frame.file or ""):
            return Role.RUNTIME
        return Role.RUNTIME if _RUNTIME_LIBRARIES.search(library) else Role.CODE

    def _inside_allocator(self, stack: Stack, index: int) -> bool:
        """What an allocator calls in its own library is part of it where its name was stripped."""
        for inner, outer in zip(stack[index:], stack[index + 1 :], strict=False):
            if not _is_unnamed(inner) or inner.library != outer.library:
                return False
            if self.role(outer) is Role.ALLOCATOR:
                return True
        return False

    def site(self, stack: Stack) -> int | None:
        """Which frame of a stack holds the memory, in the eyes of who wrote the program; ``None`` of an empty stack.

        The innermost frame of Python, where there is one. Else the innermost that is no plumbing; else, with nothing
        but plumbing, the innermost outside the allocator.
        """
        python = next((index for index, frame in enumerate(stack) if frame.language is Language.PYTHON), None)
        if python is not None:
            if self.sight is Sight.NATIVE:
                for index, frame in enumerate(stack[:python]):
                    if self.role(frame) is Role.CODE and not is_interpreter(frame):
                        return index
            return python
        running = None
        for index, frame in enumerate(stack):
            role = self.role(frame)
            if role is Role.ALLOCATOR or self._inside_allocator(stack, index):
                continue
            if role is Role.CODE:
                return index
            running = index if running is None else running
        return running if running is not None or not stack else len(stack) - 1


def _is_unnamed(frame: Frame) -> bool:
    """Whether its function is known by where it begins only: :mod:`hiwater.heap.symbols.resolver` calls it so."""
    return frame.function is None or _ADDRESS.search(frame.function) is not None


def is_interpreter(frame: Frame) -> bool:
    """Whether a frame is of CPython itself."""
    return frame.language is Language.NATIVE and bool(_INTERPRETERS.search(frame.library or ""))
