"""What bounds the peak of a process that was attached to: there is no rusage of it, and nothing of what had ended.

The peak RSS is that of the program images that ran when it was attached to, or later: the kernel kept the mark of each
from its first page on.
"""

from __future__ import annotations

from hiwater.analysis.peak import Evidence, growth, mark
from hiwater.analysis.precision import kernel_version
from hiwater.recording.model import Image
from hiwater.recording.wire import ImageFlags

LOST_ORPHAN = "attached-orphan"
"""The warning of the monitor that a process may be missing: then nothing is an upper bound."""


def upper_by_looking(evidence: Evidence) -> int | None:
    """Each image by its mark when it was read last, and by how much it can have grown since."""
    recording, stats = evidence.recording, evidence.recording.stats
    if not recording.complete or stats is None or evidence.error is None:
        return None
    if any(warning.code == LOST_ORPHAN for warning in recording.told_warnings):
        return None
    gap_ns = stats.longest_gap_ns or 0
    bounds, never_read_ns = [], []
    for image in recording.images:
        end = evidence.ends[image.number]
        if mark(end) is not None:
            known = _when_read(evidence, image)
            if known is None:
                return None
            last_ns = image.start_ns if end.last_read_ns is None else end.last_read_ns
            bounds.append(growth(known, end.t_ns - last_ns, recording))
        elif image.flags & ImageFlags.ATTACHED:
            return None
        else:  # it had come since the look before
            never_read_ns.append(end.t_ns - image.start_ns + gap_ns)
    if not bounds:
        return None
    if stats.unseen != 0:  # none of them was looked at, so none lived longer than the longest time between two looks
        never_read_ns.append(gap_ns)
    # A copy that fork made begins with what its parent had.
    return growth(max(bounds), max(never_read_ns, default=0), recording)


def _when_read(evidence: Evidence, image: Image) -> int | None:
    """The most that it can have had until its mark was read last."""
    end = evidence.ends[image.number]
    error = evidence.error_of(end)
    if error is None:
        return None
    # A page that is resident lies in the address space, whose high-water mark is exact.
    most = end.vm_peak_bytes
    version = kernel_version(evidence.recording.facts.kernel)
    if image.flags & ImageFlags.ATTACHED and (version is None or version < (6, 2)):
        return most  # each thread could hide pages from the mark, and how many there were before is not known
    size = (mark(end) or 0) + error.below
    return size if most is None else min(size, most)
