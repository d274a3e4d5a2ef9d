"""Where the memory went: from a recording to its ledger, whose rows add up to the peak, to the byte."""

from __future__ import annotations

from hiwater.analysis import ledger_rows
from hiwater.analysis.ledger_heap import Followed, of_other_execution, of_profile
from hiwater.analysis.ledger_model import HeapLedger, Known, Ledger, Missing, Moment, ProcessLedger, Row, Section
from hiwater.analysis.ledger_tree import tree_ledger
from hiwater.analysis.peak import Evidence, mark, peak_image
from hiwater.analysis.precision import CounterError
from hiwater.analysis.process_tree import name_of
from hiwater.analysis.timeline import Course, course
from hiwater.recording.ledger import LedgerSnapshot
from hiwater.recording.model import Image, ImageEnd, Process, Recording, Rss
from hiwater.recording.wire import ImageFlags, LedgerFlags


def explain(recording: Recording, rows: Course | None = None) -> Ledger:
    """The ledger of everything. ``rows`` saves the time of putting the samples in order once more."""
    summary = recording.summary
    maker = _Maker(recording)
    first = None
    if summary.peak_rss.bytes is not None:
        image = maker.peaked
        first = maker.unseen(summary.peak_rss.bytes) if image is None else maker.of(image, summary.peak_rss.bytes)
    others = [
        found
        for process in recording.observed_processes
        if (first is None or process.number != first.process)
        and any(image.number in maker.snapshots for image in process.images)
        and (found := maker.of_process(process)) is not None
    ]
    others.sort(key=lambda ledger: (-ledger.peak_bytes, ledger.process))
    tree = tree_ledger(recording, course(recording) if rows is None else rows)
    return Ledger(summary.inherited, first, tuple(others if first is None else [first, *others]), tree)


def explain_process(recording: Recording, process: Process) -> ProcessLedger | None:
    """The ledger of one process, even if nobody read its mappings; ``None`` if nothing was read of it at all."""
    peak = recording.ledger.peak
    if peak is not None and peak.process == process.number:
        return peak
    return _Maker(recording).of_process(process)


class _Maker:
    """Ledgers of single processes."""

    def __init__(self, recording: Recording, followed: Followed | None = None) -> None:
        """``followed``: the heaps of this execution, where they are not in its own recording."""
        self.recording = recording
        self.followed = followed
        if followed is None and recording.heap_logs is not None and recording.heap_execution is recording:
            self.followed = Followed(recording, *recording.heap_logs)
        self.evidence = Evidence(recording)
        self.snapshots: dict[int, LedgerSnapshot] = {}
        for snapshot in recording.ledgers:  # the latest of an image counts
            self.snapshots[snapshot.image] = snapshot
        self.processes = {process.number: process for process in recording.observed_processes}
        self.peaked = peak_image(self.evidence, recording.summary.peak_rss)

    def of_process(self, process: Process) -> ProcessLedger | None:
        """That of its largest image. What ran in its parent's memory (vfork) is the parent's."""
        own = [image for image in process.images if not image.flags & ImageFlags.SAME_MAP]
        sizes = [(size, image) for image in own if (size := mark(self.evidence.ends[image.number])) is not None]
        if not sizes:
            return None
        size, image = max(sizes, key=lambda pair: (pair[0], pair[1].number))
        return self.of(image, size)

    def unseen(self, peak: int) -> ProcessLedger:
        """Nobody looked at the process that peaked."""
        rest = _remainder(peak, 0, None, "of a process that was not seen")
        missing = Missing.NOT_SEEN
        error = _either_way(self.evidence.error)
        return ProcessLedger(None, None, None, (), peak, None, error, None, missing, (rest,), (), ())

    def of(self, image: Image, peak: int) -> ProcessLedger:
        """The ledger of an image whose peak is known."""
        snapshot, end = self.snapshots.get(image.number), self.evidence.ends[image.number]
        process = self.processes[image.process]
        if snapshot is not None:
            sections = ledger_rows.sections(snapshot, image)
            label = "between the snapshot and the peak"
        else:
            sections = ledger_rows.coarse(end.at_max)
            label = "between that reading and the peak" if sections else "of which nothing was read"
        explained = sum(section.bytes for section in sections)
        split = end.at_max if snapshot is not None else None
        heap = self._heap(image, sections, end.at_max_ns if snapshot is None else snapshot.t_ns)
        sections.append(_remainder(peak, explained, _moved(sections, split, peak), label))
        return ProcessLedger(
            process.number,
            process.pid,
            image.name if image.name != "?" else name_of(self.recording, process),
            image.arguments,
            peak,
            end.at_max_ns,
            _either_way(self.evidence.error_of(end)),
            None if snapshot is None else _moment(snapshot, explained, peak),
            None if snapshot is not None else self._missing(process, end, peak),
            tuple(sections),
            () if snapshot is None else ledger_rows.of_which(snapshot),
            _beyond(end, snapshot),
            heap,
        )

    def _heap(self, image: Image, sections: list[Section], t_ns: int | None) -> HeapLedger | None:
        if self.followed is not None:
            return self.followed.ledger(image, sections, t_ns)
        if image is not self.peaked:
            return None
        recording = self.recording
        if recording.heap_logs is None:
            return of_profile(recording.heap, sections)
        maker = _Maker(recording.heap_execution, Followed(recording.heap_execution, *recording.heap_logs))
        size = maker.recording.summary.peak_rss.bytes
        if maker.peaked is None or size is None:
            return None
        return of_other_execution(maker.of(maker.peaked, size).heap, sections)

    def _missing(self, process: Process, end: ImageEnd, peak: int) -> Missing:
        facts = self.recording.facts
        if _names(facts.ledger_refused, process):
            return Missing.REFUSED
        if _names(facts.ledger_too_costly, process):
            return Missing.TOO_COSTLY
        # Page tables were read of everything from the version on that reads mappings.
        if end.samples and all(image.end is None or image.end.max_pte_bytes is None for image in self.recording.images):
            return Missing.OLDER
        return Missing.TOO_SMALL if peak < (self.recording.summary.peak_rss.bytes or 0) // 10 else Missing.TOO_SHORT


def _names(fact: str | None, process: Process) -> bool:
    """Whether a fact of the monitor ("name (pid 123): why") is about this process; it names only the first one."""
    return fact is not None and f"(pid {process.pid}):" in fact


def _moment(snapshot: LedgerSnapshot, explained: int, peak: int) -> Moment:
    before, after = snapshot.rss_before_bytes, snapshot.rss_after_bytes
    return Moment(
        t_ns=snapshot.t_ns,
        bytes=explained,
        below_bytes=peak - explained,
        moved_bytes=None if before is None or after is None else after - before,
        held=bool(snapshot.flags & LedgerFlags.HELD),
        merged=bool(snapshot.flags & LedgerFlags.MERGED),
        mappings=snapshot.mappings,
        cost_us=snapshot.cost_us,
    )


def _either_way(error: CounterError | None) -> int | None:
    return None if error is None else error.either_way


def _remainder(peak: int, explained: int, details: tuple[Row, ...] | None, label: str) -> Section:
    row = Row("remainder", label, peak - explained, Known.REMAINDER, details=details or ())
    return Section("remainder", label, (row,))


def _moved(sections: list[Section], split: Rss | None, peak: int) -> tuple[Row, ...]:
    """What the remainder probably is: by how much the split that was read at the largest RSS exceeds the snapshot."""
    if split is None:
        return ()
    parts = [("anonymous", split.anon_bytes), ("file", split.file_bytes), ("shmem", split.shmem_bytes)]
    labels = {"anonymous": "anonymous memory", "file": "pages of files", "shmem": "shared memory"}
    had = {section.key: section.bytes for section in sections}
    had["file"] = had.get("file", 0) + had.get("special", 0)  # the vDSO counts as a file (mm_counter_file)
    found, explained = [], sum(section.bytes for section in sections)
    for key, size in parts:
        if size is None:
            return ()
        found.append(Row("part", labels[key], size - had.get(key, 0), Known.INFERRED))
    told = sum(row.bytes for row in found)
    found.append(Row("part", "not told apart", peak - explained - told, Known.REMAINDER))
    return tuple(row for row in found if row.bytes) if told else ()


def _beyond(end: ImageEnd, snapshot: LedgerSnapshot | None) -> tuple[Row, ...]:
    """The largest that was read of each; a snapshot's own figures may be larger than what the samples caught."""
    parts = [
        ("swap", "swapped out", end.max_swap_bytes, snapshot.swap_bytes if snapshot else None),
        ("page_tables", "page tables", end.max_pte_bytes, snapshot.pte_bytes if snapshot else None),
        ("hugetlb", "huge pages of hugetlbfs", end.max_hugetlb_bytes, snapshot.hugetlb_bytes if snapshot else None),
    ]
    rows = [Row(key, label, max(a or 0, b or 0), Known.EXACT) for key, label, a, b in parts]
    files = None if snapshot is None else ledger_rows.unmapped(snapshot)
    return tuple(row for row in [*rows, *([files] if files else [])] if row.bytes)
