"""Sampled page faults and the calls that made them (HW_FAULT_*): unpacked when somebody asks, not when a recording is
loaded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from hiwater.recording import wire
from hiwater.recording.wire import FaultFlags, FaultKind, FaultStackFlags, FaultTotalsFlags, RecordType

TYPES = (
    RecordType.FAULT_IMAGE,
    RecordType.FAULT_MODULE,
    RecordType.FAULT_STACK,
    RecordType.FAULTS,
    RecordType.FAULT_TOTALS,
)


@dataclass(frozen=True, slots=True)
class FaultImage:
    """A program image, or the copy of one, that made faults."""

    number: int
    """Of its own; no number of ``Image``."""
    pid: int
    start_ns: int
    """When it was executed or forked."""
    executed: bool
    """By execve; else a fork's copy, or its beginning was not told."""
    comm: str


@dataclass(frozen=True, slots=True)
class FaultModule:
    """A file that was mapped."""

    path: str
    build_id: bytes | None


class FaultFrame(NamedTuple):
    """One call."""

    address: int
    """In the file's own terms; without a module in memory's."""
    module: int | None
    exact: bool
    """It is the instruction itself; else the call's return, and the instruction is the one before."""


@dataclass(frozen=True, slots=True)
class FaultStack:
    """The calls under way, innermost first."""

    frames: tuple[FaultFrame, ...]
    flags: FaultStackFlags


class Fault(NamedTuple):
    """One sample: it stands for ``FaultTotals.period`` faults."""

    t_ns: int
    address: int
    """What was touched."""
    image: int
    stack: int | None
    module: int | None
    """The file that is mapped there."""
    tid: int
    kind: FaultKind
    flags: FaultFlags


@dataclass(frozen=True, slots=True)
class FaultTotals:
    """What was counted, and at what cost."""

    t_ns: int
    flags: FaultTotalsFlags
    period: int
    """Each so many faults of a thread on a CPU are one sample."""
    faults: int
    """Counted by the kernel for the whole tree: PERF_COUNT_SW_PAGE_FAULTS. Without ``KERNEL_SEEN`` those in user mode
    only. Pages that are filled in without a fault (MAP_POPULATE, mlock) are never among them (mm/memory.c
    mm_account_fault() tells perf nothing of them)."""
    samples: int
    lost: int
    """Records for which the rings had no room: samples, and some that tell what is mapped."""
    unkept: int
    """Samples without a stack, because there were too many different ones."""
    stack_bytes: int
    """How much of the stack was looked at."""
    cpu_ns: int
    """CPU time of the monitor for all this."""


@dataclass(frozen=True, slots=True)
class FaultRecords:
    """All of a recording."""

    totals: FaultTotals | None
    images: dict[int, FaultImage]
    modules: dict[int, FaultModule]
    stacks: dict[int, FaultStack]
    samples: tuple[Fault, ...]
    """By time."""


@dataclass(frozen=True, slots=True)
class PackedFaults:
    """The records as they stand in the stream."""

    data: bytes
    order: str
    """Of its bytes, as ``struct`` writes it."""
    spans: tuple[tuple[int, int, int, int], ...]
    """Of each its type, flags, and where its payload begins and ends."""

    def unpack(self) -> FaultRecords:
        """What is damaged is left out."""
        return _Unpacker(self).read()


def _none(value: int) -> int | None:
    return None if value == wire.NONE else value


class _Unpacker:
    def __init__(self, packed: PackedFaults) -> None:
        self.packed = packed
        self.totals: FaultTotals | None = None
        self.images: dict[int, FaultImage] = {}
        self.modules: dict[int, FaultModule] = {}
        self.stacks: dict[int, FaultStack] = {}
        self.samples: list[Fault] = []

    def read(self) -> FaultRecords:
        handlers = {
            RecordType.FAULT_IMAGE: self._image,
            RecordType.FAULT_MODULE: self._module,
            RecordType.FAULT_STACK: self._stack,
            RecordType.FAULTS: self._samples,
            RecordType.FAULT_TOTALS: self._totals,
        }
        for kind, flags, at, end in self.packed.spans:
            payload = self.packed.data[at:end]
            try:
                handlers[RecordType(kind)](flags, payload)
            except struct.error:
                continue
        self.samples.sort(key=lambda sample: sample.t_ns)
        return FaultRecords(self.totals, self.images, self.modules, self.stacks, tuple(self.samples))

    def _head(self, layout: str, payload: bytes) -> tuple[tuple[int, ...], int]:
        compiled = struct.Struct(self.packed.order + layout)
        return compiled.unpack_from(payload), compiled.size

    def _image(self, flags: int, payload: bytes) -> None:
        (t_ns, number, pid, length, _), at = self._head(wire.FAULT_IMAGE, payload)
        comm = payload[at : at + length].decode("utf-8", "surrogateescape")
        self.images[number] = FaultImage(number, pid, t_ns, bool(flags & 1), comm)

    def _module(self, _flags: int, payload: bytes) -> None:
        (number, build_id, length), at = self._head(wire.FAULT_MODULE, payload)
        path = payload[at + build_id : at + build_id + length].decode("utf-8", "surrogateescape")
        self.modules[number] = FaultModule(path, payload[at : at + build_id] or None)

    def _stack(self, flags: int, payload: bytes) -> None:
        (number, count), at = self._head(wire.FAULT_STACK, payload)
        frame = struct.Struct(self.packed.order + wire.FAULT_FRAME)
        frames = []
        for place in range(at, min(at + count * frame.size, len(payload) - frame.size + 1), frame.size):
            address, module, exact = frame.unpack_from(payload, place)
            frames.append(FaultFrame(address, _none(module), exact == 1))
        self.stacks[number] = FaultStack(tuple(frames), FaultStackFlags(flags & 7))

    def _samples(self, _flags: int, payload: bytes) -> None:
        row = struct.Struct(self.packed.order + wire.FAULT)
        for at in range(0, len(payload) - row.size + 1, row.size):
            t_ns, address, image, stack, module, tid, kind, flags, _ = row.unpack_from(payload, at)
            known = FaultKind(kind) if kind in _KINDS else FaultKind.UNKNOWN
            self.samples.append(
                Fault(t_ns, address, image, _none(stack), _none(module), tid, known, FaultFlags(flags & 1))
            )

    def _totals(self, flags: int, payload: bytes) -> None:
        (t_ns, *numbers), _ = self._head(wire.FAULT_TOTALS, payload)
        self.totals = FaultTotals(t_ns, FaultTotalsFlags(flags & 3), *numbers)


_KINDS = frozenset(FaultKind)
