"""What is installed besides hiwater."""

from __future__ import annotations

import shutil
import subprocess

from hiwater.methods.catalogue import Tools


def installed_tools() -> Tools:
    """Looks along PATH."""
    return Tools(gnu_time=_gnu_time(), env=shutil.which("env"))


def _gnu_time() -> str | None:
    """Other programs of that name do not know -f; Homebrew calls it gtime."""
    for name in ("time", "gtime"):
        path = shutil.which(name)
        if path is None:
            continue
        said = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if b"GNU" in said.stdout + said.stderr:
            return path
    return None
