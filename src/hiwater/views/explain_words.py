"""A ledger in plain sentences: only those that apply, each with the figures of this recording."""

from __future__ import annotations

from dataclasses import dataclass

from hiwater.analysis.ledger_model import HeapLedger, Ledger, Missing, ProcessLedger, Row, TreeLedger
from hiwater.recording.model import Facts, Recording
from hiwater.units import MIB, format_seconds
from hiwater.views.names import visible
from hiwater.views.process_names import ProcessName


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something that people stumble over. The code stays, the text is for people."""

    code: str
    text: str


def amount(size: int) -> str:
    """The bare number of MiB, with one decimal; with two below 1 MiB."""
    if 0 < abs(size) < MIB / 200:
        return "<0.01" if size > 0 else ">-0.01"
    return f"{size / MIB:.{1 if abs(size) >= MIB else 2}f}"


def mib(size: int) -> str:
    """The same with its unit."""
    return f"{amount(size)} MiB"


def share(size: int, whole: int) -> str:
    """``12 %``; below 10 with a decimal."""
    part = 100 * size / whole if whole else 0.0
    return f"{part:.0f} %" if abs(part) >= 9.95 else f"{part:.1f} %"


def part(size: int, whole: int) -> str:
    """The same for a table: empty where it would round to nothing."""
    return share(size, whole) if abs(size) * 2000 >= whole > 0 else ""


def label(row: Row) -> str:
    """What a row is, with the number of mappings where that tells something."""
    text = visible(row.label)
    if row.key == "mapping":
        return _mapping(row)
    if row.details and len(row.details) > 1 and row.key in _COUNTED:
        text += f" ({len(row.details)})"
    elif row.count is not None and row.count > 1 and row.key in ("arenas", "thread_stacks"):
        text += f" ({row.count})"
    return text


_COUNTED = ("named", "libraries", "data", "shared", "private_copies")


def _mapping(row: Row) -> str:
    """A mapping without a name is known by its address, and by how much of it was ever touched."""
    mapped = row.mapped_bytes
    used = "" if not mapped else "all of " if row.bytes >= mapped else f"{share(row.bytes, mapped)} of "
    size = "" if not mapped else f"{used}{_large(mapped)}"
    if row.address is None:
        return f"{row.count} smaller ones{', ' if size else ''}{size}"
    return f"{size}{' at ' if size else 'at '}{row.address:x}"


def _large(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 10 << 30 else mib(size)


def who(ledger: ProcessLedger, names: dict[int, ProcessName]) -> str:
    """The process that a ledger is about."""
    if ledger.process is None:
        return "a process that was not seen"
    return f"{names[ledger.process].label(48)}, pid {ledger.pid}"


def moment(ledger: ProcessLedger) -> str:
    """When the mappings were read, and how far from the peak."""
    at = ledger.moment
    if at is None:
        return ""
    way = "below" if at.below_bytes >= 0 else "above"
    far = abs(at.below_bytes)
    told = part(far, ledger.peak_bytes)
    gap = f"{mib(far)}{f' ({told})' if told else ''} {way} the peak" if far else "as much as the peak"
    when = "" if ledger.peak_ns is None else f"; the largest RSS was read at {seconds(ledger.peak_ns)}"
    held = ", while it was stopped" if at.held else ""
    count = f"{at.mappings} mapping{'' if at.mappings == 1 else 's'}"
    return f"{count}, read at {seconds(at.t_ns)}{held}, {gap}{when}"


def heap_title(heap: HeapLedger) -> str:
    """What the table of a heap is about."""
    when = "" if heap.at_ns is None else f" at {seconds(heap.at_ns)}"
    of = " of the execution in which it was followed" if heap.other_execution else ""
    return f"the heap{when}{of}: the heap's mappings and other anonymous memory once more"


def heap_known(heap: HeapLedger, marks: bool = True) -> str:
    """How the rows of a heap are known; ``marks``: with the meaning of ~."""
    sampled = any(row.error_bytes is not None for row in heap.rows)
    told = ["± one standard error of what was sampled"] if sampled else []
    if heap.account_ns is not None:
        told.append(f"malloc's own account (mallinfo2) is of {seconds(heap.account_ns)}")
    if marks:
        told.append("~ concluded")
    return "; ".join(told)


def seconds(t_ns: int) -> str:
    """A moment, since the start of the command."""
    return format_seconds(t_ns / 1e9)


def sentences(recording: Recording, ledger: Ledger, process: ProcessLedger | None) -> list[Sentence]:
    """Those about one process and, if it is the one that peaked, about the launcher and the tree."""
    page_size = recording.page_size
    found: list[Sentence | None] = []
    first = process is ledger.peak
    if first:
        found.append(_inherited(ledger))
        found.append(_difference(ledger, process))
    if process is not None:
        found += [_missing(process, recording.facts), _distance(process, recording.facts)]
        found += [tell(process) for tell in (_profiler, _freed, _arenas, _lazily_freed)]
        found += [_huge_pages(process, page_size)]
        found += [tell(process) for tell in (_files, _shared_cow, _swap)]
        found += [_page_tables(process, page_size), _hugetlb(process), _unmapped(process)]
    if first and ledger.tree is not None:
        found.append(_tree(ledger.tree))
    return [sentence for sentence in found if sentence is not None]


def _matters(size: int, whole: int, part: float = 0.01) -> bool:
    """Enough to be worth a sentence."""
    return size >= MIB // 4 and size >= part * whole


def _inherited(ledger: Ledger) -> Sentence | None:
    who = ledger.inherited
    if not who.misleads or who.wait4_would_say_bytes is None:
        return None
    name = visible(who.launcher_name or "the launcher")
    return Sentence(
        "inherited",
        f"wait4 in {name} would have said {mib(who.wait4_would_say_bytes)}, {mib(ledger.inherited_bytes)} more than "
        f"the peak: at execve the kernel folds the peak of {name} into ru_maxrss. No page of that was the command's.",
    )


def _difference(ledger: Ledger, process: ProcessLedger | None) -> Sentence | None:
    """From the heap to the RSS, and from that to what getrusage says: each byte of the difference."""
    heap = None if process is None else process.heap
    if process is None or heap is None:
        return None
    error = f" (± {amount(heap.error_bytes)})" if heap.error_bytes else ""
    parts = [(row.label, row.bytes) for row in heap.rows if row.key not in ("in_use", "python_in_use")]
    whole = sum(row.bytes for section in process.sections for row in section.rows)
    told = {"heap", "arenas", "other", "anonymous"}
    for section in process.sections:
        rest = [row for row in section.rows if not (section.key == "anonymous" and row.key in told)]
        parts += [(row.label, row.bytes) for row in rest]
    signed = [f"{'+' if size >= 0 else '-'} {amount(abs(size))} {what}" for what, size in parts if size]
    says = ledger.inherited.wait4_would_say_bytes
    misleads = ledger.inherited.misleads and says is not None
    wait = f", ru_maxrss {mib(says)}" if misleads and says is not None else ""
    name = visible(ledger.inherited.launcher_name or "the launcher")
    more = f" From the RSS to ru_maxrss: + {amount(ledger.inherited_bytes)} inherited from {name}." if misleads else ""
    return Sentence(
        "heap-difference",
        f"Heap in use {mib(heap.in_use_bytes)}{error}, RSS {mib(whole)}{wait}: here is each byte of the difference. "
        f"From the heap to the RSS: {', '.join(signed)}.{more}",
    )


def _freed(process: ProcessLedger) -> Sentence | None:
    heap = process.heap
    if heap is None or heap.freed_bytes is None or not _matters(heap.freed_bytes, process.peak_bytes):
        return None
    return Sentence(
        "heap-freed",
        f"{mib(heap.freed_bytes)} were freed by the program and not returned to the system: they lie between blocks "
        "that live. malloc_trim(0) would give back at most so much, whole pages only; hiwater heap --try-malloc "
        "measures that, and what other settings of malloc give.",
    )


def _missing(process: ProcessLedger, facts: Facts) -> Sentence | None:
    if process.missing is None:
        return None
    written = f" by hiwater {visible(facts.monitor_version)}" if facts.monitor_version else ""
    coarse = " The rows are the split that was read at its largest RSS." if len(process.sections) > 1 else ""
    why = {
        Missing.TOO_SHORT: "Its mappings were not read: it ended too soon, or had its peak too soon."
        + ("" if facts.mode == "trace" else " --trace stops every process at its exit and reads them there."),
        Missing.TOO_SMALL: "Its mappings were not read: it had less than a tenth of what the largest process had.",
        Missing.REFUSED: f"Its mappings may not be read here ({_reason(facts)}): it belongs to another user, or is not "
        "dumpable. Execute hiwater as root.",
        Missing.TOO_COSTLY: "Its mappings were not read: it is so large that reading them would have held up its own "
        "calls that map memory for half a second.",
        Missing.OLDER: f"The recording was written{written}, which did not read mappings. Execute the command again.",
        Missing.NOT_SEEN: "The process that peaked was never looked at, so that nothing is known of its memory. "
        "--trace sees every process.",
    }
    return Sentence("no-snapshot", why[process.missing] + coarse)


def _distance(process: ProcessLedger, facts: Facts) -> Sentence | None:
    """Only where the snapshot is far from the peak."""
    at = process.moment
    if at is None or at.below_bytes < max(0.05 * process.peak_bytes, process.uncertain_bytes or 0):
        return None
    why = "Reading them may cost 1 % of a core; for this peak that was too slow."
    if facts.mode != "trace":
        why += " --trace reads them at the exit, too, which helps where the memory is held until then."
    if facts.ledger_refused and f"(pid {process.pid}):" in facts.ledger_refused:
        why = f"Later on they might not be read any more ({_reason(facts)})."
    side = "" if process.peak_ns is None else ", before it" if at.t_ns < process.peak_ns else ", after it"
    return Sentence(
        "snapshot-below-peak",
        f"The mappings were read {mib(at.below_bytes)} below the peak{side}: the rows tell of {seconds(at.t_ns)}, and "
        f"whose the rest was is not known. {why}",
    )


def _reason(facts: Facts) -> str:
    return visible((facts.ledger_refused or "").rpartition(": ")[2]) or "refused"


def _profiler(process: ProcessLedger) -> Sentence | None:
    if process.moment is None:
        return None
    allocated = sum(row.bytes for key in ("heap", "arenas", "named", "other") if (row := process.row(key)))
    most = min(process.peak_bytes, allocated + max(0, process.remainder.bytes))
    rest = process.peak_bytes - most
    if not _matters(rest, process.peak_bytes, 0.05):
        return None
    parts = [(section.bytes, section.label) for key in ("file", "shmem") if (section := process.section(key))]
    parts += [(row.bytes, row.label) for key in ("thread_stacks", "main_stack", "private_copies")
              if (row := process.row(key))]  # fmt: skip
    told = [
        f"{what} {amount(size)}" for size, what in sorted(parts, reverse=True) if _matters(size, process.peak_bytes)
    ]
    others = f": {', '.join(told)}" if told else ""
    return Sentence(
        "heap-profiler",
        f"A heap profiler can find at most {mib(most)} of these {mib(process.peak_bytes)}: the anonymous memory "
        "without stacks, where malloc and the heaps of languages are. The other "
        f"{mib(rest)} are none of theirs{others}. (It can say more all the same: it counts memory that was asked for "
        "and never touched.)",
    )


def _arenas(process: ProcessLedger) -> Sentence | None:
    row = process.row("arenas")
    if row is None or (row.count or 0) < 2 or not _matters(row.bytes, process.peak_bytes, 0.1):
        return None
    return Sentence(
        "arenas",
        f"{row.count} mappings with {mib(row.bytes)} look like arenas, which malloc of glibc makes for threads. What "
        "is freed in one is of no use to the others; MALLOC_ARENA_MAX=2 in the environment shows what that costs.",
    )


def _lazily_freed(process: ProcessLedger) -> Sentence | None:
    size = process.part("lazily_freed")
    if not _matters(size, process.peak_bytes):
        return None
    return Sentence(
        "lazily-freed",
        f"{mib(size)} had been given back with MADV_FREE. They count until the kernel takes them, which it does when "
        "memory is short; MADV_DONTNEED would have taken them from the RSS at once.",
    )


def _huge_pages(process: ProcessLedger, page_size: int) -> Sentence | None:
    size = process.part("huge_pages")
    if not _matters(size, process.peak_bytes):
        return None
    factor = page_size // 8  # entries of a page table, so many pages are a huge one
    least = size // factor
    return Sentence(
        "huge-pages",
        f"{mib(size)} are in transparent huge pages of {page_size * factor // MIB} MiB, which are resident in whole as "
        f"soon as one byte is touched. The program may have used anything from {mib(least)} of it to all: without huge "
        f"pages the peak would be lower by {mib(size - least)} at most.",
    )


def _files(process: ProcessLedger) -> Sentence | None:
    section = process.section("file")
    size = section.bytes if section is not None else 0
    if not _matters(size, process.peak_bytes, 0.25):
        return None
    return Sentence(
        "page-cache",
        f"{mib(size)} ({share(size, process.peak_bytes)}) are pages of mapped files. They are page cache: everyone who "
        "maps them shares them, and the kernel can take them back and read them again. With less memory the program "
        "may run all the same, if more slowly.",
    )


def _shared_cow(process: ProcessLedger) -> Sentence | None:
    size = process.part("shared_cow")
    if not _matters(size, process.peak_bytes):
        return None
    return Sentence(
        "shared-cow",
        f"{mib(size)} of the anonymous memory were shared with a parent or child since a fork: they count in the RSS "
        "of each of them, and exist once until one of them writes.",
    )


def _swap(process: ProcessLedger) -> Sentence | None:
    size = process.part("swap")
    if not _matters(size, process.peak_bytes):
        return None
    return Sentence(
        "swap",
        f"Up to {mib(size)} were swapped out, which no RSS counts: it needed more than its peak RSS, up to "
        f"{mib(process.peak_bytes + size)}.",
    )


def _page_tables(process: ProcessLedger, page_size: int) -> Sentence | None:
    size = process.part("page_tables")
    if not _matters(size, process.peak_bytes, 0.02):
        return None
    return Sentence(
        "page-tables",
        f"Its page tables took {mib(size)}, which no RSS counts but a cgroup's limit does. That is "
        f"{share(size, process.peak_bytes)} of the peak; memory that is used densely takes {800 / page_size:.1g} %.",
    )


def _hugetlb(process: ProcessLedger) -> Sentence | None:
    size = process.part("hugetlb")
    if not size:
        return None
    return Sentence("hugetlb", f"{mib(size)} were pages of hugetlbfs, which the kernel counts apart: no RSS has them.")


def _unmapped(process: ProcessLedger) -> Sentence | None:
    size = process.part("unmapped_shmem")
    if not _matters(size, process.peak_bytes):
        return None
    return Sentence(
        "unmapped-shmem",
        f"{mib(size)} lie in files on tmpfs or in memfds that it had open and not mapped. They are memory, but in no "
        "RSS; they go when the file is deleted and nobody has it open.",
    )


def _tree(tree: TreeLedger) -> Sentence | None:
    twice = -tree.shared.bytes
    if tree.peak.bytes is None or not _matters(twice, tree.peak.bytes):
        return None
    return Sentence(
        "shared-pages",
        f"The RSS of the {len(tree.processes)} processes add up to {mib(tree.sum_bytes)}, {mib(twice)} too much: pages "
        "that several of them share are in the RSS of each, and exist once.",
    )
