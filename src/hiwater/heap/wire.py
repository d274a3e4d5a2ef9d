"""The layout of a sampler's file, as ``heap/sampler/stream.h`` defines it: the one place in Python that knows it.

Formats carry no byte order; the reader and the writer put ``<`` or ``>`` in front.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

MAGIC = b"\x89HWHEAP\n"
VERSION = 1
BYTE_ORDER = 0x01020304
HEAD_SIZE = 4096
NONE = 0xFFFFFFFF
"""No parent, no stack."""

TOTALS = "5Q"
HEAD = "8sIHHIIIIqqQIi8Q5QQ"
RECORD = "IHH"
MODULE = "qQQQHHI"
MODULE_GONE = "qQ"
STACK = "IHHHHI"
FRAME = "IIII"
CODE = "IIHHI"
ALLOC = "qQQQII"
FREE = "qQ"
MAP = "qQQQQIiII"
UNMAP = "qQQ"
BRK = "qQQII"
MOMENT = "qQ5Q"
MALLINFO = "q6Q"
THREAD = "qIIQQ"
NOT_FOLLOWED = "qIHH"
TRIM = "q3Q"


class RecordType(IntEnum):
    """``enum hw_heap_type``. Readers skip the types they do not know."""

    MODULE = 1
    MODULE_GONE = 2
    STACK = 3
    CODE = 4
    ALLOC = 5
    FREE = 6
    MAP = 7
    UNMAP = 8
    BRK = 9
    TOTALS = 10
    MALLINFO = 11
    THREAD = 12
    NOT_FOLLOWED = 13
    TRIM = 14


class HeadFlags(IntFlag):
    """``enum hw_heap_flags``."""

    FORKED = 1
    """A fork without execve: what its parent held at that moment, it holds too."""
    PYTHON = 2
    """Python's allocators are followed."""
    ENDED = 4
    """The process came to its end: nothing is missing behind the last record."""
    STOPPED = 8
    """Sampling ended before the process did."""
    PROBE = 16
    """glibc's own allocator serves the process."""
    FRAMELESS = 32
    """Python's frames cannot be read: an unknown version, or not what its version says."""
    UNHOOKED = 64
    """An interpreter is there whose allocators are not followed: too old, or without the GIL."""


class AllocKind(IntEnum):
    """``enum hw_heap_kind``."""

    MALLOC = 1
    ALIGNED = 2
    PY_MEM = 3
    PY_OBJ = 4


class StackFlags(IntFlag):
    """``enum hw_heap_stack_flags``."""

    CUT = 1
    """Deeper than is kept: the outermost calls are missing."""
    BROKEN = 2
    """The unwinder did not come to the end."""


class Why(IntEnum):
    """``enum hw_heap_why``: why a program that was executed leaves no file."""

    IS_STATIC = 1
    """It has no dynamic linker."""
    OTHER_LIBC = 2
    """That of another C library: it was executed without the sampler."""
    OTHER_MACHINE = 3
    """Another word size or processor: the same."""
    PRIVILEGED = 4
    """Set-user-ID or set-group-ID: ``LD_PRELOAD`` is ignored."""
