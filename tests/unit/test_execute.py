"""``hiwater.run`` and ``hiwater.run_async``, with the real monitor."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.streams import MIB

import hiwater

TAKES = "import sys; b = bytearray(int(sys.argv[1]) << 20); print(len(b))"


def python(code: str, *arguments: str) -> list[str]:
    """A Python program of one line."""
    return [sys.executable, "-I", "-c", code, *arguments]


@pytest.mark.parametrize("mode", list(hiwater.Mode))
def test_measures(mode: hiwater.Mode) -> None:
    """What a program allocates is in its peak, between the bounds."""
    recording = hiwater.run(python(TAKES, "100"), capture_output=True, mode=mode)
    peak = recording.peak_rss
    assert peak.bytes is not None
    assert peak.low is not None
    assert peak.high is not None
    assert 100 * MIB <= peak.low <= peak.bytes <= peak.high < 200 * MIB
    assert recording.stdout == b"%d\n" % (100 * MIB)
    assert (recording.exit_code, recording.term_signal, recording.ended_by) == (0, None, "exit")
    assert recording.complete


def test_nothing_of_python_is_inherited() -> None:
    """A command started from a process of 300 MiB has its own peak, not the launcher's."""
    ballast = bytearray(300 * MIB)
    recording = hiwater.run(["true"])
    del ballast
    assert recording.peak_rss.bytes is not None
    assert recording.peak_rss.bytes < 10 * MIB
    assert recording.inherited.misleads
    assert (recording.inherited.wait4_would_say_bytes or 0) > 300 * MIB
    assert recording.inherited.launcher_pid == os.getpid()


def test_like_subprocess(tmp_path: Path) -> None:
    """Input, environment, working directory and captured output are those of subprocess.run."""
    code = "cat; pwd; echo $WORD; echo error >&2"
    recording = hiwater.run(
        ["/bin/sh", "-c", code],
        input="é\n",
        env={"WORD": "x"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert recording.stdout == f"é\n{tmp_path}\nx\n"
    assert recording.stderr == "error\n"


def test_streams(tmp_path: Path) -> None:
    """stdout and stderr may be files, or one the other."""
    with (tmp_path / "out").open("wb") as out:
        hiwater.run(["sh", "-c", "echo a; echo b >&2"], stdout=out, stderr=subprocess.STDOUT)
    assert (tmp_path / "out").read_bytes() == b"a\nb\n"


def test_timeout_ends_the_whole_tree() -> None:
    """After the time-out nothing of the tree lives, and the recording is there."""
    code = "sleep 60 & echo $!; wait"
    recording = hiwater.run(["sh", "-c", code], timeout=0.3, capture_output=True, text=True)
    assert recording.ended_by == "timeout"
    assert recording.complete
    assert recording.peak_rss.bytes is not None
    assert isinstance(recording.stdout, str)
    with pytest.raises(ProcessLookupError):
        os.kill(int(recording.stdout), 0)


def test_signal() -> None:
    """A command that is killed says by what."""
    recording = hiwater.run(["sh", "-c", "kill -SEGV $$"])
    assert (recording.exit_code, recording.term_signal, recording.ended_by) == (None, signal.SIGSEGV, "signal")


def test_check() -> None:
    """check=True raises, and the recording is not lost."""
    with pytest.raises(hiwater.CommandFailedError, match="exited with 3") as caught:
        hiwater.run(["sh", "-c", "exit 3"], check=True)
    assert caught.value.recording.exit_code == 3
    with pytest.raises(hiwater.CommandFailedError, match="time-out"):
        hiwater.run(["sleep", "9"], check=True, timeout=0.1)


@pytest.mark.parametrize("mode", list(hiwater.Mode))
def test_not_started(mode: hiwater.Mode, tmp_path: Path) -> None:
    """Not found and not executable are told apart, as OSErrors that name the command; no file is left."""
    with pytest.raises(hiwater.CommandNotFoundError) as caught:
        hiwater.run(["no-such-command"], mode=mode, output=tmp_path / "a.hiw")
    assert caught.value.filename == "no-such-command"
    with pytest.raises(hiwater.CommandNotExecutableError):
        hiwater.run([str(tmp_path)], mode=mode, output=tmp_path / "a.hiw")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: hiwater.run([]),
        lambda: hiwater.run([""]),
        lambda: hiwater.run("ls -l"),
        lambda: hiwater.run(["a\0b"]),
        lambda: hiwater.run(["ls"], mode="loud"),
        lambda: hiwater.run(["ls"], timeout=-1),
        lambda: hiwater.run(["ls"], timeout=float("nan")),
        lambda: hiwater.run(["ls"], period=1e-9),
        lambda: hiwater.run(["ls"], input="a", stdin=subprocess.PIPE),
        lambda: hiwater.run(["ls"], capture_output=True, stdout=subprocess.PIPE),
    ],
)
def test_misuse(call: object) -> None:
    """A wrong call is told before anything is started."""
    assert callable(call)
    with pytest.raises(hiwater.MisuseError):
        call()


def test_save_and_load(tmp_path: Path) -> None:
    """A recording that was saved and loaded gives the same figures."""
    recording = hiwater.run(["true"])
    recording.save(tmp_path / "a.hiw")
    loaded = hiwater.load(tmp_path / "a.hiw")
    assert loaded.to_json() == recording.to_json()
    with pytest.raises(hiwater.OutputExistsError):
        recording.save(tmp_path / "a.hiw")
    recording.save(tmp_path / "a.hiw", force=True)


def test_output(tmp_path: Path) -> None:
    """output= keeps the recording, whole, under its name; what exists is refused before the command starts."""
    path = tmp_path / "a.hiw"
    recording = hiwater.run(["true"], output=path)
    assert hiwater.load(path).to_json() == recording.to_json()
    marker = tmp_path / "ran"
    with pytest.raises(hiwater.OutputExistsError):
        hiwater.run(["touch", str(marker)], output=path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.hiw"]


def test_threads() -> None:
    """Many threads at once each get their own command's figures, and none stays behind."""
    before = threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        sizes = [10, 20, 30, 40] * 3
        recordings = list(pool.map(lambda n: hiwater.run(python(TAKES, str(n)), capture_output=True), sizes))
    assert [recording.stdout for recording in recordings] == [b"%d\n" % (n * MIB) for n in sizes]
    assert threading.active_count() == before


def test_no_signal_handler_is_touched() -> None:
    """Library use leaves the signals of the process alone."""
    before = [signal.getsignal(number) for number in signal.valid_signals()]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    hiwater.run(["true"])
    assert [signal.getsignal(number) for number in signal.valid_signals()] == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_no_descriptor_is_leaked() -> None:
    """Neither into this process nor into the command."""
    before = sorted(os.listdir("/proc/self/fd"))
    recording = hiwater.run(["ls", "/proc/self/fd"], capture_output=True, text=True)
    assert recording.stdout == "0\n1\n2\n3\n", "3 is ls reading the directory"
    with pytest.raises(hiwater.CommandNotFoundError):
        hiwater.run(["no-such-command"])
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_async() -> None:
    """Several commands at once under asyncio."""

    async def together() -> list[hiwater.Recording]:
        calls = [hiwater.run_async(python(TAKES, str(n)), capture_output=True, text=True) for n in (5, 10, 15)]
        return await asyncio.gather(*calls)

    assert [recording.stdout for recording in asyncio.run(together())] == [f"{n * MIB}\n" for n in (5, 10, 15)]


def test_async_cancelled(tmp_path: Path) -> None:
    """A task that is cancelled ends its command, one that ignores SIGTERM too."""
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)

    async def cancelled() -> int:
        code = f"trap '' TERM; echo $$ > {pipe}; while :; do sleep 0.05; done"
        task = asyncio.create_task(hiwater.run_async(["sh", "-c", code]))
        pid = int(await asyncio.to_thread(pipe.read_text))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(cancelled()), 0)


def test_monitor_killed(tmp_path: Path) -> None:
    """If the monitor is killed the command lives on; what was recorded up to then is in the error and in the file."""
    pipe = tmp_path / "pids"
    os.mkfifo(pipe)
    killed: list[int] = []

    def kill() -> None:
        command, monitor = map(int, pipe.read_text().split())
        killed.append(command)
        while not (tmp_path / "a.hiw.part").stat().st_size:  # the monitor writes now and then
            time.sleep(0.01)
        os.kill(monitor, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(hiwater.MonitorError, match="signal 9"):
        hiwater.run(["sh", "-c", f"echo $$ $PPID > {pipe}; exec sleep 60"], output=tmp_path / "a.hiw")
    thread.join()
    os.kill(killed[0], signal.SIGKILL)
    assert not hiwater.load(tmp_path / "a.hiw").complete
