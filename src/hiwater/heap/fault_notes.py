"""What a profile by page faults does not see, in sentences, with the figures that could be counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hiwater.recording.faults import Fault, FaultRecords, FaultTotals
from hiwater.recording.model import Image, Recording
from hiwater.recording.wire import FaultFlags, FaultKind, FaultStackFlags, FaultTotalsFlags, ProcessEndFlags
from hiwater.units import MIB, format_size

WORTH = 0.02
"""What is less of the whole is not worth a sentence."""


def notes(
    recording: Recording, records: FaultRecords, totals: FaultTotals, own: Sequence[Fault], image: Image | None
) -> Iterable[str]:
    """For a profile of the samples ``own``."""
    page, period = recording.page_size, totals.period
    whole = totals.faults * page
    yield (
        f"One page fault in {period} was sampled ({period * page // 1024:,} KiB). The kernel counted "
        f"{totals.faults:,} of the whole tree, which are {format_size(whole)} at a page each; the samples stand for "
        f"{format_size(totals.samples * period * page)}. Of each thread on each CPU up to {period - 1} faults are in "
        "no sample."
    )
    yield (
        "It is told who touched memory first. What was freed and is used again counts for the first one; memory that "
        "is given back is never taken off."
    )
    yield from _unseen(recording, totals)
    yield from _larger(recording, own, period, image)
    yield from _stacks(records, own)
    elsewhere = totals.samples - len(own)
    if elsewhere > WORTH * totals.samples:
        size = format_size(elsewhere * period * page)
        yield f"Other programs of the tree made faults of {size}: --process shows them."
    if totals.unkept:
        yield f"{totals.unkept:,} samples have no stack: there were too many different ones."
    if totals.lost:
        yield (
            f"{totals.lost:,} records found no room in the kernel's rings: the samples among them are missing. A "
            "larger --sample loses none."
        )


def counted_by_rusage(recording: Recording) -> int | None:
    """Page faults, minor and major, of all that the monitor itself waited for, and what these had waited for
    (getrusage(2), kernel/sys.c)."""
    found = None
    for process in recording.observed_processes:
        end = process.end
        if end is None or not end.flags & ProcessEndFlags.REAPED or end.minor_faults is None:
            continue
        found = (found or 0) + end.minor_faults + (end.major_faults or 0)
    return found


def _unseen(recording: Recording, totals: FaultTotals) -> Iterable[str]:
    counted = counted_by_rusage(recording)
    if counted is None:
        return
    unseen = counted - totals.faults
    if unseen <= max(256, WORTH * counted):
        return
    size = format_size(unseen * recording.page_size)
    if totals.flags & FaultTotalsFlags.KERNEL_SEEN:
        why = "filled in without a fault: MAP_POPULATE, mlock, MADV_POPULATE_WRITE, or by another process"
    else:
        why = (
            "on the kernel's side, such as read(2) into fresh memory, or populated (MAP_POPULATE, mlock). Root, or "
            "CAP_PERFMON, sees the former"
        )
    yield f"{unseen:,} pages ({size}) came unseen: {why}."


def _larger(recording: Recording, own: Sequence[Fault], period: int, image: Image | None) -> Iterable[str]:
    """Faults that brought more than a page."""
    page = recording.page_size
    files = sum(sample.kind is FaultKind.FILE for sample in own)
    if files > WORTH * len(own):
        yield (
            f"Faults on mapped files ({format_size(files * period * page)} at a page each) bring up to 64 KiB each "
            "from the page cache: their share of the RSS can be 16 times as large."
        )
    huge = _huge_bytes(recording, image)
    if huge >= MIB:
        yield (
            f"{format_size(huge)} lay in transparent huge pages: a fault there brings 2 MiB and counts as "
            f"{page // 1024} KiB. --sample 4KiB finds each of them."
        )
    if any(sample.kind is FaultKind.HUGETLB for sample in own):
        yield "Pages of hugetlbfs, which are in no RSS, count as small ones."
    kernel = sum(bool(sample.flags & FaultFlags.BY_KERNEL) for sample in own)
    if kernel > WORTH * len(own):
        yield f"{format_size(kernel * period * page)} were touched by system calls; the call of it is shown."


def _huge_bytes(recording: Recording, image: Image | None) -> int:
    if image is None:
        return 0
    ledger = next((ledger for ledger in recording.ledgers if ledger.image == image.number), None)
    snapshots = [shot.anon_huge_bytes or 0 for shot in recording.snapshots if shot.image == image.number]
    rows = 0 if ledger is None else sum(row.anon_huge_bytes or 0 for row in ledger.rows)
    return max([rows, *snapshots])


def _stacks(records: FaultRecords, own: Sequence[Fault]) -> Iterable[str]:
    if not own:
        return
    flags = [records.stacks[sample.stack].flags for sample in own if sample.stack in records.stacks]
    for flag, text in (
        (FaultStackFlags.CUT, "lack their outermost calls: the stack is deeper than what is looked at"),
        (FaultStackFlags.GUESSED, "go through code that nothing describes: calls there were told by their looks"),
    ):
        share = sum(bool(flag & one) for one in flags) / len(own)
        if share > WORTH:
            yield f"{share:.0%} of the stacks {text}."
