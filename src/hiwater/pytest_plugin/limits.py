"""Which budget a test has: defaults, directories, patterns and markers, each key strictly checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

from hiwater.errors import MisuseError
from hiwater.units import parse_size

FIGURES = ("peak", "growth", "left")
KEYS = (*FIGURES, "include_setup")
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_RULE = re.compile(r"(?P<target>\S.*?)\s*:\s+(?P<keys>\S.*)", re.DOTALL)
_KEY = re.compile(r"([\w-]+)\s*=\s*(.*?)\s*(?=[\w-]+\s*=|$)")

Value = int | bool | None


@dataclass(frozen=True, slots=True)
class Limits:
    """The budget of one test; ``None`` is no limit."""

    peak: int | None = None
    """Peak RSS of the process while the test ran."""
    growth: int | None = None
    """What that is above the RSS at the beginning."""
    left: int | None = None
    """RSS at the end above that at the beginning."""
    include_setup: bool = False
    """Whether the setup of the test counts for it."""

    def __bool__(self) -> bool:
        return (self.peak, self.growth, self.left) != (None, None, None)

    def items(self) -> list[tuple[str, int]]:
        """The limits that there are."""
        found = ((name, getattr(self, name)) for name in FIGURES)
        return [(name, limit) for name, limit in found if limit is not None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A budget for all tests, for those under a path, or for those whose node ID matches a pattern."""

    values: Mapping[str, Value]
    path: PurePath | None = None
    pattern: str | None = None

    @property
    def rank(self) -> tuple[int, int]:
        """What is more specific comes later, and wins."""
        if self.pattern is not None:
            return 2, 0
        return (0, 0) if self.path is None else (1, len(self.path.parts))

    def applies(self, node_id: str, path: PurePath) -> bool:
        """To a test of that file (absolute, as the rule's path is)."""
        if self.pattern is not None:
            return fnmatchcase(node_id, self.pattern)
        return self.path is None or path == self.path or self.path in path.parents


def parse_values(given: Mapping[str, object], where: str) -> dict[str, Value]:
    """``{"peak": "64 MiB", "include_setup": True}`` in bytes; ``-`` and ``_`` in keys are the same."""
    values: dict[str, Value] = {}
    for written, raw in given.items():
        key = written.replace("-", "_")
        if key not in KEYS:
            raise MisuseError(f"{where}: unknown key {written!r}: there are {', '.join(KEYS)}")
        values[key] = _yes_no(raw, written, where) if key == "include_setup" else _size(raw, written, where)
    return values


def _size(raw: object, key: str, where: str) -> int | None:
    if raw is None or (isinstance(raw, str) and raw.strip().lower() == "none"):
        return None
    if not isinstance(raw, str):
        raise MisuseError(f"{where}: {key} is a size in quotes with its unit, such as '64 MiB', not {raw!r}")
    try:
        return parse_size(raw)
    except MisuseError as error:
        raise MisuseError(f"{where}: {key}: {error}") from None


def _yes_no(raw: object, key: str, where: str) -> bool:
    known = raw if isinstance(raw, bool) else _YES_NO.get(raw.strip().lower()) if isinstance(raw, str) else None
    if known is None:
        raise MisuseError(f"{where}: {key} is yes or no, not {raw!r}")
    return known


def parse_rule(line: str, root: PurePath, where: str) -> Rule:
    """``tests/unit: peak=64MiB growth=8MiB`` or ``*large*: peak=none``. What holds ``*``, ``?``, ``[`` is a pattern."""
    found = _RULE.fullmatch(line.strip())
    pairs = _KEY.findall(found["keys"]) if found else []
    if found is None or not pairs or _KEY.sub("", found["keys"]).strip():
        raise MisuseError(f"{where}: {line!r} is no rule: write 'TARGET: peak=64MiB growth=8MiB left=1MiB'")
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise MisuseError(f"{where}: {line!r} has a key twice")
    values = parse_values(dict(pairs), where)
    target = found["target"]
    if any(character in target for character in "*?["):
        return Rule(values, pattern=target)
    return Rule(values, path=root / target)


def marker_values(args: Sequence[object], kwargs: Mapping[str, object], where: str) -> dict[str, Value]:
    """Those of ``@pytest.mark.hiwater("64 MiB", growth="8 MiB")``."""
    given = dict(kwargs)
    if len(args) > 1:
        raise MisuseError(f"{where}: the marker takes one budget by position, the peak; name the others")
    if args:
        if "peak" in given:
            raise MisuseError(f"{where}: peak is given twice")
        given["peak"] = args[0]
    if not given:
        raise MisuseError(f"{where}: the marker has no budget: write hiwater('64 MiB') or hiwater(growth='8 MiB')")
    return parse_values(given, where)


def resolve(rules: Iterable[Rule], markers: Iterable[Mapping[str, Value]], node_id: str, path: PurePath) -> Limits:
    """Key by key, the most specific rule wins, and any marker over all rules. ``markers``: the closest comes last."""
    values: dict[str, Value] = {}
    for rule in sorted(rules, key=lambda rule: rule.rank):
        if rule.applies(node_id, path):
            values.update(rule.values)
    for marker in markers:
        values.update(marker)
    return Limits(**values)  # type: ignore[arg-type] # the keys are those of Limits, the values checked
