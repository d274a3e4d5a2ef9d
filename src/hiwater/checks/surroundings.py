"""The machine and the commit that figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from hiwater.checks.model import Commit, Host


def this_host() -> Host:
    """The machine that this runs on."""
    cpus = os.sysconf("SC_NPROCESSORS_ONLN")
    return Host(platform.machine(), platform.release(), cpus if cpus > 0 else None, os.sysconf("SC_PAGE_SIZE"))


def this_commit(directory: str | Path) -> Commit | None:
    """What is checked out there; ``None`` outside of git, or without it."""
    told = _git(directory, "show", "-s", "--no-show-signature", "--format=%H %ct", "HEAD")
    if told is None:
        return None
    words = told.split()
    if len(words) != 2:
        return None
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return Commit(words[0], int(words[1]), bool(changes))


def _git(directory: str | Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(directory), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            # It only looks: nobody else's work in the same checkout is to find a lock.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError:
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
