"""The layout of the event stream, as ``monitor/protocol.h`` defines it: the one place in Python that knows it.

Formats carry no byte order; the reader and the writer put ``<`` or ``>`` in front.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

MAGIC = b"\x89HIWATR\n"
VERSION = 1
BYTE_ORDER = 0x01020304
NONE = 0xFFFFFFFF
"""No process, no image; in a column of pages: unknown."""

HEADER = "8sIHHIIq"
RECORD = "IHH"
PROC_START = "qIIii"
IMAGE_START = "qII4qqHHI"
IMAGE_END = "qII4q4q4q4q2q5q2q"
PROC_END = "qIi5q"
SAMPLES = "qII"
SAMPLE_COLUMNS = 9
TREE_COLUMNS = 8
COLUMN = "II"
ROWS_MAX = 4096
"""Most rows of one record of samples."""
SNAPSHOT = "qII10q"
LEDGER = "qII5qII"
LEDGER_ROW = "HHIQ11qII"
TREE_PEAK = "8qII"
TREE_UPPER = "IIq"
STATS = "24q"
HEAP_PIECE = "IIQQII"
FAULT_IMAGE = "qIiII"
FAULT_MODULE = "IHH"
FAULT_STACK = "II"
FAULT_FRAME = "QII"
FAULT = "qQIIIiHHI"
FAULT_TOTALS = "8q"
CUT = "qii"
END = "qqiiiiqqq"


class RecordType(IntEnum):
    """``enum hw_type``. Readers skip the types they do not know."""

    FACTS = 1
    COMMAND = 2
    PROC_START = 3
    IMAGE_START = 4
    IMAGE_END = 5
    PROC_END = 6
    SAMPLES = 7
    SNAPSHOT = 8
    TREE_PEAK = 9
    TREE_UPPER = 10
    WARNING = 11
    STATS = 12
    CUT = 13
    END = 14
    LEDGER = 15
    CGROUP = 16
    TREE_SAMPLES = 17
    HEAP_LOG = 18
    HEAP_SYMBOLS = 19
    HEAP_EXECUTION = 20
    HEAP_PROFILE = 30
    HEAP_TRIED = 31
    FAULT_IMAGE = 24
    FAULT_MODULE = 25
    FAULT_STACK = 26
    FAULTS = 27
    FAULT_TOTALS = 28


class HeapFlags(IntFlag):
    """``enum hw_heap_piece_flags``."""

    DEFLATED = 1
    """The bytes are a zlib stream."""


class CgroupWhen(IntEnum):
    """``enum hw_cgroup_when``."""

    BEGIN = 0
    MAXIMUM = 1
    END = 2


class Seen(IntEnum):
    """How a moment was learnt."""

    SAMPLED = 0
    """Found by looking: the moment lies between the look before and this one."""
    EVENT = 1
    """The kernel told it at that instant."""


class ImageFlags(IntFlag):
    """What is known about the beginning of an image."""

    EVENT = 1
    """Known from an exec event: its first readings are of its first instant."""
    FORKED = 2
    """A copy of its parent's memory: it had not called execve when it was found."""
    CLIPPED = 4
    """Its arguments were longer than is kept."""
    GUESSED = 8
    """Nothing was read of it: the names are those of the command that was asked for."""
    LOST_SETUID = 16
    """A set-user-ID program that ran without its privilege, because it was traced."""
    SAME_MAP = 32
    """It runs in its parent's memory map (vfork, CLONE_VM): its figures are the parent's."""
    ATTACHED = 64
    """It ran before the recording: its mark when it was attached to tells of the time before."""


class ImageEndedBy(IntEnum):
    """How an image's end was learnt, and so how good its last readings are."""

    VANISHED = 0
    """Gone between two looks: the readings are the last that were taken."""
    EXIT_STOP = 1
    """Read while the process was held at its exit: nothing is missing."""
    EXEC = 2
    """Replaced by execve."""
    ALIVE = 3
    """Still there when the recording ended."""


class ProcessEndFlags(IntFlag):
    """Who told the end of a process."""

    REAPED = 1
    """The monitor waited for it: status and rusage are its own."""
    TRACED_WAIT = 2
    """Told by ptrace: status and rusage are its own, its parent had yet to wait."""
    MAY_BE_UNCOUNTED = 4
    """Its parent ignores SIGCHLD: its peak is in no ancestor's rusage."""


class LedgerFlags(IntFlag):
    """How a ledger was read."""

    HELD = 1
    """The process was stopped meanwhile: nothing moved."""
    MERGED = 2
    """There was more than fits: the smallest are merged by kind."""


class MapKind(IntEnum):
    """``enum hw_map_kind``: what a mapping is, and by what its row is merged."""

    HEAP = 1
    """``[heap]``: brk."""
    STACK = 2
    """The main thread's."""
    THREAD_STACK = 3
    """Those of other threads, in one row. The kernel does not mark them: told by stack pointers, guards and sizes."""
    ANON = 4
    """Anonymous, without a name."""
    ANON_NAMED = 5
    """Anonymous, named with PR_SET_VMA_ANON_NAME."""
    FILE = 6
    """A file, by path."""
    SHMEM = 7
    """tmpfs, memfd, SysV, anonymous shared memory, by name."""
    SPECIAL = 8
    """``[vdso]`` and the like."""
    UNMAPPED_SHMEM = 9
    """Open files of tmpfs and memfds that hold more than mappings show; no RSS."""
    ARENA = 10
    """Heaps of the arenas that glibc's malloc has for threads, in one row; told by their shape."""


class MapFlags(IntFlag):
    """``enum hw_map_flags``."""

    READ = 1
    WRITE = 2
    EXEC = 4
    SHARED = 8
    """What is written is seen by others."""
    DELETED = 16
    """The file has no name any more."""
    ON_TMPFS = 32
    """The file takes memory, not disk."""


class FaultStackFlags(IntFlag):
    """``enum hw_fault_stack_flags``."""

    CUT = 1
    """It goes on beyond what is kept of it."""
    BROKEN = 2
    """The next caller could not be found."""
    GUESSED = 4
    """A frame was found by what looks like a return address: nothing describes its code."""


class FaultKind(IntEnum):
    """``enum hw_fault_kind``: what lies at the address."""

    UNKNOWN = 0
    """Mostly anonymous memory that was moved by mremap."""
    ANON = 1
    HEAP = 2
    """brk."""
    STACK = 3
    """Of the main thread."""
    FILE = 4
    """Mapped; what was written to a private mapping is anonymous from then on."""
    SHMEM = 5
    """tmpfs, memfd, System V, shared anonymous memory."""
    SPECIAL = 6
    """``[vdso]`` and the like."""
    HUGETLB = 7
    """Of hugetlbfs, which is in no RSS."""


class FaultFlags(IntFlag):
    """``enum hw_fault_flags``."""

    BY_KERNEL = 1
    """Touched by a system call, whose caller the stack shows."""


class FaultTotalsFlags(IntFlag):
    """``enum hw_fault_totals_flags``."""

    KERNEL_SEEN = 1
    """Faults of the kernel's side are among them."""
    CHAINS = 2
    """The stacks are the kernel's call chains, by frame pointers."""


class EndedByCode(IntEnum):
    """``enum hw_ended_by``."""

    EXIT = 0
    SIGNAL = 1
    OOM = 2
    TIMEOUT = 3
    NOT_STARTED = 4
    DETACHED = 5
    GONE = 6
