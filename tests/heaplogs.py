"""Writes files as the heap sampler does, so that tests can say in a few words what a program did.

The layouts stand in ``hiwater.heap.wire``, which one test holds against ``stream.h`` itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hiwater.heap import wire
from hiwater.heap.wire import AllocKind, HeadFlags, RecordType

MS = 1_000_000
START_NS = 5_000_000_000
"""CLOCK_MONOTONIC at the beginning of the recording in these tests."""
NOTHING = (0,) * 5


class Log:
    """Grows record by record; ``data`` is the file. Times are nanoseconds since ``START_NS``."""

    def __init__(
        self,
        pid: int = 4242,
        number: int = 0,
        *,
        parent: tuple[int, int] | None = None,
        copied: int = 0,
        start_ns: int = 0,
        end_ns: int | None = None,
        mean: int = 0,
        flags: HeadFlags = HeadFlags.ENDED,
        order: str = "<",
        totals: Sequence[int] = NOTHING,
        lost: tuple[int, int, int] = (0, 0, 0),
        skipped: tuple[int, int] = (0, 0),
        version: int = wire.VERSION,
    ) -> None:
        self.order = order
        self.start_ns = START_NS + start_ns
        self.end_ns = 0 if end_ns is None else START_NS + end_ns
        self.fixed = (pid, number, *(parent or (0, wire.NONE)))
        self.mean, self.flags, self.totals_, self.copied = mean, flags, tuple(totals), copied
        self.lost, self.skipped, self.version = lost, skipped, version
        self.records = b""
        self.samples = 0

    @property
    def data(self) -> bytes:
        """Head and records."""
        head = struct.pack(
            self.order + wire.HEAD, wire.MAGIC, wire.BYTE_ORDER, self.version, 8, *self.fixed, self.start_ns,
            self.end_ns, self.mean, self.flags, 0, self.end, self.samples, *self.lost, *self.skipped, 65536,
            *self.totals_, self.copied,
        )  # fmt: skip
        return head + bytes(wire.HEAD_SIZE - len(head)) + self.records

    @property
    def end(self) -> int:
        """Size of the file."""
        return wire.HEAD_SIZE + len(self.records)

    def record(self, kind: int, layout: str, *values: int, tail: bytes = b"", flags: int = 0) -> Log:
        """Any record, padded."""
        payload = struct.pack(self.order + layout, *values) + tail
        payload += bytes(-len(payload) % 8)
        self.records += struct.pack(self.order + wire.RECORD, 8 + len(payload), kind, flags) + payload
        return self

    def module(
        self, path: str, start: int, end: int, *, bias: int | None = None, build_id: bytes = b"", t_ns: int = 0
    ) -> Log:
        named = path.encode()
        values = (START_NS + t_ns, start, end, start if bias is None else bias, len(build_id), len(named), 0)
        return self.record(RecordType.MODULE, wire.MODULE, *values, tail=build_id + named)

    def module_gone(self, start: int, t_ns: int) -> Log:
        return self.record(RecordType.MODULE_GONE, wire.MODULE_GONE, START_NS + t_ns, start)

    def stack(self, number: int, *addresses: int, python: Sequence[tuple[int, int, int]] = (), flags: int = 0) -> Log:
        tail = struct.pack(f"{self.order}{len(addresses)}Q", *addresses)
        tail += b"".join(struct.pack(self.order + wire.FRAME, *frame, 0) for frame in python)
        fixed = (number, len(addresses), len(python), flags, 0, 0)
        return self.record(RecordType.STACK, wire.STACK, *fixed, tail=tail)

    def code(self, number: int, name: str, file: str, first_line: int = 1) -> Log:
        tail = name.encode() + file.encode()
        fixed = (number, first_line, len(name.encode()), len(file.encode()), 0)
        return self.record(RecordType.CODE, wire.CODE, *fixed, tail=tail)

    def alloc(
        self,
        t_ns: int,
        address: int,
        size: int,
        *,
        mean: int = 1,
        stack: int = 1,
        tid: int = 1,
        kind: AllocKind = AllocKind.MALLOC,
    ) -> Log:
        """With a mean of 1, all that is larger than some bytes is sampled for certain."""
        self.samples += 1
        fixed = (START_NS + t_ns, address, size, mean, stack, tid)
        return self.record(RecordType.ALLOC, wire.ALLOC, *fixed, flags=kind)

    def free(self, t_ns: int, address: int) -> Log:
        return self.record(RecordType.FREE, wire.FREE, START_NS + t_ns, address)

    def map(
        self,
        t_ns: int,
        address: int,
        size: int,
        *,
        protection: int = 3,
        flags: int = 0x22,
        fd: int = -1,
        stack: int = 1,
        moved: tuple[int, int] = (0, 0),
    ) -> Log:
        fixed = (START_NS + t_ns, address, size, *moved, flags, fd, stack, 1)
        return self.record(RecordType.MAP, wire.MAP, *fixed, flags=protection)

    def unmap(self, t_ns: int, address: int, size: int) -> Log:
        return self.record(RecordType.UNMAP, wire.UNMAP, START_NS + t_ns, address, size)

    def totals(self, t_ns: int, maxrss: int, totals: Sequence[int] = NOTHING) -> Log:
        return self.record(RecordType.TOTALS, wire.MOMENT, START_NS + t_ns, maxrss, *totals)

    def mallinfo(self, t_ns: int, *sizes: int) -> Log:
        """arena, mmapped, in use, free, top, mmapped blocks."""
        return self.record(RecordType.MALLINFO, wire.MALLINFO, START_NS + t_ns, *sizes)

    def not_followed(self, path: str, why: int) -> Log:
        named = path.encode()
        values = (START_NS, 7, len(named), 0)
        return self.record(RecordType.NOT_FOLLOWED, wire.NOT_FOLLOWED, *values, tail=named, flags=why)
