"""What is known of a process that was attached to, and what is not."""

from __future__ import annotations

import pytest
from tests.streams import ERROR, MIB, MS, Stream, split

from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import EndedByCode, ImageEndedBy, ImageFlags
from hiwater.views import terminal
from hiwater.views.json_view import document

PER_MS = 32 * MIB


def attached(
    *,
    how: ImageEndedBy = ImageEndedBy.ALIVE,
    hwm: int = 20 * MIB,
    before: int = 20 * MIB,
    seen: int = 8 * MIB,
    vm_peak: int = -1,
    last_read_ns: int = 100 * MS,
    kernel: str = "6.18.44",
) -> Stream:
    """A process that had 20 MiB at most before, and has 8 since; without its last two records."""
    return (
        Stream()
        .facts(attached_pid="4242", kernel=kernel, **{key: "" for key in ("launcher_pid", "launcher_hwm_bytes")})
        .command(b"prog")
        .process()
        .image(flags=ImageFlags.ATTACHED, before=before)
        .warning("attached", "it ran before")
        .image_end(
            how=how, hwm=hwm, max_rss=seen, vm_peak=vm_peak, last_read_ns=last_read_ns, at_max=split(seen, seen, 0, 0)
        )
    )


def ended(stream: Stream, by: EndedByCode = EndedByCode.DETACHED, unseen: int = 0) -> Recording:
    return parse(stream.stats(unseen=unseen, floor=-1).end(maxrss=-1, status=-1, by=by).data)


def test_alive_at_the_end() -> None:
    """Who goes on was read at the end: its peak is its mark, the counters' error in either direction."""
    recording = ended(attached())
    peak = recording.peak_rss
    assert (peak.bytes, peak.low, peak.high) == (20 * MIB, 20 * MIB - ERROR, 20 * MIB + ERROR)
    assert (recording.ended_by, recording.exit_code, recording.term_signal) == ("detached", None, None)


def test_no_larger_than_the_address_space() -> None:
    """What is resident lies in the address space, whose high-water mark is exact."""
    assert ended(attached(vm_peak=20 * MIB + 4096)).peak_rss.high == 20 * MIB + 4096


@pytest.mark.parametrize("how", [ImageEndedBy.VANISHED, ImageEndedBy.EXEC])
def test_vanished(how: ImageEndedBy) -> None:
    """Who vanished can have grown since its mark was read: no rusage tells."""
    recording = ended(attached(how=how, last_read_ns=97 * MS), by=EndedByCode.GONE)
    assert recording.peak_rss.high == 20 * MIB + ERROR + 3 * PER_MS
    assert recording.ended_by == "gone"


def test_unseen_processes() -> None:
    """Processes that came and went unseen can have grown for as long as nobody looked, from what their parents had."""
    assert ended(attached(), unseen=3).peak_rss.high == 20 * MIB + ERROR + 2 * PER_MS


def test_lost_orphan() -> None:
    """Where a process may be missing nothing is an upper bound, and the lower one holds."""
    peak = ended(attached().warning("attached-orphan", "one may be missing")).peak_rss
    assert (peak.low, peak.high) == (20 * MIB - ERROR, None)


def test_never_read() -> None:
    """Who ran before and could not be read before it ended is bounded by nothing."""
    stream = attached().process(1, parent=0, pid=4243).image(1, process=1, flags=ImageFlags.ATTACHED)
    recording = ended(stream.image_end(1, hwm=-1, last_read_ns=-1, samples=0))
    assert (recording.peak_rss.bytes, recording.peak_rss.high) == (20 * MIB, None)


def test_born_and_gone_without_being_read() -> None:
    """Who came since can be as large as its parent, and have grown for as long as it can have lived."""
    stream = attached().process(1, parent=0, pid=4243).image(1, process=1, t_ns=50 * MS)
    recording = ended(stream.image_end(1, hwm=-1, last_read_ns=-1, samples=0, t_ns=51 * MS))
    assert recording.peak_rss.high == 20 * MIB + ERROR + (1 + 2) * PER_MS


def test_before_linux_6_2() -> None:
    """How many threads there were before, each of which could hide pages from the mark, is not known: only the address
    space bounds that time."""
    assert ended(attached(kernel="6.1.0")).peak_rss.high is None
    assert ended(attached(kernel="6.1.0", vm_peak=70 * MIB)).peak_rss.high == 70 * MIB


def test_cut() -> None:
    """A recording that was cut has its figures up to there, and no upper bound."""
    recording = parse(attached().stats().data)
    assert (recording.peak_rss.bytes, recording.peak_rss.high, recording.ended_by) == (20 * MIB, None, None)


def test_tree() -> None:
    """What the tree held before is unknown: it has no upper bound, and no process in it is larger than it."""
    tree = ended(attached().tree_peak(9 * MIB, 8 * MIB, 1).tree_upper((0, 1, 9 * MIB))).tree_peak
    assert (tree.bytes, tree.low, tree.high) == (20 * MIB, 20 * MIB - ERROR, None)


def test_nothing_is_inherited() -> None:
    """There was no launcher whose size could have been counted."""
    inherited = ended(attached()).inherited
    assert (inherited.launcher_pid, inherited.wait4_would_say_bytes, inherited.misleads) == (None, None, False)


def test_summary() -> None:
    """The headline tells whom it followed and for how long; a peak from before is told from what was seen since."""
    lines = terminal.render(ended(attached())).splitlines()
    assert lines[0] == "hiwater: attached to prog, pid 4242, for 0.100 s · it goes on"
    assert lines[2].strip() == "reached before attaching; the most seen since is 8.0 MiB"
    assert terminal.render(ended(attached(), by=EndedByCode.GONE)).splitlines()[0].endswith("· it ended")


@pytest.mark.parametrize(("before", "seen"), [(10 * MIB, 8 * MIB), (20 * MIB, 20 * MIB)])
def test_summary_of_a_peak_that_was_seen(before: int, seen: int) -> None:
    """Where the mark has risen since, or as much was seen, nothing is said of the time before."""
    assert "before attaching" not in terminal.render(ended(attached(before=before, seen=seen)))


def test_json() -> None:
    """The document names the process, and says what each image's mark was when it was attached to."""
    told = document(ended(attached()))
    assert told["attached"] == {"pid": 4242, "name": "prog"}
    assert told["ended_by"] == "detached"
    assert told["processes"][0]["images"][0]["peak_before_bytes"] == 20 * MIB  # type: ignore[index]
