"""Executes commands under the monitor, and reads what it recorded; for tests of the monitor alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hiwater.errors import NotARecordingError
from hiwater.recording.model import Image, Process, Recording
from hiwater.recording.reader import parse

PATIENCE = 30.0
"""Seconds until something that does not happen is a failure: what a slow machine may take, not what it takes."""

SECOND = 1_000_000_000
MIB = 1 << 20
FOREVER = "3600000000000"


def images_of(recording: Recording) -> list[Image]:
    return [image for process in recording.observed_processes for image in process.images]


def largest_hwm(recording: Recording) -> int:
    """The largest mark that was read of any image; 0 if none was."""
    return max((image.end.hwm_bytes or 0 for image in images_of(recording) if image.end), default=0)


def warnings_of(recording: Recording) -> list[str]:
    return [warning.code for warning in recording.told_warnings]


def process_of(recording: Recording, pid: int) -> Process:
    found = [process for process in recording.observed_processes if process.pid == pid]
    assert len(found) == 1, f"{len(found)} processes of pid {pid}"
    return found[0]


@dataclass(frozen=True)
class Outcome:
    """What a command under the monitor came to."""

    status: int
    """Of the monitor, as a shell shows it; negative: the signal that ended it."""
    stdout: bytes
    stderr: bytes
    data: bytes
    """The stream."""

    @property
    def recording(self) -> Recording:
        return parse(self.data)


@dataclass(frozen=True)
class Monitor:
    """One build of the monitor in one mode."""

    path: str
    mode: str
    room: Path
    """A directory that every user can read."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the build itself needs."""

    @property
    def mode_options(self) -> list[str]:
        return ["--exact"] if self.mode == "exact" else ["--mode", self.mode]

    @property
    def sees_all(self) -> bool:
        """Every birth and every end is told to it."""
        return self.mode != "quiet"

    def program(self, name: str) -> str:
        return str(self.room / name)

    def command(self, options: Iterable[str], command: Iterable[str | bytes]) -> list[str | bytes]:
        return [self.path, *self.mode_options, *options, "--", *command]

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, **self.environment, **(more or {})}

    def act(self, *verbs: str | int, options: Sequence[str] = (), **how: Any) -> Outcome:
        """Executes the program that does what it is told."""
        return self.run(self.program("act"), *map(str, verbs), options=options, **how)

    def run(
        self,
        *command: str | bytes,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        input: bytes = b"",
        **popen: Any,
    ) -> Outcome:
        """Executes a command to its end. `prefix`: what the monitor is started through."""
        with (
            self.start(*command, options=options, env=env, prefix=prefix, stderr=subprocess.PIPE, **popen) as session,
        ):
            return session.finish(input)

    @contextmanager
    def start(
        self,
        *command: str | bytes,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        **popen: Any,
    ) -> Iterator[Session]:
        """Starts a command; its streams and its recording are pipes."""
        reader, writer = os.pipe()
        line = [*prefix, *self.command(["--output-fd", str(writer), *options], command)]
        popen = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **popen}
        with subprocess.Popen(line, pass_fds=(writer, *pass_fds), env=self.environ(env), **popen) as process:
            os.close(writer)
            session = Session(process, Stream(reader))
            try:
                yield session
            finally:
                if process.poll() is None:
                    process.kill()
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe is not None:
                        with suppress(BrokenPipeError):
                            pipe.close()

    def start_act(self, *verbs: str | int, options: Sequence[str] = (), **how: Any) -> Any:
        return self.start(self.program("act"), *map(str, verbs), options=options, **how)


class Stream:
    """A recording that is still being written: gathered by a thread, so that the monitor never waits for us."""

    def __init__(self, reader: int) -> None:
        self._data = bytearray()
        self._more = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._gather, args=(reader,), daemon=True)
        self._thread.start()

    def _gather(self, reader: int) -> None:
        with open(reader, "rb", buffering=0) as pipe:
            while piece := pipe.read(65536):
                with self._more:
                    self._data += piece
                    self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def _holds(self, condition: Callable[[Recording], bool]) -> bool:
        try:
            return condition(parse(bytes(self._data)))
        except NotARecordingError:
            return False  # its header is not there yet

    def until(self, condition: Callable[[Recording], bool]) -> Recording:
        """Waits until what was recorded so far fulfils the condition."""
        with self._more:
            held = self._more.wait_for(lambda: self._ended or self._holds(condition), PATIENCE)
            assert held, "the monitor did not record it"
            assert self._holds(condition), "the recording ended without it"
            return parse(bytes(self._data))

    def rest(self) -> bytes:
        """The whole, once nobody can write any more."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "somebody still holds the stream open"
        return bytes(self._data)


@dataclass(frozen=True)
class Session:
    """A command that is running under the monitor."""

    process: subprocess.Popen[bytes]
    stream: Stream

    @property
    def pid(self) -> int:
        """Of the monitor."""
        return self.process.pid

    def _pipe(self, which: IO[bytes] | None) -> IO[bytes]:
        assert which is not None
        return which

    def line(self) -> bytes:
        """The next line that the command writes."""
        return self._pipe(self.process.stdout).readline()

    def number(self) -> int:
        """The number at the end of the next line."""
        return int(self.line().split()[-1])

    def go(self) -> None:
        """Lets one `read` of the command return."""
        stdin = self._pipe(self.process.stdin)
        stdin.write(b"\n")
        stdin.flush()

    def looked_again(self, looks: int = 3) -> Recording:
        """Waits until the monitor has looked at the tree several times more."""
        before = [0]

        def ticks(recording: Recording) -> int:
            return (recording.stats.ticks or 0) if recording.stats else 0

        def remember(recording: Recording) -> bool:
            before[0] = ticks(recording)
            return True

        self.stream.until(remember)
        # What was flushed is older than now: the record behind the next one is surely newer.
        first = self.stream.until(lambda recording: ticks(recording) > before[0])
        return self.stream.until(lambda recording: ticks(recording) >= ticks(first) + looks)

    def finish(self, input: bytes | None = None) -> Outcome:
        stdout, stderr = self.process.communicate(input, timeout=PATIENCE)
        return Outcome(self.process.returncode, stdout or b"", stderr or b"", self.stream.rest())


LAUNCHER = Path(__file__).with_name("launcher.py")


def launcher(*settings: str) -> tuple[str, ...]:
    """A prefix that executes the monitor (or a plain command) in an unusual state, see launcher.py."""
    return (sys.executable, "-I", str(LAUNCHER), *settings, "--")


def state_of(pid: int) -> str:
    """The state letter of a process; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for something that no event tells of."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen: {what}"
        time.sleep(0.002)
