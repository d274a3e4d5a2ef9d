"""A machine made of answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hiwater.probing import Report


@dataclass
class FakeHost:
    """A host that knows what it is told, and nothing of the machine that the tests run on."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    reports: Mapping[str, Report] = field(default_factory=dict)
    writable: frozenset[str] = frozenset()
    uid: int = 1000
    cpus: int = 2
    release: str | None = "6.18.0"
    no_exact: str | None = "it takes root"

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return any(name == path or name.startswith(path + "/") for name in self.files)

    def can_make_child(self, directory: str) -> bool:
        return directory in self.writable

    def probe(self, *arguments: str) -> Report:
        return self.reports.get(" ".join(arguments), Report())

    def exact_refused(self) -> str | None:
        return self.no_exact
