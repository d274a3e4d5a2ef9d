"""Reads what the sampler wrote of one program image (``PID.N.heap``) into a :class:`HeapLog`.

The head is judged strictly; behind it nothing is an error: a file may stop anywhere (SIGKILL, a full disk), and what
comes before the first record that cannot be true is valid. No length is believed before it was held against what is
there. Samples are kept in columns: a million of them take 60 MiB and about a second.
"""

from __future__ import annotations

import os
import re
import struct
from array import array
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hiwater.errors import HiwaterError
from hiwater.heap import wire
from hiwater.heap.log_model import (
    Code,
    Head,
    HeapLog,
    Mallinfo,
    Mapped,
    Module,
    Moment,
    NotFollowed,
    PythonCall,
    RawStack,
    Samples,
    Totals,
    Trimmed,
)
from hiwater.heap.wire import HeadFlags, RecordType, StackFlags

__all__ = [
    "Code",
    "Head",
    "HeapLog",
    "HeapLogError",
    "Mallinfo",
    "Mapped",
    "Module",
    "Moment",
    "NotFollowed",
    "PythonCall",
    "RawStack",
    "Samples",
    "Totals",
    "Trimmed",
    "continued",
    "parse",
    "read_logs",
]


class HeapLogError(HiwaterError):
    """A file is none of the sampler's, or its head is damaged."""


def read_logs(folder: str | Path) -> list[HeapLog]:
    """Every file of the sampler in a folder, by process and image; forks continue their parents'. Files that are none
    of the sampler's, or that are empty because a process ended at once, are left out."""
    found = []
    for path in Path(folder).glob("*.heap"):
        try:
            found.append(parse(_read(path)))
        except HeapLogError:
            continue
    return continued(found)


def _read(path: Path) -> bytes:
    """The valid part: a file may be much larger, with nothing in it."""
    try:
        with path.open("rb") as file:
            head = file.read(wire.HEAD_SIZE)
            end = _head(head).end
            there = os.fstat(file.fileno()).st_size
            return head + file.read(max(0, min(end, there) - len(head)))
    except OSError as error:
        raise HeapLogError(f"{path}: {error.strerror or error}") from error


def continued(logs: Iterable[HeapLog]) -> list[HeapLog]:
    """The logs in order, those of forks with what their parents had written until then."""
    known = {log.key: log for log in sorted(logs, key=lambda log: (log.head.start_ns, log.key))}
    done: dict[tuple[int, int], HeapLog] = {}
    for key, log in known.items():  # parents were begun before their children
        if log.head.flags & HeadFlags.FORKED and log.head.parent_number is not None:
            parent = known.get((log.head.parent_pid, log.head.parent_number))
            whole = None if parent is None or parent is log else done.get(parent.key)
            if parent is None or whole is None:
                done[key] = replace(log, orphan=True)
            else:
                done[key] = _after(_until(parent, whole, log.head), log)
        else:
            done[key] = log
    return sorted(done.values(), key=lambda log: log.key)


def _until(parent: HeapLog, whole: HeapLog, child: Head) -> HeapLog:
    """The parent's log as it was when it forked. What its other threads wrote into room that they had before is
    later than the fork and not of the child."""
    before = _parse(parent.head, _order(parent.data), parent.data[: min(child.copied, len(parent.data))])
    if whole is not parent:  # a fork itself
        if whole.orphan:
            before = replace(before, orphan=True)
        else:
            grand = _before(whole, parent.head.start_ns)
            before = _after(grand, before)
    return _before(before, child.start_ns)


def _before(log: HeapLog, t_ns: int) -> HeapLog:
    old = log.samples
    kept = [at for at, when in enumerate(old.alloc_ns) if when <= t_ns]
    gone = [at for at, when in enumerate(old.free_ns) if when <= t_ns]
    samples = replace(
        old,
        alloc_ns=array("q", [old.alloc_ns[at] for at in kept]),
        address=array("Q", [old.address[at] for at in kept]),
        what=array("I", [old.what[at] for at in kept]),
        free_ns=array("q", [old.free_ns[at] for at in gone]),
        freed=array("Q", [old.freed[at] for at in gone]),
    )
    return replace(
        log,
        samples=samples,
        modules=tuple(
            replace(one, gone_ns=None) if one.gone_ns is not None and one.gone_ns > t_ns else one
            for one in log.modules
            if one.t_ns <= t_ns
        ),
        mapped=tuple(one for one in log.mapped if one.t_ns <= t_ns),
        moments=(),
        mallinfo=(),
    )


def _after(before: HeapLog, log: HeapLog) -> HeapLog:
    """Both as one. Each file numbers its stacks and Python's code anew: those of the earlier one get higher numbers."""
    stacks, codes = 1 + max(log.stacks, default=0), 1 + max(log.codes, default=0)
    if stacks + max(before.stacks, default=0) >= wire.NONE:  # nobody writes such numbers
        before = replace(before, stacks={})

    def higher(stack: int) -> int:
        return stack + stacks if stack in before.stacks else wire.NONE

    old, new = before.samples, log.samples
    shift = len(old.kinds)
    moved = {
        number + stacks: replace(stack, python=tuple(replace(call, code=call.code + codes) for call in stack.python))
        for number, stack in before.stacks.items()
    }
    return replace(
        log,
        modules=before.modules + log.modules,
        stacks=log.stacks | moved,
        codes=log.codes | {number + codes: code for number, code in before.codes.items()},
        samples=Samples(
            old.alloc_ns + new.alloc_ns,
            old.address + new.address,
            old.what + array("I", [at + shift for at in new.what]),
            tuple((higher(stack), kind, size, mean) for stack, kind, size, mean in old.kinds) + new.kinds,
            old.free_ns + new.free_ns,
            old.freed + new.freed,
        ),
        mapped=tuple(replace(one, stack=higher(one.stack)) for one in before.mapped) + log.mapped,
        orphan=before.orphan,
    )


def parse(data: bytes) -> HeapLog:
    """The log in the bytes of a file; a fork's without its parent's (see :func:`continued`)."""
    head = _head(data)
    return _parse(head, _order(data), data[: head.end])


def _order(data: bytes) -> str:
    return "<" if int.from_bytes(data[8:12], "little") == wire.BYTE_ORDER else ">"


def _head(data: bytes) -> Head:
    if not data.startswith(wire.MAGIC) or len(data) < struct.calcsize("<" + wire.HEAD):
        raise HeapLogError("this is no file of hiwater's heap sampler")
    order = _order(data)
    values = struct.unpack_from(order + wire.HEAD, data)
    _, byte_order, version, word, pid, number, parent_pid, parent, start, end_ns, mean, flags, errno = values[:13]
    if byte_order != wire.BYTE_ORDER or version < 1 or word not in (4, 8):
        raise HeapLogError("the head of the heap sampler's file is damaged")
    if version > wire.VERSION:
        raise HeapLogError(
            f"written in version {version} of the heap sampler's format, this hiwater reads up to {wire.VERSION}: "
            "install a newer one"
        )
    end, samples, lost, lost_bytes, lost_frees, skipped, skipped_bytes, unflushed = values[13:21]
    return Head(
        word, pid, number, parent_pid, None if parent == wire.NONE else parent, start, end_ns or None, mean or None,
        HeadFlags(flags & 127), errno, end, samples, lost, lost_bytes, lost_frees, skipped, skipped_bytes, unflushed,
        Totals(*values[21:26]), values[26],
    )  # fmt: skip


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _parse(head: Head, order: str, data: bytes) -> HeapLog:
    reader = _Reader(data, order)
    cut = reader.walk()
    if cut is None and len(data) < head.end:
        cut = "the file is shorter than it says"
    modules = sorted(reader.modules, key=lambda one: one.t_ns)
    return HeapLog(
        head=head,
        modules=_with_ends(modules, reader.gone),
        stacks=reader.stacks,
        codes=reader.codes,
        samples=Samples(
            reader.alloc_ns, reader.address, reader.what, tuple(reader.kinds), reader.free_ns, reader.freed
        ),
        mapped=tuple(sorted(reader.mapped, key=lambda one: one.t_ns)),
        moments=tuple(sorted(reader.moments, key=lambda one: one.t_ns)),
        mallinfo=tuple(sorted(reader.mallinfo, key=lambda one: one.t_ns)),
        last_ns=max(head.start_ns, reader.last_ns),
        cut=cut,
        data=data,
        not_followed=tuple(reader.not_followed),
        threads=len(reader.threads),
        trimmed=reader.trimmed,
    )


def _with_ends(modules: list[Module], gone: list[tuple[int, int]]) -> tuple[Module, ...]:
    """Each with the moment of its dlclose, the first one after it was mapped."""
    if not gone:
        return tuple(modules)
    found = []
    for module in modules:
        times = [t_ns for t_ns, start in gone if start == module.start and t_ns >= module.t_ns]
        found.append(replace(module, gone_ns=min(times)) if times else module)
    return tuple(found)


_READ_WRITE = 3
_SOMETHING = re.compile(rb"[^\0]")


class _Reader:
    """Gathers what the records say."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data = data
        self.order = order
        self.modules: list[Module] = []
        self.gone: list[tuple[int, int]] = []
        self.stacks: dict[int, RawStack] = {}
        self.codes: dict[int, Code] = {}
        self.alloc_ns, self.address, self.what = array("q"), array("Q"), array("I")
        self.kinds: list[tuple[int, int, int, int]] = []
        self.free_ns, self.freed = array("q"), array("Q")
        self.mapped: list[Mapped] = []
        self.moments: list[Moment] = []
        self.mallinfo: list[Mallinfo] = []
        self.not_followed: list[NotFollowed] = []
        self.threads: set[int] = set()
        self.trimmed: Trimmed | None = None
        self.last_ns = 0

    def walk(self) -> str | None:
        """All whole records; why it ended before the end of the data, if it did."""
        like: dict[tuple[int, int, int, int], int] = {}
        why = self._walk(like)
        self.kinds = list(like)
        self.last_ns = max(self.last_ns, max(self.alloc_ns, default=0), max(self.free_ns, default=0))
        return why

    def _walk(self, like: dict[tuple[int, int, int, int], int]) -> str | None:
        handlers = {
            RecordType.MODULE: self._module,
            RecordType.MODULE_GONE: self._module_gone,
            RecordType.STACK: self._stack,
            RecordType.CODE: self._code,
            RecordType.MAP: self._map,
            RecordType.UNMAP: self._unmap,
            RecordType.BRK: self._brk,
            RecordType.TOTALS: self._totals,
            RecordType.MALLINFO: self._mallinfo,
            RecordType.NOT_FOLLOWED: self._not_followed,
            RecordType.THREAD: self._thread,
            RecordType.TRIM: self._trim,
        }
        data, stop, at = self.data, len(self.data), wire.HEAD_SIZE
        head = struct.Struct(self.order + wire.RECORD).unpack_from
        free = struct.Struct(self.order + wire.FREE).unpack_from
        alloc = struct.Struct(self.order + wire.ALLOC).unpack_from
        alloc_ns, address, what = self.alloc_ns.append, self.address.append, self.what.append
        free_ns, freed = self.free_ns.append, self.freed.append
        is_alloc, is_free = int(RecordType.ALLOC), int(RecordType.FREE)
        while stop - at >= 8:
            size, kind, flags = head(data, at)
            if size == 0:  # room that a thread took and had not filled; the next begins with a record again
                following = _SOMETHING.search(data, at)
                if following is None:
                    break
                if following.start() - at >= 8:
                    at = following.start() & ~7
                    continue
            if size < 8 or size & 7:
                return f"the record at byte {at} is damaged"
            if size > stop - at:
                return "it ends within a record"
            if kind == is_free and size >= 24:
                t_ns, where = free(data, at + 8)
                free_ns(t_ns)
                freed(where)
            elif kind == is_alloc and size >= 48:
                t_ns, where, length, mean, stack, _ = alloc(data, at + 8)
                alike = stack, flags, length, mean
                number = like.get(alike)
                if number is None:
                    number = like[alike] = len(like)
                alloc_ns(t_ns)
                address(where)
                what(number)
            else:
                handler = handlers.get(kind)
                if handler is not None:
                    try:
                        handler(flags, at + 8, at + size)
                    except struct.error:  # shorter than its fields
                        return f"the record at byte {at} is damaged"
            at += size
        return None

    def _unpack(self, layout: str, at: int, end: int) -> tuple[int, ...]:
        compiled = struct.Struct(self.order + layout)
        if compiled.size > end - at:
            raise struct.error
        return compiled.unpack_from(self.data, at)

    def _bytes(self, at: int, length: int, end: int) -> bytes:
        if length > end - at:
            raise struct.error
        return self.data[at : at + length]

    def _module(self, _flags: int, at: int, end: int) -> None:
        t_ns, start, stop, bias, build, path, _ = self._unpack(wire.MODULE, at, end)
        at += struct.calcsize("<" + wire.MODULE)
        build_id = self._bytes(at, build, end).hex()
        self.modules.append(Module(t_ns, start, stop, bias, build_id, _text(self._bytes(at + build, path, end))))

    def _module_gone(self, _flags: int, at: int, end: int) -> None:
        t_ns, start = self._unpack(wire.MODULE_GONE, at, end)
        self.gone.append((t_ns, start))

    def _stack(self, _flags: int, at: int, end: int) -> None:
        number, native, python, flags, _, _ = self._unpack(wire.STACK, at, end)
        at += struct.calcsize("<" + wire.STACK)
        addresses = self._unpack(f"{native}Q", at, end)
        at += 8 * native
        numbers = self._unpack(f"{4 * python}I", at, end)
        calls = tuple(
            PythonCall(code, line, entry != 0)
            for code, line, entry in zip(numbers[::4], numbers[1::4], numbers[2::4], strict=True)
        )
        self.stacks.setdefault(number, RawStack(addresses, calls, StackFlags(flags & 3)))

    def _code(self, _flags: int, at: int, end: int) -> None:
        number, first_line, name, file, _ = self._unpack(wire.CODE, at, end)
        at += struct.calcsize("<" + wire.CODE)
        code = Code(_text(self._bytes(at, name, end)), _text(self._bytes(at + name, file, end)), first_line)
        self.codes.setdefault(number, code)

    def _map(self, flags: int, at: int, end: int) -> None:
        t_ns, address, size, moved, moved_bytes, map_flags, fd, stack, _ = self._unpack(wire.MAP, at, end)
        self.mapped.append(Mapped(t_ns, address, size, moved, moved_bytes, flags, map_flags, fd, stack))
        self.last_ns = max(self.last_ns, t_ns)

    def _unmap(self, _flags: int, at: int, end: int) -> None:
        t_ns, address, size = self._unpack(wire.UNMAP, at, end)
        self.mapped.append(Mapped(t_ns, 0, 0, address, size, 0, 0, -1, wire.NONE))
        self.last_ns = max(self.last_ns, t_ns)

    def _brk(self, _flags: int, at: int, end: int) -> None:
        t_ns, before, after, stack, _ = self._unpack(wire.BRK, at, end)
        if after > before:
            self.mapped.append(Mapped(t_ns, before, after - before, 0, 0, _READ_WRITE, 0, -1, stack))
        else:
            self.mapped.append(Mapped(t_ns, 0, 0, after, before - after, 0, 0, -1, wire.NONE))
        self.last_ns = max(self.last_ns, t_ns)

    def _totals(self, _flags: int, at: int, end: int) -> None:
        t_ns, maxrss, *totals = self._unpack(wire.MOMENT, at, end)
        self.moments.append(Moment(t_ns, maxrss, Totals(*totals)))
        self.last_ns = max(self.last_ns, t_ns)

    def _mallinfo(self, _flags: int, at: int, end: int) -> None:
        self.mallinfo.append(Mallinfo(*self._unpack(wire.MALLINFO, at, end)))

    def _thread(self, _flags: int, at: int, end: int) -> None:
        self.threads.add(self._unpack(wire.THREAD, at, end)[1])

    def _trim(self, _flags: int, at: int, end: int) -> None:
        _, took_ns, before, after = self._unpack(wire.TRIM, at, end)
        self.trimmed = Trimmed(took_ns / 1e9, before, after)

    def _not_followed(self, flags: int, at: int, end: int) -> None:
        t_ns, pid, length, _ = self._unpack(wire.NOT_FOLLOWED, at, end)
        path = _text(self._bytes(at + struct.calcsize("<" + wire.NOT_FOLLOWED), length, end))
        self.not_followed.append(NotFollowed(t_ns, pid, flags, path))
