"""The peak of the whole tree by process: what each held, less what several of them held together."""

from __future__ import annotations

from hiwater.analysis.ledger_model import Known, Row, TreeLedger, TreeProcess
from hiwater.analysis.process_tree import name_of
from hiwater.analysis.reading import Method
from hiwater.analysis.stack import peak_ns
from hiwater.analysis.timeline import Course
from hiwater.recording.model import Recording


def tree_ledger(recording: Recording, rows: Course) -> TreeLedger | None:
    """``None`` where the tree's peak is one process's, or is not known, or nobody looked at that instant."""
    peak = recording.summary.tree.reading
    seen, t_ns = recording.last_tree_peak, peak_ns(recording, rows)
    if peak.bytes is None or peak.method is Method.PEAK_RSS or seen is None or t_ns is None:
        return None
    held = {number: pages[0] * rows.page_size for number, pages in rows.at(t_ns).items() if pages[0]}
    if len(held) < 2:
        return None
    known = {process.number: process for process in recording.observed_processes}
    found = [
        TreeProcess(
            number,
            known[number].pid,
            name_of(recording, known[number]),
            known[number].images[-1].arguments if known[number].images else (),
            size,
        )
        for number, size in held.items()
    ]
    total = sum(held.values())
    twice = (total if seen.sum_bytes is None else seen.sum_bytes) - seen.estimate_bytes
    return TreeLedger(
        peak,
        t_ns,
        tuple(sorted(found, key=lambda process: (-process.bytes, process.process))),
        Row("shared", "counted in more than one process", -twice, Known.EXACT if seen.snapshot else Known.INFERRED),
        Row("remainder", "between the timeline and the tree's peak", peak.bytes - total + twice, Known.REMAINDER),
        _beyond(recording),
    )


def _beyond(recording: Recording) -> tuple[Row, ...]:
    demand = recording.summary.demand
    parts = [
        ("swap", "swapped out", demand.swap_bytes),
        ("page_tables", "page tables", demand.page_tables_bytes),
        ("hugetlb", "huge pages of hugetlbfs", demand.hugetlb_bytes),
    ]
    return tuple(Row(key, label, size, Known.EXACT) for key, label, size in parts if size)
