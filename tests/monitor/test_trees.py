"""Processes, threads and program images of every kind are followed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.monitor.harness import FOREVER, MIB, Monitor, images_of, largest_hwm, process_of, warnings_of

from hiwater.recording.wire import ProcessEndFlags


def test_births_of_every_kind(monitor: Monitor) -> None:
    """What a child takes shows whether it came by fork, vfork, posix_spawn, from a thread, or after an execve."""
    for verbs in (["fork"], ["vfork"], ["spawn"], ["thread", "fork"], ["thread", "vfork"], ["exec", "fork", "exec"]):
        outcome = monitor.act(*verbs, "grow", 20, "exit", 3)
        recording = outcome.recording
        assert recording.end is not None
        assert outcome.status == 3
        assert (recording.end.tree_maxrss_bytes or 0) >= 20 * MIB
        if monitor.mode == "exact":
            assert (
                max(image.end.exact.bytes for image in images_of(recording) if image.end and image.end.exact)
                >= 20 * MIB
            )
        if monitor.mode == "trace":
            assert largest_hwm(recording) >= 20 * MIB
        if monitor.sees_all:
            processes = recording.observed_processes
            assert [process.parent for process in processes] == [None, 0]
            assert all(process.end is not None for process in processes)


def test_every_image_of_a_chain(tracing: Monitor) -> None:
    """Traced, every program image of a chain of execve is known, with its end, in its order."""
    outcome = tracing.act("grow", 5, "exec", "grow", 10, "exec", "grow", 3, "exit", 3)
    images = images_of(outcome.recording)
    assert [image.arguments[1:3] for image in images] == [("grow", "5"), ("grow", "10"), ("grow", "3")]
    assert [image.end is not None for image in images] == [True] * 3
    folded = [image.end.folded_maxrss_bytes for image in images[:2] if image.end]
    assert [(value or 0) >= size * MIB for value, size in zip(folded, (5, 10), strict=True)] == [True, True]


def test_exec_chain_with_time_to_look(quiet: Monitor) -> None:
    """Untraced, the images of a chain that last long enough to be looked at are told from each other."""
    script = '"$0" grow 20 read; exec "$0" grow 3 say second read exit 3'
    with quiet.start("sh", "-c", script, quiet.program("act")) as session:
        session.stream.until(lambda recording: len(recording.observed_processes) == 2)
        session.go()
        assert session.line() == b"second\n"
        session.looked_again()
        session.go()
        outcome = session.finish()
    command = outcome.recording.observed_processes[0]
    assert outcome.status == 3
    assert [image.name for image in command.images][-1] == "act"
    assert command.images[-1].end is not None
    assert 3 * MIB <= (command.images[-1].end.hwm_bytes or 0) < 20 * MIB


@pytest.mark.parametrize(
    "verbs",
    [
        ["thread", "grow", 30],
        ["thread", "exec", "grow", 30],
        ["leaderexit", "grow", 30],
        ["leaderexit", "exec", "grow", 30],
        ["leaderexit", "fork", "grow", 30],
        ["fork", "leaderexit", "grow", 30],
        ["fork", "leaderexit", "exec", "grow", 30],
        ["leaderexit", "threads", 20, "exec", "leaderexit", "grow", 30],
        ["threads", 20, "thread", "exec", "grow", 30],
    ],
    ids=lambda verbs: " ".join(map(str, verbs)),
)
def test_threads_and_leaders(monitor: Monitor, verbs: list[str | int]) -> None:
    """A thread that grows, a thread that calls execve, a leader that exits before its threads: what they take is read,
    and the status is the command's."""
    with monitor.start_act(*verbs, "say", "up", "read", "exit", 3) as session:
        assert session.line() == b"up\n"
        session.looked_again()
        session.go()
        outcome = session.finish()
    assert outcome.status == 3
    assert largest_hwm(outcome.recording) >= 30 * MIB
    assert outcome.recording.complete


def test_leader_that_exited_before_it_was_found(quiet: Monitor) -> None:
    """A process whose leader had exited when it was first looked at is followed, and so are its children."""
    born = ("fork", "leaderexit", "fork", "pid", "ppid", "grow", 20)
    verbs = ("say", "ready", "read", *born, "say", "up", "read", "exit", 3)
    with quiet.start_act(*verbs) as session:
        assert session.line() == b"ready\n"
        session.looked_again()
        os.kill(session.pid, signal.SIGSTOP)  # it must not see them come
        session.go()
        child, parent = session.number(), session.number()
        assert session.line() == b"up\n"
        os.kill(session.pid, signal.SIGCONT)
        session.looked_again()
        session.go()
        outcome = session.finish()
    recording = outcome.recording
    assert outcome.status == 3
    assert process_of(recording, child).parent == process_of(recording, parent).number
    assert largest_hwm(recording) >= 20 * MIB


def test_500_alive_at_once(monitor: Monitor) -> None:
    """500 processes alive at once are all found."""
    with monitor.start_act("crowd", 500, "read", "exit", 3) as session:
        session.stream.until(lambda recording: recording.stats is not None and (recording.stats.max_alive or 0) >= 501)
        outcome = session.finish()
    recording = outcome.recording
    assert recording.end is not None
    assert (outcome.status, len(recording.observed_processes), recording.end.left_alive) == (3, 501, 0)
    assert {process.parent for process in recording.observed_processes[1:]} == {0}
    assert recording.complete


def test_10000_processes_as_fast_as_they_come(monitor: Monitor) -> None:
    """Of 10,000 processes, thousands a second, none is lost: each was found, or is counted as unseen. The monitor's
    memory does not grow with them: it stays within 2 MiB."""
    sanitized = bool(monitor.environment)  # slow, and it needs much memory for itself
    count = 1000 if sanitized else 10000 if monitor.mode == "quiet" else 4000
    with monitor.start_act("burst", count, "say", "done", "read", "exit", 3) as session:
        assert session.line() == b"done\n"
        session.looked_again()
        status = Path(f"/proc/{session.pid}/status").read_text()
        outcome = session.finish()
    stats = outcome.recording.stats
    assert outcome.status == 3
    assert stats is not None
    found = (stats.processes or 0) - 1
    if monitor.sees_all:
        assert (found, stats.unseen) == (count, 0)
        assert len(outcome.recording.observed_processes) == count + 1
    else:
        assert found + (stats.unseen or 0) >= count
    if not sanitized:
        hwm = int(status.partition("VmHWM:")[2].split()[0])
        assert hwm <= 2048


def test_1000_threads(monitor: Monitor) -> None:
    """A process of 1,000 threads is read as one process, and its threads are counted."""
    with monitor.start_act("threads", 1000, "say", "up", "read", "exit", 3) as session:
        assert session.line() == b"up\n"
        session.looked_again()
        session.go()
        outcome = session.finish()
    recording = outcome.recording
    assert (outcome.status, len(recording.observed_processes)) == (3, 1)
    assert max((image.end.max_threads or 0) for image in images_of(recording) if image.end) >= 1001


def test_threads_nobody_saw(monitor: Monitor) -> None:
    """Threads that may have come and gone between two looks are allowed for: before Linux 6.2 each can hide memory."""
    recording = monitor.act("threads", 50, "exit", 3).recording
    assert max((image.end.threads_at_most or 0) for image in images_of(recording) if image.end) >= 51


def test_times_count_once(monitor: Monitor) -> None:
    """The CPU time of the tree is the sum over its processes, however many threads they have."""
    recording = monitor.act("sub", 4, "burn", 20, "threads", 100, "burn", 50, "threads", 200).recording
    end, command = recording.end, recording.observed_processes[0].end
    assert end is not None
    assert command is not None
    total = (end.user_ns or 0) + (end.system_ns or 0)
    own = (command.user_ns or 0) + (command.system_ns or 0)  # its waited-for child's are in it
    assert own <= total <= own * 2


# ---- descendants that outlive the command ----


def test_outlived_without_linger(monitor: Monitor) -> None:
    """With --linger-ns 0 nobody waits for what outlives the command; the recording counts it and warns."""
    with monitor.start_act("daemon", "say", "up", "read", "say", "still here", options=["--linger-ns", "0"]) as session:
        assert session.line() == b"up\n"
        assert session.process.wait(30) == 0
        recording = session.stream.until(lambda recording: recording.end is not None)
        session.go()
        assert session.line() == b"still here\n"
    assert recording.end is not None
    assert recording.end.left_alive == 1
    assert "left-alive" in warnings_of(recording)


def test_outlived_with_linger(monitor: Monitor) -> None:
    """A descendant in a session of its own that outlives the command is waited for as long as asked, and measured."""
    verbs = ("daemon", "grow", 20, "say", "up", "pid", "read", "exit", 4)
    with monitor.start_act(*verbs, options=["--linger-ns", FOREVER]) as session:
        assert session.line() == b"up\n"
        daemon = session.number()
        session.stream.until(lambda recording: recording.observed_processes[0].end is not None)
        assert session.process.poll() is None
        session.go()
        outcome = session.finish()
    recording = outcome.recording
    assert recording.end is not None
    assert (outcome.status, recording.end.left_alive) == (0, 0)
    assert (recording.end.tree_maxrss_bytes or 0) >= 20 * MIB
    end = process_of(recording, daemon).end
    assert end is not None
    assert end.status == 4 << 8
    assert "left-alive" not in warnings_of(recording)


# ---- children that nobody waits for ----


def test_children_that_nobody_reaps(monitor: Monitor) -> None:
    """Where SIGCHLD is ignored no rusage tells of a child: it is read while it lives, and marked."""
    with monitor.start_act("ignore", 17, "fork", "grow", 20, "pid", "read") as session:
        child = session.number()
        session.looked_again()
        session.go()
        outcome = session.finish()
    recording = outcome.recording
    assert outcome.status == 0
    assert largest_hwm(recording) >= 20 * MIB
    assert recording.stats is not None
    assert recording.stats.uncounted == 1
    end = process_of(recording, child).end
    assert end is not None
    assert monitor.mode == "trace" or end.flags & ProcessEndFlags.MAY_BE_UNCOUNTED


def test_zombies(monitor: Monitor) -> None:
    """Zombies that their parent leaves behind take nothing and do not keep the recording from ending."""
    script = '"$0" grow 5 & "$0" grow 5 & exec "$0" say up read exit 3'
    with monitor.start("sh", "-c", script, monitor.program("act")) as session:
        assert session.line() == b"up\n"
        session.looked_again()
        session.go()
        outcome = session.finish()
    assert outcome.status == 3
    assert outcome.recording.end is not None
    assert outcome.recording.end.left_alive == 0


def test_monitor_as_first_process_of_a_container(monitor: Monitor) -> None:
    """As process 1 of a pid namespace, the entry point of a container, the monitor works as anywhere."""
    prefix = _own_pids(monitor)
    outcome = monitor.act("fork", "grow", 20, "exit", 3, prefix=prefix)
    assert outcome.status == 3
    assert outcome.recording.facts.monitor_pid == 1
    assert monitor.act("daemon", "daemon", "exit", 3, prefix=prefix).status == 0
    assert monitor.act("raise", 15, prefix=prefix).status == 128 + 15


def test_a_pid_is_used_again(monitor: Monitor) -> None:
    """Processes that get the same pid one after another are different processes with figures of their own."""
    verbs: list[str | int] = []
    sizes = (12, 24, 6)
    for size in sizes:
        verbs += ["nextpid", 3000, "sub", 6, "grow", size, "say", "up", "read", "pid"]
        verbs += ["burst", 1, "say", "gap", "read"]  # another number in between, and time to see it
    with monitor.start_act(*verbs, "exit", 3, prefix=_own_pids(monitor)) as session:
        for _ in sizes:
            assert session.line() == b"up\n"
            session.looked_again()
            session.go()
            assert session.number() == 3000
            assert session.line() == b"gap\n"
            session.looked_again()
            session.go()
        outcome = session.finish()
    same = [process for process in outcome.recording.observed_processes if process.pid == 3000]
    marks = [max((image.end.hwm_bytes or 0) // MIB for image in process.images if image.end) for process in same]
    assert outcome.status == 3
    assert [size <= mark < size + 4 for mark, size in zip(marks, sizes, strict=True)] == [True] * 3


def _own_pids(monitor: Monitor) -> tuple[str, ...]:
    """A prefix that puts the monitor into a pid namespace of its own, where it is process 1."""
    prefix = ("unshare", "--pid", "--fork", "--mount-proc")
    if os.geteuid() != 0 or os.spawnvp(os.P_WAIT, prefix[0], [*prefix, "true"]) != 0:
        pytest.skip("no right to make a pid namespace")
    return prefix


def test_numbers_begin_anew(quiet: Monitor) -> None:
    """When the pids begin anew, children with smaller numbers than their parent's are found as others are."""
    born = ("nextpid", 4000, "fork", "nextpid", 400, "fork", "pid", "grow", 20)
    verbs = ("nextpid", 3990, "burst", 1, "say", "ready", "read", *born, "say", "up", "read", "exit", 3)
    with quiet.start_act(*verbs, prefix=_own_pids(quiet)) as session:
        assert session.line() == b"ready\n"
        inside = f"/proc/{session.pid}/task/{session.pid}/children"
        monitor = int(Path(inside).read_text())
        session.looked_again()
        os.kill(monitor, signal.SIGSTOP)
        session.go()
        assert session.number() == 400
        assert session.line() == b"up\n"
        os.kill(monitor, signal.SIGCONT)
        session.looked_again()
        session.go()
        outcome = session.finish()
    assert outcome.status == 3
    recording = outcome.recording
    assert process_of(recording, 400).parent == process_of(recording, 4000).number
    assert largest_hwm(outcome.recording) >= 20 * MIB
