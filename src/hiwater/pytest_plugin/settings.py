"""The configuration of the plugin: ``[tool.hiwater.pytest]``, ini keys, options; later ones win over earlier ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hiwater.errors import MisuseError
from hiwater.pytest_plugin import INI, ini_keys
from hiwater.pytest_plugin.limits import FIGURES, KEYS, Rule, parse_rule, parse_values

TABLE = "[tool.hiwater.pytest]"
_DEFAULT_TOP = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for."""

    rules: tuple[Rule, ...]
    table: bool
    top: int
    json: Path | None
    evidence: Path | None
    """Where flame graphs go; ``None``: into the cache of pytest."""

    @property
    def measure_all(self) -> bool:
        """Also tests without a budget."""
        return self.table or self.json is not None


def read_settings(config: pytest.Config) -> Settings:
    """Raises MisuseError on anything that is not understood."""
    top: object = _DEFAULT_TOP
    evidence: Path | None = None
    rules: list[Rule] = []
    for source in (_from_pyproject, _from_ini, _from_options):
        found, wanted, folder = source(config)
        rules += found
        top = wanted if wanted is not None else top
        evidence = folder if folder is not None else evidence
    option = config.option
    json = _json_file(option.hiwater_json, config)
    return Settings(tuple(rules), option.hiwater, _number(top), json, evidence)


_Found = tuple[list[Rule], object, "Path | None"]
"""Budgets, rows of the table, folder of the evidence."""


def _from_pyproject(config: pytest.Config) -> _Found:
    try:
        text = (config.rootpath / "pyproject.toml").read_text("utf-8")
    except OSError:
        return [], None, None
    if "hiwater" not in text:
        return [], None, None
    table = _load_toml(text).get("tool", {}).get("hiwater", {}).get("pytest", {})
    if not isinstance(table, dict):
        raise MisuseError(f"pyproject.toml: {TABLE} is no table")
    table = dict(table)
    entries, top = table.pop("budgets", []), table.pop("top", None)
    evidence = _folder(table.pop("evidence", None), config.rootpath, f"pyproject.toml: {TABLE} evidence")
    rules = [Rule(_values(table, f"pyproject.toml: {TABLE}", ("top", "evidence", "budgets")))]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MisuseError(f"pyproject.toml: {TABLE} budgets is a list of tables: write [[tool.hiwater.pytest.budgets]]")
    return rules + [_entry(entry, number, config) for number, entry in enumerate(entries, 1)], top, evidence


def _folder(given: object, base: Path, where: str) -> Path | None:
    """It is made when there is something to put into it."""
    if given is None or given == "":
        return None
    if not isinstance(given, str):
        raise MisuseError(f"{where} is a folder in quotes, not {given!r}")
    path = base / given
    if path.exists() and not path.is_dir():
        raise MisuseError(f"{where}: {path} is no directory")
    return path


def _load_toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MisuseError(f"pyproject.toml: {error}") from None
    return document


def _entry(entry: dict[str, object], number: int, config: pytest.Config) -> Rule:
    where = f"pyproject.toml: budget {number} of {TABLE}"
    rest = dict(entry)
    path, pattern = rest.pop("path", None), rest.pop("match", None)
    values = _values(rest, where, ("path", "match"))
    if (path is None) == (pattern is None) or not isinstance(path or pattern, str) or not values:
        raise MisuseError(f"{where}: it needs a path or a match (one of them, in quotes) and a budget")
    if pattern is not None:
        return Rule(values, pattern=str(pattern))
    return _existing(Rule(values, path=config.rootpath / str(path)), where)


def _values(given: Mapping[str, object], where: str, others: tuple[str, ...]) -> Mapping[str, Any]:
    for key in given:
        if key.replace("-", "_") not in KEYS:
            raise MisuseError(f"{where}: unknown key {key!r}: there are {', '.join((*KEYS, *others))}")
    return parse_values(given, where)


def _existing(rule: Rule, where: str) -> Rule:
    """A budget for a directory that is not there is a slip of the pen, and would never fail."""
    if rule.path is not None and not os.path.exists(rule.path):
        raise MisuseError(f"{where}: there is no {rule.path}")
    return Rule(rule.values, path=Path(os.path.abspath(rule.path))) if rule.path is not None else rule


def _from_ini(config: pytest.Config) -> _Found:
    for key in ini_keys(config):
        if key.startswith("hiwater") and key not in INI:
            raise MisuseError(f"unknown key {key!r} in the configuration of pytest: there are {', '.join(INI)}")
    given = {key: config.getini(f"hiwater_{key}") for key in KEYS}
    rules = [Rule(parse_values({key: raw for key, raw in given.items() if raw}, "hiwater_* in the ini file"))]
    for line in config.getini("hiwater_budgets") or []:
        rules.append(_existing(parse_rule(line, config.rootpath, "hiwater_budgets"), "hiwater_budgets"))
    evidence = _folder(config.getini("hiwater_evidence"), config.rootpath, "hiwater_evidence")
    return rules, config.getini("hiwater_top") or None, evidence


def _from_options(config: pytest.Config) -> _Found:
    option = config.option
    given = {name: getattr(option, f"hiwater_{name}") for name in FIGURES}
    values = parse_values({key: raw for key, raw in given.items() if raw is not None}, "--hiwater-peak, -growth, -left")
    if option.hiwater_include_setup:
        values["include_setup"] = True
    rules = [Rule(values)]
    for line in option.hiwater_budget or []:
        # As files are given on the command line: from where pytest was called.
        rule = parse_rule(line, config.invocation_params.dir, "--hiwater-budget")
        rules.append(_existing(rule, "--hiwater-budget"))
    evidence = _folder(option.hiwater_evidence, config.invocation_params.dir, "--hiwater-evidence")
    return rules, option.hiwater_top, evidence


def _number(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool) and raw > 0:
        return raw
    if isinstance(raw, str) and raw.isascii() and raw.isdigit() and int(raw) > 0:
        return int(raw)
    raise MisuseError(f"how many tests the table shows is a number above 0, not {raw!r}")


def _json_file(name: str | None, config: pytest.Config) -> Path | None:
    """Checked before anything is measured. Like other reports of pytest, it replaces the one of the last session."""
    if name is None:
        return None
    path = config.invocation_params.dir / name
    if path.is_dir():
        raise MisuseError(f"--hiwater-json: {path} is a directory")
    if not os.access(path.parent, os.W_OK):
        raise MisuseError(f"--hiwater-json: cannot write into {path.parent}")
    return path
