"""hiwater.toml: parsed strictly. Whatever is not understood is an error that names its place."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from hiwater.analysis.budget import Budget, Figure
from hiwater.checks.model import DEFAULT_CONFIDENCE, Check, Plan, Statistic
from hiwater.errors import MisuseError
from hiwater.heap.budget import At, HeapBudget
from hiwater.launch import Mode
from hiwater.units import parse_duration_ns, parse_share, parse_size

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHELL = ("/bin/sh", "-c")
_HEADER = re.compile(r"^\s*\[\[\s*check\s*\]\]", re.MULTILINE)
_Choice = TypeVar("_Choice", bound=Enum)


def load_plan(path: str | Path) -> Plan:
    """Reads it; every mistake is a :class:`MisuseError`."""
    try:
        text = Path(path).read_bytes().decode()
    except OSError as error:
        raise MisuseError(f"cannot read {path}: {error.strerror}; hiwater check --config names another file") from None
    except UnicodeDecodeError:
        raise MisuseError(f"{path}: TOML is UTF-8, and this is not") from None
    return parse_plan(text, str(path))


def parse_plan(text: str, path: str) -> Plan:
    """``path`` is where it was read: working directories are relative to it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MisuseError(f"{path}: {error}") from None
    base = Path(path).absolute().parent
    top = _take(document, {"defaults": _table, "check": _tables, "confidence": _confidence, "history": _text}, path)
    # Two layers: what a check does not say, [defaults] may, and what neither says, the model does.
    defaults = _take(top.get("defaults", {}), _DEFAULTS, f"{path}: [defaults]")
    tables = top.get("check", [])
    if not tables:
        raise MisuseError(f"{path}: there is no [[check]], so nothing to execute")
    lines = _lines(text, len(tables))
    checks = tuple(
        _check(table, defaults, base, _Place(path, number + 1, lines)) for number, table in enumerate(tables)
    )
    names = [check.name for check in checks]
    for name in names:
        if names.count(name) > 1:
            raise MisuseError(f"{path}: two checks have the name {name!r}")
    history = base / top["history"] if "history" in top else None
    return Plan(path, checks, top.get("confidence", DEFAULT_CONFIDENCE), history)


class _Place:
    """Where a check stands, for messages."""

    def __init__(self, path: str, number: int, lines: list[int] | None) -> None:
        self.path, self.number = path, number
        self.line = lines[number - 1] if lines is not None else None

    def of(self, table: Mapping[str, Any]) -> str:
        where = f"{self.path}:{self.line}" if self.line is not None else self.path
        name = table.get("name")
        return f"{where}: check {self.number}" + (f" ({name!r})" if isinstance(name, str) else "")


def _lines(text: str, count: int) -> list[int] | None:
    """The lines of the headers; ``None`` where a string that looks like one could be counted too."""
    starts = [match.end() for match in _HEADER.finditer(text)]
    return [text.count("\n", 0, start) + 1 for start in starts] if len(starts) == count else None


def _check(table: Mapping[str, Any], defaults: Mapping[str, Any], base: Path, place: _Place) -> Check:
    where = place.of(table)
    values = {**defaults, **_take(table, _KEYS, where)}
    for key in ("name", "command"):
        if key not in values:
            raise MisuseError(f"{where}: there is no {key!r}")
    budgets = [
        Budget(figure, values.pop(key))
        for key, figure in (("budget", Figure.PEAK_RSS), ("budget-tree", Figure.TREE_PEAK))
        if key in values
    ]
    values["heap"] = tuple(
        _heap(one, f"{where}: heap budget {number}") for number, one in enumerate(values.get("heap", ()), 1)
    )
    if "environment" in defaults:
        values["environment"] = {**defaults["environment"], **values["environment"]}
    directory = base / values.pop("directory", ".")
    if not directory.is_dir():
        raise MisuseError(f"{where}: key 'directory': {directory} is no directory")
    if "trace" in values:
        values["mode"] = Mode.TRACE if values.pop("trace") else Mode.QUIET
    if "timeout" in values:
        values["timeout_seconds"] = values.pop("timeout")
    fields = {key.replace("-", "_"): value for key, value in values.items()}
    check = Check(directory=directory, budgets=tuple(budgets), line=place.line, **fields)
    if check.max_repeats >= check.repeats:
        return check
    if "max_repeats" in fields:
        raise MisuseError(f"{where}: 'max-repeats' {check.max_repeats} is less than 'repeats' {check.repeats}")
    return replace(check, max_repeats=check.repeats)


def _heap(table: Mapping[str, Any], where: str) -> HeapBudget:
    values = _take(table, _HEAP_KEYS, where)
    if "budget" not in values:
        raise MisuseError(f"{where}: there is no 'budget'")
    return HeapBudget(limit_bytes=values.pop("budget"), **values)


def _take(table: Mapping[str, Any], keys: Mapping[str, Callable[[Any], Any]], where: str) -> dict[str, Any]:
    """The table with each value parsed."""
    found = {}
    for key, value in table.items():
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(keys)}"
            raise MisuseError(f"{where}: unknown key {key!r}{hint}")
        try:
            found[key] = keys[key](value)
        except MisuseError as error:
            raise MisuseError(f"{where}: key {key!r}: {error}") from None
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise MisuseError(f"a string that is not empty, not {value!r}")
    return value


def _name(value: Any) -> str:
    if not _text(value).isprintable() or value.strip() != value:
        raise MisuseError(f"one line of printable characters, not {value!r}")
    return str(value)


def _command(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (*SHELL, _text(value))
    if (
        isinstance(value, list)
        and value
        and all(isinstance(word, str) and "\0" not in word for word in value)
        and value[0]
    ):
        return tuple(value)
    raise MisuseError(f"an array of words, or a string for the shell, not {value!r}")


def _size(value: Any) -> int:
    if not isinstance(value, str):
        raise MisuseError(f'a size is a string with a unit, such as "64MiB", not {value!r}')
    return parse_size(value)


def _seconds(value: Any) -> float:
    if not isinstance(value, str):
        raise MisuseError(f'a duration is a string with a unit, such as "30s", not {value!r}')
    seconds = parse_duration_ns(value) / 1e9
    if seconds <= 0:
        raise MisuseError("a duration of more than 0")
    return seconds


def _share(value: Any) -> float:
    if not isinstance(value, str):
        raise MisuseError(f'a share is a string with a percent sign, such as "5%", not {value!r}')
    return parse_share(value)


def _confidence(value: Any) -> float:
    share = _share(value)
    if not 0.5 <= share < 1:
        raise MisuseError(f"at least 50% and less than 100%, not {value!r}")
    return share


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000:
        raise MisuseError(f"a whole number from 1 to 10000, not {value!r}")
    return value


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise MisuseError(f"true or false, not {value!r}")
    return value


def _choice(kind: type[_Choice]) -> Callable[[Any], _Choice]:
    def parse(value: Any) -> _Choice:
        for member in kind:
            if member.value == value:
                return member
        raise MisuseError(f"{' or '.join(repr(member.value) for member in kind)}, not {value!r}")

    return parse


def _environment(value: Any) -> dict[str, str]:
    for name, content in _table(value).items():
        if not name or "=" in name or "\0" in name:
            raise MisuseError(f"{name!r} cannot be the name of a variable")
        if not isinstance(content, str) or "\0" in content:
            raise MisuseError(f"{name} is a string, not {content!r}")
    return dict(value)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MisuseError(f"a table, not {value!r}")
    return value


def _heap_tables(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise MisuseError("budgets of the heap are written [[check.heap]], with two brackets")
    return value


def _tables(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise MisuseError("checks are written [[check]], with two brackets")
    return [_table(table) for table in value]


_DEFAULTS: dict[str, Callable[[Any], Any]] = {
    "budget": _size,
    "budget-tree": _size,
    "repeats": _count,
    "max-repeats": _count,
    "statistic": _choice(Statistic),
    "figure": _choice(Figure),
    "tolerance": _share,
    "environment": _environment,
    "directory": _text,
    "timeout": _seconds,
    "trace": _switch,
}
_KEYS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "command": _command,
    "setup": _command,
    "teardown": _command,
    "heap": _heap_tables,
    **_DEFAULTS,
}
_HEAP_KEYS: dict[str, Callable[[Any], Any]] = {
    "budget": _size,
    "site": _text,
    "file": _text,
    "library": _text,
    "at": _choice(At),
}
