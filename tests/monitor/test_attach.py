"""A process that runs already is followed by looking, and left as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.monitor.harness import (
    FOREVER,
    MIB,
    PATIENCE,
    Monitor,
    Session,
    images_of,
    largest_hwm,
    launcher,
    process_of,
    state_of,
    until,
    warnings_of,
)
from tests.monitor.test_privileges import AS_NOBODY, needs_root

from hiwater.recording.model import Image, Recording
from hiwater.recording.reader import parse
from hiwater.recording.wire import EndedByCode, ImageEndedBy, ImageFlags

PIDFD_OPEN = 434
SHORT = ("--duration-ns", "1")


@dataclass(frozen=True)
class Target:
    """A process that is not the monitor's child, and does what it is told."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def number(self) -> int:
        return int(self.line().split()[-1])

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def field(self, name: str) -> int:
        """A line of its status, in bytes."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.partition(f"{name}:")[2].split()[0]) * 1024

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def target(monitor: Monitor, *verbs: str | int, prefix: Sequence[str] = ()) -> Iterator[Target]:
    """Descendants that outlive it end with their input."""
    line = [*prefix, monitor.program("act"), *map(str, verbs)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Target(process)
        finally:
            process.kill()


@contextmanager
def attached(monitor: Monitor, pid: int, *options: str, prefix: Sequence[str] = ()) -> Iterator[Session]:
    """A monitor that follows `pid`, once it does."""
    options = ("--attach", str(pid), *options)
    with monitor.start(options=options, prefix=prefix, stderr=subprocess.PIPE) as session:
        session.stream.until(lambda recording: bool(recording.told_warnings))
        yield session


def first_image(recording: Recording) -> Image:
    return images_of(recording)[0]


def ended_by(recording: Recording) -> EndedByCode | None:
    assert recording.end is not None
    return recording.end.ended_by


def test_what_was_before(quiet: Monitor) -> None:
    """The mark of a program that ran before is what the kernel says it is, its peak lies within the bounds, and the
    time before is said to be known no better."""
    with target(quiet, "spike", 50, "grow", 5, "say", "up", "read") as it:
        assert it.line() == b"up\n"
        mark, rss = it.field("VmHWM"), it.field("VmRSS")
        with attached(quiet, it.pid, *SHORT) as session:
            outcome = session.finish()
        assert state_of(it.pid) == "S"
    recording, image = outcome.recording, first_image(outcome.recording)
    assert (outcome.status, ended_by(recording), recording.complete) == (0, EndedByCode.DETACHED, True)
    assert mark > rss + 40 * MIB
    assert image.flags == ImageFlags.ATTACHED
    assert (image.before_hwm_bytes, image.start.rss_bytes) == (mark, rss)
    assert (image.name, image.arguments[1:3], recording.arguments[1:3]) == ("act", ("spike", "50"), ("spike", "50"))
    assert recording.facts.attached_pid == it.pid
    assert recording.peak_rss.low is not None and recording.peak_rss.high is not None
    assert recording.peak_rss.low <= mark <= recording.peak_rss.high < mark + 2 * MIB
    assert (recording.tree_peak.high, recording.exit_code, recording.inherited.launcher_pid) == (None, None, None)
    assert warnings_of(recording) == ["attached"]


def test_growth_after_attaching(quiet: Monitor) -> None:
    """What it takes from then on is seen, and told from what it had taken before."""
    with target(quiet, "spike", 10, "say", "up", "read", "grow", 30, "say", "grown", "read") as it:
        assert it.line() == b"up\n"
        with attached(quiet, it.pid) as session:
            it.go()
            assert it.line() == b"grown\n"
            session.looked_again()
            session.process.send_signal(signal.SIGINT)
            outcome = session.finish()
    image = first_image(outcome.recording)
    assert image.end is not None
    assert 10 * MIB <= (image.before_hwm_bytes or 0) < 20 * MIB
    assert (image.end.hwm_bytes or 0) >= 30 * MIB
    assert image.end.how is ImageEndedBy.ALIVE


def test_spike_after_attaching(quiet: Monitor) -> None:
    """A spike too short to be looked at is in the mark at the end, however soon that is."""
    with target(quiet, "say", "up", "read", "spike", 30, "say", "over", "read") as it:
        assert it.line() == b"up\n"
        with attached(quiet, it.pid) as session:
            session.process.send_signal(signal.SIGSTOP)
            until(lambda: state_of(session.pid) == "T", "the monitor stops")
            it.go()
            assert it.line() == b"over\n"
            session.process.send_signal(signal.SIGTERM)
            session.process.send_signal(signal.SIGCONT)
            outcome = session.finish()
    image = first_image(outcome.recording)
    assert image.end is not None
    assert (image.end.hwm_bytes or 0) >= 30 * MIB


def test_children_from_before_and_after(quiet: Monitor) -> None:
    """Descendants that live already are found at once, those that are born later when they come."""
    verbs = ("fork", "pid", "read", "fork", "pid", "grow", 20, "say", "grown", "read")
    with target(quiet, *verbs) as it:
        child = it.number()
        with attached(quiet, it.pid) as session:
            found = session.stream.until(lambda recording: len(images_of(recording)) == 2)
            assert process_of(found, child).parent == 0
            assert all(image.flags & ImageFlags.ATTACHED for image in images_of(found))
            it.go()
            grandchild = it.number()
            assert it.line() == b"grown\n"
            session.looked_again()
            it.go()
            outcome = session.finish()
    recording = outcome.recording
    last = process_of(recording, grandchild)
    assert ended_by(recording) is EndedByCode.GONE
    assert last.parent == process_of(recording, child).number
    assert not last.images[0].flags & ImageFlags.ATTACHED
    assert last.images[0].end is not None
    assert (last.images[0].end.hwm_bytes or 0) >= 20 * MIB


def test_orphans_stay_followed(quiet: Monitor) -> None:
    """A descendant whose parents are gone stays followed, and so do the children that it has then."""
    verbs = ("fork", "pid", "read", "grow", 20, "fork", "pid", "grow", 10, "say", "grown", "read")
    with target(quiet, *verbs) as it:
        child = it.number()
        with attached(quiet, it.pid, "--linger-ns", FOREVER) as session:
            session.stream.until(lambda recording: len(images_of(recording)) == 2)
            it.end()
            session.stream.until(lambda recording: recording.observed_processes[0].end is not None)
            it.go()
            grandchild = it.number()
            assert it.line() == b"grown\n"
            session.looked_again()
            it.go()
            outcome = session.finish()
    recording = outcome.recording
    orphan, born = process_of(recording, child), process_of(recording, grandchild)
    assert (ended_by(recording), recording.end and recording.end.left_alive) == (EndedByCode.GONE, 0)
    assert orphan.images[-1].end is not None
    assert (orphan.images[-1].end.hwm_bytes or 0) >= 20 * MIB
    assert born.parent == orphan.number


def test_orphan_of_a_session(quiet: Monitor) -> None:
    """An orphan that was never looked at before its parent ended is found if the process began its session."""
    orphan = ("sub", 8, "leave", 6, "pid", "grow", 20, "say", "up", "read", "say", "done", "read")
    with target(quiet, "setsid", "say", "ready", "read", *orphan) as it:
        assert it.line() == b"ready\n"
        with attached(quiet, it.pid) as session:
            session.process.send_signal(signal.SIGSTOP)
            until(lambda: state_of(session.pid) == "T", "the monitor stops")
            it.go()
            lines = sorted([it.line(), it.line(), it.line()])
            assert lines[:2] == [b"done\n", lines[1]]
            session.process.send_signal(signal.SIGCONT)
            session.looked_again()
            session.process.send_signal(signal.SIGINT)
            outcome = session.finish()
    found = process_of(outcome.recording, int(lines[1].split()[-1]))
    assert found.images[0].end is not None
    assert (found.images[0].end.hwm_bytes or 0) >= 20 * MIB
    assert "attached-orphan" not in warnings_of(outcome.recording)


def test_lost_orphan(quiet: Monitor) -> None:
    """Where nothing tells whose an orphan is, it is said that one may be missing, and nothing is an upper bound."""
    orphan = ("sub", 6, "leave", 4, "pid", "say", "up", "read", "say", "done", "read")
    with target(quiet, "say", "ready", "read", *orphan) as it:
        assert it.line() == b"ready\n"
        with attached(quiet, it.pid) as session:
            session.process.send_signal(signal.SIGSTOP)
            until(lambda: state_of(session.pid) == "T", "the monitor stops")
            it.go()
            for _ in range(3):
                it.line()
            session.process.send_signal(signal.SIGCONT)
            session.stream.until(lambda recording: "attached-orphan" in warnings_of(recording))
            session.process.send_signal(signal.SIGINT)
            outcome = session.finish()
    assert len(outcome.recording.observed_processes) == 1
    assert outcome.recording.peak_rss.bytes is not None
    assert outcome.recording.peak_rss.high is None


def test_execve_of_the_same_program(quiet: Monitor) -> None:
    """A program that executes itself anew is another image, with a mark of its own."""
    with target(quiet, "grow", 20, "say", "up", "read", "exec", "grow", 25, "say", "again", "read") as it:
        assert it.line() == b"up\n"
        with attached(quiet, it.pid) as session:
            it.go()
            assert it.line() == b"again\n"
            session.looked_again()
            session.process.send_signal(signal.SIGINT)
            outcome = session.finish()
    before, after = images_of(outcome.recording)
    assert before.end is not None and after.end is not None
    assert (before.end.how, after.end.how) == (ImageEndedBy.EXEC, ImageEndedBy.ALIVE)
    assert (before.flags & ImageFlags.ATTACHED, after.flags & ImageFlags.ATTACHED) == (ImageFlags.ATTACHED, 0)
    assert after.before_hwm_bytes is None
    assert (after.end.hwm_bytes or 0) >= 25 * MIB


@pytest.mark.parametrize("verbs", [("read", "leaderexit", "grow", 30), ("leaderexit", "read", "grow", 30)], ids=str)
def test_leader_that_exits(quiet: Monitor, verbs: tuple[str | int, ...]) -> None:
    """A process whose leader exits, or had exited, while a thread runs on, has not ended."""
    with target(quiet, "say", "ready", *verbs, "say", "up", "read", "read") as it:
        assert it.line() == b"ready\n"
        if verbs[0] == "leaderexit":
            until(lambda: state_of(it.pid) == "Z", "the leader exits")
        with attached(quiet, it.pid) as session:
            it.go()
            assert it.line() == b"up\n"
            session.looked_again()
            it.go()
            session.looked_again()
            it.go()
            outcome = session.finish()
    image = first_image(outcome.recording)
    assert ended_by(outcome.recording) is EndedByCode.GONE
    assert image.end is not None
    assert (image.end.hwm_bytes or 0) >= 30 * MIB


def test_thread_that_calls_execve(quiet: Monitor) -> None:
    """A thread that calls execve becomes the leader: the process has not ended."""
    verbs = ("read", "leaderexit", "exec", "grow", 30, "say", "up", "read")
    with target(quiet, *verbs) as it, attached(quiet, it.pid) as session:
        it.go()
        assert it.line() == b"up\n"
        session.looked_again()
        session.process.send_signal(signal.SIGINT)
        outcome = session.finish()
    last = images_of(outcome.recording)[-1]
    assert ended_by(outcome.recording) is EndedByCode.DETACHED
    assert last.end is not None
    assert (last.end.hwm_bytes or 0) >= 30 * MIB


@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "no pidfd"])
@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "zombie"])
@pytest.mark.parametrize("how", ["exit", "SIGKILL"])
def test_it_ends(quiet: Monitor, how: str, reaped: bool, pidfd: bool) -> None:
    """The recording ends with the process, however that ends, whether or not its parent waits for it."""
    prefix = () if pidfd else launcher(f"nosyscall={PIDFD_OPEN}")
    with target(quiet, "grow", 5, "say", "up", "read", "exit", 3) as it:
        assert it.line() == b"up\n"
        with attached(quiet, it.pid, prefix=prefix) as session:
            if how == "exit":
                it.go()
            else:
                os.kill(it.pid, signal.SIGKILL)
            if reaped:
                it.process.wait()
            outcome = session.finish()
    recording = outcome.recording
    assert (outcome.status, ended_by(recording)) == (0, EndedByCode.GONE)
    assert recording.end is not None
    assert (recording.end.status, recording.end.tree_maxrss_bytes, recording.end.left_alive) == (None, None, 0)
    assert (recording.exit_code, recording.term_signal, recording.ended_by) == (None, None, "gone")
    assert (first_image(recording).end or pytest.fail()).how is ImageEndedBy.VANISHED
    assert recording.peak_rss.high is not None
    assert recording.peak_rss.high > (recording.peak_rss.bytes or 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_end_the_recording(quiet: Monitor, number: signal.Signals) -> None:
    """What asks hiwater to end ends the recording, and does not reach the process."""
    with target(quiet, "report", int(number), "say", "up", "read", "say", "on", "read") as it:
        assert it.line() == b"up\n"
        with attached(quiet, it.pid) as session:
            session.process.send_signal(number)
            outcome = session.finish()
        it.go()
        assert it.line() == b"on\n"
    assert (outcome.status, ended_by(outcome.recording)) == (0, EndedByCode.DETACHED)
    assert outcome.recording.complete


def test_other_signals_do_nothing(quiet: Monitor) -> None:
    """Signals that ask for nothing leave the recording alone."""
    with target(quiet, "say", "up", "read") as it, attached(quiet, it.pid) as session:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM, signal.SIGCHLD):
            session.process.send_signal(number)
        session.looked_again()
        session.process.send_signal(signal.SIGTSTP)
        until(lambda: state_of(session.pid) == "T", "it stops as the terminal asks")
        session.process.send_signal(signal.SIGCONT)
        session.looked_again()
        session.process.send_signal(signal.SIGINT)
        assert session.finish().status == 0


def test_a_pid_is_used_again(quiet: Monitor, room: Path) -> None:
    """Whoever gets the number of the process that was followed is another one, also where there is no pidfd."""
    needs_root("unshare")
    prefix = ("unshare", "--pid", "--fork", "--mount-proc")
    if subprocess.run([*prefix, *launcher(f"nosyscall={PIDFD_OPEN}"), "true"], check=False).returncode != 0:
        pytest.skip("no right to make a pid namespace, or no seccomp")
    output = room / "reused.hiw"
    monitor = [*launcher(f"nosyscall={PIDFD_OPEN}"), quiet.path, "--output", str(output), "--attach", "3000"]
    # Process 1 starts them all; what it says and waits for orders them.
    script = f"""
import os, signal, subprocess, sys, time
def process(*verbs):
    open("/proc/sys/kernel/ns_last_pid", "w").write("2999")
    started = subprocess.Popen([sys.argv[1], *verbs], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.pid == 3000 and started.stdout.readline() == b"up\\n"
    return started
def state(pid):
    return open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[0]
first = process("grow", "5", "say", "up", "read")
monitor = subprocess.Popen(sys.argv[2:])
while not os.path.exists({str(output)!r}) or os.path.getsize({str(output)!r}) < 512:
    time.sleep(0.002)
os.kill(monitor.pid, signal.SIGSTOP)
while state(monitor.pid) != "T":
    time.sleep(0.002)
first.kill()
first.wait()
second = process("threads", "3", "grow", "50", "say", "up", "read")
os.kill(monitor.pid, signal.SIGCONT)
assert monitor.wait(30) == 0
second.kill()
"""
    done = subprocess.run(
        [*prefix, sys.executable, "-I", "-c", script, quiet.program("act"), *monitor],
        env=quiet.environ(),
        capture_output=True,
        check=False,
        timeout=2 * PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    recording = parse(output.read_bytes())
    output.unlink()
    assert ended_by(recording) is EndedByCode.GONE
    assert len(recording.observed_processes) == 1
    assert len(images_of(recording)) == 1
    assert 5 * MIB <= largest_hwm(recording) < 20 * MIB


REFUSED = ("--duration-ns", "1000000000")


def refused(monitor: Monitor, pid: int, prefix: Sequence[str] = (), *options: str) -> str:
    """What it says of a process that it does not attach to."""
    outcome = monitor.run(options=("--attach", str(pid), *options, *REFUSED), prefix=prefix)
    recording = outcome.recording
    assert (outcome.status, outcome.stderr) == (125, b"")
    assert ended_by(recording) is EndedByCode.NOT_STARTED
    assert warnings_of(recording) == ["not-attached"]
    assert recording.observed_processes == ()
    return recording.told_warnings[0].message


def test_what_cannot_be_attached_to(quiet: Monitor) -> None:
    """It is said why there is nothing to attach to, and how to mend it."""
    with target(quiet, "threads", 1, "say", "up", "read") as it:
        assert it.line() == b"up\n"
        thread = next(int(name) for name in os.listdir(f"/proc/{it.pid}/task") if int(name) != it.pid)
        assert refused(quiet, thread) == f"{thread} is a thread of process {it.pid}: attach to that one"
        assert refused(quiet, it.pid, (), "--leave-out", str(it.pid)) == f"process {it.pid} is hiwater itself"
        it.process.kill()
        until(lambda: state_of(it.pid) == "Z", "it is a zombie")
        assert refused(quiet, it.pid) == f"process {it.pid} has ended already; its parent has yet to wait for it"
        it.process.wait()
        assert f"there is no process {it.pid} (" in refused(quiet, it.pid)
        assert "there is no process 2147483647 (" in refused(quiet, 2147483647)


def test_kernel_thread(quiet: Monitor) -> None:
    """The kernel's own threads have no memory to follow."""
    for directory in Path("/proc").glob("[0-9]*"):
        fields = (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()
        if int(fields[6]) & 0x00200000:
            assert "is a thread of the kernel" in refused(quiet, int(directory.name))
            return
    pytest.skip("no kernel threads are to be seen here")


@pytest.mark.parametrize(
    "options",
    [("--attach", "0"), ("--attach", "x"), ("--attach", "-1"), ("--attach", "1", "ls"), ("--mode=trace", "--attach=1")],
    ids=" ".join,
)
def test_misuse(quiet: Monitor, options: tuple[str, ...]) -> None:
    """Misuse is 125, and nothing is followed."""
    done = subprocess.run([quiet.path, *options], capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode == 125
    assert done.stderr.startswith(b"hiwater-monitor: ")


def test_hidden(quiet: Monitor) -> None:
    """A process that hidepid hides is told from one that is not there."""
    needs_root("setpriv", "unshare", "mount")
    prefix = ("unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh", *AS_NOBODY)
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount /proc")
    with target(quiet, "say", "up", "read") as it:
        assert it.line() == b"up\n"
        assert "is hidden from this user (hidepid of /proc)" in refused(quiet, it.pid, prefix)


def test_foreign_proc(quiet: Monitor) -> None:
    """Where /proc is that of another pid namespace, its numbers are others."""
    needs_root("unshare")
    prefix = ("unshare", "--pid", "--fork")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to make a pid namespace")
    assert "another pid namespace" in refused(quiet, 1, prefix)


def test_unprivileged_user_and_own_process(quiet: Monitor) -> None:
    """An unprivileged user follows processes of his own as root follows them."""
    needs_root("setpriv")
    with target(quiet, "spike", 20, "say", "up", "read", prefix=AS_NOBODY) as it:
        assert it.line() == b"up\n"
        with attached(quiet, it.pid, *SHORT, prefix=AS_NOBODY) as session:
            outcome = session.finish()
    image = first_image(outcome.recording)
    assert (image.before_hwm_bytes or 0) >= 20 * MIB
    assert image.exe.endswith("/act")
    assert warnings_of(outcome.recording) == ["attached"]


def test_unprivileged_user_and_roots_process(quiet: Monitor) -> None:
    """Of another user's process the figures are known; what may not be read is said to be missing."""
    needs_root("setpriv")
    with target(quiet, "spike", 20, "fork", "say", "up", "read") as it:
        assert it.line() == b"up\n"
        mark = it.field("VmHWM")
        with attached(quiet, it.pid, prefix=AS_NOBODY) as session:
            session.looked_again()
            session.process.send_signal(signal.SIGINT)
            outcome = session.finish()
    recording = outcome.recording
    assert first_image(recording).before_hwm_bytes == mark
    assert (first_image(recording).exe, first_image(recording).name) == ("", "act")
    assert len(recording.observed_processes) == 2
    assert recording.snapshots == ()
    assert warnings_of(recording) == ["attached", "attached-limited"]


def test_our_own_processes_are_left_out(quiet: Monitor) -> None:
    """Attached to its own ancestor, the monitor does not count itself, nor whom it is told to leave out."""
    with target(quiet, "say", "up", "read") as it:
        assert it.line() == b"up\n"
        with attached(quiet, os.getpid(), *SHORT) as session:
            monitor = session.pid
            outcome = session.finish()
        pids = [process.pid for process in outcome.recording.observed_processes]
        assert pids[0] == os.getpid()
        assert it.pid in pids
        assert monitor not in pids
        with attached(quiet, os.getpid(), *SHORT, "--leave-out", str(it.pid)) as session:
            outcome = session.finish()
        assert it.pid not in [process.pid for process in outcome.recording.observed_processes]


def test_it_is_left_as_it_was(quiet: Monitor) -> None:
    """Nobody traces the process meanwhile, and its mark is what it was."""
    with target(quiet, "spike", 20, "say", "up", "read") as it:
        assert it.line() == b"up\n"
        mark = it.field("VmHWM")
        with attached(quiet, it.pid) as session:
            session.looked_again()
            status = Path(f"/proc/{it.pid}/status").read_text()
            session.process.send_signal(signal.SIGINT)
            session.finish()
        assert it.field("VmHWM") == mark
    assert status.partition("TracerPid:")[2].split()[0] == "0"


def test_killed_monitor_leaves_what_it_saw(quiet: Monitor) -> None:
    """What was seen up to the monitor's own death can be read, and the process goes on."""
    with target(quiet, "spike", 20, "say", "up", "read") as it:
        assert it.line() == b"up\n"
        with attached(quiet, it.pid) as session:
            session.process.kill()
            outcome = session.finish()
        assert state_of(it.pid) == "S"
    recording = outcome.recording
    assert not recording.complete
    assert (first_image(recording).before_hwm_bytes or 0) >= 20 * MIB
    assert (recording.peak_rss.bytes or 0) >= 20 * MIB
    assert (recording.peak_rss.high, recording.ended_by) == (None, None)
