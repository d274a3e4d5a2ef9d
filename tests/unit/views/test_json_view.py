"""The JSON of one execution."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from tests.streams import MIB, Stream, simple
from tests.unit.views.test_terminal import CASES

import hiwater.views
from hiwater.recording.reader import parse
from hiwater.views import json_view

SCHEMA = json.loads((Path(hiwater.views.__file__).parent / "hiwater.run-1.schema.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_schema(name: str) -> None:
    """Every recording's document is valid under the published schema."""
    document = json.loads(json_view.render(parse(CASES[name][0].data)))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert set(document) == set(SCHEMA["properties"]), "the schema describes every key"


def test_schema_is_strict_about_types() -> None:
    """A size as a string, or a float, or a missing key is no valid document; another key is."""
    document = json.loads(json_view.render(parse(simple().data)))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for wrong in ("20 MiB", 1.5, -1, True):
        assert not validator.is_valid(document | {"peak_rss_bytes": wrong})
    assert not validator.is_valid({k: v for k, v in document.items() if k != "warnings"})
    assert validator.is_valid(document | {"new_key": 1})


def test_figures() -> None:
    """Sizes are bytes; what is unknown is null."""
    document = json.loads(json_view.render(parse(simple().data)))
    assert document["schema"] == "hiwater.run/1"
    assert document["command"] == ["prog", "--flag"]
    assert document["started_at"] == "2023-11-14T22:13:20.123456Z"
    assert (document["peak_rss_bytes"], document["peak_rss_method"]) == (20 * MIB, "rss_sampled")
    assert document["peak_process"] == {"pid": 4242, "name": "prog", "command": ["prog", "--flag"]}
    assert document["inherited"]["launcher_name"] == "bash"
    assert document["cgroup_peak_bytes"] is None
    assert document["processes"][0]["images"][0]["start"] is None
    assert document["host"]["page_size_bytes"] == 4096


def test_names_that_are_no_text() -> None:
    """JSON holds text only: a byte that is no UTF-8 stands as an escape, and the document is valid UTF-8."""
    text = json_view.render(parse(Stream().command(b"a\xff\n", "é".encode()).data))
    assert json.loads(text.encode("utf-8"))["command"] == ["a\\xff\n", "é"]
