"""Programs of known size, measured by hiwater itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import hiwater
from hiwater.doctor.model import SelfTest
from hiwater.errors import HiwaterError
from hiwater.launch import Mode
from hiwater.probing import parse_report

_MIB = 1 << 20
MODES = (Mode.QUIET, Mode.TRACE)


@dataclass(frozen=True, slots=True)
class Program:
    """One way for ``hiwater-probe known`` to be big."""

    name: str
    arguments: tuple[str, ...]


PROGRAMS = (
    Program("a program that only starts", ()),
    Program("32 MiB of anonymous memory", ("--anon", str(32 * _MIB))),
    Program("32 MiB of shared memory", ("--shmem", str(32 * _MIB))),
    Program("32 MiB of a mapped file", ("--file", str(32 * _MIB))),
    Program("32 MiB, given back at once", ("--anon", str(32 * _MIB), "--free")),
    Program("32 MiB, killed at its peak", ("--anon", str(32 * _MIB), "--kill")),
)


def self_test(probe: str) -> Iterator[SelfTest]:
    """Every program in every mode, one after the other."""
    for program in PROGRAMS:
        for mode in MODES:
            yield measure(program, mode, probe)


def measure(program: Program, mode: Mode, probe: str) -> SelfTest:
    """Executes the program under hiwater. It says on its stdout how big it was at its peak."""
    try:
        recording = hiwater.run(
            [probe, "known", *program.arguments], mode=mode, stdin=subprocess.DEVNULL, capture_output=True
        )
    except HiwaterError as error:
        return SelfTest(program.name, mode.value, None, None, None, None, str(error))
    said = recording.stdout
    true = parse_report(said).get("walked_rss_bytes") if isinstance(said, bytes) else None
    peak = recording.peak_rss
    problem = None
    if true is None:
        problem = "the program could not walk its own page tables: no smaps"
    elif peak.bytes is None:
        problem = "hiwater has no figure"
    return SelfTest(program.name, mode.value, true, peak.bytes, peak.low, peak.high, problem)
