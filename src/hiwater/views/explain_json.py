"""The ledger for machines, schema ``hiwater.explain/1`` (``hiwater.explain-1.schema.json`` beside this file).

Sizes are integers in bytes, times are seconds, unknown is null. Keys may be added; none changes its meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

from hiwater._version import __version__
from hiwater.analysis.ledger_model import HeapLedger, ProcessLedger, Row, Section, TreeLedger
from hiwater.recording.model import Recording
from hiwater.views.explain_words import sentences
from hiwater.views.names import valid

SCHEMA = "hiwater.explain/1"


def document(recording: Recording, processes: Sequence[ProcessLedger]) -> dict[str, object]:
    """Plain values; ``processes`` are those to be told of."""
    ledger, summary = recording.ledger, recording.summary
    inherited = ledger.inherited
    return {
        "schema": SCHEMA,
        "hiwater_version": __version__,
        "command": [valid(argument) for argument in recording.arguments],
        "peak_rss_bytes": summary.peak_rss.bytes,
        "inherited": {
            "launcher_pid": inherited.launcher_pid,
            "launcher_name": None if inherited.launcher_name is None else valid(inherited.launcher_name),
            "wait4_would_say_bytes": inherited.wait4_would_say_bytes,
            "wait4_would_add_bytes": ledger.inherited_bytes,
            "misleads": inherited.misleads,
        },
        "processes": [_process(recording, process) for process in processes],
        "tree": None if ledger.tree is None else _tree(ledger.tree),
    }


def _process(recording: Recording, ledger: ProcessLedger) -> dict[str, object]:
    told = sentences(recording, recording.ledger, ledger)
    at = ledger.moment
    return {
        "pid": ledger.pid,
        "name": None if ledger.name is None else valid(ledger.name),
        "command": [valid(argument) for argument in ledger.command],
        "is_peak": ledger is recording.ledger.peak,
        "peak_bytes": ledger.peak_bytes,
        "peak_seconds": None if ledger.peak_ns is None else ledger.peak_ns / 1e9,
        "uncertain_bytes": ledger.uncertain_bytes,
        "snapshot": None
        if at is None
        else {
            "seconds": at.t_ns / 1e9,
            "bytes": at.bytes,
            "below_peak_bytes": at.below_bytes,
            "moved_bytes": at.moved_bytes,
            "held": at.held,
            "merged": at.merged,
            "mappings": at.mappings,
            "cost_seconds": at.cost_us / 1e6,
        },
        "missing": None if ledger.missing is None else ledger.missing.value,
        "sections": [_section(section) for section in ledger.sections],
        "of_which": [_row(row) for row in ledger.of_which],
        "beyond_rss": [_row(row) for row in ledger.beyond],
        "heap": None if ledger.heap is None else _heap(ledger.heap),
        "sentences": [{"code": sentence.code, "text": valid(sentence.text)} for sentence in told],
    }


def _heap(heap: HeapLedger) -> dict[str, object]:
    return {
        "bytes": heap.bytes,
        "in_use_bytes": heap.in_use_bytes,
        "standard_error_bytes": heap.error_bytes,
        "freed_bytes": heap.freed_bytes,
        "seconds": None if heap.at_ns is None else heap.at_ns / 1e9,
        "account_seconds": None if heap.account_ns is None else heap.account_ns / 1e9,
        "other_execution": heap.other_execution,
        "rows": [_row(row) for row in heap.rows],
    }


def _section(section: Section) -> dict[str, object]:
    return {
        "key": section.key,
        "label": section.label,
        "bytes": section.bytes,
        "rows": [_row(row) for row in section.rows],
    }


def _row(row: Row) -> dict[str, object]:
    return {
        "key": row.key,
        "label": valid(row.label),
        "bytes": row.bytes,
        "known": row.known.value,
        "mappings": row.count,
        "mapped_bytes": row.mapped_bytes,
        "standard_error_bytes": row.error_bytes,
        "address": None if row.address is None else f"0x{row.address:x}",
        "details": [_row(detail) for detail in row.details],
    }


def _tree(tree: TreeLedger) -> dict[str, object]:
    return {
        "peak_bytes": tree.peak.bytes,
        "lower_bytes": tree.peak.low,
        "upper_bytes": tree.peak.high,
        "seconds": tree.t_ns / 1e9,
        "sum_bytes": tree.sum_bytes,
        "processes": [
            {
                "pid": process.pid,
                "name": valid(process.name),
                "command": [valid(argument) for argument in process.command],
                "bytes": process.bytes,
            }
            for process in tree.processes
        ],
        "counted_more_than_once": _row(tree.shared),
        "remainder": _row(tree.remainder),
        "beyond_rss": [_row(row) for row in tree.beyond],
    }
