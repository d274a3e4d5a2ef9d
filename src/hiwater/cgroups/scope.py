"""A scope of systemd: where our own cgroup cannot be divided, systemd starts us again in one that can.

``systemd-run --scope`` becomes the command that it is given: pid, terminal, descriptors and parent stay what they are,
so hiwater starts itself again in its own place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from shutil import which

from hiwater.errors import LimitUnavailableError

_SIGN = "HIWATER_IN_SCOPE"
_PATIENCE_SECONDS = 20


def arrived() -> bool:
    """Whether this is the second start. The variable is taken away: the command is not to find it."""
    return os.environ.pop(_SIGN, None) is not None


def enter(root: str = "") -> None:
    """Starts this program again in a scope of its own; raises LimitUnavailableError where systemd cannot do that."""
    line = _command(root)
    if line is None:
        raise LimitUnavailableError("systemd does not run here")
    try:
        # What fails behind the point of no return would look like the command's failure.
        tried = subprocess.run(
            [*line, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LimitUnavailableError(f"{line[0]}: {error}") from None
    if tried.returncode != 0:
        said = tried.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise LimitUnavailableError(f"{line[0]} makes no scope: {said}")
    os.environ[_SIGN] = "1"
    os.execv(line[0], [*line, sys.executable, *sys.orig_argv[1:]])


def _command(root: str) -> list[str] | None:
    program = which("systemd-run")
    if program is None or not os.path.isdir(f"{root}/run/systemd/system"):  # as sd_booted(3) asks
        return None
    whose = [] if os.geteuid() == 0 else ["--user"]
    return [program, *whose, "--scope", "--quiet", "-p", "Delegate=yes", "--"]
