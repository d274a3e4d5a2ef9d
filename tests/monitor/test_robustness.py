"""What goes wrong around the monitor costs the recording its tail at most, never the command its life."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.monitor.harness import PATIENCE, Monitor, largest_hwm, launcher, until

from hiwater.errors import NotARecordingError
from hiwater.recording.model import Recording
from hiwater.recording.reader import parse


def test_monitor_killed(monitor: Monitor) -> None:
    """When the monitor is killed the command lives on and finishes; what was recorded until then loads."""
    with monitor.start_act("fork", "grow", 20, "say", "up", "read", "say", "finished") as session:
        assert session.line() == b"up\n"
        session.looked_again()
        session.process.kill()
        assert session.process.wait(PATIENCE) == -signal.SIGKILL
        recording = parse(session.stream.rest())
        session.go()
        assert session.line() == b"finished\n"
    assert (recording.complete, recording.end) == (False, None)
    assert len(recording.observed_processes) == 2


def test_monitor_killed_while_the_command_is_stopped(tracing: Monitor) -> None:
    """A stopped, traced command whose monitor is killed can be continued."""
    with tracing.start_act("pid", "read", "say", "on") as session:
        command = session.number()
        os.kill(command, signal.SIGSTOP)
        until(lambda: Path(f"/proc/{command}/stat").read_text().split()[2] in "Tt", "the command stops")
        session.process.kill()
        session.process.wait(PATIENCE)
        os.kill(command, signal.SIGCONT)
        session.go()
        assert session.line() == b"on\n"


def test_stream_cut_anywhere(monitor: Monitor) -> None:
    """A recording that ends at any byte loads up to there."""
    data = monitor.act("fork", "grow", 5, "exec", "exit", 3).data
    header = 32
    loaded = [parse(data[:end]) for end in range(header, len(data))]
    counts = [len(recording.observed_processes) for recording in loaded]
    assert counts == sorted(counts)
    assert not any(recording.complete for recording in loaded)
    assert parse(data).complete
    for end in range(header):
        with pytest.raises(NotARecordingError):
            parse(data[:end])


# ---- a disk that is full ----


def _full_device(monitor: Monitor, command: list[str]) -> int:
    line = [monitor.path, *monitor.mode_options, "-o", "/dev/full", *command]
    return subprocess.run(line, env=monitor.environ(), check=False, timeout=PATIENCE).returncode


def test_nothing_can_be_written(monitor: Monitor) -> None:
    """A device that takes nothing at all changes neither the command nor its status."""
    act = monitor.program("act")
    assert _full_device(monitor, [act, "crowd", "50", "grow", "1", "exit", "3"]) == 3
    assert _full_device(monitor, [act, "raise", "15"]) == 128 + 15


def test_reader_gone(monitor: Monitor) -> None:
    """A pipe that nobody reads any more changes neither the command nor its status."""
    reader, writer = os.pipe()
    os.close(reader)
    line = [monitor.path, *monitor.mode_options, "--output-fd", str(writer), monitor.program("act"), "exit", "3"]
    assert subprocess.run(line, env=monitor.environ(), pass_fds=[writer], check=False).returncode == 3
    os.close(writer)


def _recorded(path: Path) -> Recording | None:
    try:
        return parse(path.read_bytes())
    except (FileNotFoundError, NotARecordingError):
        return None


def _until_cut(path: Path) -> None:
    def is_cut() -> bool:
        recording = _recorded(path)
        return recording is not None and recording.cut is not None and recording.cut.errno is not None

    until(is_cut, "the recording says that it is cut")


def _fill(monitor: Monitor, prefix: tuple[str, ...], output: str, seen: str) -> Recording:
    """Executes a command that has more to be recorded than there is room, until the recording says that it is cut."""
    line = [*prefix, *monitor.command(["-o", output], [monitor.program("act"), "crowd", "200", "grow", "1", "read"])]
    with subprocess.Popen(line, stdin=subprocess.PIPE, env=monitor.environ()) as process:
        path = Path(seen.format(pid=process.pid))
        _until_cut(path)
        assert process.poll() is None
        held = os.open(path, os.O_RDONLY)  # the file system is gone with the last process that sees it
        process.communicate(timeout=PATIENCE)
        with open(held, "rb") as file:
            recording = parse(file.read())
    assert process.returncode == 0
    return recording


def test_file_size_limit(monitor: Monitor, tmp_path: Path) -> None:
    """RLIMIT_FSIZE cuts the recording, which says so; SIGXFSZ does not end the monitor."""
    output = str(tmp_path / "x.hiw")
    recording = _fill(monitor, launcher("fsize=8192"), output, output)
    assert recording.cut is not None
    assert recording.cut.errno == errno.EFBIG
    assert recording.observed_processes


def test_disk_full(monitor: Monitor, room: Path) -> None:
    """When the disk is full the command goes on, and the recording says where it is cut, and why."""
    place = room / "small"
    place.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o size=16k none {place} && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    if os.geteuid() != 0 or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount a small file system")
    recording = _fill(monitor, prefix, f"{place}/x.hiw", f"/proc/{{pid}}/root{place}/x.hiw")
    assert recording.cut is not None
    assert recording.cut.errno == errno.ENOSPC
    assert recording.observed_processes


def test_few_descriptors(monitor: Monitor) -> None:
    """With few descriptors allowed, many processes are read all the same."""
    hard = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))"
    prefix = (sys.executable, "-I", "-c", f"import os, sys; {hard}; os.execv(sys.argv[1], sys.argv[1:])")
    with monitor.start_act("crowd", 100, "grow", 2, "read", "exit", 3, prefix=prefix) as session:
        session.stream.until(lambda recording: recording.stats is not None and (recording.stats.max_alive or 0) >= 101)
        session.looked_again()
        outcome = session.finish()
    assert (outcome.status, len(outcome.recording.observed_processes)) == (3, 101)
    assert largest_hwm(outcome.recording) >= 2 << 20


def test_much_is_traced_and_killed(monitor: Monitor) -> None:
    """SIGKILL of processes while they are born and die leaves nothing behind that the monitor waits for."""
    script = 'for i in 1 2 3 4 5 6 7 8; do "$0" burst 200 & kill -9 $!; "$0" kill3; done 2>&- ; wait; exit 3'
    outcome = monitor.run("sh", "-c", script, monitor.program("act"))
    assert outcome.status == 3
    assert outcome.recording.complete
