"""Runs hiwater-probe, the small C program behind ``methods`` and ``doctor``, and reads its report."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import IO

from hiwater.errors import HiwaterError

_ERRORS_KEPT = 2000
_FAILED = 125


class ProbeError(HiwaterError):
    """The probe itself failed; the message is its own."""


class Output(Enum):
    """Where stdout and stderr of what is started go."""

    DISCARD = "discard"
    """To nowhere; the end of stderr is kept, for the report of a failure."""
    KEEP = "keep"
    """Where hiwater's own go."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the probe said: only what it could find out is in ``values``."""

    values: Mapping[str, int] = field(default_factory=dict)
    exit_code: int = 0
    """0 done, 1 not possible here, 126/127 the command could not be started; below 0: killed by that signal."""
    errors: str = ""
    """The end of stderr, the probe's and the command's; empty with Output.KEEP."""

    def get(self, key: str) -> int | None:
        """A value, None where it is unknown."""
        return self.values.get(key)


def parse_report(text: bytes) -> dict[str, int]:
    """The ``key=value`` lines; a line that a killed probe left unfinished is dropped."""
    values = {}
    for line in text.split(b"\n")[:-1]:
        key, _, value = line.partition(b"=")
        values[key.decode("ascii")] = int(value)
    return values


def run_launch(probe: str, options: Sequence[str], command: Sequence[str], output: Output = Output.DISCARD) -> Report:
    """``hiwater-probe launch OPTIONS -- COMMAND``. The report has a pipe of its own: stdout belongs to the command.

    Where an argument is ``{fd}``, the number of that pipe is put in.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as report, os.fdopen(writer, "wb") as kept:
        number = str(writer)
        words = [probe, "launch", "--report-fd", number, *options, "--"]
        words += [number if word == "{fd}" else word for word in command]
        sink = None if output is Output.KEEP else subprocess.DEVNULL
        return _run(words, sink, report, kept, output)


def run_probe(probe: str, arguments: Sequence[str]) -> Report:
    """A sub-command that starts no command of others, and reports on stdout."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as report, os.fdopen(writer, "wb") as kept:
        return _run([probe, *arguments], kept, report, kept, Output.DISCARD)


def _run(
    words: Sequence[str], stdout: int | IO[bytes] | None, report: IO[bytes], kept: IO[bytes], output: Output
) -> Report:
    # stderr goes to a file, not to a pipe: nobody reads it before the report has ended.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=None if output is Output.KEEP else errors,
            pass_fds=(kept.fileno(),),
        )
        with process:
            kept.close()
            text = report.read()
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _ERRORS_KEPT))
        said = errors.read().decode("utf-8", "replace").strip()
    if process.returncode == _FAILED:
        raise ProbeError(said or f"{words[0]} failed")
    return Report(parse_report(text), process.returncode, said)
