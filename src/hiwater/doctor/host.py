"""The machine, as the checks see it: the one place of the doctor that touches it."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Protocol

import hiwater
from hiwater.errors import HiwaterError
from hiwater.probing import Report, run_probe


class Host(Protocol):
    """What a check may ask. Tests answer from a table."""

    @property
    def uid(self) -> int:
        """Effective user."""

    @property
    def cpus(self) -> int:
        """CPUs that are online: each keeps a share of every counter."""

    @property
    def release(self) -> str | None:
        """The kernel's release."""

    def read(self, path: str) -> bytes | None:
        """A file; None if it is not there or may not be read."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    def can_make_child(self, directory: str) -> bool:
        """Whether a directory can be made in there. If so, it is removed at once."""

    def probe(self, *arguments: str) -> Report:
        """Runs hiwater-probe."""

    def exact_refused(self) -> str | None:
        """Why ``--exact`` is not possible, in the monitor's own words; None if it is."""


class LocalHost:
    """This machine."""

    def __init__(self, probe: str) -> None:
        self._probe = probe
        self.uid = os.geteuid()
        self.cpus = os.sysconf("SC_NPROCESSORS_ONLN")  # not os.cpu_count(): an option of Python can change that
        self.release: str | None = platform.release() or None

    def read(self, path: str) -> bytes | None:
        try:
            return Path(path).read_bytes()
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def can_make_child(self, directory: str) -> bool:
        child = Path(directory) / f"hiwater-doctor-{os.getpid()}"
        try:
            child.mkdir()
            child.rmdir()
        except OSError:
            return False
        return True

    def probe(self, *arguments: str) -> Report:
        return run_probe(self._probe, arguments)

    def exact_refused(self) -> str | None:
        devnull = subprocess.DEVNULL
        try:
            facts = hiwater.run([self._probe, "precision"], exact=True, stdin=devnull, stdout=devnull).facts
        except HiwaterError as error:
            return str(error)
        return None if facts.exact else facts.exact_refused or "the monitor does not say why"
