"""From observations to figures with bounds."""

from __future__ import annotations

import pytest
from tests.streams import ERROR, MIB, MS, Stream, simple, split

from hiwater.analysis.precision import counter_error_bytes, kernel_version
from hiwater.analysis.reading import Method, Reading
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import EndedByCode, ImageEndedBy, ImageFlags, ProcessEndFlags


def figures(recording: Recording) -> tuple[int | None, int | None, int | None, str | None]:
    """The peak as a plain tuple."""
    peak = recording.peak_rss
    return peak.bytes, peak.low, peak.high, peak.method


@pytest.mark.parametrize(
    ("release", "cpus", "page", "threads", "expected_kib"),
    [
        ("6.18.44-amd64", 2, 4096, 1, 744),
        ("6.2.0", 8, 4096, 9, 2976),
        ("6.12.1", 16, 4096, None, 5952),
        ("7.3", 64, 4096, 1, 97536),
        ("6.6.1", 128, 4096, 1, 391680),
        ("6.6.1", 2, 65536, 1, 744 * 16),
        ("6.1.0", 64, 4096, 1, 66 * 64),
        ("5.10.0", None, 4096, 3, 3 * 66 * 64),
    ],
)
def test_counter_error(release: str, cpus: int | None, page: int, threads: int | None, expected_kib: int) -> None:
    """The bound is what the kernel's batches can hide: per CPU since 6.2, per thread before."""
    assert counter_error_bytes(release, cpus, page, threads) == expected_kib * 1024


@pytest.mark.parametrize(("release", "cpus"), [(None, 2), ("", 2), ("linux", 2), ("6.18", None)])
def test_counter_error_unknown(release: str | None, cpus: int | None) -> None:
    """Without the kernel's version or the number of CPUs there is no bound, rather than a wrong one."""
    assert counter_error_bytes(release, cpus, 4096, 1) is None


def test_kernel_version() -> None:
    """Versions compare as numbers."""
    assert kernel_version("6.12.1") == (6, 12)
    assert (6, 12) >= (6, 2)


def test_sampled_peak() -> None:
    """What was read exactly is certain; what wait4 said bounds it from above."""
    recording = parse(simple().data)
    assert figures(recording) == (20 * MIB, 20 * MIB, 20 * MIB - 200 * 1024 + ERROR, Method.RSS_SAMPLED)
    assert (recording.peak_anon_bytes, recording.peak_file_bytes, recording.peak_shmem_bytes) == (18 * MIB, 2 * MIB, 0)
    assert recording.peak_process is not None
    assert (recording.peak_process.pid, recording.peak_process.name) == (4242, "prog")


def test_spike_between_two_looks() -> None:
    """What no look saw, ru_maxrss did."""
    stream = Stream().facts().command(b"prog").process().image().image_end(hwm=5 * MIB, max_rss=5 * MIB)
    recording = parse(stream.process_end(maxrss=90 * MIB).stats().end(90 * MIB).data)
    assert figures(recording) == (90 * MIB, 90 * MIB - ERROR, 90 * MIB + ERROR, Method.WAIT4)
    assert recording.peak_process is not None, "one process and no unseen one: it can be no other"


def test_never_sampled() -> None:
    """A command too short to be seen is measured by ru_maxrss, and its name is that of the command."""
    stream = Stream().facts().command(b"true").process().image(comm=b"true", flags=ImageFlags.GUESSED)
    recording = parse(stream.image_end().process_end(maxrss=2 * MIB).stats().end(2 * MIB).data)
    assert figures(recording) == (2 * MIB, 2 * MIB - ERROR, 2 * MIB + ERROR, Method.WAIT4)
    assert recording.peak_process is not None
    assert recording.peak_process.name == "true"
    assert recording.peak_anon_bytes is None


def test_never_looked_at() -> None:
    """An image without a name, in a process that is the command, has the command's."""
    stream = Stream().facts().command(b"/bin/true", b"-x").process().image(comm=b"", exe=b"", arguments=())
    recording = parse(stream.image_end().process_end(maxrss=2 * MIB).stats().end(2 * MIB).data)
    assert recording.peak_process is not None
    assert (recording.peak_process.name, recording.peak_process.command) == ("true", ("/bin/true", "-x"))


@pytest.mark.parametrize(
    ("above_kib", "exact", "expected"), [(743, "1", 0), (745, "1", 1), (1487, "0", 0), (1489, "0", 1)]
)
def test_beyond_the_floor(above_kib: int, exact: str, expected: int) -> None:
    """A ru_maxrss proves something as soon as it cannot be the monitor's own."""
    stream = Stream().facts(statm_exact=exact).command(b"tiny").process().image().image_end()
    maxrss = MIB // 4 + above_kib * 1024
    recording = parse(stream.process_end(maxrss=maxrss).stats(floor=MIB // 4).end(maxrss).data)
    assert recording.peak_rss.low == expected * (maxrss - ERROR)


def test_floor_proves_nothing() -> None:
    """A ru_maxrss within the monitor's own size proves nothing about the command."""
    stream = Stream().facts().command(b"tiny").process().image().image_end().process_end(maxrss=MIB // 4)
    recording = parse(stream.stats(floor=MIB // 4).end(MIB // 4).data)
    assert figures(recording) == (MIB // 4, 0, MIB // 4 + ERROR, Method.WAIT4)


def trace(*, kernel: str = "6.18.44") -> Stream:
    """A traced recording of one process, up to its image."""
    return Stream().facts(mode="trace", mode_wanted="trace", kernel=kernel).command(b"prog").process()


def test_exit_stop() -> None:
    """A mark read at the exit stop bounds the peak from both sides; the address space may bound it closer."""
    stream = trace().image().image_end(how=ImageEndedBy.EXIT_STOP, hwm=MIB // 8, vm_peak=MIB // 4, max_rss=MIB // 8)
    recording = parse(stream.process_end(maxrss=MIB // 2).stats(floor=MIB // 2).end(MIB // 2).data)
    assert figures(recording) == (MIB // 8, MIB // 8, MIB // 4, Method.RSS_SAMPLED)


def test_exit_stop_before_6_2() -> None:
    """Before 6.2 the mark at the exit stop misses what threads keep to themselves; ru_maxrss is the better figure."""
    stream = trace(kernel="6.1.0").image().image_end(how=ImageEndedBy.EXIT_STOP, hwm=49 * MIB, threads=2)
    recording = parse(stream.process_end(maxrss=50 * MIB, minor_faults=12800).stats().end(50 * MIB).data)
    faults = 2 * 66
    assert figures(recording) == (50 * MIB, 50 * MIB - faults * 4096, 49 * MIB + faults * 65536, Method.WAIT4)


def before_6_2() -> Stream:
    """A recording in quiet mode of one process on Linux 6.1, up to its image."""
    return Stream().facts(kernel="6.1.0", statm_exact="0").command(b"prog").process().image()


def test_few_faults_hide_little() -> None:
    """Before 6.2 a process that had few page faults can not have hidden more than they brought."""
    stream = before_6_2().image_end(hwm=2 * MIB, max_rss=2 * MIB).process_end(maxrss=2 * MIB, minor_faults=10)
    recording = parse(stream.stats().end(2 * MIB).data)
    assert figures(recording)[1:3] == (2 * MIB - 66 * 4096, 2 * MIB + 10 * 65536)


def test_threads_that_were_not_seen() -> None:
    """Before 6.2 threads that came and went between two looks can have hidden as much as those that were seen."""
    stream = before_6_2().image_end(hwm=50 * MIB, threads=1, threads_at_most=17)
    recording = parse(stream.process_end(maxrss=50 * MIB, minor_faults=12800).stats().end(50 * MIB).data)
    assert recording.peak_rss.high == 50 * MIB + 17 * 66 * 65536


def test_counted_pages() -> None:
    """Pages that were counted one by one are certain, whatever the counters say."""
    stream = before_6_2().image_end(hwm=20 * MIB, max_rss=20 * MIB, counted=23 * MIB, threads_at_most=1)
    recording = parse(stream.process_end(maxrss=20 * MIB, minor_faults=12800).stats().end(20 * MIB).data)
    assert figures(recording) == (23 * MIB, 23 * MIB, 20 * MIB + 66 * 65536, Method.RSS_COUNTED)
    assert recording.processes[0].images[0].peak_rss_bytes == 23 * MIB
    assert recording.processes[0].images[0].peak_rss_method is Method.RSS_COUNTED


def test_contradiction() -> None:
    """A bound that contradicts what is certain is no bound."""
    stream = trace().image().image_end(how=ImageEndedBy.EXIT_STOP, hwm=4096, vm_peak=8192)
    recording = parse(stream.process_end(maxrss=50 * MIB).stats().end(50 * MIB).data)
    assert figures(recording) == (50 * MIB, 50 * MIB - ERROR, 50 * MIB + ERROR, Method.WAIT4)


def test_replaced_image() -> None:
    """The image that an execve replaced is known by what the kernel folded into ru_maxrss at that moment."""
    stream = trace().image(0).image_end(0, ImageEndedBy.EXEC, hwm=3 * MIB, folded=100 * MIB)
    stream.image(1, comm=b"small").image_end(1, ImageEndedBy.EXIT_STOP, hwm=MIB)
    recording = parse(stream.process_end(maxrss=100 * MIB).stats().end(100 * MIB).data)
    assert figures(recording) == (100 * MIB, 100 * MIB - ERROR, 100 * MIB + ERROR, Method.WAIT4)


def test_alive_at_the_end() -> None:
    """A descendant that still runs is in no rusage: its own mark counts."""
    stream = Stream().facts().command(b"sh").process(0).image(0).image_end(0, hwm=MIB)
    stream.process(1, 0, 4300).image(1, 1, comm=b"daemon").image_end(1, ImageEndedBy.ALIVE, hwm=70 * MIB)
    recording = parse(stream.process_end(0, maxrss=MIB).stats(max_alive=2, processes=2).end(MIB, left=1).data)
    assert figures(recording) == (70 * MIB, 70 * MIB - ERROR, 70 * MIB + ERROR, Method.VMHWM_SAMPLED)
    assert recording.peak_process is not None
    assert recording.peak_process.name == "daemon"


def test_child_of_one_that_is_alive() -> None:
    """Whoever was waited for by a process that still runs is in no rusage either: growth since the last look counts."""
    stream = Stream().facts().command(b"sh").process(0).image(0).image_end(0, hwm=MIB)
    stream.process(1, 0, 4300).image(1, 1).image_end(1, ImageEndedBy.ALIVE, hwm=MIB)
    stream.process(2, 1, 4301).image(2, 2).image_end(2, hwm=MIB, last_read_ns=90 * MS, t_ns=92 * MS)
    stream.process_end(2, flags=ProcessEndFlags(0), t_ns=92 * MS).process_end(0, maxrss=MIB)
    recording = parse(stream.stats(max_alive=3, processes=3).end(MIB, left=1).data)
    assert recording.peak_rss.high == MIB + ERROR + 64 * MIB


def test_nobody_waits() -> None:
    """Where SIGCHLD is ignored an unseen child is in no rusage: it is bounded by the time it can have lived."""
    stream = Stream().facts().command(b"sh").process(0).image(0).image_end(0, hwm=MIB)
    recording = parse(stream.process_end(0, maxrss=MIB).stats(unseen=1, uncounted=1).end(MIB).data)
    assert recording.peak_rss.high == ERROR + 64 * MIB


def test_two_candidates_unseen() -> None:
    """If the process that peaked was not seen, none is named, and it says what would see it."""
    stream = Stream().facts().command(b"sh").process(0).image(0).image_end(0, hwm=MIB)
    recording = parse(stream.process_end(0, maxrss=90 * MIB).stats(unseen=1).end(90 * MIB).data)
    assert recording.peak_process is None
    assert [w.code for w in recording.warnings] == ["peak-unattributed"]
    assert "the largest that was seen: prog, pid 4242, 1.0 MiB" in recording.warnings[0].message
    assert "--trace" in recording.warnings[0].message


def test_told_by_its_own_rusage() -> None:
    """A process that nobody looked at in time is still found by its own ru_maxrss."""
    stream = Stream().facts(mode="trace").command(b"sh").process(0).image(0).image_end(0, hwm=MIB)
    stream.process(1, 0, 4300).image(1, 1, comm=b"spike").image_end(1)
    stream.process_end(1, maxrss=90 * MIB, flags=ProcessEndFlags.TRACED_WAIT).process_end(0, maxrss=90 * MIB)
    recording = parse(stream.stats(max_alive=2, processes=2).end(90 * MIB).data)
    assert recording.peak_process is not None
    assert recording.peak_process.name == "spike"


def test_inexact_statm() -> None:
    """Where the current RSS is approximate too, it is not certain either."""
    stream = Stream().facts(statm_exact="0", kernel="6.8.0").command(b"prog").process().image()
    stream.image_end(hwm=20 * MIB, max_rss=20 * MIB).process_end(maxrss=20 * MIB)
    recording = parse(stream.stats().end(20 * MIB).data)
    assert figures(recording)[:3] == (20 * MIB, 20 * MIB - ERROR, 20 * MIB + ERROR)


def test_not_started() -> None:
    """A command that did not start has no peak, which is not 0."""
    stream = Stream().facts().command(b"nosuch").process().image().image_end().process_end(maxrss=MIB, status=127 << 8)
    recording = parse(stream.stats().end(MIB, 127 << 8, EndedByCode.NOT_STARTED, errno=2).data)
    assert recording.peak_rss == Reading(None, None, None, None)
    assert recording.tree_peak.bytes is None
    assert (recording.ended_by, recording.exit_code) == ("not_started", None)


@pytest.mark.parametrize(
    ("status", "by", "expected"),
    [
        (0, EndedByCode.EXIT, ("exit", 0, None)),
        (3 << 8, EndedByCode.EXIT, ("exit", 3, None)),
        (9, EndedByCode.SIGNAL, ("signal", None, 9)),
        (11 | 0x80, EndedByCode.SIGNAL, ("signal", None, 11)),
        (9, EndedByCode.OOM, ("oom", None, 9)),
        (15, EndedByCode.TIMEOUT, ("timeout", None, 15)),
    ],
)
def test_endings(status: int, by: EndedByCode, expected: tuple[str, int | None, int | None]) -> None:
    """Exit codes and signals are told apart; a core dump's flag is no part of the signal."""
    recording = parse(Stream().facts().command(b"x").process().end(MIB, status, by).data)
    assert (recording.ended_by, recording.exit_code, recording.term_signal) == expected


def test_killed_monitor() -> None:
    """What was sampled before the monitor died is a lower bound; nothing is an upper one."""
    stream = Stream().facts().command(b"prog").process().image()
    stream.samples([(0, 0, 256, 200, 0, 0, 256), (9, 0, 512, 400, 0, 0, 600), (20, 0, 128, 1, 0, 0, 600)])
    recording = parse(stream.data)
    assert figures(recording) == (600 * 4096, 512 * 4096, None, Method.VMHWM_SAMPLED)
    assert recording.tree_peak.high is None
    assert [w.code for w in recording.warnings] == ["recording-cut"]


def tree() -> Stream:
    """Two processes, sharing."""
    stream = Stream().facts().command(b"sh").process(0).image(0).image_end(0, hwm=10 * MIB, max_rss=10 * MIB)
    stream.process(1, 0, 4300).image(1, 1).image_end(1, hwm=30 * MIB, max_rss=30 * MIB)
    return stream.process_end(0, maxrss=30 * MIB)


def test_tree() -> None:
    """The tree's bounds: what was certain at one instant; the largest sum of marks, each with its error."""
    stream = tree().tree_peak(35 * MIB, 33 * MIB, 2).tree_upper((0, 2, 40 * MIB), (1, 1, 30 * MIB))
    recording = parse(stream.stats(max_alive=2, processes=2).end(30 * MIB).data)
    high = recording.peak_rss.high
    assert high is not None
    expected = max(40 * MIB + 2 * ERROR, 30 * MIB + ERROR + high)
    assert recording.tree_peak == Reading(35 * MIB, 33 * MIB, expected, Method.TREE_SNAPSHOT)
    assert recording.tree_peak_processes == 2


def test_tree_is_never_below_its_largest_process() -> None:
    """A tree estimate below the peak of one process gives way to it."""
    stream = tree().tree_peak(20 * MIB, 20 * MIB, 1, snapshot=False).tree_upper((0, 1, MIB))
    recording = parse(stream.stats(max_alive=2, processes=2).end(30 * MIB).data)
    assert (recording.tree_peak.bytes, recording.tree_peak.method) == (30 * MIB, Method.PEAK_RSS)
    assert recording.tree_peak.high == recording.peak_rss.high


def test_tree_of_one() -> None:
    """One process is its own tree."""
    recording = parse(simple().data)
    assert recording.tree_peak.bytes == recording.peak_rss.bytes
    assert recording.tree_peak.high == recording.peak_rss.high
    assert recording.tree_peak_processes == 1


def test_tree_unseen() -> None:
    """Several processes and none ever sampled: unknown, not the largest of them."""
    recording = parse(tree().stats(max_alive=2, processes=2).end(30 * MIB).data)
    assert (recording.tree_peak.bytes, recording.tree_peak.high) == (None, None)
    assert recording.tree_peak.low == 30 * MIB


@pytest.mark.parametrize(
    ("launcher_mib", "would_say_mib", "misleads"), [(3, 20, False), (20, 20, False), (846, 846, True)]
)
def test_inherited(launcher_mib: int, would_say_mib: int, misleads: bool) -> None:
    """wait4 says the larger of the launcher's mark and the truth; it misleads where that cannot be the truth."""
    facts = Stream().facts(launcher_hwm_bytes=str(launcher_mib * MIB)).data
    recording = parse(facts + simple().data[len(Stream().facts().data) :])
    inherited = recording.inherited
    assert (inherited.wait4_would_say_bytes, inherited.misleads) == (would_say_mib * MIB, misleads)


def test_images_are_reported_with_their_first_and_last_instant() -> None:
    """In trace mode each image has its split at its start and at its exit; elsewhere these are unknown."""
    stream = trace().image(flags=ImageFlags.EVENT, start=split(4096, 4096, 0, 0))
    stream.image_end(how=ImageEndedBy.EXIT_STOP, hwm=MIB, last=split(MIB, MIB // 2, MIB // 2, 0))
    recording = parse(stream.process_end(maxrss=MIB).stats().end(MIB).data)
    (image,) = recording.processes[0].images
    assert image.start is not None
    assert image.exit is not None
    assert (image.start.rss_bytes, image.exit.file_bytes) == (4096, MIB // 2)
    quiet = parse(simple().data).processes[0].images[0]
    assert (quiet.start, quiet.exit) == (None, None)


def test_a_circle_of_parents_ends() -> None:
    """Parents that form a circle, as only a damaged file can have them, do not hang the analysis."""
    stream = Stream().facts().process(0, 1, 1).process(1, 0, 2).image(0).image(1, 1).image_end(0).image_end(1)
    recording = parse(stream.stats(uncounted=1).end(MIB, left=1).data)
    assert recording.peak_rss.bytes == MIB
