"""The figures of a recording as attributes, under the names that the JSON has."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from hiwater.analysis.inherited import Inherited
    from hiwater.analysis.ledger_model import Ledger
    from hiwater.analysis.limit import Limit, LimitVerdict
    from hiwater.analysis.reading import Reading
    from hiwater.analysis.summary import PeakProcess, ProcessSummary, Sampling, Summary
    from hiwater.heap.log import HeapLog
    from hiwater.heap.model import HeapProfile
    from hiwater.heap.moments import GrowthOf
    from hiwater.heap.tried import Trials
    from hiwater.recording.heap import Stored, StoredSymbols
    from hiwater.recording.model import Recording, Warning_


_END_SIZE = 64
_END_HEADS = (b"\x40\0\0\0\x0e\0", b"\0\0\0\x40\0\x0e")
"""HW_END, size and type, in either byte order."""


class Figures:
    """Worked out on first use, so that loading many recordings costs no more than reading them."""

    @cached_property
    def summary(self) -> Summary:
        """All figures at once."""
        from hiwater.analysis.summary import summarize

        return summarize(cast("Recording", self))

    @property
    def command(self) -> tuple[str, ...]:
        """The command and its arguments."""
        return self.summary.command

    @property
    def started_at(self) -> float:
        """When it was started, in seconds since 1970."""
        return self.summary.started_at

    @property
    def wall_seconds(self) -> float | None:
        """From just before the fork, or from attaching, to the end of the command, or to letting it go."""
        return self.summary.wall_seconds

    @property
    def user_seconds(self) -> float | None:
        """CPU time in user mode of the command and all descendants that were waited for."""
        return self.summary.user_seconds

    @property
    def system_seconds(self) -> float | None:
        """CPU time in the kernel, likewise."""
        return self.summary.system_seconds

    @property
    def exit_code(self) -> int | None:
        """``None`` if a signal ended the command, or if it was attached to."""
        return self.summary.exit_code

    @property
    def term_signal(self) -> int | None:
        """The signal that ended the command, if one did."""
        return self.summary.term_signal

    @property
    def ended_by(self) -> str | None:
        """exit, signal, oom, timeout or not_started; of a process that was attached to, detached or gone; ``None`` if
        the recording was cut."""
        return self.summary.ended_by

    @property
    def peak_rss(self) -> Reading:
        """The largest high-water mark among the program images of the command."""
        return self.summary.peak_rss

    @property
    def peak_process(self) -> PeakProcess | None:
        """The process that peaked, if it can be told."""
        return self.summary.peak_process

    @property
    def peak_anon_bytes(self) -> int | None:
        """Anonymous part of the process that peaked, where its largest RSS was read."""
        return self.summary.peak_split.anon_bytes

    @property
    def peak_file_bytes(self) -> int | None:
        """File-backed part, likewise."""
        return self.summary.peak_split.file_bytes

    @property
    def peak_shmem_bytes(self) -> int | None:
        """Shared-memory part, likewise."""
        return self.summary.peak_split.shmem_bytes

    @property
    def peak_swap_bytes(self) -> int | None:
        """Largest VmSwap of the process that peaked."""
        return self.summary.peak_swap_bytes

    @property
    def tree_peak(self) -> Reading:
        """The largest memory of the whole process tree at one instant, shared pages counted once."""
        return self.summary.tree.reading

    @property
    def tree_peak_processes(self) -> int | None:
        """How many processes lived at that instant."""
        return self.summary.tree.processes

    @property
    def cgroup_peak_bytes(self) -> int | None:
        """The largest memory of the cgroup that was made for the command; ``None`` without one, and where a limit was
        met: the peak is then the limit, not the need (``cgroup`` has it all the same)."""
        group = cast("Recording", self).cgroup
        return None if group is None or group.is_at_limit else group.peak_bytes

    @property
    def limit(self) -> Limit | None:
        """The limit that the command ran under."""
        return self.summary.limit

    @property
    def limit_verdict(self) -> LimitVerdict | None:
        """What became of it under that limit."""
        return self.summary.limit_verdict

    @property
    def inherited(self) -> Inherited:
        """What the launcher's own wait4 would have said."""
        return self.summary.inherited

    @property
    def processes(self) -> tuple[ProcessSummary, ...]:
        """Every process that was found, with its program images."""
        return self.summary.processes

    @property
    def sampling(self) -> Sampling:
        """What watching took."""
        return self.summary.sampling

    @property
    def warnings(self) -> tuple[Warning_, ...]:
        """What a reader of the figures has to know."""
        return self.summary.warnings

    @cached_property
    def ledger(self) -> Ledger:
        """The peak broken down until every byte has an owner."""
        from hiwater.analysis.ledger import explain

        return explain(cast("Recording", self))

    @cached_property
    def heap_profiles(self) -> tuple[HeapProfile, ...]:
        """The heap of each program image that was followed (``hiwater heap``), as they began; empty without any."""
        found = self.heap_logs
        if found is None:
            return () if self._foreign_heap is None else (self._foreign_heap,)
        from hiwater.heap.profile import profiles

        return profiles(self.heap_execution, found[0], found[1])

    @cached_property
    def heap(self) -> HeapProfile | None:
        """The heap of the image that peaked, or of the largest that was followed; ``None`` without ``hiwater heap``."""
        return self.heap_profile()

    def heap_profile(
        self,
        *,
        every_bytes: int | None = None,
        growth_of: GrowthOf | None = None,
        at_seconds: float | None = None,
    ) -> HeapProfile | None:
        """The same with other snapshots of growth: each time that so much was added, to what is in use or to all that
        was ever allocated; and with one of any moment (``at_seconds``, of the execution in which the heap was
        followed), labelled "asked". A profile of another tool has the snapshots that it has."""
        found = self.heap_logs
        if found is None:
            return self._foreign_heap
        from hiwater.heap.moments import GrowthOf
        from hiwater.heap.profile import EVERY_BYTES, profile

        return profile(
            self.heap_execution,
            found[0],
            found[1],
            every_bytes=every_bytes or EVERY_BYTES,
            growth_of=growth_of or GrowthOf.IN_USE,
            at_seconds=at_seconds,
        )

    @cached_property
    def heap_execution(self) -> Recording:
        """The execution that the heap was followed in, if it was another than this one; else this one."""
        own, found = cast("Recording", self), self._stored
        if found is None or found.execution is None:
            return own
        from hiwater.errors import RecordingError
        from hiwater.recording.reader import parse

        try:
            return parse(found.execution)
        except RecordingError:
            return own

    @cached_property
    def _stored(self) -> Stored | None:
        data = cast("Recording", self).data
        if data[-_END_SIZE : 6 - _END_SIZE] in _END_HEADS:  # nothing follows: the reader of it need not be loaded
            return None
        from hiwater.recording.heap import stored

        return stored(data)

    @cached_property
    def heap_logs(self) -> tuple[list[HeapLog], StoredSymbols] | None:
        """What the sampler wrote, and the names of its addresses; ``None`` without."""
        found = self._stored
        if found is None or not found.files:
            return None
        from hiwater.recording.heap import StoredSymbols, unpack_symbols

        return found.logs(), StoredSymbols(unpack_symbols(found.symbols))

    @cached_property
    def _foreign_heap(self) -> HeapProfile | None:
        found = self._stored
        if found is None or found.profile is None:
            return None
        from hiwater.heap.plain import loads

        return loads(found.profile)

    @cached_property
    def heap_tried(self) -> Trials | None:
        """What other settings of malloc gave (``hiwater heap --try-malloc``); ``None`` where none was tried."""
        found = self._stored
        if found is None or found.tried is None:
            return None
        from hiwater.heap.tried import loads

        return loads(found.tried)

    def to_json(self) -> dict[str, object]:
        """The JSON of one execution (``hiwater.run/1``) as a dictionary."""
        from hiwater.views.json_view import document

        return document(cast("Recording", self))

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes the recording to a file, whole or not at all; refuses to overwrite one unless ``force``."""
        from hiwater.output import write_whole

        write_whole(path, cast("Recording", self).data, force=force)
