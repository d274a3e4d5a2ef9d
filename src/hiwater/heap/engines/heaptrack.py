"""``--engine heaptrack``: every allocation counted, at about 4 to 9 times the time of processor.

The script ``heaptrack`` is not used: of a program that its library cannot be loaded into it waits for ever, and it
makes the command a grandchild. The library is preloaded as the script does it, and writes into a fifo; what reads that
is started with the first line. A program that never writes one ends like any other, and is found out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hiwater.errors import MisuseError
from hiwater.heap.engines.fitness import direct, unfit
from hiwater.heap.engines.model import DEFAULTS, EngineError, Prepared, Wanted, without_exit
from hiwater.heap.model import HeapProfile
from hiwater.heap.preflight import Fitness
from hiwater.heap.readers import EVERY, read_heaptrack

STARTUP_SECONDS = 20.0
"""The library's constructor writes before main: that takes a second on a slow machine."""
DRAIN_SECONDS = 30.0
"""How long the interpreter may make no progress after the command's end."""
_SET_PIPE_SIZE = 1031
"""F_SETPIPE_SZ of fcntl(2): fcntl.F_SETPIPE_SZ is there since Python 3.10, but not on every libc."""
_FIT = frozenset({Fitness.FIT})


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the parts of heaptrack lie."""

    library: str
    interpreter: str | None
    """Gives addresses their names. ``None``: the file stays as the library writes it."""


def installation(command: str | None = None) -> Installation | None:
    """Found as the script finds them, by the folders that it was built with."""
    script = command or shutil.which("heaptrack")
    if script is None:
        return None
    script = os.path.realpath(script)
    try:
        text = Path(script).read_text("utf-8", "replace")
    except OSError:
        return None
    here = os.path.dirname(script)
    libraries = _folders(text, "LIB_REL_PATH", ("../lib/heaptrack", "../lib64/heaptrack"))
    programs = _folders(text, "LIBEXEC_REL_PATH", ("../lib/heaptrack/libexec", "../lib64/heaptrack/libexec"))
    library = _first(here, libraries, "libheaptrack_preload.so")
    return None if library is None else Installation(library, _first(here, programs, "heaptrack_interpret"))


def _folders(text: str, name: str, usual: Sequence[str]) -> list[str]:
    return [*re.findall(rf'^{name}="([^"]*)"', text, re.MULTILINE), *usual]


def _first(here: str, folders: Sequence[str], name: str) -> str | None:
    paths = (os.path.realpath(os.path.join(here, folder, name)) for folder in folders)
    return next((path for path in paths if os.path.isfile(path)), None)


class Heaptrack:
    """One execution under heaptrack."""

    name = "heaptrack"
    exact = True

    def __init__(self) -> None:
        self._pipe: _Pipe | None = None
        self._every = EVERY

    def missing(self) -> str | None:
        if installation() is None:
            return "heaptrack is not installed: apt-get install heaptrack"
        return None

    def unfit(self, command: Sequence[str], env: Mapping[str, str]) -> str | None:
        return unfit(command, env, _FIT, self.name)

    def prepare(
        self, command: Sequence[str], folder: Path, *, env: Mapping[str, str], wanted: Wanted = DEFAULTS
    ) -> Prepared:
        found = installation()
        if found is None:
            raise MisuseError(self.missing() or "heaptrack is not installed")
        program = direct(command, env)
        fifo = folder / "heaptrack.fifo"
        os.mkfifo(fifo, 0o600)
        self._every = wanted.every_bytes or EVERY
        self._pipe = pipe = _Pipe(fifo, folder / "heaptrack", found.interpreter)
        before = program.env.get("LD_PRELOAD", env.get("LD_PRELOAD", ""))
        return Prepared(
            program.command,
            {
                **program.env,
                "LD_PRELOAD": ":".join(filter(None, (found.library, before))),
                "DUMP_HEAPTRACK_OUTPUT": str(fifo),
            },
            startup_seconds=STARTUP_SECONDS,
            begun=pipe.begun.is_set,
            notes=(program.note,) if program.note else (),
        )

    def collect(self, folder: Path, *, killed: bool = False) -> HeapProfile:
        if self._pipe is None:
            raise MisuseError("nothing was prepared")
        output = self._pipe.finish(DRAIN_SECONDS)
        if output is None:
            raise EngineError(
                "heaptrack never took hold of the program: it is static, has an allocator of its own, or ended before "
                "its libraries were loaded. Try hiwater faults -- COMMAND"
            )
        return without_exit(read_heaptrack(str(output), self._pipe.modules, every=self._every), killed)

    def abandon(self) -> None:
        if self._pipe is not None:
            self._pipe.finish(0.0)


class _Pipe:
    """From the library's fifo through the interpreter and a packer to a file. Nothing is started before there is
    something to read. The lines that tell which file was mapped where are kept, since the interpreter drops them."""

    def __init__(self, fifo: Path, output: Path, interpreter: str | None) -> None:
        self._interpreter = interpreter
        self._packer = next((found for name in ("zstd", "gzip") if (found := shutil.which(name))), None)
        suffix = {"zstd": ".zst", "gzip": ".gz"}.get(os.path.basename(self._packer or ""), "")
        self.output = output.with_name(output.name + ("" if interpreter else ".raw") + suffix)
        self.begun = threading.Event()
        self.modules: list[bytes] = []
        # Both ends: the library does not wait for a reader, and what it wrote stays after it.
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # more than /proc/sys/fs/pipe-max-size
            fcntl.fcntl(self._fifo, _SET_PIPE_SIZE, 1 << 20)
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._finished = False
        self._rest = b""
        self._thread = threading.Thread(target=self._pump, name="hiwater-heaptrack", daemon=True)
        # A signal to the process goes to any thread that does not block it: who waits for one, as the command line does
        # with sigwait, would wait for ever.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _pump(self) -> None:
        sink: IO[bytes] | None = None
        while True:
            ready, _, _ = select.select([self._fifo, self._stop_read], [], [])
            if self._fifo not in ready:
                break  # the command has ended, and all that it wrote was read
            data = os.read(self._fifo, 1 << 16)
            if not self.begun.is_set():
                sink = self._start()
                self.begun.set()
            self._keep_modules(data)
            try:
                while sink is not None and data:
                    data = data[sink.write(data) :]
            except OSError:  # the interpreter has ended: the command must not wait for it
                sink = None
        if sink is not None:
            with contextlib.suppress(OSError):
                sink.close()

    def _keep_modules(self, data: bytes) -> None:
        """Lines may be cut anywhere."""
        data = self._rest + data
        if not self.modules:
            self._rest = b""
            if b"\n" not in data:
                self._rest = data
                return
            self.modules.append(data[: data.index(b"\n")])  # v: the format
        at = -1
        while True:
            at = min((found for mark in (b"\nm ", b"\nx ") if (found := data.find(mark, at + 1)) >= 0), default=-1)
            end = data.find(b"\n", at + 1)
            if at < 0 or end < 0:
                break
            self.modules.append(data[at + 1 : end])
            at = end - 1
        self._rest = data[at:] if at >= 0 else data[-2:]

    def _start(self) -> IO[bytes] | None:
        commands = [[command] for command in (self._interpreter, self._packer) if command] or [["cat"]]
        if self._packer:
            commands[-1] += ["-c"]
        with open(self.output, "wb") as file:
            for number, command in enumerate(commands):
                self._processes.append(
                    subprocess.Popen(
                        command,
                        stdin=self._processes[-1].stdout if self._processes else subprocess.PIPE,
                        stdout=file if number == len(commands) - 1 else subprocess.PIPE,
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,  # Ctrl-C is for the command: what it did is to be written down
                        bufsize=0,
                    )
                )
        for process in self._processes[:-1]:
            if process.stdout is not None:
                process.stdout.close()  # the next one's now
        return self._processes[0].stdin

    def finish(self, patience: float) -> Path | None:
        """The file, complete; ``None`` where nothing ever came. Whoever makes no progress for so long is ended."""
        if not self._finished:
            self._finished = True
            os.write(self._stop_write, b"x")
            self._thread.join()
            for fd in (self._fifo, self._stop_read, self._stop_write):
                os.close(fd)
            for process in self._processes:
                self._wait(process, patience)
        return self.output if self.begun.is_set() else None

    def _wait(self, process: subprocess.Popen[bytes], patience: float) -> None:
        size = -1
        while True:
            try:
                process.wait(patience)
                return
            except subprocess.TimeoutExpired:
                now = self.output.stat().st_size
                if now == size or patience == 0:
                    process.kill()
                    process.wait()
                    return
                size = now
