"""Reads an event stream (``.hiw``) into a :class:`Recording`.

The header is judged strictly; behind it nothing is an error: a stream may stop anywhere, and what comes before the
first record that is short, broken or contradicts the ones before it is valid. No length is believed before it was held
against what is really there, and samples are only located here, never decoded.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

from hiwater.errors import NewerRecordingError, NotARecordingError, RecordingError
from hiwater.recording import faults, wire
from hiwater.recording.ledger import PackedLedger
from hiwater.recording.model import (
    Cut,
    End,
    ExactMaximum,
    Facts,
    Image,
    ImageEnd,
    Launcher,
    Process,
    ProcessEnd,
    Recording,
    Rss,
    Snapshot,
    Stats,
    TreePeak,
    TreeUpper,
    Warning_,
)
from hiwater.recording.timeline import Chunk, Column, Timeline, TreeTimeline
from hiwater.recording.wire import CgroupWhen, EndedByCode, ImageEndedBy, ImageFlags, ProcessEndFlags, RecordType, Seen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hiwater.recording.cgroup import Cgroup


class _Broken(Exception):
    """A record that cannot be true; reading stops before it."""


class Header(NamedTuple):
    """What every record is to be read by."""

    order: str  # of struct: < or >
    version: int
    size: int
    page_size: int
    started_realtime_ns: int


def load(path: str | Path) -> Recording:
    """The recording in a file; one that was cut short loads up to there (``complete`` is False, ``cut`` says why)."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RecordingError(error.strerror or str(error), str(path)) from error
    try:
        return parse(data)
    except RecordingError as error:
        raise type(error)(error.message, str(path)) from None


def parse(data: bytes) -> Recording:
    """The recording in a stream."""
    header = read_header(data)
    return Reader(data, header).read()


def read_header(data: bytes) -> Header:
    """The beginning of a stream; raises what ``parse`` raises."""
    if not data:
        raise NotARecordingError("the file is empty: the monitor wrote nothing")
    if not data.startswith(wire.MAGIC):
        raise NotARecordingError("this is not a recording of hiwater (hiwater run -o FILE writes one)")
    size = struct.calcsize("<" + wire.HEADER)
    if len(data) < size:
        raise NotARecordingError("the recording ends within its header: nothing of it can be used")
    order = "<" if int.from_bytes(data[8:12], "little") == wire.BYTE_ORDER else ">"
    _, byte_order, version, header_size, page_size, _, started_ns = struct.unpack_from(order + wire.HEADER, data)
    if byte_order != wire.BYTE_ORDER:
        raise NotARecordingError("the header of the recording is damaged (byte order)")
    if version > wire.VERSION:
        raise NewerRecordingError(
            f"written in version {version} of the format, this hiwater reads up to {wire.VERSION}: install a newer one"
        )
    if version < 1 or header_size < size or header_size % 8 or page_size.bit_count() != 1 or page_size > 1 << 24:
        raise NotARecordingError("the header of the recording is damaged")
    return Header(order, version, header_size, page_size, started_ns)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _strings(raw: bytes) -> list[str]:
    """NUL-terminated strings; the padding behind the last one is up to 7 NULs, no strings."""
    return [_text(part) for part in raw.split(b"\0")[:-1]]


def _known(value: int) -> int | None:
    return value if value >= 0 else None


def _rss(values: tuple[int, ...]) -> Rss:
    return Rss(*[value if value >= 0 else None for value in values])


def _exact(values: tuple[int, ...]) -> ExactMaximum | None:
    largest, lost, least, at_ns, raced = values
    return ExactMaximum(largest, max(least, 0), max(at_ns, 0), max(lost, 0), raced != 0) if largest >= 0 else None


class Reader:
    """Gathers what the records say; one method per type of record."""

    def __init__(self, data: bytes, header: Header) -> None:
        self.data = data
        self.header = header
        self.order = header.order
        self.structs: dict[str, struct.Struct] = {}
        self.facts: dict[str, str] = {}
        self.command: tuple[str, ...] = ()
        # Starts and ends are kept apart until all is read: replacing frozen values would double the time of loading.
        self.processes: dict[int, tuple[int, int | None, int, int, int, Seen]] = {}
        self.process_ends: dict[int, ProcessEnd] = {}
        self.images: dict[int, tuple[int, int, ImageFlags, str, str, tuple[str, ...], int, Rss]] = {}
        self.before: dict[int, int | None] = {}
        self.image_ends: dict[int, ImageEnd] = {}
        self.chunks: list[Chunk] = []
        self.tree_chunks: list[Chunk] = []
        self.snapshots: list[Snapshot] = []
        self.ledgers: dict[int, tuple[int, int, int]] = {}
        self.tree_peak: TreePeak | None = None
        self.tree_upper: tuple[TreeUpper, ...] = ()
        self.warnings: list[Warning_] = []
        self.stats: Stats | None = None
        self.cut: Cut | None = None
        self.end: End | None = None
        self.cgroup: dict[int, dict[str, str]] = {}
        self.faults: list[tuple[int, int, int, int]] = []

    def read(self) -> Recording:
        """The recording, of which there is no more than this."""
        at = self.walk(self.header.size)
        if self.end is None and self.cut is None:
            reason = "it ends without its last record: the monitor was killed, or it is still being written"
            self.cut = Cut(reason if at == len(self.data) else "it ends within a record")
        return self.recording()

    def recording(self) -> Recording:
        """What was gathered."""
        order = "little" if self.order == "<" else "big"
        images: dict[int, list[Image]] = {}
        for number, start in self.images.items():
            images.setdefault(start[1], []).append(Image(*start, self.image_ends.get(number), self.before.get(number)))
        return Recording(
            version=self.header.version,
            page_size=self.header.page_size,
            started_realtime_ns=self.header.started_realtime_ns,
            facts=_facts(self.facts),
            arguments=_complete_command(self.command, images.get(0, [])),
            observed_processes=tuple(
                Process(*process, self.process_ends.get(number), tuple(images.get(number, ())))
                for number, process in self.processes.items()
            ),
            snapshots=tuple(self.snapshots),
            packed_ledgers=tuple(
                PackedLedger(flags, self.order, self.data[at:end])
                for _, (flags, at, end) in sorted(self.ledgers.items())
            ),
            last_tree_peak=self.tree_peak,
            tree_upper=self.tree_upper,
            told_warnings=tuple(self.warnings),
            stats=self.stats,
            end=self.end,
            cut=self.cut,
            timeline=Timeline(self.data, tuple(self.chunks), self.header.page_size, order),
            tree_timeline=TreeTimeline(self.data, tuple(self.tree_chunks), self.header.page_size, order),
            data=self.data,
            cgroup=self._cgroup_read(),
            packed_faults=faults.PackedFaults(self.data, self.order, tuple(self.faults)),
        )

    def next(self, data: bytes) -> Reader:
        """A reader for what was appended since: it knows the command and who still lives, and nothing of the rest."""
        reader = Reader(data, self.header)
        reader.facts, reader.command = self.facts, self.command
        reader.processes = {n: start for n, start in self.processes.items() if n not in self.process_ends}
        reader.images = {
            n: start for n, start in self.images.items() if n not in self.image_ends and start[1] in reader.processes
        }
        reader.before = {n: self.before.get(n) for n in reader.images}
        reader.tree_peak, reader.tree_upper, reader.stats = self.tree_peak, self.tree_upper, self.stats
        reader.cgroup = dict(self.cgroup)
        reader.cut, reader.end = self.cut, self.end
        return reader

    def walk(self, at: int) -> int:
        """Gathers what the whole records from ``at`` on say; where the first one begins that is not whole, or that
        cannot be true: then ``cut`` says so."""
        handlers = {
            RecordType.FACTS: self._facts,
            RecordType.COMMAND: self._command,
            RecordType.PROC_START: self._proc_start,
            RecordType.IMAGE_START: self._image_start,
            RecordType.IMAGE_END: self._image_end,
            RecordType.PROC_END: self._proc_end,
            RecordType.SAMPLES: self._samples,
            RecordType.TREE_SAMPLES: self._tree_samples,
            RecordType.SNAPSHOT: self._snapshot,
            RecordType.LEDGER: self._ledger,
            RecordType.TREE_PEAK: self._tree_peak,
            RecordType.TREE_UPPER: self._tree_upper,
            RecordType.WARNING: self._warning,
            RecordType.STATS: self._stats,
            RecordType.CUT: self._cut,
            RecordType.END: self._end,
            RecordType.CGROUP: self._cgroup,
        }
        head = struct.Struct(self.order + wire.RECORD)
        stop = len(self.data)
        while self.end is None and stop - at >= head.size:
            size, kind, flags = head.unpack_from(self.data, at)
            if size < head.size or size % 8:
                self.cut = self.cut or Cut(f"the record at byte {at} is damaged")
                break
            if size > stop - at:
                break
            handler = handlers.get(kind)
            if kind in faults.TYPES:
                self.faults.append((kind, flags, at + head.size, at + size))
            if handler is not None:
                try:
                    handler(flags, at + head.size, at + size)
                except (_Broken, ValueError):  # ValueError: an enum without such a member
                    self.cut = self.cut or Cut(f"the record at byte {at} is damaged")
                    break
            at += size
        return at

    def _unpack(self, layout: str, at: int, end: int, appended: int = 0) -> tuple[int, ...]:
        """The fields; ``appended`` bytes of them at the end are read as -1 where an older writer had none."""
        compiled = self.structs.get(layout)
        if compiled is None:
            compiled = self.structs[layout] = struct.Struct(self.order + layout)
        missing = compiled.size - (end - at)
        if missing <= 0:
            return compiled.unpack_from(self.data, at)
        if missing > appended:
            raise _Broken
        return compiled.unpack(self.data[at:end] + b"\xff" * missing)

    def _facts(self, _flags: int, at: int, end: int) -> None:
        strings = _strings(self.data[at:end])
        self.facts.update((k, v) for k, v in zip(strings[::2], strings[1::2], strict=False) if k)

    def _command(self, flags: int, at: int, end: int) -> None:
        if flags:  # how many arguments there are
            self.command = tuple(_strings(self.data[at:end]))[:flags]
            return
        # The padding cannot be told from empty arguments at the end; see _complete_command.
        self.command = tuple(_strings(self.data[at:end].rstrip(b"\0") + b"\0")) if end > at else ()

    def _proc_start(self, flags: int, at: int, end: int) -> None:
        t_ns, number, parent, pid, ppid = self._unpack(wire.PROC_START, at, end)
        if number in self.processes or number == wire.NONE:
            raise _Broken
        known = None if parent == wire.NONE else parent
        self.processes[number] = number, known, pid, ppid, t_ns, Seen(flags & 1)

    def _image_start(self, flags: int, at: int, end: int) -> None:
        t_ns, number, process, *rss, before, comm, exe, cmdline = self._unpack(wire.IMAGE_START, at, end)
        if number in self.images or process not in self.processes:
            raise _Broken
        text = at + struct.calcsize(self.order + wire.IMAGE_START)
        if comm + exe + cmdline > end - text:
            raise _Broken
        arguments = self.data[text + comm + exe : text + comm + exe + cmdline]
        self.before[number] = _known(before)
        self.images[number] = (
            number,
            process,
            ImageFlags(flags & 127),
            _text(self.data[text : text + comm]),
            _text(self.data[text + comm : text + comm + exe]),
            # A program may overwrite its arguments, so the last one need not end in a NUL.
            tuple(_strings(arguments if arguments.endswith(b"\0") or not arguments else arguments + b"\0")),
            t_ns,
            _rss(tuple(rss)),
        )

    def _image_end(self, flags: int, at: int, end: int) -> None:
        values = self._unpack(wire.IMAGE_END, at, end, appended=72)
        number = values[1]
        if number not in self.images or number in self.image_ends:
            raise _Broken
        hwm, max_rss, vm_peak, folded = map(_known, values[7:11])
        at_max_ns, max_swap, last_read_ns, max_threads, max_pte, max_hugetlb = map(_known, values[15:21])
        counted, threads = map(_known, values[26:28])
        self.image_ends[number] = ImageEnd(
            t_ns=values[0],
            how=ImageEndedBy(flags),
            samples=values[2],
            last=_rss(values[3:7]),
            hwm_bytes=hwm,
            max_rss_bytes=max_rss,
            vm_peak_bytes=vm_peak,
            folded_maxrss_bytes=folded,
            at_max=_rss(values[11:15]),
            at_max_ns=at_max_ns,
            max_swap_bytes=max_swap,
            last_read_ns=last_read_ns,
            max_threads=max_threads,
            max_pte_bytes=max_pte,
            max_hugetlb_bytes=max_hugetlb,
            exact=_exact(values[21:26]),
            counted_bytes=counted,
            threads_at_most=threads,
        )

    def _proc_end(self, flags: int, at: int, end: int) -> None:
        t_ns, number, status, *usage = self._unpack(wire.PROC_END, at, end)
        if number not in self.processes or number in self.process_ends:
            raise _Broken
        known = [_known(value) for value in usage]
        self.process_ends[number] = ProcessEnd(t_ns, ProcessEndFlags(flags & 7), _known(status), *known)

    def _samples(self, _flags: int, at: int, end: int) -> None:
        self.chunks.append(self._chunk(wire.SAMPLE_COLUMNS, at, end))

    def _tree_samples(self, _flags: int, at: int, end: int) -> None:
        self.tree_chunks.append(self._chunk(wire.TREE_COLUMNS, at, end))

    def _chunk(self, wanted: int, at: int, end: int) -> Chunk:
        base_ns, count, columns = self._unpack(wire.SAMPLES, at, end)
        at += struct.calcsize(self.order + wire.SAMPLES)
        if columns < wanted or count > wire.ROWS_MAX:
            raise _Broken
        found = []
        for _ in range(wanted):
            base, width = self._unpack(wire.COLUMN, at, end)
            at += struct.calcsize(self.order + wire.COLUMN)
            if width not in (0, 1, 2, 4) or width * count > end - at:
                raise _Broken
            found.append(Column(base, width, at))
            at += -(-width * count // 8) * 8
        return Chunk(base_ns, count, tuple(found))

    def _snapshot(self, _flags: int, at: int, end: int) -> None:
        t_ns, image, cost, *sizes = self._unpack(wire.SNAPSHOT, at, end)
        self.snapshots.append(Snapshot(t_ns, image, cost, *[_known(size) for size in sizes]))

    def _ledger(self, flags: int, at: int, end: int) -> None:
        _, image, *_, rows = self._unpack(wire.LEDGER, at, end)
        if rows * struct.calcsize(self.order + wire.LEDGER_ROW) > end - at:
            raise _Broken
        self.ledgers[image] = flags, at, end  # the last one of an image counts

    def _tree_peak(self, flags: int, at: int, end: int) -> None:
        t_ns, estimate, *sizes, processes, _ = self._unpack(wire.TREE_PEAK, at, end)
        if estimate < 0:
            raise _Broken
        total, anon, file, shmem, swap, lower = map(_known, sizes)
        self.tree_peak = TreePeak(t_ns, bool(flags & 1), estimate, total, anon, file, shmem, swap, lower, processes)

    def _tree_upper(self, _flags: int, at: int, end: int) -> None:
        rows = struct.iter_unpack(self.order + wire.TREE_UPPER, self.data[at : at + (end - at) // 16 * 16])
        self.tree_upper = tuple(TreeUpper(*row) for row in rows)

    def _warning(self, _flags: int, at: int, end: int) -> None:
        code, _, rest = self.data[at:end].partition(b"\0")
        self.warnings.append(Warning_(_text(code), _text(rest.partition(b"\0")[0])))

    def _stats(self, _flags: int, at: int, end: int) -> None:
        t_ns, *numbers = self._unpack(wire.STATS, at, end, appended=88)
        self.stats = Stats(t_ns, *[_known(number) for number in numbers])

    def _cut(self, _flags: int, at: int, end: int) -> None:
        t_ns, error, _ = self._unpack(wire.CUT, at, end)
        self.cut = Cut(f"it could not be written any further ({os.strerror(error)})", t_ns, error)

    def _cgroup(self, flags: int, at: int, end: int) -> None:
        strings = _strings(self.data[at:end])
        self.cgroup[flags] = {k: v for k, v in zip(strings[::2], strings[1::2], strict=False) if k}

    def _cgroup_read(self) -> Cgroup | None:
        if not self.cgroup:
            return None
        from hiwater.recording.cgroup import parse_cgroup_record

        return parse_cgroup_record(*[self.cgroup.get(when, {}) for when in CgroupWhen])

    def _end(self, _flags: int, at: int, end: int) -> None:
        t_ns, command_ns, status, by, errno, left, *rest = self._unpack(wire.END, at, end)
        ended_by = EndedByCode(by) if by in list(EndedByCode) else None
        self.end = End(t_ns, command_ns, _known(status), ended_by, errno, left, *[_known(value) for value in rest])


def _complete_command(command: tuple[str, ...], images: list[Image]) -> tuple[str, ...]:
    """Gives empty arguments at the end back, which an image's command line, having a length, still has."""
    for image in images:
        if image.arguments[: len(command)] == command and not any(image.arguments[len(command) :]):
            return image.arguments
    return command


def _facts(raw: dict[str, str]) -> Facts:
    def number(key: str) -> int | None:
        value = raw.get(key, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None

    return Facts(
        monitor_version=raw.get("monitor_version"),
        kernel=raw.get("kernel"),
        machine=raw.get("machine"),
        cpus=number("cpus") or None,
        mem_total_bytes=number("mem_total_bytes"),
        swap_total_bytes=number("swap_total_bytes"),
        thp=raw.get("thp") or None,
        statm_exact={"1": True, "0": False}.get(raw.get("statm_exact", "")),
        floor_exact=raw.get("statm_exact") == "1" or raw.get("floor_exact") == "1",
        mode=raw.get("mode"),
        mode_wanted=raw.get("mode_wanted"),
        exact=raw.get("exact") == "1",
        exact_refused=raw.get("exact_refused"),
        period_ns=number("period_ns"),
        linger_ns=number("linger_ns"),
        timeout_ns=number("timeout_ns"),
        launcher=Launcher(
            number("launcher_pid"),
            raw.get("launcher_name"),
            number("launcher_hwm_bytes"),
            number("launcher_rss_bytes"),
        ),
        cgroup=raw.get("cgroup"),
        container=raw.get("container"),
        monitor_pid=number("monitor_pid"),
        cwd=raw.get("cwd"),
        ledger_refused=raw.get("ledger_refused"),
        ledger_too_costly=raw.get("ledger_too_costly"),
        attached_pid=number("attached_pid"),
        duration_ns=number("duration_ns"),
        monotonic_start_ns=number("monotonic_start_ns"),
        raw=raw,
    )
