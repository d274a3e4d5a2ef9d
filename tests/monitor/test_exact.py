"""--exact: every change of memory is followed as an event of the kernel."""

from __future__ import annotations

import os
import signal
from collections import defaultdict

from tests.monitor.harness import MIB, Monitor, images_of, state_of, until, warnings_of

from hiwater.recording.model import Image
from hiwater.recording.wire import ImageFlags, Seen

PAGE = 4096


def maximum(image: Image) -> int:
    """The exact maximum of an image; -1 if no event told of it."""
    return image.end.exact.bytes if image.end is not None and image.end.exact is not None else -1


def test_short_lives(exact: Monitor) -> None:
    """Of hundreds of programs that live for less than a millisecond each is there, with both of its images, its name
    and its exact size; the same program always takes about the same."""
    outcome = exact.run("sh", "-c", "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done; exit 3")
    recording = outcome.recording
    assert outcome.status == 3
    assert recording.stats is not None
    assert (recording.stats.lost_events, recording.stats.unseen) == (0, 0)
    children = recording.observed_processes[1:]
    assert len(children) == 500
    assert {child.seen for child in children} == {Seen.EVENT}
    assert all(child.parent == 0 and child.end is not None for child in children)
    programs = [child.images[-1] for child in children]
    assert {program.comm for program in programs} == {"true"}
    assert min(maximum(program) for program in programs) >= 40 * PAGE
    assert max(maximum(program) for program in programs) <= 2 * min(maximum(program) for program in programs)
    assert all(a.end is not None and b.start_ns == a.end.t_ns for a, b in (child.images for child in children))


def test_images_of_a_chain(exact: Monitor) -> None:
    """Every program image of a chain of execve has its own maximum, and begins with what execve gave it."""
    outcome = exact.act("grow", 5, "exec", "grow", 10, "exec", "grow", 3, "exit", 3)
    images = images_of(outcome.recording)
    assert [round(maximum(image) / MIB) - 1 for image in images] == [5, 10, 3]
    assert all(image.flags & ImageFlags.EVENT for image in images)
    assert all(0 < (image.start.anon_bytes or 0) <= 64 * PAGE for image in images)


def test_a_fork_begins_with_a_copy(exact: Monitor) -> None:
    """A forked child begins with its parent's anonymous memory; what it grows by is its own."""
    outcome = exact.act("grow", 20, "fork", "grow", 10, "exit", 3)
    parent, child = images_of(outcome.recording)
    assert maximum(parent) // MIB in (20, 21, 22)
    assert 20 * MIB <= (child.start.anon_bytes or 0) <= maximum(parent)
    assert 30 * MIB <= maximum(child) <= maximum(parent) + 10 * MIB


def test_a_vfork_child_is_its_parent(exact: Monitor) -> None:
    """What a child does in its parent's memory map counts there, once."""
    outcome = exact.act("grow", 20, "vfork", "grow", 10, "exit", 3)
    recording = outcome.recording
    parent, child = (process.images[0] for process in recording.observed_processes)
    assert maximum(parent) >= 20 * MIB
    if child.flags & ImageFlags.SAME_MAP and maximum(child) < 0:
        assert recording.stats is not None
        assert (recording.stats.sum_peak_bytes or 0) < 2 * 32 * MIB


def test_the_timeline_holds_each_spike(exact: Monitor) -> None:
    """Memory that is given back at once is in the timeline: its rows reach the exact maximum of each image, in the
    order of time, at most a lowest, a highest and a last one in a period."""
    outcome = exact.act("grow", 30, "exec", "grow", 2, "exit", 3, options=("--period-ns", "1000000"))
    recording = outcome.recording
    timeline = recording.timeline
    assert recording.stats is not None
    assert recording.stats.coarse_bytes == 0
    assert list(timeline.time_ns) == sorted(timeline.time_ns)
    rows = defaultdict(list)
    for number, time_ns, pages in zip(timeline.image, timeline.time_ns, timeline.rss_pages, strict=True):
        rows[number].append((time_ns, pages * PAGE))
    for image in images_of(recording):
        assert max(size for _, size in rows[image.number]) == maximum(image)
        assert image.end is not None
        assert all(image.start_ns <= time_ns + 1000 <= image.end.t_ns + 1000 for time_ns, _ in rows[image.number])
        assert len(rows[image.number]) <= 3 * (2 + (image.end.t_ns - image.start_ns) // 1_000_000)


def test_lost_events_are_told(exact: Monitor) -> None:
    """When the monitor can not keep up, how much is missing stands in the recording and at every image that it may
    concern; the command goes on."""
    with exact.start_act("say", "up", "read", "fork", "grow", 1200, "exit", 3) as session:
        assert session.line() == b"up\n"
        os.kill(session.pid, signal.SIGSTOP)
        until(lambda: state_of(session.pid) == "T", "the monitor stops")
        command = exact_children(session.pid)[0]
        session.go()
        until(lambda: state_of(command) == "Z", "the command ends")
        os.kill(session.pid, signal.SIGCONT)
        outcome = session.finish()
    recording = outcome.recording
    assert outcome.status == 3
    assert recording.stats is not None
    assert (recording.stats.lost_events or 0) > 0
    assert recording.complete
    assert all(image.end is not None for image in images_of(recording))
    told = [image.end.exact for image in images_of(recording) if image.end and image.end.exact]
    assert told
    assert all(exact_maximum.lost > 0 for exact_maximum in told)
    assert "events-lost" in [warning.code for warning in recording.warnings]
    reading = recording.peak_rss
    assert reading.low is not None and reading.high is not None
    assert reading.low <= 1200 * MIB <= reading.high


def exact_children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def test_a_command_that_is_not_there(exact: Monitor) -> None:
    """A command that can not be executed has no image, exact or not."""
    outcome = exact.run("/nonexistent/command")
    assert outcome.status == 127
    assert all(maximum(image) < 0 for image in images_of(outcome.recording))


def test_both_are_asked_for(exact: Monitor) -> None:
    """With --trace as well, events are enough: nothing is traced."""
    outcome = exact.run("true", options=("--mode", "trace"))
    facts = outcome.recording.facts
    assert (facts.exact, facts.mode, warnings_of(outcome.recording)) == (True, "quiet", [])
