"""A Music Player Daemon of one's own: its folder, its socket, its library, no sound."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 300.0

_CONFIGURATION = """\
music_directory "{music}"
playlist_directory "{home}"
db_file "{home}/database"
state_file "{home}/state"
bind_to_address "{socket}"
auto_update "no"
zeroconf_enabled "no"
max_output_buffer_size "65536"
audio_output {{
	type "null"
	name "silence"
}}
"""


class Daemon:
    """Started with a library, it knows every song of it; to be used in a ``with`` statement."""

    def __init__(self, home: Path, music: Path) -> None:
        self.home = home
        self.socket = home / "socket"
        home.mkdir(parents=True, exist_ok=True)
        configuration = home / "mpd.conf"
        configuration.write_text(_CONFIGURATION.format(music=music, home=home, socket=self.socket))
        program = shutil.which("mpd", path="/usr/local/bin:/usr/bin:/bin")
        if program is None:
            raise FileNotFoundError("the Music Player Daemon is not installed: apt-get install mpd")
        self._log = (home / "log").open("wb")
        self._process = subprocess.Popen(
            [program, "--no-daemon", "--stderr", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Daemon:
        try:
            self._wait_for(self._listens)
            self._ask("update")
            self._wait_for(lambda: "updating_db" not in self._ask("status"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()

    @property
    def songs(self) -> int:
        """How many it knows."""
        return int(self._ask("stats")["songs"])

    def _listens(self) -> bool:
        """The socket has a name a moment before anybody listens to it."""
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self.socket)) == 0

    def _ask(self, command: str) -> dict[str, str]:
        """One command of its protocol, and the pairs that it answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.readline()  # its greeting
                stream.write(f"{command}\n")
                stream.flush()
                found = {}
                for line in stream:
                    if line == "OK\n":
                        return found
                    if line.startswith("ACK"):
                        raise RuntimeError(f"mpd: {line.strip()}")
                    key, _, value = line.rstrip("\n").partition(": ")
                    found[key] = value
        raise RuntimeError("mpd closed the connection")

    def _wait_for(self, happened: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            if self._process.poll() is not None:
                raise RuntimeError(f"mpd ended: {(self.home / 'log').read_text(errors='replace')}")
            if time.monotonic() > end:
                raise RuntimeError(f"mpd did not get ready within {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.05)
