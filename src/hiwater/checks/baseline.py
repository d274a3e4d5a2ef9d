"""A baseline: what checks took when somebody was content with it. One JSON file, made to be committed.

All executions are kept, not an average: a comparison needs to know how much they vary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hiwater._version import __version__
from hiwater.analysis.budget import Figure
from hiwater.checks.model import Check, Host, Report, Status
from hiwater.errors import MisuseError

SCHEMA = "hiwater.baseline/1"
EXECUTIONS = 10
"""So many times a command is executed for a baseline, unless its repeats say more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One check."""

    command: tuple[str, ...]
    samples: Mapping[Figure, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the file holds."""

    path: str
    host: Host
    commit: str | None
    entries: Mapping[str, Entry]

    def old(self, check: Check) -> tuple[int, ...] | None:
        """What a check is compared with; ``None`` if it is not known."""
        entry = self.entries.get(check.name)
        return entry.samples.get(check.figure) or None if entry is not None else None

    def notes(self, check: Check) -> tuple[str, ...]:
        """What makes the comparison of this check doubtful, or impossible."""
        entry = self.entries.get(check.name)
        if entry is None or self.old(check) is None:
            return (f"{self.path} does not know it; --update-baseline adds it",)
        return () if entry.command == check.command else ("its command is not that of the baseline",)

    def warnings(self, host: Host) -> tuple[str, ...]:
        """What on this machine differs from the baseline's; MisuseError where nothing can be compared."""
        for what, then, now in (
            ("machine", self.host.machine, host.machine),
            ("page size", str(self.host.page_size), str(host.page_size)),
        ):
            if then != now:
                raise MisuseError(
                    f"{self.path} was measured with {what} {then}, this is {now}: the figures cannot be compared;"
                    " make a baseline on this machine with --update-baseline"
                )
        return tuple(
            f"{self.path} was measured with {what} {then}, this is {now}: that alone can change figures"
            for what, then, now in (
                ("kernel", self.host.kernel, host.kernel),
                ("CPUs", str(self.host.cpus), str(host.cpus)),
            )
            if then != now
        )


def load_baseline(path: str | Path) -> Baseline:
    """Reads it; MisuseError says what is wrong with it."""
    try:
        document = json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise MisuseError(f"{path} does not exist; --update-baseline writes it") from None
    except OSError as error:
        raise MisuseError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise MisuseError(f"{path} is no baseline: it is no JSON") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise MisuseError(f"{path} is no baseline of the schema {SCHEMA}")
    try:
        host = document["host"]
        return Baseline(
            str(path),
            Host(str(host["machine"]), str(host["kernel"]), host["cpus"], int(host["page_size_bytes"])),
            document["commit"],
            {str(name): _entry(entry) for name, entry in document["checks"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MisuseError(f"{path} is damaged: something is missing, or of another kind than {SCHEMA} says") from None


def _entry(entry: dict[str, Any]) -> Entry:
    samples = {figure: tuple(entry[f"{figure}_bytes"]) for figure in Figure}
    for sizes in samples.values():
        if any(type(size) is not int or size <= 0 for size in sizes):
            raise ValueError(sizes)
    return Entry(tuple(map(str, entry["command"])), samples)


def renew(report: Report, old: Baseline | None) -> str:
    """The text of a new baseline.

    What failed or could not be measured keeps its old entry, as do checks that were not executed this time; those that
    are no longer in the plan go.
    """
    planned = {check.name for check in report.plan.checks}
    kept = old.entries if old is not None else {}
    entries = {name: entry for name, entry in kept.items() if name in planned}
    for result in report.results:
        if result.status in (Status.FAILED, Status.UNDECIDABLE):
            continue
        entries[result.check.name] = Entry(result.check.command, {figure: result.samples(figure) for figure in Figure})
    document = {
        "schema": SCHEMA,
        "hiwater_version": __version__,
        "created_at": f"{datetime.fromtimestamp(report.started_at, timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        "commit": report.commit.id if report.commit is not None else None,
        "host": {
            "machine": report.host.machine,
            "kernel": report.host.kernel,
            "cpus": report.host.cpus,
            "page_size_bytes": report.host.page_size,
        },
        "checks": {
            name: {
                "command": list(entry.command),
                **{f"{figure}_bytes": list(entry.samples[figure]) for figure in Figure},
            }
            for name, entry in sorted(entries.items())
        },
    }
    return json.dumps(document, indent=1) + "\n"
