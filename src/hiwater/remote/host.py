"""Another machine, as ssh reaches it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from typing import IO, Any

from hiwater.errors import RemoteError

LOST = 255
"""What ssh itself exits with when it failed, ssh(1)."""
MARK = "hiwater-remote:"
"""In front of our own lines: the shell over there may print a greeting."""


class Host:
    """One connection for all that is asked, so that a password is asked for once; to be closed.

    The variable HIWATER_SSH may hold another program than ``ssh``, with options.
    """

    def __init__(self, name: str) -> None:
        if not name or name.startswith("-"):
            raise RemoteError(f"--ssh takes the name of a machine, not {name!r}")
        words = shlex.split(os.environ.get("HIWATER_SSH", "")) or ["ssh"]
        program = shutil.which(words[0])
        if program is None:
            raise RemoteError(f"{words[0]} is missing on this machine (apt-get install openssh-client)")
        self.name = name
        # A control socket's path has room for about a hundred characters.
        self._folder = tempfile.mkdtemp(prefix="hiwater-")
        shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={self._folder}/%C", "-o", "ControlPersist=60"]
        self._ssh = [program, *words[1:], *shared]

    def line(self, script: str, *, terminal: bool = False) -> list[str]:
        """The local command line that has ``sh`` execute a script over there."""
        return [*self._ssh, "-tt" if terminal else "-T", "--", self.name, f"exec sh -c {shlex.quote(script)}"]

    def ask(self, script: str, *, stdin: IO[Any] | int = subprocess.DEVNULL, stdout: int = subprocess.PIPE) -> str:
        """What a script prints. Raises RemoteError with what ssh or the script said on stderr."""
        result = subprocess.run(self.line(script), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
        if result.returncode != 0:
            told = result.stderr.decode("utf-8", "replace").strip() or f"exit status {result.returncode}"
            what = "cannot be reached" if result.returncode == LOST else "did not do as asked"
            raise RemoteError(f"{self.name} {what}: {told}")
        return (result.stdout or b"").decode("utf-8", "surrogateescape")

    def tell(self, script: str) -> None:
        """Has a script executed, without waiting for it."""
        subprocess.Popen(
            self.line(script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Ends the connection."""
        subprocess.run(
            [*self._ssh, "-O", "exit", "--", self.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        shutil.rmtree(self._folder, ignore_errors=True)
