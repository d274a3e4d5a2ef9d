"""docs/figures.md explains everything that the JSON can hold."""

import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURES = (ROOT / "docs" / "figures.md").read_text()


def keys(schema: object) -> Iterator[str]:
    """Every property name of a JSON Schema, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from keys(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from keys(part)


def test_every_key_of_the_json_is_documented() -> None:
    """No figure without a word on what it counts."""
    schema = json.loads((resources.files("hiwater") / "views" / "hiwater.run-1.schema.json").read_text())
    assert {key for key in keys(schema) if f"`{key}`" not in FIGURES} == set()


def test_every_key_of_a_ledger_is_documented() -> None:
    """docs/explain.md has a word on all that hiwater explain --json writes, rows and sentences too."""
    told = (ROOT / "docs" / "explain.md").read_text()
    views, analysis = ROOT / "src" / "hiwater" / "views", ROOT / "src" / "hiwater" / "analysis"
    schema = json.loads((views / "hiwater.explain-1.schema.json").read_text())
    rows = "".join(path.read_text() for path in analysis.glob("ledger*.py"))
    wanted = set(keys(schema)) | set(re.findall(r'Sentence\(\s*"([a-z-]+)"', (views / "explain_words.py").read_text()))
    wanted |= set(re.findall(r'\("([a-z_]+)", "[a-z]', rows)) - {"anonymous", "file", "shmem"}
    assert {"heap", "unmapped_shmem", "heap-profiler", "swap"} <= wanted
    assert {key for key in wanted if f"`{key}`" not in told} == set()


def test_every_warning_is_documented() -> None:
    """Each code that the monitor or the analysis can give has its line."""
    told = [path.read_text() for path in (ROOT / "src" / "hiwater" / "monitor").glob("*.c")]
    concluded = [path.read_text() for path in (ROOT / "src" / "hiwater" / "analysis").glob("*.py")]
    codes = set(re.findall(r'(?:stream_warning\(|refused = |return )"([a-z]+-[a-z-]+)"', "".join(told)))
    codes |= set(re.findall(r'Warning_\(\s*"([a-z-]+)"', "".join(concluded)))
    assert "left-alive" in codes
    assert {code for code in codes if f"| `{code}` |" not in FIGURES} == set()


def test_every_record_of_the_file_is_documented() -> None:
    """docs/recording.md names every type of record that the monitor can write."""
    header = (ROOT / "src" / "hiwater" / "monitor" / "protocol.h").read_text()
    types = re.search(r"enum hw_type \{(.*?)\n\};", header, re.DOTALL)
    assert types is not None
    named = re.findall(r"^\t(HW_[A-Z_]+)", types[1], re.MULTILINE)
    described = (ROOT / "docs" / "recording.md").read_text()
    assert len(named) >= 14
    assert [name for name in named if f"| `{name}` |" not in described] == []
