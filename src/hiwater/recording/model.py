"""What was observed of one execution: plain values, as they were read, without any judgement.

Sizes are bytes, times are nanoseconds since just before the command was forked (CLOCK_MONOTONIC). ``None`` means "could
not be measured". Text is decoded as UTF-8 with surrogateescape, so every name the kernel gave survives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from hiwater.recording.figures import Figures
from hiwater.recording.wire import EndedByCode, ImageEndedBy, ImageFlags, ProcessEndFlags, Seen

if TYPE_CHECKING:
    from hiwater.recording.cgroup import Cgroup
    from hiwater.recording.faults import FaultRecords, PackedFaults
    from hiwater.recording.ledger import LedgerSnapshot, PackedLedger
    from hiwater.recording.timeline import Timeline, TreeTimeline


COMM_MAX = 15
"""TASK_COMM_LEN without its terminator: longer names are cut to this many bytes."""


@dataclass(frozen=True, slots=True)
class Rss:
    """The resident set of one memory map at one instant, split by what its pages are."""

    rss_bytes: int | None
    """All of it (VmRSS)."""
    anon_bytes: int | None
    """Anonymous memory: heap, stacks, private pages that were written (RssAnon, since Linux 4.5)."""
    file_bytes: int | None
    """Pages of mapped files, most of them shared with the page cache (RssFile, since Linux 4.5)."""
    shmem_bytes: int | None
    """Shared memory and tmpfs pages that are mapped (RssShmem, since Linux 4.5)."""


UNKNOWN_RSS = Rss(None, None, None, None)


@dataclass(frozen=True, slots=True)
class ExactMaximum:
    """The largest RSS of an image as the events of every change tell it (tracepoint kmem:rss_stat, since Linux 5.5)."""

    bytes: int
    """Exact since Linux 6.2 (percpu_counter_sum_positive() in the tracepoint); before, up to 64 pages a thread are
    missing (mm/memory.c, TASK_RSS_EVENTS_THRESH)."""
    least_bytes: int
    """What it was for certain: less where the order of the events of several threads is in doubt, or some were lost."""
    at_ns: int
    lost: int
    """Events of the whole tree that were lost while the image lived."""
    raced: bool
    """Events of several threads came at once: a maximum of microseconds between them may be missing."""


@dataclass(frozen=True, slots=True)
class ImageEnd:
    """The last that was known of an image, and its extremes."""

    t_ns: int
    how: ImageEndedBy
    samples: int
    """How often it was read."""
    last: Rss
    hwm_bytes: int | None
    """Largest VmHWM or RSS that was read. The kernel's stored mark is approximate."""
    max_rss_bytes: int | None
    """Largest RSS that was read from statm: exact where ``Facts.statm_exact`` says so."""
    vm_peak_bytes: int | None
    """Largest address space (VmPeak); the resident set cannot have been larger up to the last reading."""
    folded_maxrss_bytes: int | None
    """ru_maxrss just after the execve that replaced the image: the largest of it, the images before it and the
    children waited for. Known in trace mode only."""
    at_max: Rss
    """The split where the largest RSS was read."""
    at_max_ns: int | None
    max_swap_bytes: int | None
    """Largest VmSwap that was read; the kernel keeps no high-water mark of it."""
    last_read_ns: int | None
    """When ``hwm_bytes`` was last read; later growth is not in it."""
    max_threads: int | None
    """Most threads that were seen."""
    max_pte_bytes: int | None = None
    """Largest that its page tables were (VmPTE): memory that no RSS counts."""
    max_hugetlb_bytes: int | None = None
    """Largest that it had of hugetlb pages (HugetlbPages, since Linux 4.4), which no RSS counts either."""
    exact: ExactMaximum | None = None
    """``None`` without --exact, or if no event told of this image."""
    counted_bytes: int | None = None
    """Largest RSS that was counted page by page (smaps_rollup): exact. Tried only where statm is not."""
    threads_at_most: int | None = None
    """So many threads at most lived at once, seen or not; unknown in older recordings."""


@dataclass(frozen=True, slots=True)
class Image:
    """A program image: what runs in a process between one execve and the next."""

    number: int
    process: int
    """The number of its process."""
    flags: ImageFlags
    comm: str
    """The name the kernel shows, at most 15 bytes."""
    exe: str
    """Path of the executable; empty if it could not be read."""
    arguments: tuple[str, ...]
    start_ns: int
    start: Rss
    end: ImageEnd | None
    """``None`` in a recording that was cut before its end."""
    before_hwm_bytes: int | None = None
    """VmHWM when it was attached to, of an image that ran before the recording (``ImageFlags.ATTACHED``)."""

    @property
    def name(self) -> str:
        """What a person calls it: the kernel's name (of a script, the script's), whole where the kernel cut it."""
        program = self.exe.removesuffix(" (deleted)").rpartition("/")[2]
        if len(self.comm.encode("utf-8", "surrogateescape")) == COMM_MAX and program.startswith(self.comm):
            return program
        return self.comm or program or "?"


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of a process and, where the monitor was told them, its own status and resource usage."""

    t_ns: int
    flags: ProcessEndFlags
    status: int | None
    """As wait(2) gives it."""
    maxrss_bytes: int | None
    """ru_maxrss of wait4: this process, its earlier images, the children it waited for."""
    user_ns: int | None
    system_ns: int | None
    minor_faults: int | None
    major_faults: int | None


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the tree. Numbers are never used twice, whatever happens to pids."""

    number: int
    parent: int | None
    """The number of its parent; ``None`` for the command itself or if unknown."""
    pid: int
    ppid: int
    start_ns: int
    seen: Seen
    end: ProcessEnd | None
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of a process's smaps_rollup: here a shared page is divided by the number of its users (PSS)."""

    t_ns: int
    image: int
    cost_us: int
    """How long the kernel took to answer."""
    rss_bytes: int | None
    pss_bytes: int | None
    pss_anon_bytes: int | None
    pss_file_bytes: int | None
    pss_shmem_bytes: int | None
    private_bytes: int | None
    swap_bytes: int | None
    swap_pss_bytes: int | None
    lazyfree_bytes: int | None
    """Freed with MADV_FREE: still resident, but the kernel may take it at any time."""
    anon_huge_bytes: int | None


@dataclass(frozen=True, slots=True)
class TreePeak:
    """The largest memory of the whole tree that was seen at one instant."""

    t_ns: int
    snapshot: bool
    """Shared pages were counted by the kernel (smaps_rollup), not estimated."""
    estimate_bytes: int
    """Shared pages counted once, as well as is known."""
    sum_bytes: int | None
    """Sum of the RSS: shared pages counted in each process."""
    anon_bytes: int | None
    file_bytes: int | None
    shmem_bytes: int | None
    swap_bytes: int | None
    """Swapped out at that instant; not in the estimate."""
    lower_bytes: int | None
    """Largest so far that is certain."""
    processes: int


@dataclass(frozen=True, slots=True)
class TreeUpper:
    """One row of the upper bound of the tree: the largest sum of known marks with so many unknown images beside."""

    unknown: int
    images: int
    sum_bytes: int


@dataclass(frozen=True, slots=True)
class Warning_:  # the underscore: Warning is a builtin
    """Something a reader of the figures has to know."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Launcher:
    """The process that started the command, as far as it matters: what would have been inherited from it."""

    pid: int | None
    name: str | None
    hwm_bytes: int | None
    """Its own high-water mark when the command was started."""
    rss_bytes: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """The host and the options that were in force."""

    monitor_version: str | None
    kernel: str | None
    machine: str | None
    cpus: int | None
    mem_total_bytes: int | None
    swap_total_bytes: int | None
    thp: str | None
    """Transparent huge pages: always, madvise or never."""
    statm_exact: bool | None
    """Whether statm is an exact sum on this kernel (since Linux 6.16, and in some stable ones), as probed."""
    floor_exact: bool
    """Whether ``Stats.floor_bytes`` is exact: read from such a statm, or counted page by page."""
    mode: str | None
    """How it was really measured: quiet or trace."""
    mode_wanted: str | None
    exact: bool
    """Every change of a resident set was an event (--exact)."""
    exact_refused: str | None
    """Why it was not so although that was asked for."""
    period_ns: int | None
    linger_ns: int | None
    timeout_ns: int | None
    launcher: Launcher
    cgroup: str | None
    container: str | None
    monitor_pid: int | None
    cwd: str | None
    ledger_refused: str | None
    """The first process whose mappings could not be read, and the system's reason."""
    ledger_too_costly: str | None
    """The first process that was too large to read its mappings."""
    attached_pid: int | None
    """The process that was attached to; ``None`` where a command was executed."""
    duration_ns: int | None
    """How long an attached process was to be followed at most; 0: no limit."""
    monotonic_start_ns: int | None
    """CLOCK_MONOTONIC at t = 0, in the boot of the machine that measured; ``None`` in older recordings."""
    raw: dict[str, str] = field(repr=False, compare=False)
    """Every key as it stands in the recording, those of newer writers too."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What the monitor did, and what it could not do."""

    t_ns: int
    period_ns: int | None
    ticks: int | None
    reads: int | None
    snapshots: int | None
    cpu_ns: int | None
    unseen: int | None
    """Process numbers that were handed out on the machine and that it could never look at."""
    longest_gap_ns: int | None
    max_alive: int | None
    processes: int | None
    floor_bytes: int | None
    """RSS of the monitor when it forked: what ru_maxrss of the command starts from."""
    uncounted: int | None
    """1 if some process of the tree ignored SIGCHLD: children that it never saw may be in no rusage."""
    swap_peak_bytes: int | None
    """Largest sum of VmSwap over the tree."""
    pte_peak_bytes: int | None = None
    """Largest sum of the page tables (VmPTE)."""
    hugetlb_peak_bytes: int | None = None
    """Largest sum of hugetlb pages; shared ones count in each process."""
    demand_peak_bytes: int | None = None
    """Largest sum at one look of the tree's memory (shared pages counted once), swap, page tables and hugetlb pages."""
    coarse_bytes: int | None = None
    """Largest change that was left out of the timeline for want of room; 0: every one that was seen is there."""
    events: int | None = None
    """How many events were read (--exact)."""
    lost_events: int | None = None
    """How many were lost for want of room in the rings."""
    sum_peak_bytes: int | None = None
    """Largest sum of RSS over the tree at any instant, by the events: shared pages counted in each process. No less
    than the truth as long as no event was lost: changes of different CPUs within 50 us count as simultaneous."""
    sum_peak_ns: int | None = None
    strangers_took_bytes: int | None = None
    """The most that processes outside of the tree can have taken from it unseen by events: what the machine reclaimed
    (pgsteal_anon and pgsteal_file of /proc/vmstat, since Linux 5.8) and made into huge pages meanwhile."""
    strangers_gave_bytes: int | None = None
    """The most that they can have added: huge pages that khugepaged made (thp_collapse_alloc)."""
    events_cpu_ns: int | None = None
    """CPU time of the monitor for the events; part of ``cpu_ns``."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Why the rest of a recording is missing."""

    reason: str
    t_ns: int | None = None
    errno: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How it ended."""

    t_ns: int
    command_ns: int
    status: int | None
    ended_by: EndedByCode | None
    """``None``: an ending that this version does not know."""
    exec_errno: int
    left_alive: int
    user_ns: int | None
    system_ns: int | None
    tree_maxrss_bytes: int | None
    """Largest ru_maxrss of all that the monitor waited for."""


@dataclass(frozen=True)
class Recording(Figures):
    """Everything observed of one execution. The figures (``peak_rss``, ``tree_peak`` ...) are worked out when asked
    for; the fields are what was observed."""

    version: int
    page_size: int
    started_realtime_ns: int
    facts: Facts
    arguments: tuple[str, ...]
    """The command and its arguments, or those of the process that was attached to; empty if the recording was cut
    before them."""
    observed_processes: tuple[Process, ...]
    """In the order in which they were found; the first is the command itself, or the process that was attached to."""
    snapshots: tuple[Snapshot, ...] = field(repr=False)
    packed_ledgers: tuple[PackedLedger, ...] = field(repr=False, compare=False)
    """As they stand in the stream; see ``ledgers``."""
    last_tree_peak: TreePeak | None
    tree_upper: tuple[TreeUpper, ...] = field(repr=False)
    told_warnings: tuple[Warning_, ...]
    """Those of the monitor; the analysis may add its own (``warnings``)."""
    stats: Stats | None
    end: End | None
    cut: Cut | None
    """Set if records are missing."""
    timeline: Timeline = field(repr=False, compare=False)
    tree_timeline: TreeTimeline = field(repr=False, compare=False)
    data: bytes = field(repr=False, compare=False)
    """The stream itself."""
    cgroup: Cgroup | None = None
    """The cgroup that was made for the command, if one was."""
    packed_faults: PackedFaults | None = field(default=None, repr=False, compare=False)
    """As they stand in the stream; see ``faults``."""
    stdout: bytes | str | None = field(default=None, repr=False, compare=False)
    """What the command wrote, if that was captured; not part of the file."""
    stderr: bytes | str | None = field(default=None, repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """Whether the recording reaches from the start to the end of the execution."""
        return self.end is not None and self.cut is None

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """All program images of all processes."""
        return tuple(image for process in self.observed_processes for image in process.images)

    @cached_property
    def faults(self) -> FaultRecords | None:
        """Sampled page faults, by who made them; ``None`` where they were not recorded (``hiwater faults`` does)."""
        if self.packed_faults is None or not self.packed_faults.spans:
            return None
        return self.packed_faults.unpack()

    @cached_property
    def ledgers(self) -> tuple[LedgerSnapshot, ...]:
        """What the memory of the larger images consisted of at (nearly) their maxima: one an image, by its number.
        Why one is missing, ``facts.ledger_refused`` and ``facts.ledger_too_costly`` say."""
        found = (packed.unpack() for packed in self.packed_ledgers)
        return tuple(ledger for ledger in found if ledger is not None)
