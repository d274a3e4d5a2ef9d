"""What the heap sampler wrote of one program image, as values. Read by :mod:`hiwater.heap.log`."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from hiwater.heap.wire import HeadFlags, StackFlags


@dataclass(frozen=True, slots=True)
class Totals:
    """What went through the allocator's functions, sampled or not: exact, but for what a killed process had not added
    (``Head.unflushed_bytes`` for each thread)."""

    allocations: int
    allocated_bytes: int
    """Asked for."""
    frees: int
    python_allocations: int
    """Of Python's own allocators; what they leave to malloc is in the ones above."""
    python_allocated_bytes: int


@dataclass(frozen=True, slots=True)
class Head:
    """What the sampler says of the whole file."""

    word_bytes: int
    pid: int
    number: int
    """Images of one pid count up."""
    parent_pid: int
    """Of a fork: whose file holds what was allocated before."""
    parent_number: int | None
    """``None``: begun by execve."""
    start_ns: int
    """CLOCK_MONOTONIC, as all times of a log."""
    end_ns: int | None
    mean_bytes: int | None
    """What was asked for; ``None``: chosen as it went."""
    flags: HeadFlags
    stopped_errno: int
    end: int
    """Size of the file that is valid."""
    samples: int
    lost_samples: int
    """Sampled, but not written."""
    lost_bytes: int
    """The memory that they stand for."""
    lost_frees: int
    """Of sampled blocks, which seem to live on."""
    skipped_allocations: int
    """Not open to sampling."""
    skipped_bytes: int
    unflushed_bytes: int
    totals: Totals
    copied: int
    """Of a fork: ``end`` of the parent's file at that moment."""


@dataclass(frozen=True, slots=True)
class Module:
    """Code that was mapped."""

    t_ns: int
    start: int
    end: int
    bias: int
    """Address in memory less address in the file's own terms."""
    build_id: str
    """In hexadecimal; empty if it has none."""
    path: str
    gone_ns: int | None = None
    """When it was unmapped (dlclose)."""


@dataclass(frozen=True, slots=True)
class Code:
    """A Python function."""

    name: str
    """Qualified."""
    file: str
    first_line: int


@dataclass(frozen=True, slots=True)
class PythonCall:
    """A Python frame on a stack."""

    code: int
    line: int
    """0: unknown."""
    entry: bool
    """It was entered from C: the next one belongs to an evaluation further out on the native stack."""


@dataclass(frozen=True, slots=True)
class RawStack:
    """Addresses of returns, innermost first: look them up at address - 1."""

    addresses: tuple[int, ...]
    python: tuple[PythonCall, ...]
    flags: StackFlags


@dataclass(frozen=True, slots=True)
class Samples:
    """Sampled allocations and the frees of such blocks, each in the order of the file: threads are mixed, so that times
    may go back. ``what`` gives for each allocation an index into ``kinds``."""

    alloc_ns: array[int]
    address: array[int]
    what: array[int]
    kinds: tuple[tuple[int, int, int, int], ...]
    """(stack, kind, bytes, mean) of the allocations that are alike."""
    free_ns: array[int]
    freed: array[int]
    """Addresses."""

    def __len__(self) -> int:
        return len(self.alloc_ns)


@dataclass(frozen=True, slots=True)
class Mapped:
    """mmap, mremap, or brk that the program itself called; ``bytes`` 0 for munmap, and for brk that shrinks."""

    t_ns: int
    address: int
    bytes: int
    removed_from: int
    """What is no longer mapped: the old place of mremap, or that of munmap."""
    removed_bytes: int
    protection: int
    """PROT_*."""
    flags: int
    """MAP_*."""
    fd: int
    stack: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Exact totals at one moment."""

    t_ns: int
    maxrss_bytes: int
    """ru_maxrss: what the RSS had reached, and what was inherited."""
    totals: Totals


@dataclass(frozen=True, slots=True)
class Mallinfo:
    """mallinfo2(3) of glibc."""

    t_ns: int
    arena_bytes: int
    """Taken from the system by brk and for arenas."""
    mmapped_bytes: int
    """In chunks that were mapped one by one."""
    in_use_bytes: int
    """Of the arenas, with headers and rounding, and with what threads' caches hold."""
    free_bytes: int
    """Of the arenas."""
    top_bytes: int
    """Of the free ones: at the top of the main arena."""
    mmapped_blocks: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What malloc_trim(3) gave back to the system as the last that a process did."""

    seconds: float
    """How long it took."""
    rss_before_bytes: int
    """By smaps_rollup: counted page by page."""
    rss_after_bytes: int


@dataclass(frozen=True, slots=True)
class NotFollowed:
    """A program that was executed, and that the sampler cannot follow."""

    t_ns: int
    pid: int
    """Of the process that executed it; of posix_spawn its parent."""
    why: int
    """:class:`hiwater.heap.wire.Why`, or a reason that a newer sampler knows."""
    path: str


@dataclass(frozen=True, slots=True)
class HeapLog:
    """What the sampler wrote of one program image. Of a fork, what its parent wrote before is part of it
    (:func:`continued`)."""

    head: Head
    modules: tuple[Module, ...]
    stacks: dict[int, RawStack]
    codes: dict[int, Code]
    samples: Samples
    mapped: tuple[Mapped, ...]
    moments: tuple[Moment, ...]
    """In the order of time."""
    mallinfo: tuple[Mallinfo, ...]
    """Likewise."""
    last_ns: int
    """Of the latest record."""
    cut: str | None
    """Why records are missing, in words."""
    data: bytes = field(repr=False, compare=False)
    """The file itself, as far as it is valid."""
    orphan: bool = False
    """A fork whose parent's file is not there: what it held before is unknown."""
    not_followed: tuple[NotFollowed, ...] = ()
    threads: int = 0
    """Those that were told; one that never allocates is not."""
    trimmed: Trimmed | None = None
    """``None``: it was not asked for, or the process did not come to its end by exit()."""

    @property
    def key(self) -> tuple[int, int]:
        """Process number and number of the image."""
        return self.head.pid, self.head.number

    @property
    def end_ns(self) -> int:
        """When it ended, or the last that was heard of it."""
        return max(self.last_ns, self.head.end_ns or 0)
